// The WebGPU backend. The artifact is compiled to buffers, pipelines and dispatches by `fusionproxy-gpu.wasm`; here they are
// made once and submitted once a frame (docs/gpu.md). Gain control and alignment of the infrared stay on the CPU, which sees
// the sensor's words anyway.

import { check, describe, open, type Exports } from "./cpu.js";
import type { Engine, EngineFactory, Info, Pair, Sizes } from "./engine.js";
import { FusionError, reason } from "./errors.js";
import type { Parts } from "./fusion.js";
import { bytesOf } from "./load.js";
import { Reader, type Drawable, type VisibleSource } from "./sources.js";

/** What `fusionproxy-gpu.wasm` exports; `wasm/gpu` says what each means. */
interface Compiler {
  readonly memory: WebAssembly.Memory;
  gpu_model(bytes: number): number;
  gpu_compile(bytes: number, width: number, height: number, dot: number, f16: number, buffers: number, binding: number): number;
  gpu_text(): number;
  gpu_text_bytes(): number;
  gpu_weights(): number;
  gpu_weights_bytes(): number;
}

// Flags of the standard, which the DOM's types leave out.
const BUFFER = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, STORAGE: 128 };
const TEXTURE = { COPY_DST: 2, TEXTURE_BINDING: 4, RENDER_ATTACHMENT: 16 };
const MAP_READ = 1;

type Role = "weights" | "activations" | "visible" | "infrared" | "fused";

/** A program as `docs/gpu.md` describes it. */
interface Program {
  readonly buffers: readonly { readonly role: Role; readonly bytes: number }[];
  readonly pipelines: readonly string[];
  readonly dispatches: readonly {
    readonly label: string;
    readonly pipeline: number;
    readonly workgroups: readonly [number, number, number];
    readonly bindings: readonly ({ readonly texture: Role } | { readonly buffer: number; readonly offset: number; readonly bytes: number })[];
  }[];
}

/** Opens the GPU, or says why there is none. */
export async function openGpu(parts: Parts): Promise<EngineFactory> {
  const { gpu, open: openFile, signal } = parts;
  if (!gpu) throw new FusionError("unsupported", "this entry has no WebGPU");
  const device = parts.device ?? (await deviceOf(parts.auto));
  const module = await WebAssembly.compile(await bytesOf(gpu, openFile, { signal }));
  return new GpuFactory(device, parts.device === undefined, module, parts);
}

