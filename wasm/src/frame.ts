import { FusionError } from "./errors.js";
import type { ClampedBytes } from "./foreign.js";

/** A fused frame. */
export class FusedFrame {
  constructor(
    /** RGBA, alpha 255, rows without gaps. */
    readonly data: ClampedBytes,
    /** Width, px. */
    readonly width: number,
    /** Height, px. */
    readonly height: number,
  ) {}

  /** The same pixels as `ImageData`, for `putImageData`. Browsers alone. */
  get imageData(): ImageData {
    if (typeof ImageData !== "function") {
      throw new FusionError("unsupported", "there is no ImageData here: use `data`, `width` and `height`");
    }
    return new ImageData(this.data, this.width, this.height);
  }

  /** A new bitmap of the pixels, for `drawImage`; close it after use. Browsers alone. */
  get bitmap(): ImageBitmap {
    if (typeof OffscreenCanvas !== "function") {
      throw new FusionError("unsupported", "there is no OffscreenCanvas here: use `imageData` or `data`");
    }
    const canvas = new OffscreenCanvas(this.width, this.height);
    const context = canvas.getContext("2d");
    if (!context) throw new FusionError("memory", `no canvas of ${this.width}x${this.height} px`);
    context.putImageData(this.imageData, 0, 0);
    return canvas.transferToImageBitmap();
  }
}
