// The package in Debian's Chromium (`apt-get install chromium`, or CHROMIUM=/path/to/chrome).
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { launch } from "../scripts/browser.mjs";
import { serve } from "../scripts/serve.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><rect width="64" height="48" fill="red"/></svg>';

/** How often each path was asked for. */
const asked = new Map();

/** The package's folder; without CORS, its pictures taint canvases of other origins. */
const site = () =>
  serve({
    folders: { "/models/": `${root}../models`, "/": root },
    pages: {
      "/": (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>"),
      "/red.svg": (_, response) => response.writeHead(200, { "content-type": "image/svg+xml" }).end(svg),
      "/counted.fpx": (_, response) => {
        asked.set("counted", (asked.get("counted") ?? 0) + 1);
        response.end(readFileSync(`${root}../models/nano/nano.int8.fpx`));
      },
    },
  });

let browser;
let page;
let servers;

before(async () => {
  servers = [await site(), await site()];
  browser = await launch();
  page = await browser.newPage();
  page.on("pageerror", (e) => assert.fail(`in the page: ${e}`));
  const [here, other] = servers.map((s) => s.url);
  await page.goto(here);
  await page.evaluate(async (other) => {
    const [{ Fusion, FusionError }, { frames, pattern }] = await Promise.all([
      import("/dist/index.js"),
      import("/test/pattern.mjs"),
    ]);
    const code = (promise) =>
      promise.then(
        () => "no error",
        (e) => (e instanceof FusionError ? `${e.code}: ${e.message}` : `not ours: ${e}`),
      );
    Object.assign(globalThis, { Fusion, frames, pattern, code, other });
  }, other);
});

after(async () => {
  await browser?.close();
  for (const server of servers ?? []) server.close();
});

const crc = (bytes) => {
  let c = ~0;
  for (const b of bytes) {
    c ^= b;
    for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (0xedb88320 & -(c & 1));
  }
  return (~c >>> 0).toString(16).padStart(8, "0");
};

test("gives the bytes of the scalar kernels", async () => {
  const golden = readFileSync(new URL("golden.txt", import.meta.url), "utf8").trim().split("\n");
  for (const line of golden) {
    const bytes = await page.evaluate(async (line) => {
      const fusion = await Fusion.create();
      return Array.from((await fusion.fuse(...frames(line))).data);
    }, line);
    assert.equal(crc(bytes), line.split(" ").at(-1), line);
  }
});

test("every entry and every backend gives the same bytes", async () => {
  const golden = readFileSync(new URL("golden.txt", import.meta.url), "utf8").trim().split("\n");
  const ways = [
    ["/dist/only-cpu.js", {}],
    ["/dist/inline.js", {}],
    ["/dist/only-cpu.js", { wasm: "/dist/fusionproxy.wasm" }],
    ["/dist/only-cpu.js", { wasm: "/dist/fusionproxy-full.wasm" }],
    ["/dist/worker.js", { workers: 1 }],
    ["/dist/worker.js", { workers: 2 }],
    ["/dist/index.js", { backend: "worker", workers: 3 }],
  ];
  for (const [entry, options] of ways) {
    for (const line of golden) {
      const { bytes, info } = await page.evaluate(
        async ({ entry, options, line }) => {
          const { Fusion } = await import(entry);
          const fusion = await Fusion.create(options);
          // Twice, because buffers come back; 16-bit video would be followed.
          await fusion.fuse(...frames(line), { still: true });
          fusion.dispose();
          const again = await Fusion.create(options);
          const bytes = Array.from((await again.fuse(...frames(line))).data);
          const { info } = again;
          again.dispose();
          return { bytes, info };
        },
        { entry, options, line },
      );
      assert.equal(crc(bytes), line.split(" ").at(-1), `${entry} ${JSON.stringify(options)} ${line}`);
      assert.equal(info.threads, options.workers ?? 1);
    }
  }
});

test("chooses relaxed SIMD where it is exact", async () => {
  const kernels = await page.evaluate(async () => {
    const sizes = { visible: { width: 64, height: 48 }, infrared: { width: 64, height: 48 } };
    const { hasExactDots } = await import("/dist/simd.js");
    const { info } = await Fusion.create({ sizes, backend: "cpu" });
    return [hasExactDots(), info.kernels];
  });
  assert.equal(kernels[1], kernels[0] ? "wasm32-relaxed-simd" : "wasm32-simd128");
});

test("auto measures, says so, and goes on", async () => {
  const found = await page.evaluate(async () => {
    const good = { data: pattern(320 * 240, 5, 1), width: 320, height: 240 };
    const fusion = await Fusion.create();
    const changed = new Promise((r) => fusion.addEventListener("backendchange", r, { once: true }));
    const first = await fusion.fuse(good, good);
    const begun = fusion.info;
    for (let done = false; !done; ) {
      changed.then(() => (done = true));
      await fusion.fuse(good, good);
      await new Promise((r) => setTimeout(r));
    }
    const last = await fusion.fuse(good, good);
    const { info } = fusion;
    fusion.dispose();
    return { begun, info, same: first.data.join() === last.data.join() };
  });
  assert.equal(found.begun.backend, "cpu");
  assert.match(found.info.reason, /^measured at 320x240: cpu .* ms, worker .* ms/);
  assert.ok(found.same);
});

test("models come by address, with progress, integrity and a cache", async () => {
  const hash = createHash("sha256").update(readFileSync(`${root}../models/nano/nano.int8.fpx`)).digest("base64");
  const found = await page.evaluate(async (hash) => {
    const seen = [];
    const model = "/counted.fpx";
    const onProgress = (p) => seen.push(p.loaded);
    const integrity = `sha256-${hash}`;
    const sizes = { visible: { width: 64, height: 48 }, infrared: { width: 64, height: 48 } };
    const fusion = await Fusion.create({ model, onProgress, integrity, sizes });
    const wrong = `sha256-${"A".repeat(43)}=`;
    return {
      model: fusion.info.model,
      seen,
      again: await code(Fusion.create({ model, integrity })),
      wrong: await code(Fusion.create({ model, integrity: wrong })),
      bad: await code(Fusion.create({ model, integrity: "md5-x" })),
    };
  }, hash);
  assert.equal(found.model, "nano");
  assert.ok(found.seen.length > 0 && found.seen.at(-1) > 30_000);
  assert.equal(found.again, "no error");
  assert.match(found.wrong, /^model: .*integrity/);
  assert.match(found.bad, /^input: .*sha256/);
  // The first load, and the one after the wrong hash had thrown the kept file out.
  assert.equal(asked.get("counted"), 2);
});

test("calls overlap without harm, and can be called off", async () => {
  const found = await page.evaluate(async () => {
    const frame = (seed) => ({ data: pattern(64 * 48, 5, seed), width: 64, height: 48 });
    const out = {};
    for (const backend of ["cpu", "worker"]) {
      const fusion = await Fusion.create({ backend });
      const alone = [];
      for (let i = 0; i < 4; i++) alone.push((await fusion.fuse(frame(i), frame(9))).data.join());
      const stop = new AbortController();
      const together = [0, 1, 2, 3].map((i) => fusion.fuse(frame(i), frame(9)));
      const dropped = code(fusion.fuse(frame(5), frame(9), { signal: stop.signal }));
      stop.abort();
      const equal = (await Promise.all(together)).every((f, i) => f.data.join() === alone[i]);
      const waiting = code(fusion.fuse(frame(1), frame(2)));
      fusion.dispose();
      out[backend] = [equal, await dropped, await waiting, await code(fusion.fuse(frame(1), frame(2)))];
    }
    return out;
  });
  for (const [equal, dropped, waiting, later] of Object.values(found)) {
    assert.ok(equal);
    assert.match(dropped, /^aborted/);
    assert.match(waiting, /^disposed/);
    assert.match(later, /^disposed/);
  }
});

test("without WebAssembly, or without its SIMD, it says what to do", async () => {
  const found = await page.evaluate(async () => {
    const { validate } = WebAssembly;
    WebAssembly.validate = () => false;
    const simd = await code(Fusion.create());
    WebAssembly.validate = validate;
    const all = globalThis.WebAssembly;
    delete globalThis.WebAssembly;
    const none = await code(Fusion.create());
    globalThis.WebAssembly = all;
    return { simd, none };
  });
  assert.match(found.simd, /^unsupported: .*Chrome 91/);
  assert.match(found.none, /^unsupported: .*allow it/);
});

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

test("on the caller's device, frames make no objects; a lost device is replaced by the CPU, once", async () => {
  const found = await page.evaluate(async () => {
    const device = await (await navigator.gpu.requestAdapter()).requestDevice();
    let made = 0;
    for (const name of ["createBuffer", "createTexture", "createBindGroup", "createShaderModule", "createComputePipelineAsync"]) {
      const make = device[name].bind(device);
      device[name] = (...args) => (made++, make(...args));
    }
    const frame = { data: pattern(32 * 24, 5, 1), width: 32, height: 24 };
    const into = new Uint8ClampedArray(32 * 24 * 4);
    const fusion = await Fusion.create({ backend: "webgpu", device });
    const first = (await fusion.fuse(frame, frame)).data.join();
    const before = made;
    for (let i = 0; i < 100; i++) await fusion.fuse(frame, frame, { into });
    const per = made - before;
    let changes = 0;
    fusion.addEventListener("backendchange", () => changes++);
    const during = fusion.fuse(frame, frame, { into });
    device.destroy();
    const lost = await code(during);
    await new Promise((r) => setTimeout(r, 50));
    const later = (await fusion.fuse(frame, frame)).data.join();
    return { before, per, lost, changes, same: later === first, info: fusion.info };
  });
  assert.ok(found.before > 30);
  assert.equal(found.per, 0);
  assert.match(found.lost, /^(no error|device: )/);
  assert.equal(found.changes, 1);
  assert.ok(found.same);
  assert.equal(found.info.backend, "cpu");
  assert.match(found.info.reason, /webgpu was lost/);
});

test("where there is no GPU it says so", async () => {
  const found = await page.evaluate(async () => {
    const { gpu } = navigator;
    const without = async (value) => {
      Object.defineProperty(navigator, "gpu", { value, configurable: true });
      const error = await code(Fusion.create({ backend: "webgpu" }));
      delete navigator.gpu;
      return error;
    };
    return [await without(undefined), await without({ requestAdapter: async () => null, wgslLanguageFeatures: gpu.wgslLanguageFeatures })];
  });
  assert.match(found[0], /^unsupported: .*cpu/);
  assert.match(found[1], /^device: .*cpu/);
});

test("takes every kind of source, and all of them alike", async () => {
  const results = await page.evaluate(async () => {
    const [width, height] = [64, 48];
    const data = new Uint8ClampedArray(pattern(width * height * 4, 11, 5).map((v, i) => (i % 4 === 3 ? 255 : v)));
    const image = new ImageData(data, width, height);
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(image, 0, 0);
    const offscreen = new OffscreenCanvas(width, height);
    offscreen.getContext("2d").putImageData(image, 0, 0);
    const element = new Image();
    element.src = canvas.toDataURL("image/png");
    await element.decode();
    const sources = {
      ImageData: image,
      Pixels: { data: new Uint8Array(data), width, height },
      ImageBitmap: await createImageBitmap(image),
      HTMLCanvasElement: canvas,
      OffscreenCanvas: offscreen,
      HTMLImageElement: element,
      VideoFrame: new VideoFrame(canvas, { timestamp: 0 }),
    };
    const fusion = await Fusion.create();
    const out = {};
    for (const [name, source] of Object.entries(sources)) out[name] = (await fusion.fuse(source, source)).data.join();
    return out;
  });
  for (const [name, data] of Object.entries(results)) assert.equal(data, results.ImageData, name);
});

test("takes a playing video", async () => {
  const size = await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
    const context = canvas.getContext("2d");
    const video = Object.assign(document.createElement("video"), { muted: true, srcObject: canvas.captureStream() });
    const draw = setInterval(() => context.fillRect(0, 0, 64, Math.random() * 48), 20);
    await Promise.all([video.play(), new Promise((r) => video.addEventListener("loadeddata", r, { once: true }))]);
    const out = await (await Fusion.create()).fuse(video, video);
    clearInterval(draw);
    return [out.width, out.height];
  });
  assert.deepEqual(size, [64, 48]);
});