async function deviceOf(auto: boolean): Promise<GPUDevice> {
  const gpu = typeof navigator === "object" ? navigator.gpu : undefined;
  if (!gpu) throw new FusionError("unsupported", 'this browser or page has no WebGPU (it needs https): use backend "cpu"');
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new FusionError("device", 'no GPU adapter is given out here: use backend "cpu" or "auto"');
  if (auto && adapter.info.isFallbackAdapter) throw new FusionError("device", "webgpu is software here");
  const { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  try {
    return await adapter.requestDevice({
      requiredFeatures: adapter.features.has("shader-f16") ? ["shader-f16"] : [],
      requiredLimits: { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize },
    });
  } catch (e) {
    throw new FusionError("device", `the GPU was refused: ${reason(e)}: use backend "cpu"`, { cause: e });
  }
}

class GpuFactory implements EngineFactory {
  constructor(
    private readonly device: GPUDevice,
    private readonly own: boolean,
    private readonly compiler: WebAssembly.Module,
    private readonly parts: Parts,
  ) {}

  async create(sizes: Sizes): Promise<Engine> {
    const { model, module, gain } = this.parts;
    const { device } = this;
    const [program, weights] = await compile(this.compiler, model, sizes, device);
    const cpu = await open(module, model, sizes, gain);
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    const pipelines = await Promise.all(
      program.pipelines.map((code) => {
        const compute = { module: device.createShaderModule({ code }), entryPoint: "main" };
        return device.createComputePipelineAsync({ layout: "auto", compute });
      }),
    ).catch((e: unknown) => {
      throw new FusionError("device", `the GPU refuses a shader: ${reason(e)}: use backend "cpu"`, { cause: e });
    });
    const engine = new GpuEngine(device, sizes, cpu, program, weights, pipelines);
    const [memory, validation] = [await device.popErrorScope(), await device.popErrorScope()];
    const error = memory ?? validation;
    if (error) {
      engine.dispose();
      throw new FusionError(memory ? "memory" : "device", `the GPU refuses: ${error.message}: use backend "cpu" or smaller frames`);
    }
    return engine;
  }

  dispose(): void {
    if (this.own) this.device.destroy();
  }
}

async function compile(
  module: WebAssembly.Module,
  model: Uint8Array,
  { visible: { width, height } }: Sizes,
  { features, limits }: GPUDevice,
): Promise<[Program, Uint8Array<ArrayBuffer>]> {
  const c = (await WebAssembly.instantiate(module)).exports as unknown as Compiler;
  const at = c.gpu_model(model.length);
  new Uint8Array(c.memory.buffer, at, model.length).set(model);
  const dot = navigator.gpu.wgslLanguageFeatures.has("packed_4x8_integer_dot_product") ? 1 : 0;
  const { maxStorageBuffersPerShaderStage: buffers, maxStorageBufferBindingSize: binding } = limits;
  const f16 = features.has("shader-f16") ? 1 : 0;
  const done = c.gpu_compile(model.length, width, height, dot, f16, buffers, Math.min(binding, 2 ** 31 - 1));
  const text = new TextDecoder().decode(new Uint8Array(c.memory.buffer, c.gpu_text(), c.gpu_text_bytes()));
  if (done === 0) throw new FusionError("model", `${text}: use backend "cpu"`);
  const weights = new Uint8Array(c.memory.buffer, c.gpu_weights(), c.gpu_weights_bytes()).slice();
  return [JSON.parse(text) as Program, weights];
}

class GpuEngine implements Engine {
  readonly info: Omit<Info, "reason">;
  readonly lost: Promise<string>;
  readonly #reader = new Reader();
  readonly #buffers: GPUBuffer[];
  readonly #roles = {} as Record<Role, GPUBuffer>;
  readonly #readback: GPUBuffer;
  readonly #texture: GPUTexture;
  readonly #groups: GPUBindGroup[];
  readonly #rgba: Uint8Array<ArrayBuffer>;
  #disposed = false;
  #gone = "";

  constructor(
    private readonly device: GPUDevice,
    readonly sizes: Sizes,
    private readonly cpu: Exports,
    private readonly program: Program,
    weights: Uint8Array<ArrayBuffer>,
    private readonly pipelines: readonly GPUComputePipeline[],
  ) {
    const { width, height } = sizes.visible;
    const usages: Record<Role, number> = {
      weights: BUFFER.STORAGE | BUFFER.COPY_DST,
      activations: BUFFER.STORAGE,
      visible: BUFFER.STORAGE | BUFFER.COPY_DST,
      infrared: BUFFER.STORAGE | BUFFER.COPY_DST,
      fused: BUFFER.STORAGE | BUFFER.COPY_SRC,
    };
    this.#buffers = program.buffers.map(({ role, bytes }) => {
      const buffer = device.createBuffer({ size: Math.ceil(bytes / 4) * 4, usage: usages[role] });
      this.#roles[role] = buffer;
      return buffer;
    });
    device.queue.writeBuffer(this.#roles.weights, 0, weights);
    const size = width * height * 4;
    this.#readback = device.createBuffer({ size, usage: BUFFER.MAP_READ | BUFFER.COPY_DST });
    const { TEXTURE_BINDING, COPY_DST, RENDER_ATTACHMENT } = TEXTURE;
    const usage = TEXTURE_BINDING | COPY_DST | RENDER_ATTACHMENT;
    this.#texture = device.createTexture({ size: [width, height], format: "rgba8unorm", usage });
    const view = this.#texture.createView();
    this.#groups = program.dispatches.map(({ label, pipeline, bindings }) => {
      const entries = bindings.map((b, binding) => {
        if ("texture" in b) return { binding, resource: view };
        return { binding, resource: { buffer: this.#buffers[b.buffer]!, offset: b.offset, size: b.bytes } };
      });
      return device.createBindGroup({ label, layout: pipelines[pipeline]!.getBindGroupLayout(0), entries });
    });
    this.#rgba = new Uint8Array(size);
    const { model, precision, parameters } = describe(cpu);
    const memoryBytes = program.buffers.reduce((sum, b) => sum + b.bytes, 2 * size);
    const kernels = `wgsl, ${program.dispatches.length} dispatches`;
    this.info = { backend: "webgpu", threads: 1, kernels, model, precision, parameters, memoryBytes };
    this.lost = device.lost.then(({ message, reason }) => (this.#gone = message || reason));
  }

  async fuse({ visible, infrared, still }: Pair, out: Uint8ClampedArray): Promise<void> {
    const { cpu, device } = this;
    const { width, height } = this.sizes.visible;
    const thermal = new Uint8Array(cpu.memory.buffer as ArrayBuffer, cpu.fp_infrared(), this.#thermalBytes);
    const format = await this.#reader.infrared(infrared, this.sizes.infrared, thermal);
    check(cpu, () => cpu.fp_align(format, still ? 1 : 0));
    await this.#upload(visible);
    this.#alive();
    // Whole words: what follows the last pixel is not read.
    const words = Math.ceil((width * height) / 4) * 4;
    device.queue.writeBuffer(this.#roles.infrared, 0, cpu.memory.buffer as ArrayBuffer, cpu.fp_aligned(), words);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    this.program.dispatches.forEach(({ pipeline, workgroups }, i) => {
      pass.setPipeline(this.pipelines[pipeline]!);
      pass.setBindGroup(0, this.#groups[i]!);
      pass.dispatchWorkgroups(...workgroups);
    });
    pass.end();
    encoder.copyBufferToBuffer(this.#roles.fused, 0, this.#readback, 0, width * height * 4);
    device.queue.submit([encoder.finish()]);
    try {
      await this.#readback.mapAsync(MAP_READ);
    } catch (e) {
      this.#alive();
      throw new FusionError("device", `the GPU was lost in this frame: ${reason(e)}: fuse it again`, { cause: e });
    }
    out.set(new Uint8Array(this.#readback.getMappedRange()));
    this.#readback.unmap();
  }

  get #thermalBytes(): number {
    return this.sizes.infrared.width * this.sizes.infrared.height * 4;
  }

  /** The visible frame into the texture: what a browser can draw goes there without a way through memory. */
  async #upload(source: VisibleSource): Promise<void> {
    const { width, height } = this.sizes.visible;
    if (!("data" in source)) {
      try {
        this.device.queue.copyExternalImageToTexture({ source: source as Exclude<Drawable, never> }, { texture: this.#texture }, [width, height]);
        return;
      } catch (e) {
        if (e instanceof DOMException && e.name === "SecurityError") {
          const remedy = 'load it with CORS (crossorigin="anonymous") or from the page\'s own origin';
          throw new FusionError("tainted", `visible: the browser does not give out pixels of another origin: ${remedy}`);
        }
        // Sources that cannot be copied on the GPU are read.
      }
    }
    const format = await this.#reader.visible(source, this.sizes.visible, this.#rgba);
    expand(this.#rgba, width * height, format);
    this.device.queue.writeTexture({ texture: this.#texture }, this.#rgba, { bytesPerRow: width * 4 }, [width, height]);
  }

  #alive(): void {
    if (this.#gone) throw new FusionError("device", `the GPU was lost: ${this.#gone}: fuse the frame again`);
    if (this.#disposed) throw new FusionError("disposed", "this Fusion was disposed of: create another");
  }

  dispose(): void {
    this.#disposed = true;
    for (const buffer of [...this.#buffers, this.#readback]) buffer.destroy();
    this.#texture.destroy();
  }
}

/** Makes RGB (1) or luma (2) RGBA, in place, from the end. */
function expand(pixels: Uint8Array, count: number, format: number): void {
  if (format === 0) return;
  for (let i = count - 1; i >= 0; i--) {
    const at = format === 1 ? 3 * i : i;
    const step = format === 1 ? 1 : 0;
    const [r, g, b] = [pixels[at]!, pixels[at + step]!, pixels[at + 2 * step]!];
    pixels[4 * i] = r;
    pixels[4 * i + 1] = g;
    pixels[4 * i + 2] = b;
    pixels[4 * i + 3] = 255;
  }
}
