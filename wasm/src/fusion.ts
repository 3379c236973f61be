// What users hold: a model, the engine that runs it, and the order of calls.

import type { Gain } from "./cpu.js";
import type { Backend, Engine, EngineFactory, GpuTarget, Info, Sizes } from "./engine.js";
import { FusionError, reason } from "./errors.js";
import type { Bytes, ClampedBytes, GpuDevice } from "./foreign.js";
import { FusedFrame } from "./frame.js";
import { cancelled, load, type Loaded, type LoadOptions, type Open, type Progress } from "./load.js";
import { compile } from "./module.js";
import { is, sizeOf, type InfraredSource, type VisibleSource } from "./sources.js";

/** What {@link Fusion.create} takes. */
export interface CreateOptions {
  /** `"ultralight"`, which is part of the package; or an `.fpx` file's address or bytes. */
  readonly model?: "ultralight" | URL | (string & {}) | ArrayBuffer | Bytes;
  /**
   * `"auto"`, the default, begins on the calling thread, measures what else there is at the size of the first frames, and
   * moves to the fastest; `info.reason` says what was measured, the event `backendchange` that it moved.
   */
  readonly backend?: "auto" | Backend;
  /** Workers of the backend `"worker"`, 1 to 16; as many as the machine has cores to spare unless given. */
  readonly workers?: number;
  /**
   * How 16-bit infrared becomes 8 bits. `"plateau"` equalises and follows a video within about a second; `"linear"` spreads
   * the values between two percentiles, for single pictures.
   */
  readonly gain?: Gain;
  /** Frame sizes to allocate for at once; otherwise the first frames decide. */
  readonly sizes?: Sizes;
  /** Your own device, for `"webgpu"`; otherwise one is asked for. */
  readonly device?: GpuDevice;
  /** Address, bytes or compiled module of `fusionproxy.wasm`, where a bundler cannot find it by itself. */
  readonly wasm?: URL | string | BufferSource | WebAssembly.Module;
  /** Called while a model that was given by its address arrives; of what comes after, such as a GPU's pipelines, it says nothing. */
  readonly onProgress?: (progress: Progress) => void;
  /** What a model that was given by its address must hash to, as in HTML: `sha256-…`. */
  readonly integrity?: string;
  /**
   * Keep a model that was given by its address for later visits without a network (Cache API), and with `integrity` for all
   * later visits. On unless `false`.
   */
  readonly cache?: boolean;
  /** Calls `create` off. It has no say afterwards. */
  readonly signal?: AbortSignal;
}

/** What {@link Fusion.fuse} takes besides the frames. */
export interface FuseOptions {
  /** The pair is no next frame of a video: gain control takes it by itself. */
  readonly still?: boolean;
  /** Where the fused pixels go, RGBA: saves the allocation of a frame. */
  readonly into?: ImageData | ClampedBytes;
  /** Drops the call while it waits for earlier ones. */
  readonly signal?: AbortSignal;
}

/** What {@link Fusion.fuse} takes where the fused frame stays on the GPU. */
export interface DrawOptions extends Omit<FuseOptions, "into"> {
  /** A canvas that is configured for your `device`, or a texture of it with the usage `RENDER_ATTACHMENT`. */
  readonly into: GpuTarget;
}

/** What a backend is made from. */
export interface Parts {
  readonly module: WebAssembly.Module;
  readonly model: Bytes;
  readonly gain: Gain;
  readonly workers: number | undefined;
  /** The caller's device, for `"webgpu"`. */
  readonly device: GpuDevice | undefined;
  /** Whether the choice is the package's: then a GPU that is software is none. */
  readonly auto: boolean;
  /** Address of `fusionproxy-gpu.wasm`. */
  readonly gpu: URL | undefined;
  readonly open: Open;
  readonly signal: AbortSignal | undefined;
}

/** What differs between the package's entries. */
export interface Platform {
  readonly open: Open;
  /** The module for light 8-bit models, with plain and with relaxed SIMD, and the one for all models. */
  readonly wasm: { readonly simd128: URL | BufferSource; readonly relaxed?: URL; readonly full?: URL; readonly gpu?: URL };
  readonly ultralight: URL | Bytes;
  /** The entry's backends. The first one begins when the choice is `"auto"`. */
  readonly backends: Partial<Record<Backend, (parts: Parts) => Promise<EngineFactory>>>;
}

/** Types of the events of {@link Fusion}. */
export type FusionEvent = "backendchange";

