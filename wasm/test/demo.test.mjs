// The demo page as a person uses it: with a mouse, a finger and a keyboard.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { launch } from "../scripts/browser.mjs";
import { serve } from "../scripts/serve.mjs";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
/** Where screenshots go, if anyone wants to look. */
const shots = process.env.FUSIONPROXY_SCREENSHOTS;

let server;
let browser;
let page;
const errors = [];

before(async () => {
  server = await serve({ folders: { "/": at("../demo/dist/") } });
  browser = await launch({ viewport: { width: 1280, height: 900 }, colorScheme: "dark" });
  page = await browser.newPage();
  page.on("pageerror", (e) => errors.push(String(e)));
  await page.goto(server.url);
  if (shots) mkdirSync(shots, { recursive: true });
});

after(async () => {
  await browser?.close();
  server?.close();
});

const frames = () => page.evaluate(() => Number(document.body.dataset.frames ?? 0));
const moreFrames = async (n = 3) => {
  const from = await frames();
  await page.waitForFunction((to) => Number(document.body.dataset.frames) >= to, from + n, { timeout: 60_000 });
};
const status = () => page.textContent("#status");
const shot = (name) => shots && page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });

test("fuses at once on opening", async () => {
  await page.waitForFunction(() => document.body.dataset.frames, undefined, { timeout: 60_000 });
  await moreFrames();
  assert.match(await status(), /^First frame after \d+ ms\. 480x360 px, ultralight int8 on/);
  // It shows something, and not one colour.
  const colours = await page.evaluate(() => {
    const { data } = document.querySelector("#after").getContext("2d").getImageData(0, 0, 480, 360);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  assert.ok(colours > 100, `${colours} colours`);
  assert.ok((await page.textContent("#scene-text")).length > 5);
  await shot("desktop-dark");
});

test("the slider moves by mouse and keyboard", async () => {
  const cut = () => page.evaluate(() => document.querySelector(".stage").style.getPropertyValue("--cut"));
  const box = await page.locator(".stage").boundingBox();
  await page.mouse.click(box.x + box.width * 0.25, box.y + box.height / 2);
  const clicked = parseFloat(await cut());
  assert.ok(Math.abs(clicked - 25) < 5, `${clicked} %`);
  await page.focus("#slider");
  await page.keyboard.press("ArrowRight");
  assert.equal(parseFloat(await cut()), clicked + 1);
});

test("switches model, precision and backend while it runs", async () => {
  for (const [id, value, text] of [
    ["model", "nano", /nano int8/],
    ["precision", "fp16", /nano fp16/],
    ["precision", "int8", /nano int8/],
    ["backend", "worker", /worker/],
    ["backend", "cpu", /on cpu/],
    ["model", "efficientformerv2", /480x360 px, efficientformerv2 int8/],
    ["model", "ultralight", /ultralight int8/],
  ]) {
    await page.selectOption(`#${id}`, value);
    await page.waitForFunction(
      (text) => new RegExp(text).test(document.querySelector("#status").textContent),
      text.source,
      { timeout: 60_000 },
    );
    await moreFrames(2);
  }
});

test("a frame that is refused stops nothing but itself", async () => {
  // A network of one size refuses what is larger. The pictures stay, and another network takes them.
  const said = (text) => page.waitForFunction((text) => new RegExp(text).test(document.querySelector("#status").textContent), text, { timeout: 60_000 });
  const large = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(800, 600);
    canvas.getContext("2d").fillRect(0, 0, 400, 300);
    return Array.from(new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer()));
  });
  const file = { name: "large.png", mimeType: "image/png", buffer: Buffer.from(large) };
  await page.setInputFiles("#file-visible", file);
  await page.setInputFiles("#file-infrared", file);
  await said("800x600 px, ultralight");
  await page.selectOption("#model", "efficientformerv2");
  await said("pinned to");
  await page.selectOption("#model", "ultralight");
  await said("800x600 px, ultralight");
  await page.click("#drive");
  await said("x360 px, ultralight");
  await moreFrames(2);
});

test("scenes, sizes, pause and theme", async () => {
  await page.selectOption("#condition", "3");
  await page.selectOption("#size", "320x240");
  await page.waitForFunction(() => document.querySelector("#status").textContent.includes("320x240"));
  await page.click("#pause");
  await page.waitForTimeout(300);
  const still = await frames();
  await page.waitForTimeout(500);
  assert.ok((await frames()) - still <= 1);
  await page.click("#pause");
  await moreFrames();
  await page.click("#theme");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
  await shot("desktop-light");
});