test("gives bitmaps and ImageData", async () => {
  const found = await page.evaluate(async () => {
    const frame = { data: pattern(64 * 48, 5, 1), width: 64, height: 48 };
    const out = await (await Fusion.create()).fuse(frame, frame);
    const canvas = new OffscreenCanvas(64, 48);
    const context = canvas.getContext("2d");
    context.drawImage(out.bitmap, 0, 0);
    const drawn = context.getImageData(0, 0, 64, 48).data.join();
    return [drawn === out.data.join(), out.imageData.width];
  });
  assert.deepEqual(found, [true, 64]);
});

test("bad frames and models are errors that say what to do", async () => {
  const found = await page.evaluate(async () => {
    const good = { data: pattern(64 * 48, 5, 1), width: 64, height: 48 };
    const fusion = await Fusion.create();
    const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
    const red = Object.assign(new Image(), { src: `${other}/red.svg` });
    await red.decode();
    canvas.getContext("2d").drawImage(red, 0, 0);
    const bitmap = await createImageBitmap(new ImageData(8, 8));
    bitmap.close();
    const closed = new VideoFrame(await createImageBitmap(new ImageData(8, 8)), { timestamp: 0 });
    closed.close();
    const errors = {
      tainted: await code(fusion.fuse(canvas, good)),
      taintedImage: await code(fusion.fuse(red, good)),
      bitmap: await code(fusion.fuse(bitmap, good)),
      closed: await code(fusion.fuse(closed, good)),
      empty: await code(fusion.fuse(Object.assign(document.createElement("canvas"), { width: 0 }), good)),
      video: await code(fusion.fuse(good, document.createElement("video"))),
      image: await code(fusion.fuse(new Image(), good)),
      missing: await code(Fusion.create({ model: "/no.fpx" })),
      notModel: await code(Fusion.create({ model: "/package.json" })),
      offline: await code(Fusion.create({ model: "http://127.0.0.1:1/x.fpx" })),
    };
    const after = (await fusion.fuse(good, good)).width;
    return { errors, after };
  });
  assert.match(found.errors.tainted, /^tainted: .*CORS/);
  assert.match(found.errors.taintedImage, /^tainted: .*CORS/);
  assert.match(found.errors.bitmap, /^input: .*closed/);
  assert.match(found.errors.closed, /^input: .*closed/);
  assert.match(found.errors.empty, /^input: .*0x/);
  assert.match(found.errors.video, /^input: .*loadeddata/);
  assert.match(found.errors.image, /^input: .*decode/);
  assert.match(found.errors.missing, /^network: .*404/);
  assert.match(found.errors.notModel, /^model: /);
  assert.match(found.errors.offline, /^network: /);
  assert.equal(found.after, 64);
});
