// Where fused frames go on the device: a canvas or the caller's texture.

import type { GpuTarget } from "./engine.js";
import { FusionError, reason } from "./errors.js";
import { group, TEXTURE } from "./gpu-program.js";
import { is, type Size } from "./sources.js";

const FORMATS: readonly GPUTextureFormat[] = ["rgba8unorm", "bgra8unorm"];

/** Draws the fused frame; a pipeline for each format that was asked for. */
export class Presenter {
  readonly #made = new Map<GPUTextureFormat, readonly [GPURenderPipeline, GPUBindGroup]>();

  constructor(
    private readonly device: GPUDevice,
    private readonly size: Size,
    private readonly shader: string,
    private readonly fused: GPUBuffer,
  ) {}

  /** Checks a target and makes what it needs. */
  async ready(target: GpuTarget): Promise<void> {
    const { format } = this.#texture(target);
    if (this.#made.has(format)) return;
    const module = this.device.createShaderModule({ code: this.shader });
    const made = await this.device.createRenderPipelineAsync({
      layout: "auto",
      vertex: { module, entryPoint: "corner" },
      fragment: { module, entryPoint: "pixel", targets: [{ format }] },
    });
    this.#made.set(format, [made, group(this.device, made, [{ buffer: this.fused }])]);
  }

  /** Encodes the drawing. */
  encode(encoder: GPUCommandEncoder, target: GpuTarget): void {
    const texture = this.#texture(target);
    const [pipeline, bound] = this.#made.get(texture.format)!;
    const view = texture.createView({ mipLevelCount: 1 });
    const pass = encoder.beginRenderPass({ colorAttachments: [{ view, loadOp: "clear", storeOp: "store" }] });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bound);
    pass.draw(3);
    pass.end();
  }

  #texture(target: GpuTarget): GPUTexture {
    const refuse = (what: string) => new FusionError("input", `into: ${what}`);
    let texture = target as GPUTexture;
    if (is("GPUCanvasContext", target)) {
      const context = target as GPUCanvasContext;
      // Not every browser tells.
      const device = context.getConfiguration?.()?.device;
      if (device && device !== this.device) throw refuse("the canvas is configured for another device: give it as `device` to `create`");
      try {
        texture = context.getCurrentTexture();
      } catch (e) {
        throw refuse(`the canvas gives no texture: ${reason(e)}: call \`configure\` with the device that \`create\` was given`);
      }
    }
    const { width, height } = this.size;
    if (texture.width !== width || texture.height !== height) {
      throw refuse(`is ${texture.width}x${texture.height} px, the fused frame ${width}x${height}: make them equal`);
    }
    if (!FORMATS.includes(texture.format)) throw refuse(`is of format ${texture.format}: give ${FORMATS.join(" or ")}`);
    if (!(texture.usage & TEXTURE.RENDER_ATTACHMENT)) throw refuse("needs the usage RENDER_ATTACHMENT");
    return texture;
  }
}
