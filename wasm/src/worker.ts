// Entry for browsers that computes in workers alone: the page stays responsive.

import { files } from "./browser.js";
import { Fusion as Core, type CreateOptions, type Platform } from "./fusion.js";
import { PoolFactory } from "./pool.js";

export * from "./types.js";

const backends: Platform["backends"] = { worker: async (parts) => new PoolFactory(parts) };

/** Fuses pairs of frames with one model. */
export type Fusion = Core;

/** Makes {@link Fusion} objects. */
export const Fusion = {
  /**
   * Loads and compiles everything, and starts the workers.
   *
   * @throws {FusionError}
   */
  create: (options: CreateOptions = {}): Promise<Core> => Core.open(options, { ...files(), backends }),
};
