// WebGPU in Debian's Chromium, on a GPU in software: frames are small.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { crc, opened } from "./page.mjs";

let page;
let close;

before(async () => {
  ({ page, close } = await opened());
  await page.evaluate(async () => {
    Object.assign(globalThis, await import("/test/sources.mjs"));
    const adapter = await navigator.gpu.requestAdapter();
    globalThis.device = await adapter.requestDevice();
    /** The largest difference of two frames. */
    globalThis.off = (a, b) => a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), 0);
    /** A Fusion on the shared device, and the CPU's. */
    globalThis.both = async (options = {}) => [
      await Fusion.create({ backend: "cpu", ...options }),
      await Fusion.create({ backend: "webgpu", device, ...options }),
    ];
  });
});

after(() => close?.());

test("WebGPU gives the same bytes", async () => {
  const golden = readFileSync(new URL("golden.txt", import.meta.url), "utf8").trim().split("\n");
  // On a GPU in software a frame takes seconds: one of each pair of sizes.
  for (const line of [golden[0], golden[4]]) {
    const { bytes, info } = await page.evaluate(async (line) => {
      const fusion = await Fusion.create({ backend: "webgpu" });
      const bytes = Array.from((await fusion.fuse(...frames(line))).data);
      const { info } = fusion;
      fusion.dispose();
      return { bytes, info };
    }, line);
    assert.equal(info.backend, "webgpu");
    assert.equal(crc(bytes), line.split(" ").at(-1), line);
  }
});

test("a device that is lost in a frame is replaced by the CPU, once", async () => {
  const found = await page.evaluate(async () => {
    const device = await (await navigator.gpu.requestAdapter()).requestDevice();
    const frame = { data: pattern(32 * 24, 5, 1), width: 32, height: 24 };
    const fusion = await Fusion.create({ backend: "webgpu", device });
    const first = (await fusion.fuse(frame, frame)).data.join();
    let changes = 0;
    fusion.addEventListener("backendchange", () => changes++);
    const during = fusion.fuse(frame, frame);
    device.destroy();
    const lost = await code(during);
    await new Promise((r) => setTimeout(r, 50));
    const later = (await fusion.fuse(frame, frame)).data.join();
    return { lost, changes, same: later === first, info: fusion.info };
  });
  assert.match(found.lost, /^(no error|device: )/);
  assert.equal(found.changes, 1);
  assert.ok(found.same);
  assert.equal(found.info.backend, "cpu");
  assert.match(found.info.reason, /webgpu was lost/);
});

test("every kind of source gives the CPU's bytes", async () => {
  const found = await page.evaluate(async () => {
    const [width, height] = [64, 48];
    const data = opaque(width * height, 11, 5);
    const [cpu, gpu] = await both();
    const expected = (await cpu.fuse(new ImageData(new Uint8ClampedArray(data), width, height), { data, width, height })).data;
    const swapped = data.map((_, i) => data[i % 4 === 3 ? i : i - (i % 4) + 2 - (i % 4)]);
    const sources = {
      ...(await drawables(data, width, height)),
      rgba8unorm: textureOf(device, "rgba8unorm", data, width, height),
      bgra8unorm: textureOf(device, "bgra8unorm", swapped, width, height),
    };
    const out = {};
    for (const [name, source] of Object.entries(sources)) {
      // Each role by itself, and one texture as both.
      const pixels = sources.Pixels;
      for (const pair of [[source, pixels], [pixels, source], [source, source]]) {
        out[name] = Math.max(out[name] ?? 0, off((await gpu.fuse(...pair)).data, expected));
      }
    }
    const rgb = data.filter((_, i) => i % 4 !== 3);
    const grey = data.slice(0, width * height);
    for (const [name, visible] of Object.entries({ RGB: rgb, luma: grey })) {
      const pair = [{ data: visible, width, height }, { data: grey, width, height }];
      out[name] = off((await gpu.fuse(...pair)).data, (await cpu.fuse(...pair)).data);
    }
    cpu.dispose();
    gpu.dispose();
    return out;
  });
  assert.equal(Object.keys(found).length, 11);
  for (const [name, most] of Object.entries(found)) assert.equal(most, 0, `${name}: ${most}`);
});

