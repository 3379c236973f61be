// The packed tarball in fresh applications: bundled by Vite and by webpack, without a bundler, and in Node.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "vite";

import { launch } from "../scripts/browser.mjs";
import { serve } from "../scripts/serve.mjs";

const here = fileURLToPath(new URL("..", import.meta.url));
const webpack = createRequire(import.meta.url)("webpack");
const SIZE = "{ width: 64, height: 48 }";

/** An application: fuses one pair on each backend and says how it went. */
const APP = `
  import { Fusion } from "fusionproxy";
  const visible = { data: new Uint8Array(64 * 48 * 4).fill(90), ...${SIZE} };
  const infrared = { data: new Uint8Array(64 * 48).map((_, i) => i), ...${SIZE} };
  const said = [];
  for (const backend of ["cpu", "worker", "webgpu"]) {
    const fusion = await Fusion.create({ backend });
    const out = await fusion.fuse(visible, infrared);
    said.push(fusion.info.backend + " " + out.data.reduce((a, b) => a + b));
    fusion.dispose();
  }
  document.title = said.join(", ");
`;

let folder;
let browser;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "fusionproxy-app-"));
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--pack-destination", folder], { cwd: here, encoding: "utf8" }));
  mkdirSync(join(folder, "node_modules/fusionproxy"), { recursive: true });
  execFileSync("tar", ["xf", join(folder, filename), "-C", join(folder, "node_modules/fusionproxy"), "--strip-components=1"]);
  writeFileSync(join(folder, "package.json"), '{ "name": "app", "type": "module" }');
  writeFileSync(join(folder, "main.js"), APP);
  writeFileSync(join(folder, "index.html"), '<!doctype html><script type="module" src="./main.js"></script>');
  browser = await launch();
});

after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Opens an application and gives what it said. */
async function opened(root) {
  const server = await serve({ folders: { "/": root } });
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (e) => errors.push(String(e)));
  await page.goto(server.url);
  await page.waitForFunction(() => document.title !== "", undefined, { timeout: 60_000 }).catch(() => assert.fail(errors.join("\n") || "it says nothing"));
  const title = await page.title();
  await page.close();
  server.close();
  return title;
}

let expected;
const agrees = (title) => {
  const sums = title.split(", ").map((said) => said.split(" "));
  assert.deepEqual(sums.map(([backend]) => backend), ["cpu", "worker", "webgpu"]);
  assert.equal(new Set(sums.map(([, sum]) => sum)).size, 1, title);
  assert.equal(title, (expected ??= title));
};

test("without a bundler", async () => {
  const plain = join(folder, "plain");
  mkdirSync(plain);
  const map = '<script type="importmap">{ "imports": { "fusionproxy": "/fusionproxy/dist/index.js" } }</script>';
  writeFileSync(join(plain, "index.html"), `<!doctype html>${map}<script type="module">${APP}</script>`);
  execFileSync("cp", ["-r", join(folder, "node_modules/fusionproxy"), plain]);
  agrees(await opened(plain));
});

test("bundled by Vite, without configuration", async () => {
  await build({ root: folder, logLevel: "error", configFile: false, build: { outDir: "vite", target: "es2022" } });
  agrees(await opened(join(folder, "vite")));
});

test("bundled by webpack, without configuration but for top-level await's target", async () => {
  const path = join(folder, "webpack");
  const config = { mode: "production", context: folder, entry: "./main.js", output: { path, filename: "main.js", publicPath: "auto" }, performance: { hints: false } };
  await new Promise((done, fail) => webpack(config, (e, stats) => (e || stats.hasErrors() ? fail(e ?? new Error(stats.toString())) : done())));
  writeFileSync(join(path, "index.html"), '<!doctype html><script src="./main.js"></script>');
  agrees(await opened(path));
});

test("in Node", () => {
  const script = APP.replace('["cpu", "worker", "webgpu"]', '["cpu"]').replace("document.title =", "console.log(").replace(/;\s*$/, ");");
  const said = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: folder, encoding: "utf8" });
  assert.equal(said.trim(), expected.split(", ")[0]);
});

