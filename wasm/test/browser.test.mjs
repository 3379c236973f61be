// The package in Debian's Chromium (`apt-get install chromium`, or CHROMIUM=/path/to/chrome).
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { crc, opened, root } from "./page.mjs";

/** How often the model was asked for. */
let asked = 0;

/** What the server answers for a model whose file changes. */
let answer = "model";

let page;
let close;

before(async () => {
  const nano = () => readFileSync(`${root}../models/nano/nano.int8.fpx`);
  const model = (_, response) => {
    asked++;
    response.end(nano());
  };
  const changing = (request, response) => {
    if (answer === "nothing") return request.socket.destroy();
    if (answer === "page") return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>please log in");
    response.end(answer === "model" ? nano() : readFileSync(`${root}dist/ultralight.int8.fpx`));
  };
  // A module that begins, and then waits or breaks off.
  const begun = (end) => (request, response) => {
    const module = readFileSync(`${root}dist/fusionproxy.wasm`);
    response.writeHead(200, { "content-type": "application/wasm", "content-length": module.length });
    response.write(module.subarray(0, 20_000), () => end(request.socket));
  };
  ({ page, close } = await opened({
    "/counted.fpx": model,
    "/changing.fpx": changing,
    "/slow.wasm": begun(() => undefined),
    "/cut.wasm": begun((socket) => setTimeout(() => socket.destroy(), 100)),
    "/page.wasm": (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>"),
  }));
});

after(() => close?.());

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

test("RGBA and RGB of the same picture are fused alike, in the darkest and the brightest colours too", async () => {
  const off = await page.evaluate(async () => {
    const [width, height] = [64, 48];
    const rgba = opaque(width * height, 13, 4);
    const rgb = rgba.filter((_, i) => i % 4 !== 3);
    const fusion = await Fusion.create({ backend: "cpu" });
    const out = [];
    for (const level of [0, 1, 128, 254, 255]) {
      const infrared = { data: new Uint8Array(width * height).fill(level), width, height };
      const [a, b] = [await fusion.fuse({ data: rgba, width, height }, infrared), await fusion.fuse({ data: rgb, width, height }, infrared)];
      out.push(a.data.reduce((n, v, i) => n + (v !== b.data[i]), 0));
    }
    return out;
  });
  assert.deepEqual(off, [0, 0, 0, 0, 0]);
});

/** Has the page fuse until `auto` has measured. */
const measuring = () =>
  page.evaluate(() => {
    globalThis.square = (width, height) => ({ data: pattern(width * height, 5, 1), width, height });
    globalThis.measured = async (fusion, frame) => {
      const until = performance.now() + 60_000;
      while (!fusion.info?.reason.startsWith("measured") && performance.now() < until) {
        await fusion.fuse(frame, frame);
        await new Promise((r) => setTimeout(r));
      }
      return fusion.info;
    };
  });

test("auto measures, says so, goes on, and tells when it moves", async () => {
  await measuring();
  const found = await page.evaluate(async () => {
    const good = square(320, 240);
    const fusion = await Fusion.create();
    let changes = 0;
    fusion.addEventListener("backendchange", () => changes++);
    const first = await fusion.fuse(good, good);
    const begun = fusion.info;
    const info = await measured(fusion, good);
    const last = await fusion.fuse(good, good);
    fusion.dispose();
    return { begun, info, changes, same: first.data.join() === last.data.join() };
  });
  assert.equal(found.begun.backend, "cpu");
  assert.match(found.info.reason, /^measured at 320x240: cpu \d+\.\d ms, worker \d+\.\d ms/);
  assert.equal(found.changes, found.info.backend === "cpu" ? 0 : 1);
  assert.ok(found.same);
});

test("auto chooses by frames of one size, and no backend that is slower", async () => {
  await measuring();
  const found = await page.evaluate(async () => {
    // Workers that are late with every answer, and frames that change their size while they are measured.
    const Plain = globalThis.Worker;
    globalThis.Worker = class extends Plain {
      set onmessage(heard) {
        super.onmessage = (e) => setTimeout(heard, 200, e);
      }
    };
    const fusion = await Fusion.create();
    let changes = 0;
    fusion.addEventListener("backendchange", () => changes++);
    await fusion.fuse(square(320, 240), square(320, 240));
    await fusion.fuse(square(64, 64), square(64, 64));
    const info = await measured(fusion, square(160, 128));
    fusion.dispose();
    globalThis.Worker = Plain;
    return { info, changes };
  });
  assert.match(found.info.reason, /^measured at 160x128: cpu \d+\.\d ms, worker \d{3,}\.\d ms/);
  assert.equal(found.info.backend, "cpu");
  assert.equal(found.changes, 0);
});

test("the signal is create's alone", async () => {
  await measuring();
  const reason = await page.evaluate(async () => {
    // The GPU in software as one that is not: its module is loaded when it is measured.
    const software = Object.getOwnPropertyDescriptor(GPUAdapterInfo.prototype, "isFallbackAdapter");
    Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { ...software, get: () => false });
    const stop = new AbortController();
    const fusion = await Fusion.create({ signal: stop.signal, model: "/models/nano/nano.int8.fpx" });
    stop.abort();
    const { reason } = await measured(fusion, square(32, 24));
    fusion.dispose();
    Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", software);
    return reason;
  });
  assert.match(reason, /webgpu \d+\.\d ms/);
});

