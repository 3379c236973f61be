// What the entries for browsers share: the files beside them.

import type { Platform } from "./fusion.js";
import { fetched } from "./load.js";

/** Files by addresses that bundlers follow. */
export const files = (): Omit<Platform, "backends"> => ({
  open: fetched,
  wasm: {
    simd128: new URL("./fusionproxy.wasm", import.meta.url),
    relaxed: new URL("./fusionproxy-relaxed.wasm", import.meta.url),
    full: new URL("./fusionproxy-full.wasm", import.meta.url),
    gpu: new URL("./fusionproxy-gpu.wasm", import.meta.url),
  },
  ultralight: new URL("./ultralight.int8.fpx", import.meta.url),
});
