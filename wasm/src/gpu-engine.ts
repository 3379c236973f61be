// One network on a device: everything is made once, and a frame is one submission. What is made for a frame are the bind
// group of an imported video, which is new with every picture, and those of a texture that was not seen before.

import type { Engine, Info, Output, Pair, Sizes } from "./engine.js";
import { FusionError, reason } from "./errors.js";
import { Input, type Taken } from "./gpu-input.js";
import { BUFFER, group, pipeline, type Program, type Role, type Stages } from "./gpu-program.js";
import { Presenter } from "./gpu-target.js";

const MAP_READ = 1;

/** Stages of the frame path that are pipelines. */
type Name = "count" | "curve" | "colour" | "grey" | "words";

export class GpuEngine implements Engine {
  readonly info: Omit<Info, "reason">;
  readonly lost: Promise<string>;
  readonly #buffers: GPUBuffer[];
  readonly #roles = {} as Record<Role, GPUBuffer>;
  readonly #readback: GPUBuffer;
  readonly #visible: Input;
  readonly #infrared: Input;
  readonly #presenter: Presenter;
  /** Dispatches' groups, but for those that read the visible texture. */
  readonly #groups: readonly (GPUBindGroup | undefined)[];
  /** Groups by the frame that they read, made when it is first seen and dropped with it. */
  readonly #reading = { visible: new WeakMap<GPUTexture, GPUBindGroup[]>(), infrared: new WeakMap<GPUTexture, GPUBindGroup[]>() };
  readonly #pipelines = new Map<Name, GPUComputePipeline>();
  /** Gain control's state, histogram and orders for this frame; where pixels are sampled. */
  readonly #state: GPUBuffer;
  readonly #histogram: GPUBuffer;
  readonly #how: GPUBuffer;
  readonly #positions: GPUBuffer;
  readonly #deaf: () => void;
  #disposed = false;
  #gone = "";

