// A thousand frames leave nothing behind: no WebAssembly memory, no heap, no objects of the GPU. Nor do engines that are gone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { opened, root } from "./page.mjs";

const FRAMES = 1000;

let page;
let close;
let session;

before(async () => {
  // Workers that can say how many instances of the module something still refers to.
  const counting = `{
    const { instantiate } = WebAssembly;
    const made = [];
    WebAssembly.instantiate = async (...args) => {
      const instance = await instantiate(...args);
      made.push(new WeakRef(instance));
      return instance;
    };
    globalThis.instances = () => (gc(), [made.filter((i) => i.deref()).length, made.length]);
  }`;
  const script = (_, response) =>
    response.writeHead(200, { "content-type": "text/javascript" }).end(counting + readFileSync(`${root}dist/strip.js`, "utf8"));
  ({ page, close } = await opened({ "/dist/strip.js": script }, { flags: ["--js-flags=--expose-gc"] }));
  session = await page.context().newCDPSession(page);
  await page.evaluate(async () => {
    const { drawables, textureOf } = await import("/test/sources.mjs");
    /** Memories of all instances of WebAssembly from now on. */
    globalThis.memories = [];
    const { instantiate } = WebAssembly;
    WebAssembly.instantiate = async (...args) => {
      const made = await instantiate(...args);
      memories.push(made.exports.memory);
      return made;
    };
    /** How often each method was called. */
    globalThis.calls = {};
    const count = (type, names) => {
      for (const name of names) {
        const key = name === "destroy" ? `${type.name}.destroy` : name;
        const method = type.prototype[name];
        calls[key] = 0;
        type.prototype[name] = function (...args) {
          calls[key]++;
          return method.apply(this, args);
        };
      }
    };
    count(GPUDevice, Object.getOwnPropertyNames(GPUDevice.prototype).filter((name) => /^(create|import)/.test(name)));
    count(GPUBuffer, ["destroy"]);
    count(GPUTexture, ["destroy"]);
    count(GPUQueue, ["submit"]);

    // The smallest frames: on a GPU in software, each takes its time.
    const [width, height] = [8, 8];
    const data = opaque(width * height, 11, 5);
    globalThis.sources = await drawables(data, width, height);
    globalThis.words = { data: new Uint16Array(pattern(width * height * 2, 3, 1).buffer), width, height };
    globalThis.onDevice = (device) => {
      const canvas = new OffscreenCanvas(width, height).getContext("webgpu");
      canvas.configure({ device, format: "rgba8unorm" });
      const texture = device.createTexture({ size: [width, height], format: "bgra8unorm", usage: 16 });
      sources.GPUTexture = textureOf(device, "rgba8unorm", data, width, height);
      sources.words = textureOf(device, "r16uint", words.data, width, height);
      return [texture, canvas];
    };
    globalThis.run = async (fusion, frames, targets) => {
      for (let i = 0; i < frames; i++) {
        const { VideoFrame, ImageBitmap, HTMLCanvasElement, Pixels, GPUTexture = Pixels, words: given = words } = sources;
        const visible = [VideoFrame, ImageBitmap, Pixels, GPUTexture, HTMLCanvasElement][i % 5];
        const infrared = [words, given, VideoFrame][i % 3];
        await fusion.fuse(visible, infrared, { into: targets[i % targets.length] });
      }
      return memories.map((memory) => memory.buffer.byteLength);
    };
  });
});

after(() => close?.());

/** Bytes of the page's heap that something still refers to. */
async function heap() {
  for (let i = 0; i < 3; i++) await session.send("HeapProfiler.collectGarbage");
  const { usedSize, backingStorageSize } = await session.send("Runtime.getHeapUsage");
  return usedSize + (backingStorageSize ?? 0);
}

