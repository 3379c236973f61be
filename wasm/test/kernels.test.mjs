// The SIMD kernels against the scalar ones, over random shapes, strides and extremes, as this engine compiles them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { opened, root } from "./page.mjs";

/** The program of the kernels' differential test, for these features. */
function program(features) {
  const folder = join(process.env.CARGO_TARGET_DIR ?? join(root, "../target"), "web", `test${features.replaceAll(/[+,]+/g, "-")}`);
  const cargo = ["test", "--no-run", "--release", "--package", "fusionproxy-kernels", "--test", "differential"];
  const options = ["--target", "wasm32-wasip1", "--target-dir", folder, "--message-format", "json"];
  const messages = execFileSync("cargo", [...cargo, ...options], {
    cwd: join(root, ".."),
    env: { ...process.env, RUSTFLAGS: `-C target-feature=${features}` },
    encoding: "utf8",
    maxBuffer: 1 << 26,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const built = messages.trim().split("\n").map((line) => JSON.parse(line));
  return built.findLast(({ executable }) => executable).executable;
}

let page;
let close;

before(async () => {
  const served = (features) => {
    const bytes = readFileSync(program(features));
    return (_, response) => response.writeHead(200, { "content-type": "application/wasm" }).end(bytes);
  };
  const files = { "/simd.wasm": served("+simd128"), "/relaxed.wasm": served("+simd128,+relaxed-simd") };
  ({ page, close } = await opened(files));
});

after(() => close?.());

/** Runs a test program in the page, and asserts that it ends well and did what it is for. */
async function passes(url) {
  const { status, text } = await page.evaluate(async (url) => {
    const { ConsoleStdout, File, OpenFile, WASI } = await import("/node_modules/@bjorn3/browser_wasi_shim/dist/index.js");
    const lines = [];
    const out = ConsoleStdout.lineBuffered((line) => lines.push(line));
    const wasi = new WASI(["differential", "--test-threads=1"], [], [new OpenFile(new File([])), out, out]);
    const { instance } = await WebAssembly.instantiateStreaming(fetch(url), { wasi_snapshot_preview1: wasi.wasiImport });
    return { status: wasi.start(instance), text: lines.join("\n") };
  }, url);
  assert.equal(status, 0, text);
  assert.match(text, /every_backend_agrees_with_the_scalar_kernels \.\.\. ok/);
}

test("plain SIMD kernels give the bytes of the scalar ones", () => passes("/simd.wasm"));

test("relaxed SIMD kernels give the bytes of the scalar ones where they are chosen", async (t) => {
  const exact = await page.evaluate(async () => (await import("/dist/simd.js")).hasExactDots());
  if (!exact) return t.skip("SKIPPED: this engine's relaxed dot product is not exact on this CPU, so it is never chosen");
  await passes("/relaxed.wasm");
});
