// What a page and its workers say to each other.

import type { Gain } from "./cpu.js";
import type { Info, Sizes } from "./engine.js";
import type { FusionErrorCode } from "./errors.js";

/** Set up for frames of these sizes, as strip `strip` of `strips`. */
export interface OpenMessage {
  readonly type: "open";
  readonly module: WebAssembly.Module;
  readonly model: Uint8Array;
  readonly gain: Gain;
  readonly sizes: Sizes;
  readonly strip: number;
  readonly strips: number;
  /** Ways to the other strips. */
  readonly peers: readonly MessagePort[];
}

/** Rows of a frame, `from` to before `to`. */
export interface Rows {
  readonly from: number;
  readonly to: number;
}

/** The worker is set up. */
export interface OpenedMessage {
  readonly type: "opened";
  readonly info: Omit<Info, "reason" | "backend" | "threads">;
  /** Rows of the visible frame that it reads. */
  readonly reads: Rows;
  /** Rows of the fused frame that it writes. */
  readonly writes: Rows;
}

/** Buffers that go to and fro, so that frames allocate none. */
export interface Buffers {
  /** Rows `reads` of the visible frame, room for RGBA. */
  readonly visible: ArrayBuffer;
  /** The infrared frame, room for RGBA. */
  readonly infrared: ArrayBuffer;
  /** Rows `writes` of the fused frame, RGBA. */
  readonly fused: ArrayBuffer;
}

/** Fuse. */
export interface FuseMessage {
  readonly type: "fuse";
  readonly buffers: Buffers;
  readonly visibleFormat: number;
  readonly infraredFormat: number;
  readonly still: boolean;
}

/** The strip is fused. */
export interface FusedMessage {
  readonly type: "fused";
  readonly buffers: Buffers;
}

/** Something failed. */
export interface FailedMessage {
  readonly type: "failed";
  readonly code: FusionErrorCode;
  readonly message: string;
}

/** Give everything back; no answer comes. */
export interface CloseMessage {
  readonly type: "close";
}

export type ToWorker = OpenMessage | FuseMessage | CloseMessage;
export type FromWorker = OpenedMessage | FusedMessage | FailedMessage;

/** Everything of a message's buffers, to be transferred. */
export const transferred = ({ visible, infrared, fused }: Buffers): ArrayBuffer[] => [visible, infrared, fused];
