// The WebGPU backend: the device, and engines for it. The artifact is compiled to buffers, pipelines and dispatches by
// `fusionproxy-gpu.wasm`, and so is the frame path around it (docs/gpu.md).

import type { Engine, EngineFactory, Sizes } from "./engine.js";
import { FusionError, reason } from "./errors.js";
import type { Parts } from "./fusion.js";
import { GpuEngine } from "./gpu-engine.js";
import { compile, pipeline } from "./gpu-program.js";
import { compiled } from "./module.js";

/** Opens the GPU, or says why there is none. */
export async function openGpu(parts: Parts): Promise<EngineFactory> {
  const { gpu, open: openFile, signal } = parts;
  if (!gpu) throw new FusionError("unsupported", "this entry has no WebGPU");
  const own = parts.device === undefined;
  const device = (parts.device as GPUDevice | undefined) ?? (await deviceOf(parts.auto));
  try {
    return new GpuFactory(device, own, await compiled(gpu, openFile, signal), parts);
  } catch (e) {
    if (own) device.destroy();
    throw e;
  }
}

async function deviceOf(auto: boolean): Promise<GPUDevice> {
  const gpu = typeof navigator === "object" ? navigator.gpu : undefined;
  if (!gpu) throw new FusionError("unsupported", 'this browser or page has no WebGPU (it needs https): use backend "cpu"');
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new FusionError("device", 'no GPU adapter is given out here: use backend "cpu" or "auto"');
  if (auto && adapter.info.isFallbackAdapter) throw new FusionError("device", "webgpu is software here");
  const { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  try {
    return await adapter.requestDevice({
      requiredFeatures: adapter.features.has("shader-f16") ? ["shader-f16"] : [],
      requiredLimits: { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize },
    });
  } catch (e) {
    throw new FusionError("device", `the GPU was refused: ${reason(e)}: use backend "cpu"`, { cause: e });
  }
}

class GpuFactory implements EngineFactory {
  constructor(
    private readonly device: GPUDevice,
    private readonly own: boolean,
    private readonly compiler: WebAssembly.Module,
    private readonly parts: Parts,
  ) {}

  async create(sizes: Sizes): Promise<Engine> {
    const { model, gain } = this.parts;
    const { device } = this;
    const [program, stages, weights] = await compile(this.compiler, model, sizes, gain, device);
    const pipelines = await Promise.all(program.pipelines.map((code) => pipeline(device, code)));
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    const engine = new GpuEngine(device, sizes, program, stages, weights, pipelines);
    const [memory, validation] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const error = memory ?? validation;
    if (error) {
      engine.dispose();
      throw new FusionError(memory ? "memory" : "device", `the GPU refuses: ${error.message}: use backend "cpu" or smaller frames`);
    }
    return engine;
  }

  dispose(): void {
    if (this.own) this.device.destroy();
  }
}