test("pictures with transparency are fused as the CPU fuses them: before black", async () => {
  const most = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(32, 24);
    const context = canvas.getContext("2d");
    for (let x = 0; x < 32; x++) {
      context.fillStyle = `rgba(${8 * x},${255 - 8 * x},90,${x % 4 ? 0.5 : 0})`;
      context.fillRect(x, 0, 1, 24);
    }
    const infrared = { data: pattern(32 * 24, 7, 3), width: 32, height: 24 };
    const [cpu, gpu] = await both();
    return off((await gpu.fuse(canvas, infrared)).data, (await cpu.fuse(canvas, infrared)).data);
  });
  // Half-transparent colours are rounded by the browser, in two ways.
  assert.ok(most <= 1, `${most}`);
});

test("thermal frames in textures give the CPU's bytes, gain control and alignment included", async () => {
  const found = await page.evaluate(async () => {
    const out = {};
    const [width, height, w, h] = [64, 48, 40, 30];
    const visible = { data: opaque(width * height, 13, 4), width, height };
    for (const gain of ["plateau", "linear"]) {
      const [cpu, gpu] = await both({ gain });
      for (let n = 0; n < 6; n++) {
        const bytes = pattern(w * h * 2, 3 + n, n);
        const data = new Uint16Array(bytes.buffer).map((v) => 7000 + 400 * n + (v >> 7));
        const still = n === 4;
        const expected = (await cpu.fuse(visible, { data, width: w, height: h }, { still })).data;
        // A new texture, the same one anew, and words in memory, in turns.
        const source = n % 3 === 2 ? { data, width: w, height: h } : textureOf(device, "r16uint", data, w, h);
        out[`${gain} ${n}`] = off((await gpu.fuse(visible, source, { still })).data, expected);
      }
      const data = new Uint16Array(pattern(w * h * 2, 5, 9).buffer);
      const words = { data, width: w, height: h, bits: 14 };
      out[`${gain} 14`] = off((await gpu.fuse(visible, words)).data, (await cpu.fuse(visible, words)).data);
    }
    const [cpu, gpu] = await both();
    const grey = pattern(w * h, 7, 3);
    const expected = (await cpu.fuse(visible, { data: grey, width: w, height: h })).data;
    out.r8unorm = off((await gpu.fuse(visible, textureOf(device, "r8unorm", grey, w, h))).data, expected);
    return out;
  });
  assert.equal(Object.keys(found).length, 15);
  for (const [name, most] of Object.entries(found)) assert.equal(most, 0, `${name}: ${most}`);
});