test("a module whose loading ends early, or that is none, says which", async () => {
  const found = await page.evaluate(async () => {
    const stop = new AbortController();
    const stopped = code(Fusion.create({ wasm: "/slow.wasm", signal: stop.signal }));
    setTimeout(() => stop.abort(), 300);
    return [await stopped, await code(Fusion.create({ wasm: "/cut.wasm" })), await code(Fusion.create({ wasm: "/page.wasm" }))];
  });
  assert.match(found[0], /^aborted: /);
  assert.match(found[1], /^network: \/cut\.wasm .*connection/);
  assert.match(found[2], /^unsupported: \/page\.wasm does not compile/);
});

test("a page in a model's place does harm once, and a new model is taken", async () => {
  const create = () =>
    page.evaluate(async () => {
      const sizes = { visible: { width: 64, height: 48 }, infrared: { width: 64, height: 48 } };
      try {
        return (await Fusion.create({ model: "/changing.fpx", backend: "cpu", sizes })).info.model;
      } catch (e) {
        return e.code;
      }
    });
  const seen = [];
  for (answer of ["page", "nothing", "model", "page", "nothing", "other", "nothing"]) seen.push(await create());
  assert.deepEqual(seen, ["model", "network", "nano", "model", "nano", "ultralight", "ultralight"]);
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
  assert.equal(asked, 2);
});

test("offline, a model that was kept is there, and what is not says so", async () => {
  const sizes = { visible: { width: 64, height: 48 }, infrared: { width: 64, height: 48 } };
  // The module is the browser's to keep; here it is given, as a page would that works offline.
  await page.evaluate(async (sizes) => {
    globalThis.wasm = await WebAssembly.compileStreaming(fetch("/dist/fusionproxy.wasm"));
    (await Fusion.create({ model: "/models/nano/nano.int8.fpx", sizes, wasm })).dispose();
  }, sizes);
  await page.context().setOffline(true);
  const found = await page.evaluate(async (sizes) => {
    const kept = await Fusion.create({ model: "/models/nano/nano.int8.fpx", sizes, wasm });
    return [kept.info.model, await code(Fusion.create({ model: "/models/ultralight/ultralight.int8.fpx", wasm }))];
  }, sizes);
  await page.context().setOffline(false);
  assert.equal(found[0], "nano");
  assert.match(found[1], /^network: .*ultralight.*connection/);
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

test("takes every kind of source, and all of them alike", async () => {
  const results = await page.evaluate(async () => {
    const { drawables } = await import("/test/sources.mjs");
    const [width, height] = [64, 48];
    const sources = await drawables(opaque(width * height, 11, 5), width, height);
    const out = {};
    for (const backend of ["cpu", "worker"]) {
      const fusion = await Fusion.create({ backend });
      for (const [name, source] of Object.entries(sources)) {
        out[`${backend} ${name}`] = (await fusion.fuse(source, source)).data.join();
      }
      fusion.dispose();
    }
    return out;
  });
  assert.equal(Object.keys(results).length, 14);
  for (const [name, data] of Object.entries(results)) assert.equal(data, results["cpu ImageData"], name);
});

test("frames that are shown rotated or mirrored are fused so", async () => {
  const found = await page.evaluate(async () => {
    const [width, height] = [64, 48];
    const data = opaque(width * height, 11, 5);
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
    const source = await createImageBitmap(context.canvas);
    const infrared = { data: data.slice(0, width * height), width, height };
    const gpu = await (await navigator.gpu.requestAdapter()).requestDevice();
    const out = {};
    for (const options of [{ backend: "cpu" }, { backend: "worker" }, { backend: "webgpu", device: gpu }]) {
      const fusion = await Fusion.create(options);
      for (const shown of [{ rotation: 180 }, { flip: true }]) {
        const frame = new VideoFrame(source, { timestamp: 0, ...shown });
        context.drawImage(frame, 0, 0);
        const drawn = context.getImageData(0, 0, width, height);
        const [a, b] = [(await fusion.fuse(frame, infrared)).data, (await fusion.fuse(drawn, infrared)).data];
        const turned = drawn.data.join() !== data.join();
        out[`${options.backend} ${JSON.stringify(shown)}`] = [turned, a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), 0)];
        frame.close();
      }
      fusion.dispose();
    }
    return out;
  });
  for (const [name, [turned, off]] of Object.entries(found)) assert.ok(turned && off === 0, `${name}: ${turned} ${off}`);
});

test("takes a playing video", async () => {
  const size = await page.evaluate(async () => {
    const { playing } = await import("/test/sources.mjs");
    const { video, stop } = await playing((context) => context.fillRect(0, 0, 64, Math.random() * 48), 64, 48);
    const out = await (await Fusion.create()).fuse(video, video);
    stop();
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
