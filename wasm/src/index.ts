// Entry for browsers.

import { FusionError } from "./errors.js";
import { Fusion as Core, type CreateOptions, type Load } from "./fusion.js";

export { FusedFrame } from "./frame.js";
export { FusionError, type FusionErrorCode } from "./errors.js";
export type { Backend, Info, Sizes } from "./engine.js";
export type { CreateOptions, FuseOptions } from "./fusion.js";
export type { Drawable, InfraredSource, Pixels, Size, VisibleSource } from "./sources.js";

const load: Load = async (file, signal) => {
  const response = await fetch(file, signal ? { signal } : {});
  if (!response.ok) {
    throw new FusionError("network", `${file} cannot be loaded: the server answers ${response.status}`);
  }
  return response;
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
  create(options: CreateOptions = {}): Promise<Core> {
    const files = {
      wasm: new URL("./fusionproxy.wasm", import.meta.url),
      ultralight: new URL("./ultralight.int8.fpx", import.meta.url),
    };
    return Core.open(options, files, load);
  },
};
