// The contestants: each makes what it needs once and then fuses the same pair again and again.

import { Fusion } from "fusionproxy";

export const WIDTH = 640;
export const HEIGHT = 480;

/** A textured ramp in grey, of which a fused frame is the network's output; and a thermal one. */
function pictures() {
  const [rgba, grey] = [new Uint8ClampedArray(WIDTH * HEIGHT * 4), new Uint8Array(WIDTH * HEIGHT)];
  let state = 1;
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const v = 20 + (((i % WIDTH) + (i / WIDTH)) >> 3) + (state >>> 28);
    rgba.set([v, v, v, 255], 4 * i);
    grey[i] = 255 - v;
  }
  return { rgba, grey };
}

/** fusionproxy, from RGBA and infrared bytes to RGBA: colours and gain control included. */
const ours = (options) => async () => {
  const { rgba, grey } = pictures();
  const size = { width: WIDTH, height: HEIGHT };
  const fusion = await Fusion.create({ sizes: { visible: size, infrared: size }, ...options });
  const visible = { data: rgba, ...size };
  const infrared = { data: grey, ...size };
  const into = new Uint8ClampedArray(rgba.length);
  const luma = () => Float32Array.from({ length: WIDTH * HEIGHT }, (_, i) => into[4 * i] / 255);
  return { run: () => fusion.fuse(visible, infrared, { into }), luma, what: () => fusion.info };
};

/** onnxruntime-web, from luma tensors to a luma tensor: the network alone. */
const theirs = (file, provider, threads) => async () => {
  // The number of threads is one of the module's globals: every contestant gets a module of its own.
  const ort = await import(/* @vite-ignore */ `/ort/${file}?${provider}${threads}`);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = "/ort/";
  const session = await ort.InferenceSession.create("/models/ultralight/ultralight.onnx", {
    executionProviders: [provider],
    graphOptimizationLevel: "all",
  });
  const { rgba, grey } = pictures();
  const dims = [1, 1, HEIGHT, WIDTH];
  const plane = (f) => new ort.Tensor("float32", Float32Array.from({ length: WIDTH * HEIGHT }, (_, i) => f(i) / 255), dims);
  const feeds = { vis: plane((i) => rgba[4 * i]), ir: plane((i) => grey[i]) };
  let fused;
  return {
    run: async () => (fused = await (await session.run(feeds)).fused.getData()),
    luma: () => fused,
    what: () => ({ backend: provider, threads, precision: "f32", model: "ultralight" }),
  };
};

/** Everyone, by name; `slow` ones run last and get fewer rounds. The frame of the `exact` one is the network's. */
export const ENGINES = {
  "fusionproxy, 1 thread": { make: ours({ backend: "cpu" }) },
  "fusionproxy, 1 worker": { make: ours({ backend: "worker", workers: 1 }) },
  "fusionproxy, 2 workers": { make: ours({ backend: "worker", workers: 2 }) },
  "fusionproxy webgpu": { make: ours({ backend: "webgpu" }), slow: true },
  "onnxruntime-web wasm, 1 thread": { make: theirs("ort.wasm.min.mjs", "wasm", 1), exact: true },
  "onnxruntime-web wasm, 2 threads": { make: theirs("ort.wasm.min.mjs", "wasm", 2) },
  "onnxruntime-web webgpu": { make: theirs("ort.webgpu.min.mjs", "webgpu", 1), slow: true },
};
