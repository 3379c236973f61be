// Frames on their way into the network: whatever a frame comes as, it becomes a texture, the shortest way.
//
// The caller's texture is read where it is. A video's picture is imported and converted by one dispatch into a texture. What
// else a browser can draw, it copies to a texture on the device. Pixels in memory are uploaded.

import { FusionError } from "./errors.js";
import { group, pipeline, TEXTURE, type Texel } from "./gpu-program.js";
import { Reader, is, tainted, type Drawable, type InfraredSource, type Size, type VisibleSource } from "./sources.js";

type Video = VideoFrame | HTMLVideoElement;

/** A frame as a texture. */
export interface Taken {
  readonly texture: GPUTexture;
  readonly texel: Texel;
  /** Significant bits of words. */
  readonly bits: number;
  /** Still to be imported into the texture, in the task that submits the frame: an imported video expires with it. */
  readonly video?: Video;
}

const TEXELS: Readonly<Record<string, Texel>> = {
  rgba8unorm: "colour",
  bgra8unorm: "colour",
  r8unorm: "grey",
  r16uint: "words",
};

/** Takes the frames of one role. */
export class Input {
  readonly #reader = new Reader();
  /** Textures of its own, by format, made when first needed. */
  readonly #own = new Map<GPUTextureFormat, GPUTexture>();
  readonly #pixels: Uint8Array<ArrayBuffer>;
  /** The stage that imports videos; `null` where the browser cannot. */
  #import: GPUComputePipeline | null | undefined;

  constructor(
    private readonly device: GPUDevice,
    private readonly role: "visible" | "infrared",
    private readonly size: Size,
    /** WGSL of the stage that imports videos. */
    private readonly shader: string,
  ) {
    this.#pixels = new Uint8Array(size.width * size.height * 4);
  }

  async take(source: VisibleSource | InfraredSource): Promise<Taken> {
    if (is("GPUTexture", source)) return this.#given(source as GPUTexture);
    if ("data" in source) return this.#upload(source);
    if (is("VideoFrame", source) || is("HTMLVideoElement", source)) {
      if (this.#import === undefined) this.#import = await pipeline(this.device, this.shader).catch(() => null);
      if (this.#import) return { texture: this.#texture("rgba8unorm"), texel: "colour", bits: 8, video: source as Video };
    }
    return this.#copy(source as Drawable) ?? this.#upload(source);
  }

  /** Encodes the import of a video; `false` if this browser has none, and the frame is to be taken anew. */
  encode(pass: GPUComputePassEncoder, { video, texture }: Taken): boolean {
    if (!video) return true;
    let external: GPUExternalTexture;
    try {
      external = this.device.importExternalTexture({ source: video });
    } catch (e) {
      if (e instanceof DOMException && e.name === "SecurityError") throw tainted(this.role);
      this.#import = null;
      return false;
    }
    const { width, height } = this.size;
    pass.setPipeline(this.#import!);
    pass.setBindGroup(0, group(this.device, this.#import!, [texture.createView(), external]));
    pass.dispatchWorkgroups(Math.ceil(width / 8), Math.ceil(height / 8));
    return true;
  }

  dispose(): void {
    for (const texture of this.#own.values()) texture.destroy();
  }

  #given(texture: GPUTexture): Taken {
    const { format, usage, dimension, sampleCount, depthOrArrayLayers } = texture;
    const formats = Object.keys(TEXELS).slice(0, this.role === "visible" ? 2 : 4);
    const refuse = (what: string) => new FusionError("input", `${this.role}: a GPUTexture ${what}`);
    if (!formats.includes(format)) throw refuse(`of format ${format}: give ${formats.join(" or ")}`);
    if (dimension !== "2d" || sampleCount !== 1 || depthOrArrayLayers !== 1) throw refuse("must be one 2d picture, one sample a texel");
    if (!(usage & TEXTURE.TEXTURE_BINDING)) throw refuse("needs the usage TEXTURE_BINDING");
    return { texture, texel: TEXELS[format]!, bits: 16 };
  }

  /** What a browser can draw, copied on the device; transparent pixels before black, as where they are drawn. */
  #copy(source: Drawable): Taken | undefined {
    const texture = this.#texture("rgba8unorm");
    const { width, height } = this.size;
    try {
      this.device.queue.copyExternalImageToTexture({ source }, { texture, premultipliedAlpha: true }, [width, height]);
    } catch (e) {
      if (e instanceof DOMException && e.name === "SecurityError") throw tainted(this.role);
      // What cannot be copied on the device is read.
      return undefined;
    }
    return { texture, texel: "colour", bits: 8 };
  }

  async #upload(source: VisibleSource | InfraredSource): Promise<Taken> {
    const { width, height } = this.size;
    const pixels = this.#pixels;
    const write = (format: GPUTextureFormat, bytes: number, bits = 8): Taken => {
      const texture = this.#texture(format);
      this.device.queue.writeTexture({ texture }, pixels, { bytesPerRow: width * bytes }, [width, height]);
      return { texture, texel: TEXELS[format]!, bits };
    };
    if (this.role === "visible") {
      expand(pixels, width * height, await this.#reader.visible(source, this.size, pixels));
      return write("rgba8unorm", 4);
    }
    const format = await this.#reader.infrared(source, this.size, pixels);
    if (format === 0) return write("r8unorm", 1);
    return format === 3 ? write("rgba8unorm", 4) : write("r16uint", 2, format === 2 ? 14 : 16);
  }

  #texture(format: GPUTextureFormat): GPUTexture {
    let texture = this.#own.get(format);
    if (!texture) {
      const { COPY_DST, TEXTURE_BINDING, STORAGE_BINDING, RENDER_ATTACHMENT } = TEXTURE;
      const drawn = format === "rgba8unorm" ? STORAGE_BINDING | RENDER_ATTACHMENT : 0;
      const { width, height } = this.size;
      texture = this.device.createTexture({ size: [width, height], format, usage: COPY_DST | TEXTURE_BINDING | drawn });
      this.#own.set(format, texture);
    }
    return texture;
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
