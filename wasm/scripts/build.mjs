// Builds the package into dist/ and the demo page into demo/dist/. `npm ci` comes first.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { minifySync } from "rolldown/experimental";

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(here);
const dist = join(here, "dist");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const run = (program, args, options = {}) => execFileSync(program, args, { stdio: "inherit", cwd: root, ...options });
const bin = (name) => join(here, "node_modules", ".bin", name);

const ENABLED = [
  "simd", "relaxed-simd", "bulk-memory", "nontrapping-float-to-int", "sign-ext", "mutable-globals", "multivalue",
  "reference-types",
].map((feature) => `--enable-${feature}`);

/** Compiles a crate of the workspace to `to`. wasm-opt strips, because the linker's target features must last until then. */
function module(crate, to, { features = "+simd128", cargo = [], level = "-O2" } = {}) {
  const env = { ...process.env, RUSTFLAGS: `-C target-feature=${features}` };
  // A folder for each set of features, so that one build does not throw away the other's work.
  const folder = join(target, "web", features.replaceAll(/[+,]+/g, "-").slice(1));
  const args = ["build", "--profile", "web", "--package", crate, "--target", "wasm32-unknown-unknown", "--target-dir", folder];
  run("cargo", [...args, ...cargo], { env });
  const built = join(folder, "wasm32-unknown-unknown", "web", `${crate.replaceAll("-", "_")}.wasm`);
  run(bin("wasm-opt"), [level, ...ENABLED, "--strip-debug", "--strip-producers", built, "-o", to]);
}

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
const file = (name) => join(dist, name);
module("fusionproxy-wasm", file("fusionproxy-full.wasm"), { cargo: ["--features", "full"] });
// Every page loads one of these: as small as costs no speed.
module("fusionproxy-wasm", file("fusionproxy.wasm"), { level: "-Oz" });
module("fusionproxy-wasm", file("fusionproxy-relaxed.wasm"), { features: "+simd128,+relaxed-simd", level: "-Oz" });
module("fusionproxy-wasm-gpu", file("fusionproxy-gpu.wasm"));
copyFileSync(join(here, "..", "models", "ultralight", "ultralight.int8.fpx"), file("ultralight.int8.fpx"));
run(bin("tsc"), ["-p", "."], { cwd: here });
// For pages without a bundler; the types keep the documentation.
for (const name of readdirSync(dist).filter((name) => name.endsWith(".js"))) {
  writeFileSync(file(name), minifySync(name, readFileSync(file(name), "utf8"), { module: true }).code);
}
const base64 = (name) => JSON.stringify(readFileSync(file(name)).toString("base64"));
writeFileSync(
  file("inline-data.js"),
  `export const MODULE = ${base64("fusionproxy.wasm")};\nexport const MODEL = ${base64("ultralight.int8.fpx")};\n`,
);
copyFileSync(join(here, "src", "inline-data.d.ts"), file("inline-data.d.ts"));

module("fusionproxy-demo-scene", join(here, "demo", "scene.wasm"));
run(bin("vite"), ["build", "demo", "--logLevel", "warn"], { cwd: here });

let first = 0;
const sum = (names) => names.map((name) => gzipSync(readFileSync(file(name)), { level: 9 }).length);
const scripts = ["index", "browser", "cpu", "errors", "frame", "fusion", "load", "module", "simd", "sources", "types"];
for (const [name, files] of Object.entries({
  "fusionproxy-relaxed.wasm": ["fusionproxy-relaxed.wasm"],
  "fusionproxy.wasm": ["fusionproxy.wasm"],
  "ultralight.int8.fpx": ["ultralight.int8.fpx"],
  "scripts of the first load": scripts.map((s) => `${s}.js`),
})) {
  const bytes = sum(files).reduce((a, b) => a + b);
  if (name !== "fusionproxy-relaxed.wasm") first += bytes;
  console.log(`${name}: ${bytes} bytes gzipped`);
}
console.log(`first load: ${first} bytes gzipped`);
