// Workers that fail: the pool says so, ends, and something else computes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { opened, root } from "./page.mjs";

/** What comes before a worker's script: nothing, or how its second frame ends. */
const FAULTS = {
  none: "",
  // The worker stops in the middle of a frame, and answers nothing.
  crash: `let n = 0;
    addEventListener("message", (e) => {
      if (e.data.type !== "fuse" || ++n < 2) return;
      e.stopImmediatePropagation();
      throw new Error("out of luck");
    });`,
  // One strip of two fails: the other one waits for its sums.
  trap: `const { instantiate } = WebAssembly;
    let [strip, n] = [0, 0];
    addEventListener("message", ({ data }) => (data.type === "open" ? (strip = data.strip) : n++));
    WebAssembly.instantiate = async (module) => {
      const { exports } = await instantiate(module);
      const trap = () => { throw new WebAssembly.RuntimeError("unreachable"); };
      return { exports: { ...exports, fp_fuse: (...args) => (strip === 1 && n === 2 ? trap() : exports.fp_fuse(...args)) } };
    };`,
};

let fault = "none";
let page;
let close;

before(async () => {
  const script = (request, response) => {
    if (fault === "missing") return request.socket.destroy();
    const type = { "content-type": "text/javascript", "cache-control": "no-store" };
    return response.writeHead(200, type).end(`{${FAULTS[fault]}}` + readFileSync(`${root}dist/strip.js`, "utf8"));
  };
  ({ page, close } = await opened({ "/dist/strip.js": script }));
  await page.evaluate(() => {
    globalThis.frame = { data: pattern(64 * 128, 5, 1), width: 64, height: 128 };
    /** The code of what `work` ends with, or that it does not end. */
    globalThis.inTime = (work) => Promise.race([work, new Promise((late) => setTimeout(() => late("nothing after 10 s"), 10_000))]);
  });
});

after(() => close?.());

test("workers whose script does not come are an error each time, until it comes", async () => {
  fault = "missing";
  const missing = await page.evaluate(async () => {
    globalThis.fusion = await Fusion.create({ backend: "worker", workers: 2 });
    return [await inTime(code(fusion.fuse(frame, frame))), await inTime(code(fusion.fuse(frame, frame)))];
  });
  for (const said of missing) assert.match(said, /^unsupported: .*script cannot be loaded.*"cpu"/);
  fault = "none";
  const found = await page.evaluate(async () => {
    const said = await inTime(code(fusion.fuse(frame, frame)));
    const { backend } = fusion.info;
    fusion.dispose();
    return [said, backend];
  });
  assert.deepEqual(found, ["no error", "worker"]);
});

for (const [name, text] of [["crash", /^device: .*out of luck.*again/], ["trap", /^internal: .*unreachable/]]) {
  test(`workers of which one fails in a frame (${name}) are replaced by the calling thread`, async () => {
    fault = name;
    const found = await page.evaluate(async () => {
      const fusion = await Fusion.create({ backend: "worker", workers: 2 });
      let changes = 0;
      fusion.addEventListener("backendchange", () => changes++);
      const first = (await fusion.fuse(frame, frame)).data.join();
      const waiting = fusion.fuse(frame, frame).catch((e) => `${e.code}: ${e.message}`);
      const next = fusion.fuse(frame, frame);
      const out = { said: await inTime(waiting), next: (await inTime(next)).data?.join() === first, changes, info: fusion.info };
      fusion.dispose();
      return out;
    });
    assert.match(found.said, text);
    assert.equal(found.changes, 1);
    assert.ok(found.next);
    assert.equal(found.info.backend, "cpu");
    assert.match(found.info.reason, /worker was lost/);
  });
}

test("a create that fails leaves no workers", async () => {
  fault = "none";
  const left = await page.evaluate(async () => {
    const Plain = globalThis.Worker;
    const alive = new Set();
    globalThis.Worker = class extends Plain {
      constructor(...args) {
        super(...args);
        alive.add(this);
      }
      terminate() {
        alive.delete(this);
        super.terminate();
      }
    };
    const { Fusion } = await import("/dist/worker.js");
    const out = { bad: await code(Fusion.create({ workers: 2, model: new Uint8Array(9) })), afterBad: alive.size };
    // Half precision needs the other module, which is tried when the small one has refused.
    const fusion = await Fusion.create({ workers: 2, model: "/models/nano/nano.fp16.fpx" });
    out.running = alive.size;
    fusion.dispose();
    globalThis.Worker = Plain;
    return { ...out, afterAll: alive.size };
  });
  assert.match(left.bad, /^model: /);
  assert.deepEqual([left.afterBad, left.running, left.afterAll], [0, 2, 0]);
});
