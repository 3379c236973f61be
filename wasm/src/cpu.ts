// The CPU backend: the Rust runtime, compiled to WebAssembly with SIMD.

import type { Engine, EngineFactory, Info, Pair, Sizes } from "./engine.js";
import { FusionError, reason, type FusionErrorCode } from "./errors.js";
import { Reader } from "./sources.js";

/** What `wasm/crate` exports; its documentation says what each means. */
export interface Exports {
  readonly memory: WebAssembly.Memory;
  fp_exact(): number;
  fp_model(bytes: number): number;
  fp_create(
    width: number,
    height: number,
    infraredWidth: number,
    infraredHeight: number,
    gain: number,
    strip: number,
    strips: number,
  ): number;
  fp_visible(): number;
  fp_infrared(): number;
  fp_fused(): number;
  fp_fuse(visible: number, infrared: number, afresh: number): number;
  fp_rows(which: number): number;
  fp_exchanges(): number;
  fp_sums(): number;
  fp_sums_len(): number;
  fp_resume(): number;
  fp_message(): number;
  fp_message_bytes(): number;
  fp_describe(): void;
}

/** How 16-bit infrared becomes 8 bits. */
export type Gain = "plateau" | "linear";

const FAILURES: readonly FusionErrorCode[] = ["internal", "model", "size", "input", "memory", "internal", "unsupported"];

/** Makes an instance of the module and sets it up. */
export async function open(
  module: WebAssembly.Module,
  model: Uint8Array,
  { visible, infrared }: Sizes,
  gain: Gain,
  strip = 0,
  strips = 1,
): Promise<Exports> {
  let exports: Exports;
  try {
    exports = (await WebAssembly.instantiate(module)).exports as unknown as Exports;
  } catch (e) {
    throw new FusionError("memory", `no instance of fusionproxy.wasm can be made: ${reason(e)}: close other pages`, { cause: e });
  }
  const at = exports.fp_model(model.length);
  if (at === 0) throw new FusionError("memory", "no memory for the model: close other pages");
  new Uint8Array(exports.memory.buffer, at, model.length).set(model);
  const { width, height } = visible;
  check(exports, () =>
    exports.fp_create(width, height, infrared.width, infrared.height, gain === "linear" ? 1 : 0, strip, strips),
  );
  return exports;
}

/** What an instance runs. */
export function describe(exports: Exports): Omit<Info, "reason" | "backend" | "threads"> {
  exports.fp_describe();
  const [precision = "", kernels = "", parameters, memoryBytes, ...name] = message(exports).split(" ");
  return {
    kernels,
    model: name.join(" "),
    precision,
    parameters: Number(parameters),
    memoryBytes: Number(memoryBytes),
  };
}

/** Calls the module and makes its failure an error. */
export function check(exports: Exports, call: () => number): void {
  let failure: number;
  try {
    failure = call();
  } catch (e) {
    throw new FusionError("internal", `the module stopped, please report this: ${reason(e)}`, { cause: e });
  }
  if (failure !== 0) throw new FusionError(FAILURES[failure] ?? "internal", message(exports));
}

function message(exports: Exports): string {
  return new TextDecoder().decode(
    new Uint8Array(exports.memory.buffer, exports.fp_message(), exports.fp_message_bytes()),
  );
}

/** The frames in linear memory. */
interface Views {
  readonly visible: Uint8Array<ArrayBuffer>;
  readonly infrared: Uint8Array<ArrayBuffer>;
  readonly fused: Uint8ClampedArray;
}

/** Views of an instance's frames. Frames need no memory; the text of an error may, and growth detaches the old buffer. */
function views(exports: Exports, { visible, infrared }: Sizes): Views {
  const buffer = exports.memory.buffer as ArrayBuffer;
  const px = visible.width * visible.height;
  return {
    visible: new Uint8Array(buffer, exports.fp_visible(), px * 4),
    infrared: new Uint8Array(buffer, exports.fp_infrared(), infrared.width * infrared.height * 4),
    fused: new Uint8ClampedArray(buffer, exports.fp_fused(), px * 4),
  };
}

/** Makes CPU engines. */
export class CpuFactory implements EngineFactory {
  constructor(
    private readonly module: WebAssembly.Module,
    private readonly model: Uint8Array,
    private readonly gain: Gain,
  ) {}

  async create(sizes: Sizes): Promise<Engine> {
    return new CpuEngine(await open(this.module, this.model, sizes, this.gain), sizes);
  }
}

/** One instance of the module: it allocates everything when it is made. */
class CpuEngine implements Engine {
  readonly info: Omit<Info, "reason">;
  readonly #reader = new Reader();
  #exports: Exports | undefined;
  #views: Views | undefined;

  constructor(exports: Exports, readonly sizes: Sizes) {
    this.#exports = exports;
    this.info = { backend: "cpu", threads: 1, ...describe(exports) };
  }

  async fuse({ visible, infrared, still }: Pair, out: Uint8ClampedArray): Promise<void> {
    const { visible: into, infrared: thermal } = this.#frames();
    const v = this.#reader.visible(visible, this.sizes.visible, into);
    const visibleFormat = typeof v === "number" ? v : await v;
    const i = this.#reader.infrared(infrared, this.sizes.infrared, thermal);
    const infraredFormat = typeof i === "number" ? i : await i;
    const exports = this.#alive();
    check(exports, () => exports.fp_fuse(visibleFormat, infraredFormat, still ? 1 : 0));
    out.set(this.#frames().fused);
  }

  #alive(): Exports {
    if (!this.#exports) throw new FusionError("disposed", "this Fusion was disposed of: create another");
    return this.#exports;
  }

  #frames(): Views {
    const exports = this.#alive();
    if (this.#views?.visible.buffer !== exports.memory.buffer) this.#views = views(exports, this.sizes);
    return this.#views as Views;
  }

  dispose(): void {
    this.#exports = undefined;
    this.#views = undefined;
  }
}
