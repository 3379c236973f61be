// The seam between `Fusion` and what computes.

import type { GpuCanvas, GpuTexture } from "./foreign.js";
import type { InfraredSource, Size, VisibleSource } from "./sources.js";

/** Backends that exist: the calling thread, a pool of workers, the GPU. */
export type Backend = "cpu" | "worker" | "webgpu";

/** What runs, for display. */
export interface Info {
  /** Where it runs. */
  readonly backend: Backend;
  /** Why this backend. */
  readonly reason: string;
  /** The kernels, such as `wasm32-simd128`. */
  readonly kernels: string;
  /** How many threads compute. */
  readonly threads: number;
  /** Name of the network. */
  readonly model: string;
  /** Its arithmetic, such as `int8`. */
  readonly precision: string;
  /** Number of its weights. */
  readonly parameters: number;
  /** Memory for model, activations and frames. */
  readonly memoryBytes: number;
}

/** Sizes that an engine is made for. */
export interface Sizes {
  readonly visible: Size;
  readonly infrared: Size;
}

/** A frame's pair and how to take it. */
export interface Pair {
  readonly visible: VisibleSource;
  readonly infrared: InfraredSource;
  /** No next frame of a video. */
  readonly still: boolean;
}

/** Where a GPU draws the fused frame: a configured canvas, or a texture that can be drawn to. */
export type GpuTarget = GpuTexture | GpuCanvas;

/** Where the fused frame goes: RGBA in memory; on the backend `"webgpu"` also the device. */
export type Output = Uint8ClampedArray | GpuTarget;

/**
 * One network, ready for frames of one pair of sizes, everything allocated.
 *
 * It takes sources and not pixels, because only the engine knows the shortest way: the CPU reads them into linear memory,
 * a GPU imports them as textures.
 */
export interface Engine {
  readonly sizes: Sizes;
  /** Settles when the engine can no longer be used, with the reason. */
  readonly lost?: Promise<string>;
  /** All of {@link Info} but the reason, which is `Fusion`'s. */
  readonly info: Omit<Info, "reason">;

  /** Fuses a pair of these sizes into `out`. Calls do not overlap. */
  fuse(pair: Pair, out: Output): void | Promise<void>;

  /** Gives back what the collector cannot. */
  dispose(): void;
}

/** Makes engines for one model; compiled once. */
export interface EngineFactory {
  create(sizes: Sizes): Promise<Engine>;
  /** Ends what outlives engines. */
  dispose?(): void;
}
