// The seam between `Fusion` and what computes.

import type { InfraredSource, Size, VisibleSource } from "./sources.js";

/** Backends that exist. */
export type Backend = "cpu";

/** What runs, for display. */
export interface Info {
  /** Where it runs. */
  readonly backend: Backend;
  /** Why this backend. */
  readonly reason: string;
  /** The kernels, such as `wasm32-simd128`. */
  readonly kernels: string;
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

/**
 * One network, ready for frames of one pair of sizes, everything allocated.
 *
 * It takes sources and not pixels, because only the engine knows the shortest way: the CPU reads them into linear memory,
 * a GPU would import them as textures.
 */
export interface Engine {
  readonly sizes: Sizes;
  readonly info: Info;

  /** Fuses a pair of these sizes into `out`, RGBA. Calls do not overlap. */
  fuse(
    visible: VisibleSource,
    infrared: InfraredSource,
    still: boolean,
    out: Uint8ClampedArray,
  ): void | Promise<void>;

  /** Gives back what the collector cannot. */
  dispose(): void;
}

/** Makes engines for one model; compiled once. */
export interface EngineFactory {
  create(sizes: Sizes): Promise<Engine>;
}