test("a video is imported as the browser shows it, but for a rounding of its colours", async () => {
  const found = await page.evaluate(async () => {
    const [width, height] = [32, 24];
    const { Input } = await import("/dist/gpu-input.js");
    const { compile } = await import("/dist/gpu-program.js");
    const model = new Uint8Array(await (await fetch("/dist/ultralight.int8.fpx")).arrayBuffer());
    const compiler = await WebAssembly.compileStreaming(fetch("/dist/fusionproxy-gpu.wasm"));
    const size = { width, height };
    const [, { take }] = await compile(compiler, model, { visible: size, infrared: size }, "plateau", device);
    const input = new Input(device, "visible", size, take);
    const out = [];
    for (const standard of ["bt709", "smpte170m"]) {
      // What cameras and decoders give; the chroma, of which there is a quarter, changes from sample to sample, or not.
      for (const chroma of [20, 1]) {
        const data = new Uint8Array((width * height * 3) / 2).map((_, i) => (i < width * height ? 16 + ((i * 7) % 219) : 118 + (i % chroma)));
        const colorSpace = { primaries: standard, transfer: standard, matrix: standard, fullRange: false };
        const frame = new VideoFrame(data, { format: "I420", codedWidth: width, codedHeight: height, timestamp: 0, colorSpace });
        const context = new OffscreenCanvas(width, height).getContext("2d");
        context.drawImage(frame, 0, 0);
        const read = new Uint8Array(width * height * 4);
        await frame.copyTo(read, { format: "RGBA", colorSpace: "srgb" });
        const texture = device.createTexture({ size: [width, height], format: "rgba8unorm", usage: 1 | 2 | 4 | 8 });
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        const imported = input.encode(pass, { ...(await input.take(frame)), texture });
        pass.end();
        device.queue.submit([encoder.finish()]);
        const texels = await texelsOf(device, texture);
        const shown = off(texels, context.getImageData(0, 0, width, height).data);
        out.push({ standard, chroma, imported, shown, read: off(texels, read) });
      }
    }
    return out;
  });
  for (const one of found) {
    assert.ok(one.imported);
    assert.ok(one.shown <= (one.standard === "bt709" ? 1 : 2), JSON.stringify(one));
    // The CPU backend has the browser read the frame, which repeats chroma samples where the GPU interpolates them.
    if (one.chroma === 1) assert.ok(one.read <= 3, JSON.stringify(one));
  }
});

test("fuses two playing videos", async () => {
  const colours = await page.evaluate(async () => {
    const draw = (context) => {
      context.fillStyle = `hsl(${Math.random() * 360} 90% 50%)`;
      context.fillRect(Math.random() * 20, 0, 12, 24);
    };
    const [a, b] = [await playing(draw, 32, 24), await playing(draw, 32, 24)];
    const fusion = await Fusion.create({ backend: "webgpu", device });
    let last;
    for (let i = 0; i < 5; i++) last = await fusion.fuse(a.video, b.video);
    a.stop();
    b.stop();
    fusion.dispose();
    return [last.width, last.height, new Set(new Uint32Array(last.data.buffer)).size];
  });
  assert.deepEqual(colours.slice(0, 2), [32, 24]);
  assert.ok(colours[2] > 1, `${colours[2]} colours`);
});

test("the fused frame is drawn to a canvas and to textures", async () => {
  const found = await page.evaluate(async () => {
    const [width, height] = [50, 30];
    const visible = { data: opaque(width * height, 13, 4), width, height };
    const infrared = { data: pattern(width * height, 7, 3), width, height };
    const [cpu, gpu] = await both();
    const { data: expected } = await cpu.fuse(visible, infrared);
    const out = {};
    for (const format of ["rgba8unorm", "bgra8unorm"]) {
      const texture = device.createTexture({ size: [width, height], format, usage: 1 | 16 });
      const nothing = await gpu.fuse(visible, infrared, { into: texture });
      const texels = await texelsOf(device, texture);
      const rgba = format === "rgba8unorm" ? texels : texels.map((_, i) => texels[i % 4 === 3 ? i : i - (i % 4) + 2 - (i % 4)]);
      out[format] = [nothing, off(rgba, expected)];
    }
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("webgpu");
    context.configure({ device, format: navigator.gpu.getPreferredCanvasFormat() });
    await gpu.fuse(visible, infrared, { into: context });
    const read = new OffscreenCanvas(width, height).getContext("2d");
    read.drawImage(canvas, 0, 0);
    out.canvas = off(read.getImageData(0, 0, width, height).data, expected);
    // The same Fusion gives pixels again.
    out.after = off((await gpu.fuse(visible, infrared)).data, expected);
    return out;
  });
  assert.deepEqual(found, { rgba8unorm: [undefined, 0], bgra8unorm: [undefined, 0], canvas: 0, after: 0 });
});

