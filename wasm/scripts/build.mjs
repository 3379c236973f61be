// Builds the package into dist/, and with --demo the demo page into demo/dist/. `npm ci` comes first.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(here);
const run = (program, args, options = {}) => execFileSync(program, args, { stdio: "inherit", cwd: root, ...options });
const bin = (name) => join(here, "node_modules", ".bin", name);

/** Compiles a crate of the workspace to `to`. wasm-opt strips, because the linker's target features must last until then. */
function module(crate, to) {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  const env = { ...process.env, RUSTFLAGS: "-C target-feature=+simd128" };
  run("cargo", ["build", "--profile", "web", "--package", crate, "--target", "wasm32-unknown-unknown"], { env });
  const built = join(target, "wasm32-unknown-unknown", "web", `${crate.replaceAll("-", "_")}.wasm`);
  const features = ["--enable-simd", "--enable-bulk-memory", "--enable-nontrapping-float-to-int", "--enable-sign-ext"];
  const more = ["--enable-mutable-globals", "--enable-multivalue", "--enable-reference-types"];
  run(bin("wasm-opt"), ["-O2", ...features, ...more, "--strip-debug", "--strip-producers", built, "-o", to]);
}

const dist = join(here, "dist");
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
run(bin("tsc"), ["-p", "."], { cwd: here });
module("fusionproxy-wasm", join(dist, "fusionproxy.wasm"));
copyFileSync(join(root, "models", "ultralight", "ultralight.int8.fpx"), join(dist, "ultralight.int8.fpx"));
for (const file of ["fusionproxy.wasm", "ultralight.int8.fpx"]) {
  const bytes = readFileSync(join(dist, file));
  console.log(`${file}: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped`);
}

if (process.argv.includes("--demo")) {
  module("fusionproxy-demo-scene", join(here, "demo", "scene.wasm"));
  run(bin("vite"), ["build", "demo"], { cwd: here });
}
