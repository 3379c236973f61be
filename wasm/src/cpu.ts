// The CPU backend: the Rust runtime, compiled to WebAssembly with SIMD.

import type { Engine, EngineFactory, Info, Sizes } from "./engine.js";
import { FusionError, reason, type FusionErrorCode } from "./errors.js";
import { Reader, type InfraredSource, type VisibleSource } from "./sources.js";

/** What `wasm/crate` exports; its documentation says what each means. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  fp_model(bytes: number): number;
  fp_create(width: number, height: number, infraredWidth: number, infraredHeight: number, gain: number): number;
  fp_visible(): number;
  fp_infrared(): number;
  fp_fused(): number;
  fp_fuse(visible: number, infrared: number, afresh: number): number;
  fp_message(): number;
  fp_message_bytes(): number;
  fp_describe(): void;
}

const FAILURES: readonly FusionErrorCode[] = ["internal", "model", "size", "input", "memory", "internal"];

/** A module of one function with one SIMD instruction. */
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** Compiles the module. */
export async function compile(wasm: BufferSource | Response | WebAssembly.Module): Promise<WebAssembly.Module> {
  if (typeof WebAssembly !== "object") {
    throw new FusionError("unsupported", "WebAssembly is switched off here: allow it, or use another browser");
  }
  if (!WebAssembly.validate(SIMD)) {
    throw new FusionError(
      "unsupported",
      "this browser has no WebAssembly SIMD: use Chrome 91, Firefox 89, Safari 16.4, Node 20 or later",
    );
  }
  if (wasm instanceof WebAssembly.Module) return wasm;
  try {
    if (typeof Response === "function" && wasm instanceof Response) {
      // Streaming needs the right media type, which not every server sends.
      const streams = wasm.headers.get("content-type") === "application/wasm";
      return await (streams ? WebAssembly.compileStreaming(wasm) : WebAssembly.compile(await wasm.arrayBuffer()));
    }
    return await WebAssembly.compile(wasm as BufferSource);
  } catch (e) {
    throw new FusionError("unsupported", `fusionproxy.wasm does not compile: ${reason(e)}`, { cause: e });
  }
}

/** Makes CPU engines. */
export class CpuFactory implements EngineFactory {
  constructor(
    private readonly module: WebAssembly.Module,
    private readonly model: Uint8Array,
    private readonly gain: "plateau" | "linear",
    private readonly why: string,
  ) {}

  async create(sizes: Sizes): Promise<Engine> {
    let instance: WebAssembly.Instance;
    try {
      instance = await WebAssembly.instantiate(this.module);
    } catch (e) {
      throw new FusionError("memory", `no instance of fusionproxy.wasm can be made: ${reason(e)}`, { cause: e });
    }
    return new CpuEngine(instance.exports as unknown as Exports, sizes, this.model, this.gain, this.why);
  }
}

/** The frames in linear memory. */
interface Views {
  readonly visible: Uint8Array;
  readonly infrared: Uint8Array;
  readonly fused: Uint8ClampedArray;
}

/** One instance of the module: it allocates everything when it is made. */
class CpuEngine implements Engine {
  readonly info: Info;
  readonly #reader = new Reader();
  #exports: Exports | undefined;
  #views: Views | undefined;

  constructor(exports: Exports, readonly sizes: Sizes, model: Uint8Array, gain: "plateau" | "linear", why: string) {
    this.#exports = exports;
    const { visible, infrared } = sizes;
    const at = exports.fp_model(model.length);
    if (at === 0) throw new FusionError("memory", "no memory for the model");
    new Uint8Array(exports.memory.buffer, at, model.length).set(model);
    this.#check(() =>
      exports.fp_create(visible.width, visible.height, infrared.width, infrared.height, gain === "linear" ? 1 : 0),
    );
    exports.fp_describe();
    const [precision = "", kernels = "", parameters, memoryBytes, ...name] = this.#message(exports).split(" ");
    this.info = {
      backend: "cpu",
      reason: why,
      kernels,
      model: name.join(" "),
      precision,
      parameters: Number(parameters),
      memoryBytes: Number(memoryBytes),
    };
  }

  fuse(visible: VisibleSource, infrared: InfraredSource, still: boolean, out: Uint8ClampedArray): void {
    const exports = this.#exports;
    if (!exports) throw new FusionError("disposed", "the engine was disposed of");
    const v = this.#reader.visible(visible, this.sizes.visible);
    const i = this.#reader.infrared(infrared, this.sizes.infrared);
    const views = this.#frames(exports);
    views.visible.set(v.bytes);
    views.infrared.set(i.bytes);
    this.#check(() => exports.fp_fuse(v.format, i.format, still ? 1 : 0));
    out.set(this.#frames(exports).fused);
  }

  /** Views of the frames. Frames need no memory; the text of an error may, and growth detaches the old buffer. */
  #frames(exports: Exports): Views {
    const { buffer } = exports.memory;
    if (this.#views?.visible.buffer !== buffer) {
      const { visible, infrared } = this.sizes;
      const px = visible.width * visible.height;
      this.#views = {
        visible: new Uint8Array(buffer, exports.fp_visible(), px * 4),
        infrared: new Uint8Array(buffer, exports.fp_infrared(), infrared.width * infrared.height * 4),
        fused: new Uint8ClampedArray(buffer, exports.fp_fused(), px * 4),
      };
    }
    return this.#views;
  }

  dispose(): void {
    this.#exports = undefined;
    this.#views = undefined;
  }

  #check(call: () => number): void {
    let failure: number;
    try {
      failure = call();
    } catch (e) {
      throw new FusionError("internal", `the module stopped, please report this: ${reason(e)}`, { cause: e });
    }
    if (failure !== 0 && this.#exports) {
      throw new FusionError(FAILURES[failure] ?? "internal", this.#message(this.#exports));
    }
  }

  #message(exports: Exports): string {
    return new TextDecoder().decode(
      new Uint8Array(exports.memory.buffer, exports.fp_message(), exports.fp_message_bytes()),
    );
  }
}