test("textures that cannot be used are errors that say what to do, and the next frame works", async () => {
  const found = await page.evaluate(async () => {
    const size = [32, 24];
    const good = { data: pattern(32 * 24, 5, 1), width: 32, height: 24 };
    const [cpu, gpu] = await both();
    const expected = (await gpu.fuse(good, good)).data.join();
    const other = await (await navigator.gpu.requestAdapter()).requestDevice();
    const texture = (format, usage, from = device, more = {}) => from.createTexture({ size, format, usage, ...more });
    const destroyed = texture("rgba8unorm", 4);
    destroyed.destroy();
    const canvas = (config, side = 32) => {
      const context = new OffscreenCanvas(side, 24).getContext("webgpu");
      if (config) context.configure(config);
      return context;
    };
    const tainted = Object.assign(document.createElement("canvas"), { width: 32, height: 24 });
    const red = Object.assign(new Image(), { src: `${globalThis.other}/red.svg` });
    await red.decode();
    tainted.getContext("2d").drawImage(red, 0, 0);
    const closed = new VideoFrame(await createImageBitmap(new ImageData(32, 24)), { timestamp: 0 });
    closed.close();
    const format = "rgba8unorm";
    const errors = {
      cpuInput: await code(cpu.fuse(texture(format, 4), good)),
      cpuInfrared: await code(cpu.fuse(good, texture("r16uint", 4))),
      cpuOutput: await code(cpu.fuse(good, good, { into: texture(format, 16) })),
      cpuCanvas: await code(cpu.fuse(good, good, { into: canvas({ device, format }) })),
      format: await code(gpu.fuse(texture("r8unorm", 4), good)),
      infraredFormat: await code(gpu.fuse(good, texture("rgba16float", 4))),
      usage: await code(gpu.fuse(texture(format, 2), good)),
      samples: await code(gpu.fuse(texture(format, 4 | 16, device, { sampleCount: 4 }), good)),
      destroyed: await code(gpu.fuse(destroyed, good)),
      foreign: await code(gpu.fuse(texture(format, 4, other), good)),
      foreignOutput: await code(gpu.fuse(good, good, { into: texture(format, 16, other) })),
      intoUsage: await code(gpu.fuse(good, good, { into: texture(format, 4) })),
      intoFormat: await code(gpu.fuse(good, good, { into: texture("rgba16float", 16) })),
      intoSize: await code(gpu.fuse(good, good, { into: canvas({ device, format }, 16) })),
      canvas: await code(gpu.fuse(good, good, { into: canvas() })),
      foreignCanvas: await code(gpu.fuse(good, good, { into: canvas({ device: other, format }) })),
      tainted: await code(gpu.fuse(tainted, good)),
      taintedInfrared: await code(gpu.fuse(good, tainted)),
      taintedImage: await code(gpu.fuse(red, good)),
      closed: await code(gpu.fuse(closed, good)),
    };
    return { errors, same: (await gpu.fuse(good, good)).data.join() === expected, backend: gpu.info.backend };
  });
  const expected = {
    cpuInput: /^unsupported: backend "cpu".*"webgpu".*device/,
    cpuInfrared: /^unsupported: backend "cpu".*"webgpu"/,
    cpuOutput: /^unsupported: backend "cpu".*"webgpu"/,
    cpuCanvas: /^unsupported: backend "cpu".*"webgpu"/,
    format: /^input: visible: .*r8unorm: give rgba8unorm or bgra8unorm/,
    infraredFormat: /^input: infrared: .*r16uint/,
    usage: /^input: visible: .*TEXTURE_BINDING/,
    samples: /^input: visible: .*one sample/,
    destroyed: /^input: .*not destroyed/,
    foreign: /^input: .*`device`/,
    foreignOutput: /^input: .*`device`/,
    intoUsage: /^input: into: .*RENDER_ATTACHMENT/,
    intoFormat: /^input: into: .*rgba8unorm/,
    intoSize: /^input: into: is 16x24 px/,
    canvas: /^input: into: .*configure/,
    foreignCanvas: /^input: into: .*another device/,
    tainted: /^tainted: visible: .*CORS/,
    taintedInfrared: /^tainted: infrared: .*CORS/,
    taintedImage: /^tainted: .*CORS/,
    closed: /^input: .*closed/,
  };
  assert.deepEqual(Object.keys(found.errors), Object.keys(expected));
  for (const [name, text] of Object.entries(expected)) assert.match(found.errors[name], text, name);
  assert.ok(found.same);
  assert.equal(found.backend, "webgpu");
});

