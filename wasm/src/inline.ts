// Entry in one file: module and model are part of the script, for pages that can load nothing else.

import { CpuFactory } from "./cpu.js";
import { Fusion as Core, type CreateOptions, type Platform } from "./fusion.js";
import { MODEL, MODULE } from "./inline-data.js";
import { fetched } from "./load.js";

export * from "./types.js";

const bytes = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

const backends: Platform["backends"] = {
  cpu: async ({ module, model, gain }) => new CpuFactory(module, model, gain),
};

/** Fuses pairs of frames with one model. */
export type Fusion = Core;

/** Makes {@link Fusion} objects. */
export const Fusion = {
  /**
   * Compiles everything; loads nothing unless a model is given by its address.
   *
   * @throws {FusionError}
   */
  create: async (options: CreateOptions = {}): Promise<Core> =>
    Core.open(options, { open: fetched, wasm: { simd128: bytes(MODULE) }, ultralight: bytes(MODEL), backends }),
};