/**
 * Fuses pairs of frames with one model.
 *
 * Frames of any size may come; a change of size allocates anew. Calls run one after the other, in the order in which they
 * were made. When another backend takes over, the event `backendchange` fires and {@link Fusion.info} has changed; gain
 * control of a 16-bit video then starts afresh.
 */
export class Fusion extends EventTarget {
  #engine: Engine | undefined;
  #reason: string;
  #disposed = false;
  #last: Promise<unknown> = Promise.resolve();
  /** An engine that was measured to be faster, and why it takes over. */
  #next: { engine: Engine; factory: EngineFactory; reason: string } | undefined;
  #measuring = false;
  /** How often measuring may still begin: frames that change their size put an end to it. */
  #attempts = 3;

  private constructor(
    private factory: EngineFactory,
    engine: Engine | undefined,
    reason: string,
    /** Backends that `"auto"` has still to measure. */
    private readonly others: readonly (() => Promise<EngineFactory>)[],
    /** The backend that takes over when the present one is lost. */
    private readonly spare: { readonly backend: Backend; readonly make: () => Promise<EngineFactory> },
  ) {
    super();
    this.#reason = reason;
    if (engine) this.#take(engine);
  }

  /** @internal */
  static async open(options: CreateOptions, platform: Platform): Promise<Fusion> {
    const { model = "ultralight", backend = "auto", gain = "plateau", sizes, wasm, workers, signal } = options;
    const names = Object.keys(platform.backends) as Backend[];
    if (backend !== "auto" && !names.includes(backend)) {
      const there = names.map((name) => JSON.stringify(name)).join(", ");
      throw new FusionError("unsupported", `backend ${JSON.stringify(backend)}: this entry has "auto", ${there}`);
    }
    if (gain !== "plateau" && gain !== "linear") {
      throw new FusionError("input", `gain ${JSON.stringify(gain)}: give "plateau" or "linear"`);
    }
    if (workers !== undefined && !(Number.isInteger(workers) && workers >= 1 && workers <= 16)) {
      throw new FusionError("input", `workers ${String(workers)}: give a whole number from 1 to 16`);
    }
    const [compiled, { bytes, keep }] = await Promise.all([
      compile(wasm, platform, signal),
      artifact(model, platform, options),
    ]);
    if (signal?.aborted) cancelled();
    const { device } = options;
    let parts: Parts = {
      module: compiled,
      model: bytes,
      gain,
      workers,
      device,
      auto: backend === "auto",
      gpu: platform.wasm.gpu,
      open: platform.open,
      signal,
    };
    const make = (name: Backend) => platform.backends[name]!(parts);
    const first = backend === "auto" ? names[0]! : backend;
    const begin = async () => {
      const factory = await make(first);
      let probe: EngineFactory | undefined;
      let engine: Engine | undefined;
      try {
        // A model that is none is found now and not with the first frame, on the backend that is ready soonest; so is one that
        // the backend that takes over from a lost one would need another module for.
        probe = first === names[0] ? factory : await make(names[0]!);
        const asked = probe === factory ? sizes : undefined;
        engine = await probe.create(asked ?? { visible: PROBE, infrared: PROBE });
        if (sizes !== asked) {
          engine.dispose();
          engine = await factory.create(sizes!);
        }
        if (signal?.aborted) cancelled();
      } catch (e) {
        engine?.dispose();
        factory.dispose?.();
        throw e;
      } finally {
        if (probe !== factory) probe?.dispose?.();
      }
      return { factory, engine };
    };
    const { factory, engine } = await begin().catch(async (e: unknown) => {
      const { full } = platform.wasm;
      if (wasm !== undefined || !full || !(e instanceof FusionError && e.message.includes(FULL))) throw e;
      parts = { ...parts, module: await compile(full, platform, signal) };
      return begin();
    });
    if (!sizes) engine.dispose();
    await keep?.();
    // The signal is that of this call; backends that are made later load files too.
    parts = { ...parts, signal: undefined };
    const others = backend === "auto" ? names.slice(1).map((name) => () => make(name)) : [];
    const spare = { backend: names[0]!, make: () => make(names[0]!) };
    const why = backend === "auto" ? (others.length ? "to begin with" : "the one backend of this entry") : "asked for";
    return new Fusion(factory, sizes ? engine : undefined, why, others, spare);
  }

  /** What runs; `undefined` before sizes are known, which is with `sizes` or after the first frame. */
  get info(): Info | undefined {
    return this.#engine && { ...this.#engine.info, reason: this.#reason };
  }

