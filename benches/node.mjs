// Times the npm package in Node: one pair of frames again and again. Prints one JSON object.
//
//     node benches/node.mjs HEIGHTxWIDTH FRAMES
import { performance } from "node:perf_hooks";

import { Fusion } from "../wasm/dist/node.js";

const [size = "480x640", frames = "15"] = process.argv.slice(2);
const [height, width] = size.split("x").map(Number);
const picture = (seed) =>
  ({ data: Uint8Array.from({ length: height * width }, (_, i) => (i * seed + ((i / width) | 0) * 3) & 255), width, height });
const fusion = await Fusion.create({ sizes: { visible: { width, height }, infrared: { width, height } } });
const pair = [picture(5), picture(11)];
// V8's optimising compiler is at work during the first ones.
for (let i = 0; i < 20; i++) await fusion.fuse(...pair);
const times = [];
for (let i = 0; i < Number(frames); i++) {
  const start = performance.now();
  await fusion.fuse(...pair);
  times.push(performance.now() - start);
}
times.sort((a, b) => a - b);
const { model, precision, kernels } = fusion.info;
const median_ms = times[times.length >> 1];
console.log(JSON.stringify({ model, precision, kernels, height, width, median_ms, min_ms: times[0], node: process.version }));
fusion.dispose();
