// What frames can be given as, and how their pixels are read.

import { FusionError, reason } from "./errors.js";

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

/** A visible frame. */
export type VisibleSource = Pixels | ImageData | Drawable;

/** A thermal frame. Of pictures in colour, the luma is taken. */
export type InfraredSource = Pixels | ImageData | Drawable;

/** Width and height, px. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

const is = (name: string, value: unknown): boolean => {
  const type = (globalThis as Record<string, unknown>)[name];
  return typeof type === "function" && value instanceof type;
};

function inMemory(source: VisibleSource): source is Pixels | ImageData {
  return typeof source === "object" && source !== null && "data" in source && ArrayBuffer.isView(source.data);
}

/** Size of a source, or why it has none. */
export function sizeOf(source: VisibleSource, role: string): Size {
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
  } else if (is("ImageBitmap", source) || is("HTMLCanvasElement", source) || is("OffscreenCanvas", source)) {
    ({ width, height } = source as ImageBitmap);
    if (is("ImageBitmap", source) && width === 0) fail("ImageBitmap is closed: fuse it before `close()`");
  } else {
    return fail("is of no known type: give ImageData, an image, a canvas, a video, or { data, width, height }");
  }
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    fail(`is ${width}x${height} px: both sides must be whole and at least 1 px`);
  }
  return { width, height };
}

/** Pixels and the number of their format in the module's interface. */
export interface Read {
  readonly bytes: Uint8Array | Uint8ClampedArray;
  readonly format: number;
}

/** Reads sources; keeps a canvas for those that must be drawn. */
export class Reader {
  #canvas: OffscreenCanvas | HTMLCanvasElement | undefined;

  /** Pixels of a visible frame: RGBA, RGB or luma. */
  visible(source: VisibleSource, { width, height }: Size): Read {
    if (!inMemory(source)) return { bytes: this.#draw(source, width, height, "visible"), format: 0 };
    const { data } = source;
    if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
      throw new FusionError("input", "visible: needs 8-bit data (Uint8Array or Uint8ClampedArray)");
    }
    const channels = data.length / (width * height);
    const format = { 4: 0, 3: 1, 1: 2 }[channels];
    if (format === undefined) throw new FusionError("input", wrongLength("visible", data.length, width, height, [4, 3, 1]));
    return { bytes: data, format };
  }

  /** Pixels of an infrared frame: grey, words or RGBA. */
  infrared(source: InfraredSource, { width, height }: Size): Read {
    if (!inMemory(source)) return { bytes: this.#draw(source, width, height, "infrared"), format: 3 };
    const { data } = source;
    const channels = data.length / (width * height);
    if (data instanceof Uint16Array) {
      if (channels !== 1) throw new FusionError("input", wrongLength("infrared", data.length, width, height, [1]));
      const bits = (source as Pixels).bits ?? 16;
      if (bits !== 14 && bits !== 16) throw new FusionError("input", `infrared: bits is ${String(bits)}, give 14 or 16`);
      const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
      return { bytes, format: bits === 14 ? 2 : 1 };
    }
    if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
      throw new FusionError("input", "infrared: needs data of type Uint8Array, Uint8ClampedArray or Uint16Array");
    }
    const format = { 4: 3, 1: 0 }[channels];
    if (format === undefined) throw new FusionError("input", wrongLength("infrared", data.length, width, height, [4, 1]));
    return { bytes: data, format };
  }

  #draw(source: Drawable, width: number, height: number, role: string): Uint8ClampedArray {
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
      if (e instanceof DOMException && e.name === "SecurityError") {
        const remedy = "load it with CORS (crossorigin=\"anonymous\") or from the page's own origin";
        throw new FusionError("tainted", `${role}: the browser does not give out pixels of another origin: ${remedy}`);
      }
      throw new FusionError("input", `${role}: cannot be drawn: ${reason(e)}`, { cause: e });
    }
  }
}

function makeCanvas(): OffscreenCanvas | HTMLCanvasElement {
  if (typeof OffscreenCanvas === "function") return new OffscreenCanvas(1, 1);
  if (typeof document === "object") return document.createElement("canvas");
  throw new FusionError("unsupported", "there is no canvas here: give pixels as { data, width, height }");
}

function wrongLength(role: string, length: number, width: number, height: number, channels: number[]): string {
  if (length === 0) return `${role}: data is empty; a buffer that was transferred to a worker is detached: copy it first`;
  const wanted = channels.map((c) => `${c * width * height}`).join(" or ");
  return `${role}: data has ${length} elements, ${width}x${height} px need ${wanted}`;
}