  /**
   * Fuses a pair that shows the same view; an infrared frame of another size is stretched to the visible one's. Gives RGB
   * with the visible frame's size and colours; nothing where that is drawn on the GPU.
   *
   * @throws {FusionError} Its `code` says what kind of thing went wrong. Later calls are not affected.
   */
  fuse(visible: VisibleSource, infrared: InfraredSource, options?: FuseOptions): Promise<FusedFrame>;
  fuse(visible: VisibleSource, infrared: InfraredSource, options: DrawOptions): Promise<undefined>;
  fuse(visible: VisibleSource, infrared: InfraredSource, options: FuseOptions | DrawOptions = {}): Promise<FusedFrame | undefined> {
    return this.#turn(() => this.#fuse(visible, infrared, options));
  }

  /** Does something when everything before it is done. */
  #turn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Frees everything. Calls that wait, and later ones, fail with the code `"disposed"`. */
  dispose(): void {
    this.#disposed = true;
    this.#engine?.dispose();
    this.#next?.engine.dispose();
    this.#next?.factory.dispose?.();
    this.factory.dispose?.();
    this.#engine = undefined;
    this.#next = undefined;
  }

  async #fuse(visible: VisibleSource, infrared: InfraredSource, options: FuseOptions | DrawOptions): Promise<FusedFrame | undefined> {
    this.#alive();
    if (options.signal?.aborted) cancelled();
    const sizes = { visible: sizeOf(visible, "visible"), infrared: sizeOf(infrared, "infrared") };
    const into = target(options.into, sizes);
    const engine = await this.#ready(sizes);
    const { backend } = engine.info;
    if (backend !== "webgpu" && [visible, infrared, into].some(onGpu)) {
      const remedy = 'create with backend "webgpu" and your `device`, or give and take pixels';
      throw new FusionError("unsupported", `backend "${backend}" (${this.#reason}) has no access to textures: ${remedy}`);
    }
    const out = into ?? pixels(sizes);
    await engine.fuse({ visible, infrared, still: options.still ?? false }, out);
    if (this.others.length && !this.#measuring && this.#attempts > 0) {
      // Where there is no memory for it, nothing is measured, and what runs stays.
      this.#measure(engine).catch(() => undefined);
    }
    return onGpu(out) ? undefined : new FusedFrame(out, sizes.visible.width, sizes.visible.height);
  }

  /** The engine for these sizes. */
  async #ready(sizes: Sizes): Promise<Engine> {
    const next = this.#next;
    if (next) {
      this.#next = undefined;
      this.#engine?.dispose();
      this.factory.dispose?.();
      this.factory = next.factory;
      this.#take(next.engine);
      this.#reason = next.reason;
      this.dispatchEvent(new Event("backendchange"));
    }
    if (this.#engine && same(this.#engine.sizes, sizes)) return this.#engine;
    // The old engine goes first, so that both need not fit into memory at once.
    this.#engine?.dispose();
    this.#engine = undefined;
    const engine = await this.factory.create(sizes);
    if (this.#disposed) engine.dispose();
    this.#alive();
    return this.#take(engine);
  }

  /** Makes an engine the present one, and falls back once if it is lost. */
  #take(engine: Engine): Engine {
    this.#engine = engine;
    void engine.lost?.then((why) => {
      if (this.#engine !== engine || this.#disposed) return;
      const { make, backend } = this.spare;
      this.#engine = undefined;
      engine.dispose();
      this.factory.dispose?.();
      this.factory = later(make);
      this.#reason = `${engine.info.backend} was lost: ${why}`;
      if (backend !== engine.info.backend) this.dispatchEvent(new Event("backendchange"));
    });
    return engine;
  }

  /**
   * Measures the other backends beside the present engine, with the same frames, and has the fastest take over. Each frame
   * takes its turn among the caller's, so that no two disturb each other.
   */
  async #measure(present: Engine): Promise<void> {
    this.#measuring = true;
    this.#attempts--;
    const { sizes } = present;
    const pair = grey(sizes);
    const out = pixels(sizes);
    /** Least time of a frame, ms; one that takes longer than `most` is enough. */
    const timed = async (engine: Engine, most: number) => {
      let least = Infinity;
      for (let i = 0; i < MEASURED; i++) {
        const ms = await this.#turn(async () => {
          if (this.#engine !== present) throw STALE;
          const start = performance.now();
          await engine.fuse(pair, out);
          return performance.now() - start;
        });
        least = Math.min(least, ms);
        if (i > 0 && ms > most) break;
      }
      return least;
    };
    const found: string[] = [];
    let best: { engine: Engine; factory: EngineFactory; ms: number } | undefined;
    try {
      const own = await timed(present, Infinity);
      found.push(`${present.info.backend} ${own.toFixed(1)} ms`);
      for (const make of this.others) {
        let factory: EngineFactory | undefined;
        let engine: Engine | undefined;
        try {
          factory = await make();
          engine = await factory.create(sizes);
          const ms = await timed(engine, 4 * own);
          found.push(`${engine.info.backend} ${ms.toFixed(1)} ms`);
          // A change has to be worth it.
          if (ms < (best?.ms ?? 0.9 * own)) [best, engine, factory] = [{ engine, factory, ms }, best?.engine, best?.factory];
        } catch (e) {
          if (e === STALE) throw e;
          found.push(reason(e));
        } finally {
          engine?.dispose();
          factory?.dispose?.();
        }
      }
      if (this.#engine !== present) throw STALE;
    } catch (e) {
      // Other sizes, another engine, or none: the next frame begins anew.
      best?.engine.dispose();
      best?.factory.dispose?.();
      this.#measuring = false;
      return;
    }
    const { width, height } = sizes.visible;
    const text = `measured at ${width}x${height}: ${found.join(", ")}`;
    if (best) this.#next = { engine: best.engine, factory: best.factory, reason: text };
    else this.#reason = text;
  }

  #alive(): void {
    if (this.#disposed) throw new FusionError("disposed", "this Fusion was disposed of: create another");
  }
}

