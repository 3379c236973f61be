// What `fusionproxy-gpu.wasm` compiles an artifact to (docs/gpu.md).

import type { Gain } from "./cpu.js";
import type { Sizes } from "./engine.js";
import { FusionError, reason } from "./errors.js";

/** What `fusionproxy-gpu.wasm` exports; `wasm/gpu` says what each means. */
interface Compiler {
  readonly memory: WebAssembly.Memory;
  gpu_model(bytes: number): number;
  gpu_compile(
    bytes: number,
    width: number,
    height: number,
    infraredWidth: number,
    infraredHeight: number,
    gain: number,
    dot: number,
    f16: number,
    buffers: number,
    binding: number,
  ): number;
  gpu_text(): number;
  gpu_text_bytes(): number;
  gpu_weights(): number;
  gpu_weights_bytes(): number;
}

export type Role = "weights" | "activations" | "visible" | "infrared" | "fused";

type Workgroups = readonly [number, number, number];

/** The network at one frame size. */
export interface Program {
  readonly model: string;
  readonly precision: string;
  readonly parameters: number;
  readonly buffers: readonly { readonly role: Role; readonly bytes: number }[];
  readonly pipelines: readonly string[];
  readonly dispatches: readonly {
    readonly label: string;
    readonly pipeline: number;
    readonly workgroups: Workgroups;
    readonly bindings: readonly ({ readonly texture: Role } | { readonly buffer: number; readonly offset: number; readonly bytes: number })[];
  }[];
}

/** What an infrared texel is: the stage that reads it. */
export type Texel = "colour" | "grey" | "words";

interface Stage {
  readonly workgroups: Workgroups;
  readonly wgsl: string;
}

/** The frame path around it. */
export interface Stages extends Readonly<Record<"count" | "curve" | Texel, Stage>> {
  /** Bytes of gain control's state. */
  readonly state: number;
  readonly histogram: number;
  readonly positions: readonly number[];
  readonly take: string;
  readonly present: string;
}

/** Compiles a model for a device: the program, its stages and its weights. */
export async function compile(
  module: WebAssembly.Module,
  model: Uint8Array,
  { visible, infrared }: Sizes,
  gain: Gain,
  { features, limits }: GPUDevice,
): Promise<[Program, Stages, Uint8Array<ArrayBuffer>]> {
  const c = (await WebAssembly.instantiate(module)).exports as unknown as Compiler;
  const at = c.gpu_model(model.length);
  new Uint8Array(c.memory.buffer, at, model.length).set(model);
  const done = c.gpu_compile(
    model.length,
    visible.width,
    visible.height,
    infrared.width,
    infrared.height,
    gain === "linear" ? 1 : 0,
    navigator.gpu.wgslLanguageFeatures.has("packed_4x8_integer_dot_product") ? 1 : 0,
    features.has("shader-f16") ? 1 : 0,
    limits.maxStorageBuffersPerShaderStage,
    Math.min(limits.maxStorageBufferBindingSize, 2 ** 31 - 1),
  );
  const text = new TextDecoder().decode(new Uint8Array(c.memory.buffer, c.gpu_text(), c.gpu_text_bytes()));
  if (done === 0) throw new FusionError("model", `${text}: use backend "cpu"`);
  const weights = new Uint8Array(c.memory.buffer, c.gpu_weights(), c.gpu_weights_bytes()).slice();
  return [...(JSON.parse(text) as [Program, Stages]), weights];
}

// Flags of the standard, which the DOM's types leave out.
export const BUFFER = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 };
export const TEXTURE = { COPY_SRC: 1, COPY_DST: 2, TEXTURE_BINDING: 4, STORAGE_BINDING: 8, RENDER_ATTACHMENT: 16 };

/** A compute pipeline of a shader with the entry point `main`. */
export async function pipeline(device: GPUDevice, code: string): Promise<GPUComputePipeline> {
  const compute = { module: device.createShaderModule({ code }), entryPoint: "main" };
  try {
    return await device.createComputePipelineAsync({ layout: "auto", compute });
  } catch (e) {
    throw new FusionError("device", `the GPU refuses a shader: ${reason(e)}: use backend "cpu"`, { cause: e });
  }
}

/** A bind group of a pipeline's resources, numbered from 0 but for those left out. */
export function group(
  device: GPUDevice,
  from: GPUPipelineBase,
  resources: readonly (GPUBindingResource | undefined)[],
): GPUBindGroup {
  const entries = resources.flatMap((resource, binding) => (resource ? [{ binding, resource }] : []));
  return device.createBindGroup({ layout: from.getBindGroupLayout(0), entries });
}
