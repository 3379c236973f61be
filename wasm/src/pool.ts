// The backend of workers: each has an instance of the module and computes one strip of every frame. Strips are cut so that
// their bytes are those of the whole frame: a strip reads the rows around it that its windows reach, and where the network
// averages over the image, the workers exchange their sums. It needs no shared memory, so no isolated page either.

import type { Engine, EngineFactory, Info, Pair, Sizes } from "./engine.js";
import { FusionError, reason } from "./errors.js";
import type { Parts } from "./fusion.js";
import { transferred, type Buffers, type FromWorker, type OpenedMessage, type ToWorker } from "./protocol.js";
import { Reader } from "./sources.js";

/** Most workers that are started unless told otherwise: memory and copies grow with each. */
const MOST = 4;

function cores(): number {
  const all = typeof navigator === "object" ? (navigator.hardwareConcurrency ?? 2) : 2;
  // One stays for the page where there are enough.
  return Math.max(1, Math.min(MOST, all > 2 ? all - 1 : all));
}

/** A worker, one question at a time. */
class Member {
  readonly #worker: Worker;
  #answer: ((message: FromWorker) => void) | undefined;
  #fail: ((error: FusionError) => void) | undefined;
  #answered = false;

  constructor(failed: (error: FusionError) => void) {
    try {
      this.#worker = new Worker(new URL("./strip.js", import.meta.url), { type: "module" });
    } catch (e) {
      throw new FusionError("unsupported", `no worker can be started: ${reason(e)}: use backend "cpu"`, { cause: e });
    }
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      this.#answered = true;
      this.#answer?.(data);
    };
    this.#worker.onerror = (e) => {
      e.preventDefault();
      if (this.#answered) failed(new FusionError("device", `a worker failed: ${e.message}: fuse the frame again`));
      else failed(new FusionError("unsupported", `a worker failed: ${e.message || "its script cannot be loaded"}: use backend "cpu"`));
    };
    this.#worker.onmessageerror = () => failed(new FusionError("memory", "a worker's answer cannot be read: use smaller frames"));
  }

  tell(message: ToWorker, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  ask(message: ToWorker, transfer: Transferable[] = []): Promise<FromWorker> {
    return new Promise((answer, fail) => {
      [this.#answer, this.#fail] = [answer, fail];
      this.tell(message, transfer);
    });
  }

  /** Ends the worker, and with it what waits for it. */
  end(error: FusionError): void {
    this.#worker.terminate();
    this.#fail?.(error);
  }
}

/** Workers that compute together. Strips wait for each other's sums, so that with one of them all end. */
class Crew {
  readonly members: Member[] = [];
  /** Why they ended. */
  ended: FusionError | undefined;
  /** Told when they end: the engine that they compute for. */
  onend: ((why: string) => void) | undefined;

  /** As many as `n` of them. */
  first(n: number): Member[] {
    while (this.members.length < n) this.members.push(new Member((error) => this.end(error)));
    return this.members.slice(0, n);
  }

  end(error: FusionError): void {
    if (this.ended) return;
    this.ended = error;
    for (const member of this.members) member.end(error);
    this.onend?.(error.message);
  }
}

/** Makes engines of workers, which it keeps from engine to engine. */
export class PoolFactory implements EngineFactory {
  #crew = new Crew();

  constructor(private readonly parts: Parts) {}

  async create(sizes: Sizes): Promise<Engine> {
    // A strip of less than some rows is all border.
    const wanted = this.parts.workers ?? Math.min(cores(), Math.max(1, Math.floor(sizes.visible.height / 64)));
    try {
      return await this.#open(sizes, wanted);
    } catch (e) {
      // Some networks mix the whole image in other ways than by its mean.
      if (wanted > 1 && e instanceof FusionError && e.code === "size" && e.message.includes("strips")) return this.#open(sizes, 1);
      throw e;
    }
  }

  async #open(sizes: Sizes, strips: number): Promise<Engine> {
    const { module, model, gain } = this.parts;
    if (this.#crew.ended) this.#crew = new Crew();
    const crew = this.#crew;
    const members = crew.first(strips);
    const ports = channels(strips);
    const answers = await Promise.all(
      members.map((member, strip) => {
        const peers = ports[strip]!;
        return member.ask({ type: "open", module, model, gain, sizes, strip, strips, peers }, peers);
      }),
    );
    try {
      return new PoolEngine(sizes, crew, members, answers.map((a) => expected(a, "opened")));
    } catch (e) {
      for (const member of members) member.tell({ type: "close" });
      throw e;
    }
  }

  dispose(): void {
    this.#crew.end(new FusionError("disposed", "this Fusion was disposed of: create another"));
  }
}

/** A channel between every two of `n`: the ports of each. */
function channels(n: number): MessagePort[][] {
  const ports: MessagePort[][] = Array.from({ length: n }, () => []);
  for (let a = 0; a < n; a++) {
    for (let b = a + 1; b < n; b++) {
      const { port1, port2 } = new MessageChannel();
      ports[a]!.push(port1);
      ports[b]!.push(port2);
    }
  }
  return ports;
}

function expected<T extends "opened" | "fused">(message: FromWorker, type: T): FromWorker & { type: T } {
  if (message.type === "failed") throw new FusionError(message.code, message.message);
  if (message.type !== type) throw new FusionError("internal", `a worker answers ${message.type}`);
  return message as FromWorker & { type: T };
}

class PoolEngine implements Engine {
  readonly info: Omit<Info, "reason">;
  readonly lost: Promise<string>;
  readonly #reader = new Reader();
  readonly #buffers: Buffers[];
  /** The frames as they came, room for RGBA. */
  readonly #visible: Uint8Array<ArrayBuffer>;
  readonly #infrared: Uint8Array<ArrayBuffer>;
  #disposed = false;

  constructor(
    readonly sizes: Sizes,
    private readonly crew: Crew,
    private readonly members: readonly Member[],
    private readonly strips: readonly OpenedMessage[],
  ) {
    const { visible, infrared } = sizes;
    const rows = ({ from, to }: { from: number; to: number }) => new ArrayBuffer((to - from) * visible.width * 4);
    const thermal = infrared.width * infrared.height * 4;
    this.#visible = new Uint8Array(visible.width * visible.height * 4);
    this.#infrared = new Uint8Array(thermal);
    this.#buffers = strips.map(({ reads, writes }) => ({
      visible: rows(reads),
      infrared: new ArrayBuffer(thermal),
      fused: rows(writes),
    }));
    const memoryBytes = strips.reduce((sum, { info }) => sum + info.memoryBytes, 0);
    this.info = { backend: "worker", threads: members.length, ...strips[0]!.info, memoryBytes };
    this.lost = new Promise((tell) => (crew.onend = tell));
  }

  async fuse({ visible, infrared, still }: Pair, out: Uint8ClampedArray): Promise<void> {
    const { width } = this.sizes.visible;
    const visibleFormat = await this.#reader.visible(visible, this.sizes.visible, this.#visible);
    const infraredFormat = await this.#reader.infrared(infrared, this.sizes.infrared, this.#infrared);
    if (this.#disposed) throw new FusionError("disposed", "this Fusion was disposed of: create another");
    if (this.crew.ended) throw this.crew.ended;
    const row = width * [4, 3, 1][visibleFormat]!;
    const thermal = this.#infrared.subarray(0, this.#infrared.length / [4, 2, 2, 1][infraredFormat]!);
    const asked = this.members.map(async (member, i) => {
      const buffers = this.#buffers[i]!;
      const { from, to } = this.strips[i]!.reads;
      new Uint8Array(buffers.visible).set(this.#visible.subarray(from * row, to * row));
      new Uint8Array(buffers.infrared).set(thermal);
      const answer = await member.ask({ type: "fuse", buffers, visibleFormat, infraredFormat, still }, transferred(buffers));
      return expected(answer, "fused").buffers;
    });
    let answers: Buffers[];
    try {
      answers = await Promise.all(asked);
    } catch (e) {
      // The other strips wait for the sums of the one that failed.
      this.crew.end(e instanceof FusionError ? e : new FusionError("internal", `a frame is lost: ${reason(e)}`, { cause: e }));
      throw this.crew.ended;
    }
    answers.forEach((buffers, i) => {
      this.#buffers[i] = buffers;
      out.set(new Uint8Array(buffers.fused), this.strips[i]!.writes.from * width * 4);
    });
  }

  dispose(): void {
    this.#disposed = true;
    for (const member of this.members) member.tell({ type: "close" });
  }
}