/** A size that every network takes. */
const PROBE = { width: 32, height: 32 };

/** What the small module says of models that need more. */
const FULL = "fusionproxy-full.wasm";

/** Frames by which a backend is measured; the first ones warm it up. */
const MEASURED = 6;

/** Thrown where what is measured is no longer what runs. */
const STALE = Symbol();

/** A factory that is made when it is needed. */
function later(make: () => Promise<EngineFactory>): EngineFactory {
  let made: Promise<EngineFactory> | undefined;
  return {
    create: async (sizes) => (await (made ??= make())).create(sizes),
    dispose: () => void made?.then((factory) => factory.dispose?.()).catch(() => undefined),
  };
}

/** Pictures to measure with. */
function grey({ visible, infrared }: Sizes): { visible: VisibleSource; infrared: InfraredSource; still: boolean } {
  const plane = ({ width, height }: { width: number; height: number }, channels: number) => ({
    data: new Uint8Array(width * height * channels).map((_, i) => (i * 7) ^ (i >> 6)),
    width,
    height,
  });
  return { visible: plane(visible, 4), infrared: plane(infrared, 1), still: true };
}

function artifact(
  model: NonNullable<CreateOptions["model"]>,
  { ultralight, open }: Platform,
  { signal, onProgress, integrity, cache = true }: CreateOptions,
): Promise<Loaded> | Loaded {
  const own = model === "ultralight";
  const from = own ? ultralight : model;
  if (from instanceof Uint8Array) return { bytes: from };
  if (from instanceof ArrayBuffer) return { bytes: new Uint8Array(from) };
  if (typeof from !== "string" && !(from instanceof URL)) {
    throw new FusionError("input", 'model: give "ultralight", or an .fpx file\'s address or bytes');
  }
  // The package's own file has an address of its own for each version, which the browser's cache is good enough for.
  const options: LoadOptions = { signal, onProgress, integrity: own ? undefined : integrity, cache: cache && !own };
  return load(from, open, options);
}

function same(a: Sizes, b: Sizes): boolean {
  return (
    a.visible.width === b.visible.width &&
    a.visible.height === b.visible.height &&
    a.infrared.width === b.infrared.width &&
    a.infrared.height === b.infrared.height
  );
}

const onGpu = (value: unknown): value is GpuTarget => is("GPUTexture", value) || is("GPUCanvasContext", value);

/** Where the frame goes, if the caller says so. */
function target(
  into: FuseOptions["into"] | GpuTarget,
  { visible: { width, height } }: Sizes,
): ClampedBytes | GpuTarget | undefined {
  if (into === undefined || onGpu(into)) return into;
  const data = "data" in into ? (into.data as ClampedBytes) : into;
  const bytes = width * height * 4;
  if (data.length !== bytes) {
    throw new FusionError("input", `into: has ${data.length} bytes, ${width}x${height} px need ${bytes}`);
  }
  return data;
}

/** Room for a fused frame. */
function pixels({ visible: { width, height } }: Sizes): ClampedBytes {
  try {
    return new Uint8ClampedArray(width * height * 4);
  } catch (e) {
    throw new FusionError("memory", `no memory for a frame of ${width}x${height} px: use smaller frames`, { cause: e });
  }
}