/** An application that uses the types; the GPU's where there are any. */
const TYPED = `
  import { Fusion, type FusedFrame } from "fusionproxy";
  export * as cpu from "fusionproxy/cpu";
  export * as worker from "fusionproxy/worker";
  export * as inline from "fusionproxy/inline";
  const image = new ImageData(4, 4);
  const fusion = await Fusion.create({ model: new Uint8Array(4), sizes: { visible: ${SIZE}, infrared: ${SIZE} } });
  const out: FusedFrame = await fusion.fuse(image, { data: new Uint16Array(16), width: 4, height: 4 }, { into: image });
  export const again = new ImageData(out.data, out.width);
`;
const TYPED_GPU = `
  import { Fusion } from "fusionproxy";
  declare const [device, texture, canvas]: [GPUDevice, GPUTexture, GPUCanvasContext];
  const fusion = await Fusion.create({ backend: "webgpu", device });
  export const nothing: undefined = await fusion.fuse(texture, texture, { into: canvas });
  export const { data } = await fusion.fuse(texture, texture, { still: true });
`;

test("the types do for a fresh application, in a TypeScript that knows of no WebGPU too", () => {
  const old = join(here, "node_modules/@arethetypeswrong/core/node_modules/typescript");
  assert.ok(!readFileSync(join(old, "lib/lib.dom.d.ts"), "utf8").includes("GPUDevice"));
  writeFileSync(join(folder, "typed.ts"), TYPED);
  writeFileSync(join(folder, "typed-gpu.ts"), TYPED_GPU);
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom"];
  const check = (program, ...files) => {
    const { status, stdout } = spawnSync(process.execPath, [program, ...options, ...files], { cwd: folder, encoding: "utf8" });
    assert.equal(status, 0, stdout);
  };
  check(join(old, "bin/tsc"), "typed.ts");
  check(join(here, "node_modules/typescript/bin/tsc"), "typed.ts", "typed-gpu.ts");
});

test("publint and arethetypeswrong have nothing to say", () => {
  const run = (...args) => execFileSync(join(here, "node_modules/.bin", args[0]), args.slice(1), { cwd: here, encoding: "utf8", stdio: "pipe" });
  run("publint", "--strict");
  run("attw", "--pack", ".", "--profile", "esm-only", "--exclude-entrypoints", "fusionproxy.wasm", "fusionproxy-relaxed.wasm", "fusionproxy-full.wasm", "fusionproxy-gpu.wasm", "ultralight.int8.fpx");
});

test("the first load is 150 kB at most", async () => {
  // What a bundled page with the smallest entry fetches, compressed: scripts, module and model.
  const { gzipSync } = await import("node:zlib");
  const root = join(folder, "small");
  mkdirSync(root);
  writeFileSync(join(root, "index.html"), '<!doctype html><script type="module" src="./main.js"></script>');
  writeFileSync(join(root, "main.js"), 'import { Fusion } from "fusionproxy/cpu"; globalThis.fusion = await Fusion.create();');
  execFileSync("ln", ["-s", join(folder, "node_modules"), join(root, "node_modules")]);
  await build({ root, logLevel: "error", configFile: false, build: { outDir: "out", target: "es2022", assetsInlineLimit: 0 } });
  const server = await serve({ folders: { "/": join(root, "out") } });
  const page = await browser.newPage();
  const paths = [];
  page.on("response", (r) => paths.push(new URL(r.url()).pathname));
  await page.goto(server.url);
  await page.waitForFunction(() => globalThis.fusion, undefined, { timeout: 60_000 });
  await page.close();
  server.close();
  const files = paths.filter((p) => /\.(js|wasm|fpx)$/.test(p));
  assert.equal(files.length, 3, files.join());
  const bytes = files.reduce((sum, p) => sum + gzipSync(readFileSync(join(root, "out", p)), { level: 9 }).length, 0);
  assert.ok(bytes <= 150_000, `${bytes} bytes`);
  console.log(`# first load: ${bytes} bytes gzipped`);
});
