import { compile, CpuFactory } from "./cpu.js";
import type { Engine, EngineFactory, Info, Sizes } from "./engine.js";
import { FusionError, reason } from "./errors.js";
import { FusedFrame } from "./frame.js";
import { sizeOf, type InfraredSource, type VisibleSource } from "./sources.js";

/** Loads a file as bytes or as a response; the browser's and Node's differ. */
export type Load = (file: URL | string, signal: AbortSignal | undefined) => Promise<Response | Uint8Array<ArrayBuffer>>;

/** What {@link Fusion.create} takes. */
export interface CreateOptions {
  /** `"ultralight"`, which is part of the package; or an `.fpx` file's address or bytes. */
  readonly model?: "ultralight" | URL | (string & {}) | ArrayBuffer | Uint8Array;
  /** `"auto"` is `"cpu"`, the one backend of this version. */
  readonly backend?: "auto" | "cpu";
  /**
   * How 16-bit infrared becomes 8 bits. `"plateau"` equalises and follows a video within about a second; `"linear"` spreads
   * the values between two percentiles, for single pictures.
   */
  readonly gain?: "plateau" | "linear";
  /** Frame sizes to allocate for at once; otherwise the first frames decide. */
  readonly sizes?: Sizes;
  /** Address, bytes or compiled module of `fusionproxy.wasm`, where a bundler cannot find it by itself. */
  readonly wasm?: URL | string | BufferSource | WebAssembly.Module;
  /** Stops loading. */
  readonly signal?: AbortSignal;
}

/** What {@link Fusion.fuse} takes besides the frames. */
export interface FuseOptions {
  /** The pair is no next frame of a video: gain control takes it by itself. */
  readonly still?: boolean;
  /** Where the fused pixels go, RGBA: saves the allocation of a frame. */
  readonly into?: ImageData | Uint8ClampedArray<ArrayBuffer>;
  /** Drops the call while it waits for earlier ones. */
  readonly signal?: AbortSignal;
}

/** Files that belong to the package. */
export interface Files {
  readonly wasm: URL;
  readonly ultralight: URL;
}

const cancelled = (): never => {
  throw new FusionError("aborted", "aborted by its signal");
};

/** Loads a file whole. */
async function bytesOf(
  file: URL | string,
  load: Load,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const loaded = await guarded(file, load, signal);
  if (loaded instanceof Uint8Array) return loaded;
  try {
    return new Uint8Array(await loaded.arrayBuffer());
  } catch (e) {
    if (signal?.aborted) cancelled();
    throw new FusionError("network", `${file} broke off: ${reason(e)}`, { cause: e });
  }
}

async function guarded(file: URL | string, load: Load, signal: AbortSignal | undefined) {
  if (signal?.aborted) cancelled();
  try {
    return await load(file, signal);
  } catch (e) {
    if (signal?.aborted) cancelled();
    if (e instanceof FusionError) throw e;
    throw new FusionError("network", `${file} cannot be loaded: ${reason(e)}`, { cause: e });
  }
}

/**
 * Fuses pairs of frames with one model.
 *
 * Frames of any size may come; a change of size allocates anew. Calls run one after the other, in the order in which they
 * were made.
 */
export class Fusion {
  #engine: Engine | undefined;
  #disposed = false;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly factory: EngineFactory,
    engine: Engine | undefined,
  ) {
    this.#engine = engine;
  }

  /** @internal */
  static async open(options: CreateOptions, files: Files, load: Load): Promise<Fusion> {
    const { model = "ultralight", backend = "auto", gain = "plateau", sizes, wasm = files.wasm, signal } = options;
    if (backend !== "auto" && backend !== "cpu") {
      throw new FusionError("unsupported", `backend ${JSON.stringify(backend)}: this version has "cpu" and "auto"`);
    }
    if (gain !== "plateau" && gain !== "linear") {
      throw new FusionError("input", `gain ${JSON.stringify(gain)}: give "plateau" or "linear"`);
    }
    const module = async (): Promise<WebAssembly.Module> =>
      compile(typeof wasm === "string" || wasm instanceof URL ? await guarded(wasm, load, signal) : wasm);
    const bytes = async (): Promise<Uint8Array> => {
      if (model instanceof Uint8Array) return model;
      if (model instanceof ArrayBuffer) return new Uint8Array(model);
      return bytesOf(model === "ultralight" ? files.ultralight : model, load, signal);
    };
    const [compiled, artifact] = await Promise.all([module(), bytes()]);
    if (signal?.aborted) cancelled();
    const why = backend === "cpu" ? "asked for" : "the one backend of this version";
    const factory = new CpuFactory(compiled, artifact, gain, why);
    // A model that is none is found now and not with the first frame.
    const first = await factory.create(sizes ?? { visible: PROBE, infrared: PROBE });
    return new Fusion(factory, sizes ? first : undefined);
  }

  /** What runs; `undefined` before sizes are known, which is with `sizes` or after the first frame. */
  get info(): Info | undefined {
    return this.#engine?.info;
  }

  /**
   * Fuses a pair that shows the same view; an infrared frame of another size is stretched to the visible one's. Gives RGB
   * with the visible frame's size and colours.
   *
   * @throws {FusionError} Its `code` says what kind of thing went wrong. Later calls are not affected.
   */
  fuse(visible: VisibleSource, infrared: InfraredSource, options: FuseOptions = {}): Promise<FusedFrame> {
    const turn = this.#last.then(() => this.#fuse(visible, infrared, options));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Frees everything. Calls that wait, and later ones, fail with the code `"disposed"`. */
  dispose(): void {
    this.#disposed = true;
    this.#engine?.dispose();
    this.#engine = undefined;
  }

  async #fuse(visible: VisibleSource, infrared: InfraredSource, options: FuseOptions): Promise<FusedFrame> {
    this.#alive();
    if (options.signal?.aborted) cancelled();
    const sizes = { visible: sizeOf(visible, "visible"), infrared: sizeOf(infrared, "infrared") };
    const out = target(options.into, sizes);
    let engine = this.#engine;
    if (!engine || !same(engine.sizes, sizes)) {
      // The old engine goes first, so that both need not fit into memory at once.
      this.#engine?.dispose();
      this.#engine = undefined;
      engine = await this.factory.create(sizes);
      this.#alive();
      this.#engine = engine;
    }
    await engine.fuse(visible, infrared, options.still ?? false, out);
    return new FusedFrame(out, sizes.visible.width, sizes.visible.height);
  }

  #alive(): void {
    if (this.#disposed) throw new FusionError("disposed", "this Fusion was disposed of: create another");
  }
}

/** A size that every network takes. */
const PROBE = { width: 32, height: 32 };

function same(a: Sizes, b: Sizes): boolean {
  return (
    a.visible.width === b.visible.width &&
    a.visible.height === b.visible.height &&
    a.infrared.width === b.infrared.width &&
    a.infrared.height === b.infrared.height
  );
}

function target(into: FuseOptions["into"], { visible: { width, height } }: Sizes): Uint8ClampedArray<ArrayBuffer> {
  const bytes = width * height * 4;
  if (into === undefined) return new Uint8ClampedArray(bytes);
  const data = "data" in into ? (into.data as Uint8ClampedArray<ArrayBuffer>) : into;
  if (data.length !== bytes) {
    throw new FusionError("input", `into: has ${data.length} bytes, ${width}x${height} px need ${bytes}`);
  }
  return data;
}
