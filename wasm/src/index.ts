// Entry for browsers: every backend, each loaded when it is used.

import { files } from "./browser.js";
import { CpuFactory } from "./cpu.js";
import { Fusion as Core, type CreateOptions, type Platform } from "./fusion.js";

export * from "./types.js";

const backends: Platform["backends"] = {
  cpu: async ({ module, model, gain }) => new CpuFactory(module, model, gain),
  worker: async (parts) => new (await import("./pool.js")).PoolFactory(parts),
  webgpu: async (parts) => (await import("./webgpu.js")).openGpu(parts),
};

/** Fuses pairs of frames with one model. */
export type Fusion = Core;

/** Makes {@link Fusion} objects. */
export const Fusion = {
  /**
   * Loads and compiles everything that the first frames need.
   *
   * @throws {FusionError}
   */
  create: (options: CreateOptions = {}): Promise<Core> => Core.open(options, { ...files(), backends }),
};
