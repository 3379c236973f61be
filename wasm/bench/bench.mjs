// fusionproxy against onnxruntime-web, in turns, in one page of Debian's Chromium.
//   node bench/bench.mjs [--rounds N] [--only TEXT] [--json FILE] [--serve]
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { launch } from "../scripts/browser.mjs";
import { ISOLATED, serve } from "../scripts/serve.mjs";

/** A row as people read it. */
const columns = (row) => ({
  "runs on": `${row.kernels} ${row.precision}`,
  first: row.first_ms,
  median: row.median_ms,
  quartiles: row.quartiles_ms.join("–"),
  least: row.min_ms,
  processor: row.processor_ms,
  rounds: row.rounds,
  "PSNR to f32": row.psnr_f32,
  "": row.note,
});

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "60" },
    only: { type: "string", default: "" },
    json: { type: "string" },
    serve: { type: "boolean", default: false },
  },
});
const here = fileURLToPath(new URL("..", import.meta.url));
const server = await serve({
  folders: {
    "/ort/": join(here, "bench/node_modules/onnxruntime-web/dist/"),
    "/models/": join(here, "../models/"),
    "/dist/": join(here, "dist/"),
    "/": join(here, "bench/"),
  },
  // Threads of onnxruntime-web need an isolated page. Ours do not.
  headers: ISOLATED,
});
if (options.serve) {
  console.log(`${server.url}/ (Ctrl-C ends it)`);
} else {
  const browser = await launch();
  const page = await browser.newPage();
  page.on("console", (m) => m.type() === "log" && console.log(m.text()));
  await page.exposeFunction("processorTime", browser.processorTime);
  await page.goto(`${server.url}/?manual`);
  const rows = await page.evaluate(
    async ({ rounds, only }) => (await import("/page.js")).compare({ rounds, only, say: console.log }),
    { rounds: Number(options.rounds), only: options.only },
  );
  const { version } = JSON.parse(readFileSync(join(here, "bench/node_modules/onnxruntime-web/package.json"), "utf8"));
  console.log(`\n${browser.version()}, onnxruntime-web ${version}, ${cpus()[0]?.model}, ${cpus().length} logical cores`);
  console.log("ultralight at 640x480; ms a frame; fusionproxy INT8 from RGBA to RGBA, onnxruntime-web f32 from luma to luma\n");
  console.table(Object.fromEntries(rows.map((row) => [row.contestant, columns(row)])));
  if (options.json) {
    const browserName = browser.version();
    const text = JSON.stringify(rows.map((row) => ({ ...row, browser: browserName, peer: `onnxruntime-web ${version}` })), null, 1);
    writeFileSync(`${options.json}.part`, `${text}\n`);
    renameSync(`${options.json}.part`, options.json);
  }
  await browser.close();
  server.close();
}