test("calls overlap without harm, and end with dispose", async () => {
  const found = await page.evaluate(async () => {
    const frame = (seed) => ({ data: pattern(32 * 24, 5, seed), width: 32, height: 24 });
    const fusion = await Fusion.create({ backend: "webgpu", device });
    const alone = [];
    for (let i = 0; i < 3; i++) alone.push((await fusion.fuse(frame(i), frame(9))).data.join());
    const together = await Promise.all([0, 1, 2].map((i) => fusion.fuse(frame(i), frame(9))));
    const waiting = code(fusion.fuse(frame(1), frame(2)));
    fusion.dispose();
    return [together.every((f, i) => f.data.join() === alone[i]), await waiting, await code(fusion.fuse(frame(1), frame(2)))];
  });
  assert.equal(found[0], true);
  assert.match(found[1], /^disposed/);
  assert.match(found[2], /^disposed/);
});

test("a create that fails leaves no device", async () => {
  const found = await page.evaluate(async () => {
    const { requestDevice } = GPUAdapter.prototype;
    const { destroy } = GPUDevice.prototype;
    const { fetch } = globalThis;
    const alive = new Set();
    GPUAdapter.prototype.requestDevice = async function (...args) {
      const device = await requestDevice.apply(this, args);
      alive.add(device);
      return device;
    };
    GPUDevice.prototype.destroy = function () {
      alive.delete(this);
      destroy.call(this);
    };
    // A server that answers every address with its page.
    const page = new Response("<!doctype html>", { headers: { "content-type": "text/html" } });
    globalThis.fetch = (file, ...rest) => (String(file).includes("-gpu") ? Promise.resolve(page.clone()) : fetch(file, ...rest));
    const out = { page: await code(Fusion.create({ backend: "webgpu" })) };
    globalThis.fetch = fetch;
    out.model = await code(Fusion.create({ backend: "webgpu", model: new Uint8Array(9) }));
    const large = { width: 20_000, height: 1 };
    out.size = await code(Fusion.create({ backend: "webgpu", sizes: { visible: large, infrared: large } }));
    out.left = alive.size;
    Object.assign(GPUAdapter.prototype, { requestDevice });
    Object.assign(GPUDevice.prototype, { destroy });
    return out;
  });
  assert.match(found.page, /^unsupported: .*fusionproxy-gpu\.wasm does not compile/);
  assert.match(found.model, /^model: /);
  assert.match(found.size, /^(model|size): /);
  assert.equal(found.left, 0);
});

test("where there is no GPU, or it is refused, it says so", async () => {
  const found = await page.evaluate(async () => {
    const { gpu } = navigator;
    const without = async (value) => {
      Object.defineProperty(navigator, "gpu", { value, configurable: true });
      const error = await code(Fusion.create({ backend: "webgpu" }));
      delete navigator.gpu;
      return error;
    };
    const giving = (adapter) => ({ requestAdapter: async () => adapter, wgslLanguageFeatures: gpu.wgslLanguageFeatures });
    const adapter = await gpu.requestAdapter();
    adapter.requestDevice = () => Promise.reject(new DOMException("not now", "OperationError"));
    return [await without(undefined), await without(giving(null)), await without(giving(adapter))];
  });
  assert.match(found[0], /^unsupported: .*cpu/);
  assert.match(found[1], /^device: .*cpu/);
  assert.match(found[2], /^device: the GPU was refused: not now: .*cpu/);
});
