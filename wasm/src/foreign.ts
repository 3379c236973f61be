// Types of the platform that TypeScript's own libraries have had for a short time only. Published, they must be known to older
// ones too.

/** Bytes in memory that nothing shares: `Uint8Array<ArrayBuffer>`, which before TypeScript 5.7 takes no parameter. */
export type Bytes = ReturnType<Uint8Array["slice"]>;

/** `Uint8ClampedArray<ArrayBuffer>`, likewise. */
export type ClampedBytes = ReturnType<Uint8ClampedArray["slice"]>;

/** A `GPUDevice`. */
export interface GpuDevice {
  readonly lost: Promise<unknown>;
  readonly queue: object;
  createShaderModule(descriptor: { code: string }): object;
}

/** A `GPUTexture`. */
export interface GpuTexture {
  readonly width: number;
  readonly height: number;
  readonly format: string;
  readonly usage: number;
  createView(): object;
}

/** A `GPUCanvasContext`. */
export interface GpuCanvas {
  readonly canvas: object;
  getCurrentTexture(): GpuTexture;
}