/** What `FRAMES` frames change. */
async function measured() {
  const warm = await page.evaluate(() => run(fusion, 60, targets));
  const calls = () => page.evaluate(() => ({ ...globalThis.calls }));
  const [heapBefore, callsBefore] = [await heap(), await calls()];
  const later = await page.evaluate((n) => run(fusion, n, targets), FRAMES);
  const [heapAfter, callsAfter] = [await heap(), await calls()];
  assert.deepEqual(later, warm, "WebAssembly memory");
  // A leak of one number a frame would be more; one of a frame's pixels a quarter of a megabyte.
  assert.ok(heapAfter - heapBefore < 100_000, `the heap grew by ${heapAfter - heapBefore} bytes`);
  const made = Object.entries(callsAfter).map(([name, n]) => [name, n - callsBefore[name]]);
  return Object.fromEntries(made.filter(([, n]) => n > 0));
}

test("on the calling thread", async () => {
  await page.evaluate(async () => {
    globalThis.fusion = await Fusion.create({ backend: "cpu", model: "/models/nano/nano.int8.fpx" });
    globalThis.targets = [new Uint8ClampedArray(8 * 8 * 4), new ImageData(8, 8)];
  });
  assert.deepEqual(await measured(), {});
  await page.evaluate(() => fusion.dispose());
});

test("on the GPU", async () => {
  await page.evaluate(async () => {
    globalThis.device = await (await navigator.gpu.requestAdapter()).requestDevice();
    globalThis.targets = [new Uint8ClampedArray(8 * 8 * 4), ...onDevice(device)];
    globalThis.own = { ...calls };
    globalThis.fusion = await Fusion.create({ backend: "webgpu", device, model: "/models/nano/nano.int8.fpx" });
  });
  const videos = Array.from({ length: FRAMES }, (_, i) => (i % 5 === 0) + (i % 3 === 2)).reduce((a, b) => a + b);
  assert.deepEqual(await measured(), {
    // An imported picture of a video is an object of its own, and so is the group that binds it; both go with it.
    importExternalTexture: videos,
    createBindGroup: videos,
    createCommandEncoder: FRAMES,
    submit: FRAMES,
  });
  const left = await page.evaluate(() => {
    fusion.dispose();
    const since = (name) => calls[name] - own[name];
    return [since("createBuffer") - since("GPUBuffer.destroy"), since("createTexture") - since("GPUTexture.destroy")];
  });
  assert.deepEqual(left, [0, 0]);
});

/** Frames of sizes that take turns. */
const SIZES = [[64, 64], [64, 96], [96, 64], [64, 128]];

test("workers keep one instance, however often sizes change", async () => {
  await page.evaluate(async (sizes) => {
    globalThis.fusion = await Fusion.create({ backend: "worker", workers: 3 });
    for (const [width, height] of [...sizes, ...sizes]) {
      const frame = { data: pattern(width * height, 5, 1), width, height };
      await fusion.fuse(frame, frame);
    }
  }, SIZES);
  const workers = page.workers();
  assert.equal(workers.length, 3);
  for (const worker of workers) {
    await worker.evaluate(() => new Promise((r) => setTimeout(r, 100)));
    assert.deepEqual(await worker.evaluate(() => instances()), [1, 8]);
  }
  await page.evaluate(() => fusion.dispose());
});

test("a device does not keep the engines that it had", async () => {
  const made = await page.evaluate(async (sizes) => {
    const { GpuEngine } = await import("/dist/gpu-engine.js");
    const { dispose } = GpuEngine.prototype;
    globalThis.gone = [];
    GpuEngine.prototype.dispose = function () {
      gone.push(new WeakRef(this));
      dispose.call(this);
    };
    // The device stays.
    globalThis.device ??= await (await navigator.gpu.requestAdapter()).requestDevice();
    const fusion = await Fusion.create({ backend: "webgpu", device });
    for (const [width, height] of sizes) {
      const frame = { data: pattern((width * height) / 64, 5, 1), width: width / 8, height: height / 8 };
      await fusion.fuse(frame, frame);
    }
    fusion.dispose();
    return gone.length;
  }, SIZES);
  assert.equal(made, SIZES.length);
  await heap();
  const left = await page.evaluate(async () => {
    await new Promise((r) => setTimeout(r, 100));
    gc();
    return gone.filter((engine) => engine.deref()).length;
  });
  assert.equal(left, 0);
});
