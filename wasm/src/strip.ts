// A worker of the pool: an instance of the module that computes one strip of each frame.

import { check, describe, open, type Exports } from "./cpu.js";
import { FusionError, reason } from "./errors.js";
import { transferred, type FromWorker, type FuseMessage, type OpenMessage, type ToWorker } from "./protocol.js";

const say = (message: FromWorker, transfer: Transferable[] = []): void => postMessage(message, { transfer });

/** A strip that is set up. */
class Strip {
  readonly #peers: readonly MessagePort[];
  /** Sums that arrived from each peer and were not used yet. */
  readonly #arrived: Int32Array[][];
  #wake: () => void = () => undefined;

  private constructor(
    readonly exports: Exports,
    readonly message: OpenMessage,
  ) {
    this.#peers = message.peers;
    this.#arrived = this.#peers.map(() => []);
    this.#peers.forEach((port, i) => {
      port.onmessage = ({ data }: MessageEvent<Int32Array>) => {
        this.#arrived[i]!.push(data);
        this.#wake();
      };
    });
  }

  static async open(message: OpenMessage): Promise<Strip> {
    const { module, model, sizes, gain, strip, strips, peers } = message;
    try {
      return new Strip(await open(module, model, sizes, gain, strip, strips), message);
    } catch (e) {
      close(peers);
      throw e;
    }
  }

  /** Lets go of the instance. */
  close(): void {
    close(this.#peers);
  }

  rows(which: number): { from: number; to: number } {
    return { from: this.exports.fp_rows(which), to: this.exports.fp_rows(which + 1) };
  }

  async fuse({ buffers, visibleFormat, infraredFormat, still }: FuseMessage): Promise<void> {
    const { exports } = this;
    const { width } = this.message.sizes.visible;
    const memory = new Uint8Array(exports.memory.buffer);
    const [reads, writes] = [this.rows(0), this.rows(2)];
    const pixel = [4, 3, 1][visibleFormat]!;
    const visible = new Uint8Array(buffers.visible, 0, (reads.to - reads.from) * width * pixel);
    memory.set(visible, exports.fp_visible() + reads.from * width * pixel);
    memory.set(new Uint8Array(buffers.infrared), exports.fp_infrared());
    check(exports, () => exports.fp_fuse(visibleFormat, infraredFormat, still ? 1 : 0));
    for (let left = exports.fp_exchanges(); left > 0; left--) {
      await this.#exchange();
      check(exports, () => exports.fp_resume());
    }
    const from = exports.fp_fused();
    const fused = memory.subarray(from + writes.from * width * 4, from + writes.to * width * 4);
    new Uint8Array(buffers.fused).set(fused);
  }

  /** Adds the other strips' sums over their rows to this one's. */
  async #exchange(): Promise<void> {
    const { exports } = this;
    const own = new Int32Array(exports.memory.buffer, exports.fp_sums(), exports.fp_sums_len());
    for (const port of this.#peers) port.postMessage(own.slice());
    while (this.#arrived.some((sums) => sums.length === 0)) await new Promise<void>((wake) => (this.#wake = wake));
    for (const sums of this.#arrived) sums.shift()!.forEach((sum, c) => (own[c]! += sum));
  }
}

/** Two ports that are open keep each other, and what listens to them, as long as both workers live. */
function close(ports: readonly MessagePort[]): void {
  for (const port of ports) port.close();
}

let strip: Strip | undefined;

onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  try {
    if (data.type !== "fuse") {
      strip?.close();
      strip = undefined;
    }
    if (data.type === "close") return;
    if (data.type === "open") {
      strip = await Strip.open(data);
      say({ type: "opened", info: describe(strip.exports), reads: strip.rows(0), writes: strip.rows(2) });
    } else {
      if (!strip) throw new FusionError("internal", "the worker is not set up");
      await strip.fuse(data);
      say({ type: "fused", buffers: data.buffers }, transferred(data.buffers));
    }
  } catch (e) {
    const [code, message] = e instanceof FusionError ? [e.code, e.message] : ["internal" as const, reason(e)];
    say({ type: "failed", code, message });
  }
};

onmessageerror = () => {
  // The page hears of what is thrown here, and would wait for an answer otherwise.
  throw new Error("a message cannot be read: there may be no memory for it");
};
