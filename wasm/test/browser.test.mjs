// The package in Debian's Chromium (`apt-get install chromium`, or CHROMIUM=/path/to/chrome).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("..", import.meta.url));
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

/** Serves the package's folder; without `cors`, its pictures taint canvases of other origins. */
function serve() {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
    if (path === "/") return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>");
    if (path === "/red.svg") {
      const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><rect width="64" height="48" fill="red"/></svg>';
      return response.writeHead(200, { "content-type": "image/svg+xml" }).end(svg);
    }
    try {
      const body = await readFile(join(root, path));
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

let browser;
let page;
let servers;

before(async () => {
  servers = [await serve(), await serve()];
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-quic", "--disable-gpu", "--disable-background-networking"],
  });
  page = await browser.newPage();
  page.on("pageerror", (e) => assert.fail(`in the page: ${e}`));
  const [here, other] = servers.map((s) => `http://127.0.0.1:${s.address().port}`);
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
