// The package in Node.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { crc32 } from "node:zlib";

import { Fusion, FusionError } from "fusionproxy";

import { frames, opaque, pattern } from "./pattern.mjs";

const golden = readFileSync(new URL("golden.txt", import.meta.url), "utf8").trim().split("\n");
const rejects = (promise, code, text) =>
  assert.rejects(promise, (e) => {
    assert.ok(e instanceof FusionError, String(e));
    assert.equal(e.code, code, e.message);
    assert.match(e.message, text);
    return true;
  });
const grey = (width, height) => ({ data: pattern(width * height, 7, 3), width, height });

test("gives the bytes of the scalar kernels", async () => {
  for (const line of golden) {
    const fusion = await Fusion.create();
    const out = await fusion.fuse(...frames(line));
    assert.equal(crc32(out.data).toString(16).padStart(8, "0"), line.split(" ").at(-1), line);
    fusion.dispose();
  }
});

test("takes RGBA, RGB and luma; 8, 14 and 16 bits", async () => {
  const fusion = await Fusion.create();
  for (const channels of [1, 3, 4]) {
    const visible = { data: pattern(64 * 48 * channels, 5, 9), width: 64, height: 48 };
    const out = await fusion.fuse(visible, grey(32, 24));
    assert.deepEqual([out.width, out.height, out.data.length], [64, 48, 64 * 48 * 4]);
    assert.ok(out.data.every((v, i) => i % 4 !== 3 || v === 255));
  }
  const words = Uint16Array.from(pattern(32 * 24, 3, 4), (v) => 7000 + v);
  const visible = grey(64, 48);
  const sixteen = await fusion.fuse(visible, { data: words, width: 32, height: 24 }, { still: true });
  const high = { data: words.map((v) => v | 0xc000), width: 32, height: 24, bits: 14 };
  const fourteen = await fusion.fuse(visible, high, { still: true });
  assert.deepEqual(fourteen.data, sixteen.data);
});

test("RGBA and RGB of the same picture are fused alike, in the darkest and the brightest colours too", async () => {
  const [width, height] = [64, 48];
  const rgba = opaque(width * height, 13, 4);
  const visible = { data: rgba, width, height };
  const three = { data: rgba.filter((_, i) => i % 4 !== 3), width, height };
  const fusion = await Fusion.create();
  for (const level of [0, 1, 128, 254, 255]) {
    const infrared = { data: new Uint8Array(width * height).fill(level), width, height };
    const [four, rgb] = [await fusion.fuse(visible, infrared), await fusion.fuse(three, infrared)];
    assert.deepEqual(four.data, rgb.data, `infrared ${level}`);
  }
});

test("says what runs", async () => {
  const sizes = { visible: { width: 64, height: 48 }, infrared: { width: 64, height: 48 } };
  const fusion = await Fusion.create({ sizes });
  const { backend, kernels, model, precision, parameters, memoryBytes } = fusion.info;
  assert.deepEqual([backend, kernels, model, precision], ["cpu", "wasm32-simd128", "ultralight", "int8"]);
  assert.ok(parameters > 20_000 && memoryBytes > 0);
});

test("calls queue, and write where they are told to", async () => {
  const fusion = await Fusion.create();
  const pairs = [1, 2, 3].map((seed) => [{ data: pattern(64 * 48, 5, seed), width: 64, height: 48 }, grey(64, 48)]);
  const alone = [];
  for (const pair of pairs) alone.push((await fusion.fuse(...pair)).data);
  const into = new Uint8ClampedArray(64 * 48 * 4);
  const together = await Promise.all(pairs.map((pair, i) => fusion.fuse(...pair, i === 2 ? { into } : {})));
  together.forEach((out, i) => assert.deepEqual(out.data, alone[i]));
  assert.equal(together[2].data, into);
});

test("bad frames are errors that name the remedy, and the next frame works", async () => {
  const fusion = await Fusion.create();
  const good = grey(64, 48);
  const detached = grey(64, 48);
  structuredClone(detached.data.buffer, { transfer: [detached.data.buffer] });
  await rejects(fusion.fuse({ ...good, width: 0 }, good), "input", /visible: is 0x48 px/);
  await rejects(fusion.fuse({ ...good, width: 63 }, good), "input", /3072 elements/);
  await rejects(fusion.fuse(good, detached), "input", /infrared: data is empty.*detached/);
  await rejects(fusion.fuse(null, good), "input", /visible: is not a frame/);
  await rejects(fusion.fuse("street.jpg", good), "input", /give ImageData/);
  await rejects(fusion.fuse(good, { data: new Float32Array(64 * 48), width: 64, height: 48 }), "input", /Uint16Array/);
  await rejects(fusion.fuse({ data: new Uint8Array(20_000), width: 20_000, height: 1 }, good), "size", /16383/);
  // Nothing is allocated for what does not fit.
  await rejects(fusion.fuse({ data: new Uint8Array(4), width: 2 ** 24, height: 2 ** 24 }, good), "input", /visible: data has 4 elements/);
  const before = process.memoryUsage().arrayBuffers;
  await rejects(fusion.fuse({ data: new Uint8Array(4), width: 16_000, height: 16_000 }, good), "input", /visible: data has 4 elements/);
  assert.ok(process.memoryUsage().arrayBuffers - before < 100_000_000);
  await rejects(fusion.fuse(good, good, { into: new Uint8ClampedArray(3) }), "input", /into/);
  await rejects(fusion.fuse(good, good, { signal: AbortSignal.abort() }), "aborted", /abort/);
  assert.equal((await fusion.fuse(good, good)).width, 64);
});

