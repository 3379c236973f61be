// What frames can be given as, and how their pixels are read.

import { FusionError, reason } from "./errors.js";
import type { Bytes, GpuTexture } from "./foreign.js";

/** Pixels in memory, rows from top to bottom without gaps. */
export interface Pixels {
  /**
   * Bytes: RGBA, RGB or one channel, told apart by the length. 16-bit words, for infrared alone: raw counts or
   * centikelvin.
   */
  readonly data: Uint8Array | Uint8ClampedArray | Uint16Array;
  /** Width, px. */
  readonly width: number;
  /** Height, px. */
  readonly height: number;
  /** Significant bits of 16-bit words; the others are ignored. 16 unless given. */
  readonly bits?: 14 | 16;
}

/** Anything that a browser can draw. */
export type Drawable =
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | HTMLVideoElement
  | OffscreenCanvas
  | VideoFrame;

/**
 * A visible frame. Textures, on the backend `"webgpu"`: `rgba8unorm` or `bgra8unorm`, of the device that `create` was given,
 * with the usage `TEXTURE_BINDING`.
 */
export type VisibleSource = Pixels | ImageData | Drawable | GpuTexture;

/** A thermal frame. Of pictures in colour, the luma is taken. Textures may also be `r8unorm`, or words in `r16uint`. */
export type InfraredSource = VisibleSource;

/** Width and height, px. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Whether a value is of a class that this platform has. */
export const is = (name: string, value: unknown): boolean => {
  const type = (globalThis as Record<string, unknown>)[name];
  return typeof type === "function" && value instanceof type;
};

function inMemory(source: VisibleSource): source is Pixels | ImageData {
  return typeof source === "object" && source !== null && "data" in source && ArrayBuffer.isView(source.data);
}

/** Which frame of a pair. */
export type Role = "visible" | "infrared";

/** The number of a pixel format in the module's interface. */
type Format = number;

/** The format of a frame in memory: visible RGBA, RGB, luma; infrared grey, words of 16 and of 14 bits, RGBA. */
function formatOf(source: Pixels | ImageData, role: Role): Format {
  const { data, width, height } = source;
  const words = role === "infrared" && data instanceof Uint16Array;
  if (!words && !(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    const types = role === "visible" ? "8-bit data (Uint8Array or Uint8ClampedArray)" : "data of type Uint8Array, Uint8ClampedArray or Uint16Array";
    throw new FusionError("input", `${role}: needs ${types}`);
  }
  const channels = words ? [1] : role === "visible" ? [4, 3, 1] : [4, 1];
  const found = channels.indexOf(data.length / (width * height));
  if (found < 0) throw new FusionError("input", wrongLength(role, data.length, { width, height }, channels));
  if (role === "visible") return found;
  if (!words) return found === 0 ? 3 : 0;
  const bits = (source as Pixels).bits ?? 16;
  if (bits !== 14 && bits !== 16) throw new FusionError("input", `infrared: bits is ${String(bits)}, give 14 or 16`);
  return bits === 14 ? 2 : 1;
}

/** Size of a source, or why it has none; pixels in memory are of that size. */
export function sizeOf(source: VisibleSource, role: Role): Size {
  const fail = (what: string): never => {
    throw new FusionError("input", `${role}: ${what}`);
  };
  let width: number;
  let height: number;
  if (typeof source !== "object" || source === null) {
    return fail("is not a frame: give ImageData, an image, a canvas, a video, or { data, width, height }");
  } else if (inMemory(source)) {
    ({ width, height } = source);
  } else if (is("VideoFrame", source)) {
    const frame = source as VideoFrame;
    if (frame.format === null && frame.codedWidth === 0) fail("VideoFrame is closed: fuse it before `close()`");
    (width = frame.displayWidth), (height = frame.displayHeight);
  } else if (is("HTMLVideoElement", source)) {
    const video = source as HTMLVideoElement;
    if (video.readyState < 2) fail("video has no frame yet: wait for its `loadeddata` event");
    (width = video.videoWidth), (height = video.videoHeight);
  } else if (is("HTMLImageElement", source)) {
    const image = source as HTMLImageElement;
    if (!image.complete || image.naturalWidth === 0) fail("image is not loaded: await its `decode()`");
    (width = image.naturalWidth), (height = image.naturalHeight);
  } else if (is("ImageBitmap", source) || is("HTMLCanvasElement", source) || is("OffscreenCanvas", source) || is("GPUTexture", source)) {
    ({ width, height } = source as ImageBitmap);
    if (is("ImageBitmap", source) && width === 0) fail("ImageBitmap is closed: fuse it before `close()`");
  } else {
    return fail("is of no known type: give ImageData, an image, a canvas, a video, or { data, width, height }");
  }
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    fail(`is ${width}x${height} px: both sides must be whole and at least 1 px`);
  }
  if (inMemory(source)) formatOf(source, role);
  return { width, height };
}

