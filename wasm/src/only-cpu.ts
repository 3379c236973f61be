// Entry for browsers with the calling thread as its one backend: the smallest.

import { files } from "./browser.js";
import { CpuFactory } from "./cpu.js";
import { Fusion as Core, type CreateOptions, type Platform } from "./fusion.js";

export * from "./types.js";

const backends: Platform["backends"] = {
  cpu: async ({ module, model, gain }) => new CpuFactory(module, model, gain),
};

/** Fuses pairs of frames with one model. */
export type Fusion = Core;

/** Makes {@link Fusion} objects. */
export const Fusion = {
  /**
   * Loads and compiles everything; after it, no file is loaded and nothing is compiled.
   *
   * @throws {FusionError}
   */
  create: (options: CreateOptions = {}): Promise<Core> => Core.open(options, { ...files(), backends }),
};
