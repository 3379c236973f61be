// Entry for Node: files are read from disk, addresses with a scheme fetched.

import { readFile } from "node:fs/promises";

import { FusionError } from "./errors.js";
import { Fusion as Core, type CreateOptions, type Load } from "./fusion.js";

export { FusedFrame } from "./frame.js";
export { FusionError } from "./errors.js";

const load: Load = async (file, signal) => {
  if (/^https?:/.test(String(file))) {
    const response = await fetch(file, signal ? { signal } : {});
    if (!response.ok) {
      throw new FusionError("network", `${file} cannot be loaded: the server answers ${response.status}`);
    }
    return response;
  }
  const path = typeof file === "string" && file.startsWith("file:") ? new URL(file) : file;
  return new Uint8Array(await readFile(path, signal ? { signal } : {}));
};

/** Fuses pairs of frames with one model. */
export type Fusion = Core;

/** Makes {@link Fusion} objects. */
export const Fusion = {
  /** As in browsers; `model` and `wasm` may be paths. */
  create(options: CreateOptions = {}): Promise<Core> {
    const files = {
      wasm: new URL("./fusionproxy.wasm", import.meta.url),
      ultralight: new URL("./ultralight.int8.fpx", import.meta.url),
    };
    return Core.open(options, files, load);
  },
};