/** Reads sources into memory; keeps a canvas for those that must be drawn. */
export class Reader {
  #canvas: OffscreenCanvas | HTMLCanvasElement | undefined;
  /** Whether video frames convert themselves to RGBA here; found out with the first. */
  #converts = true;

  /** Writes a visible frame's RGBA, RGB or luma into `to` and gives its format. */
  visible(source: VisibleSource, size: Size, to: Bytes): Format | Promise<Format> {
    if (!inMemory(source)) return this.#draw(source as Drawable, size, "visible", to, 0);
    const format = formatOf(source, "visible");
    to.set(source.data);
    return format;
  }

  /** Writes an infrared frame's grey, words or RGBA into `to` and gives its format. */
  infrared(source: InfraredSource, size: Size, to: Bytes): Format | Promise<Format> {
    if (!inMemory(source)) return this.#draw(source as Drawable, size, "infrared", to, 3);
    const format = formatOf(source, "infrared");
    const { data } = source;
    to.set(data instanceof Uint16Array ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : data);
    return format;
  }

  #draw(source: Drawable, size: Size, role: string, to: Bytes, format: Format): Format | Promise<Format> {
    const video = is("VideoFrame", source) || is("HTMLVideoElement", source);
    if (video && this.#converts && typeof VideoFrame === "function") {
      return this.#convert(source as VideoFrame | HTMLVideoElement, size, role, to, format);
    }
    to.set(this.#pixels(source, size, role));
    return format;
  }

  /** A video frame by its own conversion, which needs no canvas and leaves no garbage. */
  async #convert(
    source: VideoFrame | HTMLVideoElement,
    size: Size,
    role: string,
    to: Bytes,
    format: Format,
  ): Promise<Format> {
    const own = is("HTMLVideoElement", source);
    let frame: VideoFrame | undefined;
    try {
      frame = own ? new VideoFrame(source) : (source as VideoFrame);
      const { width, height } = frame.visibleRect ?? size;
      const { rotation, flip } = frame as { readonly rotation?: number; readonly flip?: boolean };
      // Frames that are shown rotated, mirrored or scaled have to be drawn.
      if (width === size.width && height === size.height && !rotation && !flip) {
        await frame.copyTo(to, { format: "RGBA", colorSpace: "srgb" } as VideoFrameCopyToOptions);
        return format;
      }
    } catch (e) {
      if (e instanceof DOMException && e.name === "SecurityError") throw tainted(role);
      this.#converts = false;
    } finally {
      if (own) frame?.close();
    }
    to.set(this.#pixels(source, size, role));
    return format;
  }

  #pixels(source: Drawable, { width, height }: Size, role: string): Uint8ClampedArray {
    const canvas = (this.#canvas ??= makeCanvas());
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false }) as
      | OffscreenCanvasRenderingContext2D
      | CanvasRenderingContext2D
      | null;
    if (!context) throw new FusionError("memory", `${role}: no canvas of ${width}x${height} px: use smaller frames`);
    try {
      context.drawImage(source, 0, 0, width, height);
      return context.getImageData(0, 0, width, height).data;
    } catch (e) {
      // A canvas stays tainted.
      this.#canvas = undefined;
      if (e instanceof DOMException && e.name === "SecurityError") throw tainted(role);
      throw new FusionError("input", `${role}: cannot be drawn: ${reason(e)}`, { cause: e });
    }
  }
}

/** The error for pixels of another origin. */
export function tainted(role: string): FusionError {
  const remedy = 'load it with CORS (crossorigin="anonymous") or from the page\'s own origin';
  return new FusionError("tainted", `${role}: the browser does not give out pixels of another origin: ${remedy}`);
}

function makeCanvas(): OffscreenCanvas | HTMLCanvasElement {
  if (typeof OffscreenCanvas === "function") return new OffscreenCanvas(1, 1);
  if (typeof document === "object") return document.createElement("canvas");
  throw new FusionError("unsupported", "there is no canvas here: give pixels as { data, width, height }");
}

function wrongLength(role: string, length: number, { width, height }: Size, channels: number[]): string {
  if (length === 0) return `${role}: data is empty; a buffer that was transferred to a worker is detached: copy it first`;
  const wanted = channels.map((c) => `${c * width * height}`).join(" or ");
  return `${role}: data has ${length} elements, ${width}x${height} px need ${wanted}`;
}