  constructor(
    private readonly device: GPUDevice,
    readonly sizes: Sizes,
    private readonly program: Program,
    private readonly stages: Stages,
    weights: Uint8Array<ArrayBuffer>,
    private readonly pipelines: readonly GPUComputePipeline[],
  ) {
    const { STORAGE, UNIFORM, COPY_DST, COPY_SRC } = BUFFER;
    const usages: Record<Role, number> = {
      weights: STORAGE | COPY_DST,
      activations: STORAGE,
      visible: STORAGE,
      infrared: STORAGE,
      fused: STORAGE | COPY_SRC,
    };
    const buffer = (bytes: number, usage: number) => device.createBuffer({ size: Math.ceil(bytes / 4) * 4, usage });
    this.#buffers = program.buffers.map(({ role, bytes }) => (this.#roles[role] = buffer(bytes, usages[role])));
    device.queue.writeBuffer(this.#roles.weights, 0, weights);
    this.#state = buffer(stages.state, STORAGE);
    this.#histogram = buffer(stages.histogram, STORAGE);
    this.#how = buffer(16, UNIFORM | COPY_DST);
    this.#positions = buffer(4 * stages.positions.length, STORAGE | COPY_DST);
    device.queue.writeBuffer(this.#positions, 0, new Int32Array(stages.positions));
    const { width, height } = sizes.visible;
    const size = width * height * 4;
    this.#readback = buffer(size, BUFFER.MAP_READ | COPY_DST);
    this.#buffers.push(this.#state, this.#histogram, this.#how, this.#positions, this.#readback);
    this.#visible = new Input(device, "visible", sizes.visible, stages.take);
    this.#infrared = new Input(device, "infrared", sizes.infrared, stages.take);
    this.#presenter = new Presenter(device, sizes.visible, stages.present, this.#roles.fused);
    this.#groups = program.dispatches.map(({ bindings }, i) => (bindings.some((b) => "texture" in b) ? undefined : this.#bind(i)));
    const { model, precision, parameters } = program;
    const memoryBytes = this.#buffers.reduce((sum, b) => sum + b.size, size);
    const kernels = `wgsl, ${program.dispatches.length} dispatches`;
    this.info = { backend: "webgpu", threads: 1, kernels, model, precision, parameters, memoryBytes };
    let deaf!: () => void;
    this.lost = new Promise((tell) => (deaf = whenLost(device, (why) => tell((this.#gone = why)))));
    this.#deaf = deaf;
  }

  async fuse(pair: Pair, out: Output): Promise<void> {
    const { device } = this;
    const onDevice = !(out instanceof Uint8ClampedArray);
    let submitted: Promise<GPUError | null>;
    for (;;) {
      const visible = await this.#visible.take(pair.visible);
      const infrared = await this.#infrared.take(pair.infrared);
      await this.#ready(infrared.texel);
      if (onDevice) await this.#presenter.ready(out);
      this.#alive();
      // The caller's textures may be another device's, or destroyed: the device tells when it gets the frame.
      device.pushErrorScope("validation");
      let done: boolean;
      try {
        done = this.#submit(visible, infrared, pair.still, out);
      } finally {
        submitted = device.popErrorScope().catch(() => null);
      }
      if (done) break;
    }
    if (!onDevice) await this.#read(out);
    const error = await submitted;
    this.#alive();
    if (error) {
      const remedy = "textures must be of the `device` that `create` was given, and not destroyed";
      throw new FusionError("input", `the GPU refuses the frame: ${error.message.split("\n", 1)[0]}: ${remedy}`);
    }
  }

  /** Encodes and submits a frame, in one task; `false` if the frames are to be taken anew. */
  #submit(visible: Taken, infrared: Taken, still: boolean, out: Output): boolean {
    const { device, program, stages } = this;
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    const run = (pipeline: GPUComputePipeline, bound: GPUBindGroup, workgroups: readonly [number, number, number]) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bound);
      pass.dispatchWorkgroups(...workgroups);
    };
    if (!this.#visible.encode(pass, visible) || !this.#infrared.encode(pass, infrared)) return false;
    const names: Name[] = infrared.texel === "words" ? ["count", "curve", "words"] : [infrared.texel];
    const groups = cached(this.#reading.infrared, infrared.texture, () => names.map((name) => this.#stageGroup(name, infrared.texture)));
    names.forEach((name, i) => run(this.#pipelines.get(name)!, groups[i]!, stages[name].workgroups));
    const reading = cached(this.#reading.visible, visible.texture, () =>
      program.dispatches.flatMap((_, i) => (this.#groups[i] ? [] : [this.#bind(i, visible.texture)])),
    );
    let next = 0;
    program.dispatches.forEach(({ pipeline, workgroups }, i) =>
      run(this.pipelines[pipeline]!, this.#groups[i] ?? reading[next++]!, workgroups),
    );
    pass.end();
    if (out instanceof Uint8ClampedArray) encoder.copyBufferToBuffer(this.#roles.fused, 0, this.#readback, 0, out.length);
    else this.#presenter.encode(encoder, out);
    if (infrared.texel === "words") {
      const [mask, coarse, format] = infrared.bits === 14 ? [0x3fff, 4, 1] : [0xffff, 6, 2];
      device.queue.writeBuffer(this.#how, 0, new Uint32Array([mask!, coarse!, still ? 1 : 0, format!]));
    }
    device.queue.submit([encoder.finish()]);
    return true;
  }

  async #read(out: Uint8ClampedArray): Promise<void> {
    try {
      await this.#readback.mapAsync(MAP_READ);
    } catch (e) {
      this.#alive();
      throw new FusionError("device", `the GPU was lost in this frame: ${reason(e)}: fuse it again`, { cause: e });
    }
    out.set(new Uint8Array(this.#readback.getMappedRange()));
    this.#readback.unmap();
  }

  /** The pipelines that infrared frames of a kind go through. */
  async #ready(texel: Name): Promise<void> {
    const names: Name[] = texel === "words" ? ["count", "curve", "words"] : [texel];
    for (const name of names) {
      if (!this.#pipelines.has(name)) this.#pipelines.set(name, await pipeline(this.device, this.stages[name].wgsl));
    }
  }

  #stageGroup(name: Name, texture: GPUTexture): GPUBindGroup {
    const [state, histogram, how, positions, aligned] = [this.#state, this.#histogram, this.#how, this.#positions, this.#roles.infrared].map(
      (buffer) => ({ buffer }),
    );
    const view = texture.createView();
    const resources = {
      count: [histogram, view, how],
      curve: [state, histogram, how],
      words: [aligned, view, positions, state, how],
      colour: [aligned, view, positions],
      grey: [aligned, view, positions],
    };
    return group(this.device, this.#pipelines.get(name)!, resources[name]);
  }

  /** The group of a dispatch. */
  #bind(dispatch: number, visible?: GPUTexture): GPUBindGroup {
    const { pipeline, bindings } = this.program.dispatches[dispatch]!;
    const resources = bindings.map((b) => {
      if ("texture" in b) return visible!.createView();
      return { buffer: this.#buffers[b.buffer]!, offset: b.offset, size: b.bytes };
    });
    return group(this.device, this.pipelines[pipeline]!, resources);
  }

  #alive(): void {
    if (this.#gone) throw new FusionError("device", `the GPU was lost: ${this.#gone}: fuse the frame again`);
    if (this.#disposed) throw new FusionError("disposed", "this Fusion was disposed of: create another");
  }

  dispose(): void {
    this.#disposed = true;
    this.#deaf();
    for (const buffer of this.#buffers) buffer.destroy();
    this.#visible.dispose();
    this.#infrared.dispose();
  }
}

/** Who hears when a device is lost. A promise keeps its listeners as long as it waits, and a device outlives its engines. */
const listeners = new WeakMap<GPUDevice, Set<(why: string) => void>>();

/** Has `tell` called when the device is lost; gives what calls that off. */
function whenLost(device: GPUDevice, tell: (why: string) => void): () => void {
  const told = cached(listeners, device, () => {
    const told = new Set<(why: string) => void>();
    void device.lost.then(({ message, reason }) => {
      listeners.delete(device);
      for (const tell of told) tell(message || reason);
    });
    return told;
  });
  told.add(tell);
  return () => told.delete(tell);
}

function cached<K extends object, V>(map: WeakMap<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
