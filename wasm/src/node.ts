// Entry for Node: files are read from disk, addresses with a scheme fetched.

import { readFile } from "node:fs/promises";

import { CpuFactory } from "./cpu.js";
import { Fusion as Core, type CreateOptions, type Platform } from "./fusion.js";
import { fetched, type Open } from "./load.js";

export * from "./types.js";

const open: Open = async (file, signal) => {
  if (/^(https?|data):/.test(String(file))) return fetched(file, signal);
  const path = typeof file === "string" && file.startsWith("file:") ? new URL(file) : file;
  return new Response(await readFile(path, signal ? { signal } : {}));
};

const backends: Platform["backends"] = {
  cpu: async ({ module, model, gain }) => new CpuFactory(module, model, gain),
};

/** Fuses pairs of frames with one model. */
export type Fusion = Core;

/** Makes {@link Fusion} objects. */
export const Fusion = {
  /** As in browsers; `model` and `wasm` may be paths. */
  create: (options: CreateOptions = {}): Promise<Core> => {
    const wasm = {
      simd128: new URL("./fusionproxy.wasm", import.meta.url),
      relaxed: new URL("./fusionproxy-relaxed.wasm", import.meta.url),
      full: new URL("./fusionproxy-full.wasm", import.meta.url),
    };
    const ultralight = new URL("./ultralight.int8.fpx", import.meta.url);
    return Core.open(options, { open, wasm, ultralight, backends });
  },
};
