/** What kind of thing went wrong; the message says what to do about it. */
export type FusionErrorCode =
  /** The model is damaged, not a model, or not one that this backend runs. */
  | "model"
  /** The network cannot run at this frame size. */
  | "size"
  /** A frame cannot be read: empty, not loaded, closed, detached, of the wrong length. */
  | "input"
  /** A canvas or image of another origin, whose pixels the browser does not give out. */
  | "tainted"
  /** There is not enough memory. */
  | "memory"
  /** The platform or this version lacks something. */
  | "unsupported"
  /** A file could not be loaded. */
  | "network"
  /** The GPU was lost or refused, or a worker was lost. */
  | "device"
  /** The instance was disposed of. */
  | "disposed"
  /** The `AbortSignal` fired. */
  | "aborted"
  /** A defect of this package. */
  | "internal";

/** Every error that this package throws. */
export class FusionError extends Error {
  override readonly name = "FusionError";

  constructor(
    readonly code: FusionErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The text of anything that was thrown. */
export function reason(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}
