#!/usr/bin/env -S node --no-warnings
// Runs a wasm32-wasip1 test program under Node: `wasi.mjs PROGRAM ARGS…`.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [program, ...args] = process.argv.slice(2);
const wasi = new WASI({
  version: "preview1",
  // One thread: WASI preview 1 has no more.
  args: [program, ...args, "--test-threads=1"],
  env: process.env,
  preopens: { "/": "/", ".": process.cwd() },
  returnOnExit: true,
});
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exit(wasi.start(instance));