test("bad models and options are errors", async () => {
  const bytes = readFileSync(new URL("../dist/ultralight.int8.fpx", import.meta.url));
  const fp16 = readFileSync(new URL("../../models/ultralight/ultralight.fp16.fpx", import.meta.url));
  const changed = Uint8Array.from(bytes);
  changed[changed.length >> 1] ^= 1;
  await rejects(Fusion.create({ model: bytes.subarray(0, 1000) }), "model", /./);
  await rejects(Fusion.create({ model: new Uint8Array() }), "model", /./);
  await rejects(Fusion.create({ model: changed }), "model", /checksum|CRC/i);
  await rejects(Fusion.create({ model: fp16, wasm: readFileSync(new URL("../dist/fusionproxy.wasm", import.meta.url)) }), "unsupported", /fusionproxy-full/);
  await rejects(Fusion.create({ model: 7 }), "input", /\.fpx/);
  await rejects(Fusion.create({ workers: 0 }), "input", /1 to 16/);
  await rejects(Fusion.create({ model: "no/such/file.fpx" }), "network", /no\/such\/file.fpx/);
  await rejects(Fusion.create({ backend: "webgpu" }), "unsupported", /cpu/);
  await rejects(Fusion.create({ gain: "loud" }), "input", /plateau/);
  await rejects(Fusion.create({ signal: AbortSignal.abort() }), "aborted", /abort/);
  await rejects(Fusion.create({ wasm: new Uint8Array([1, 2, 3]) }), "unsupported", /compile/);
});

test("half-precision models run in the full module", async () => {
  const model = new URL("../../models/ultralight/ultralight.fp16.fpx", import.meta.url);
  const [fusion, eight] = [await Fusion.create({ model }), await Fusion.create()];
  const out = await fusion.fuse(grey(64, 48), grey(64, 48));
  assert.equal(fusion.info.precision, "fp16");
  const { data } = await eight.fuse(grey(64, 48), grey(64, 48));
  const off = out.data.reduce((sum, v, i) => sum + Math.abs(v - data[i]), 0) / data.length;
  assert.ok(off < 8, `${off} steps from the 8-bit model on average`);
});

test("after dispose there is nothing", async () => {
  const fusion = await Fusion.create();
  const waiting = fusion.fuse(grey(64, 48), grey(64, 48));
  fusion.dispose();
  await rejects(waiting, "disposed", /create another/);
  await rejects(fusion.fuse(grey(64, 48), grey(64, 48)), "disposed", /create another/);
});

test("memory does not grow with frames", async () => {
  const wasm = readFileSync(new URL("../dist/fusionproxy.wasm", import.meta.url));
  const model = readFileSync(new URL("../dist/ultralight.int8.fpx", import.meta.url));
  const { exports: m } = (await WebAssembly.instantiate(wasm)).instance;
  const at = m.fp_model(model.length);
  new Uint8Array(m.memory.buffer, at, model.length).set(model);
  assert.equal(m.fp_create(64, 48, 32, 24, 0, 0, 1), 0);
  const { buffer } = m.memory;
  for (let i = 0; i < 1000; i++) assert.equal(m.fp_fuse(i % 3, i % 4, i % 2), 0);
  // A memory that grows detaches its buffer.
  assert.equal(m.memory.buffer, buffer);
});

test("a frame leaves no pixels behind, and little else", () => {
  // A process of its own, whose young generation is so large that nothing is collected while it measures.
  const script = `
    import { Fusion } from "fusionproxy";
    const visible = { data: new Uint8Array(64 * 48 * 4), width: 64, height: 48 };
    const infrared = { data: new Uint16Array(32 * 24), width: 32, height: 24 };
    const into = new Uint8ClampedArray(64 * 48 * 4);
    const fusion = await Fusion.create();
    for (let i = 0; i < 50; i++) await fusion.fuse(visible, infrared, { into });
    gc();
    const used = () => { const m = process.memoryUsage(); return m.heapUsed + m.external; };
    const before = used();
    for (let i = 0; i < 1000; i++) await fusion.fuse(visible, infrared, { into });
    console.log((used() - before) / 1000);
  `;
  const flags = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64", "--input-type=module", "-e", script];
  const perFrame = Number(execFileSync(process.execPath, flags, { cwd: new URL("..", import.meta.url), encoding: "utf8" }));
  assert.ok(perFrame < 4096, `${perFrame} bytes a frame`);
});
