// The WebAssembly module: which one, and its compilation.

import { FusionError, reason } from "./errors.js";
import type { CreateOptions, Platform } from "./fusion.js";
import { guarded } from "./load.js";
import { hasExactDots, hasSimd } from "./simd.js";

/** Compiles the module that the options or the platform name. */
export async function compile(
  given: CreateOptions["wasm"],
  { wasm, open }: Platform,
  signal: AbortSignal | undefined,
): Promise<WebAssembly.Module> {
  if (typeof WebAssembly !== "object") {
    throw new FusionError("unsupported", "WebAssembly is switched off here: allow it, or use another browser");
  }
  if (!hasSimd()) {
    const browsers = "use Chrome 91, Firefox 89, Safari 16.4, Node 20 or later";
    throw new FusionError("unsupported", `this browser has no WebAssembly SIMD: ${browsers}`);
  }
  if (given instanceof WebAssembly.Module) return given;
  if (given !== undefined) return compiled(given, open, signal);
  if (wasm.relaxed && hasExactDots()) {
    const module = await compiled(wasm.relaxed, open, signal);
    // The probe asked one instruction; this asks the module itself.
    if ((new WebAssembly.Instance(module).exports as { fp_exact(): number }).fp_exact() === 1) return module;
  }
  return compiled(wasm.simd128, open, signal);
}

/** Compiles a module while it arrives. */
export async function compiled(
  wasm: URL | string | BufferSource,
  open: Platform["open"],
  signal: AbortSignal | undefined,
): Promise<WebAssembly.Module> {
  const named = typeof wasm === "string" || wasm instanceof URL;
  const module = async (): Promise<WebAssembly.Module> => {
    try {
      if (!named) return await WebAssembly.compile(wasm);
      const response = await open(wasm, signal);
      // Streaming needs the right media type, which not every server sends.
      const streams = response.headers.get("content-type") === "application/wasm";
      return await (streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer()));
    } catch (e) {
      // What else fails of a file is its way here.
      if (named && !(e instanceof WebAssembly.CompileError)) throw e;
      const what = named ? wasm : "fusionproxy.wasm";
      throw new FusionError("unsupported", `${what} does not compile: ${reason(e)}: is it the file of this version?`, { cause: e });
    }
  };
  return named ? guarded(wasm, signal, module) : module();
}