test("takes a person's own pictures, chosen and dropped, and the camera beside a file", async () => {
  // Two pictures: a gradient and a disc.
  const picture = (draw) =>
    page.evaluate(async (draw) => {
      const canvas = new OffscreenCanvas(200, 150);
      const context = canvas.getContext("2d");
      new Function("c", draw)(context);
      return Array.from(new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer()));
    }, draw);
  const file = async (name, draw) => ({ name, mimeType: "image/png", buffer: Buffer.from(await picture(draw)) });
  await page.setInputFiles("#file-visible", await file("street.png", "for (let x = 0; x < 200; x++) { c.fillStyle = `rgb(${x},80,40)`; c.fillRect(x, 0, 1, 150); }"));
  const disc = await picture("c.fillRect(0, 0, 200, 150); c.fillStyle = '#fff'; c.arc(100, 75, 40, 0, 7); c.fill();");
  const dropped = await page.evaluateHandle((bytes) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], "heat.png", { type: "image/png" }));
    return transfer;
  }, disc);
  await page.dispatchEvent("#drop-infrared", "drop", { dataTransfer: dropped });
  await page.waitForFunction(() => document.querySelector("#status").textContent.includes("200x150"));
  // Dropped on the stage, both at once; and the page stays wherever a file is dropped.
  await page.click("#drive");
  await page.waitForFunction(() => document.querySelector("#status").textContent.includes("320x240"));
  const stays = await page.evaluate((transfer) => {
    transfer.items.add(transfer.files[0]);
    const drop = (on) => !on.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    return [drop(document.querySelector("#slider")), drop(document.querySelector("footer"))];
  }, dropped);
  assert.deepEqual(stays, [true, true]);
  await page.waitForFunction(() => document.querySelector("#status").textContent.includes("200x150"));
  await shot("own-pictures");
  await page.click("#camera");
  await page.waitForFunction(() => /640x480/.test(document.querySelector("#status").textContent), undefined, { timeout: 60_000 });
  await moreFrames(2);
  await page.setInputFiles("#file-visible", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") });
  await page.waitForFunction(() => document.querySelector("#status.error")?.textContent.includes("notes.txt"));
  await page.click("#drive");
  await page.waitForFunction(() => document.querySelector("#status").textContent.includes("320x240"));
});

test("a camera that is allowed after the return to the drive is switched off", async () => {
  const live = () => page.evaluate(() => streams.flatMap((s) => s.getTracks()).filter((t) => t.readyState === "live").length);
  await page.evaluate(() => {
    globalThis.streams = [];
    const { mediaDevices } = navigator;
    const ask = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = async (wanted) => {
      const stream = await ask(wanted);
      streams.push(stream);
      await new Promise((allow) => (globalThis.allow = allow));
      return stream;
    };
  });
  await page.click("#camera");
  await page.waitForFunction(() => globalThis.allow);
  assert.equal(await live(), 1);
  // The button is there once anything of one's own is; what it does, a change of the scene does too.
  await page.selectOption("#condition", "0");
  await page.evaluate(() => allow());
  await page.waitForFunction(() => streams[0].getTracks().every((t) => t.readyState === "ended"), undefined, { timeout: 20_000 });
  // Nor does it stay on when its video fails.
  await page.evaluate(() => {
    delete globalThis.allow;
    HTMLMediaElement.prototype.play = () => Promise.reject(new Error("it cannot be played"));
  });
  await page.click("#camera");
  await page.waitForFunction(() => globalThis.allow);
  await page.evaluate(() => allow());
  await page.waitForFunction(() => document.querySelector("#status.error")?.textContent.includes("cannot be played"));
  assert.equal(await live(), 0);
  await page.reload();
  await page.waitForFunction(() => document.body.dataset.frames, undefined, { timeout: 60_000 });
});

test("every control has a name, and the keyboard reaches all of them", async () => {
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select, canvas")]
      .filter((e) => !(e.ariaLabel ?? e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent).trim())
      .map((e) => e.outerHTML),
  );
  assert.deepEqual(nameless, []);
  const reached = new Set();
  await page.evaluate(() => document.body.focus());
  for (let i = 0; i < 30; i++) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement.id));
  }
  for (const id of ["theme", "slider", "condition", "size", "model", "precision", "backend", "pause", "camera"]) assert.ok(reached.has(id), id);
});

test("fits a phone", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await moreFrames(1);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `${over} px too wide`);
  await shot("phone");
});

test("a GPU that is lost is replaced, and the page goes on", async () => {
  const page = await browser.newPage();
  page.on("pageerror", (e) => errors.push(String(e)));
  await page.addInitScript(() => {
    globalThis.devices = [];
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (...args) {
      const device = await requestDevice.apply(this, args);
      devices.push(device);
      return device;
    };
  });
  await page.goto(server.url);
  const said = (text) => page.waitForFunction((text) => new RegExp(text).test(document.querySelector("#status").textContent), text, { timeout: 120_000 });
  await said("^First frame");
  await page.selectOption("#size", "320x240");
  await page.selectOption("#model", "nano");
  await page.selectOption("#backend", "webgpu");
  await said("nano int8 on webgpu");
  await page.evaluate(() => devices.at(-1).destroy());
  await said("nano int8 on cpu.*webgpu was lost");
  const from = await page.evaluate(() => Number(document.body.dataset.frames));
  await page.waitForFunction((n) => Number(document.body.dataset.frames) > n + 3, from, { timeout: 60_000 });
  await page.close();
});

test("without WebGPU it says so, and goes on as it was", async () => {
  const without = await launch({ gpu: false });
  try {
    const page = await without.newPage();
    page.on("pageerror", (e) => errors.push(String(e)));
    await page.goto(server.url);
    await page.waitForFunction(() => document.body.dataset.frames, undefined, { timeout: 60_000 });
    await page.selectOption("#backend", "webgpu");
    await page.waitForFunction(() => /GPU.*"cpu"/.test(document.querySelector("#status.error")?.textContent), undefined, { timeout: 60_000 });
    assert.equal(await page.inputValue("#backend"), "auto");
    const from = await page.evaluate(() => Number(document.body.dataset.frames));
    await page.waitForFunction((n) => Number(document.body.dataset.frames) > n + 3, from, { timeout: 60_000 });
  } finally {
    await without.close();
  }
});

test("nothing went wrong unseen", () => assert.deepEqual(errors, []));
