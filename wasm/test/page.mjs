// A page in Chromium with the package imported: `Fusion`, `FusionError`, what makes frames, and `code`, which makes an error
// text.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { launch } from "../scripts/browser.mjs";
import { serve } from "../scripts/serve.mjs";

export const root = fileURLToPath(new URL("..", import.meta.url));
const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><rect width="64" height="48" fill="red"/></svg>';

/** The package's folder; without CORS, its pictures taint canvases of other origins. */
const site = (pages) =>
  serve({
    folders: { "/models/": `${root}../models`, "/": root },
    pages: {
      "/": (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>"),
      "/red.svg": (_, response) => response.writeHead(200, { "content-type": "image/svg+xml" }).end(svg),
      ...pages,
    },
  });

/** Opens the page; `other` in it is another origin with the same files. `options` are those of `launch`. */
export async function opened(pages = {}, options = {}) {
  const servers = [await site(pages), await site(pages)];
  const browser = await launch(options);
  const page = await browser.newPage();
  page.on("pageerror", (e) => assert.fail(`in the page: ${e}`));
  const [here, other] = servers.map((s) => s.url);
  await page.goto(here);
  await page.evaluate(async (other) => {
    const [{ Fusion, FusionError }, patterns] = await Promise.all([import("/dist/index.js"), import("/test/pattern.mjs")]);
    const code = (promise) =>
      promise.then(
        () => "no error",
        (e) => (e instanceof FusionError ? `${e.code}: ${e.message}` : `not ours: ${e}`),
      );
    Object.assign(globalThis, { Fusion, FusionError, ...patterns, code, other });
  }, other);
  const close = async () => {
    await browser.close();
    for (const server of servers) server.close();
  };
  return { browser, page, close };
}

/** As in golden.txt. */
export const crc = (bytes) => {
  let c = ~0;
  for (const b of bytes) {
    c ^= b;
    for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (0xedb88320 & -(c & 1));
  }
  return (~c >>> 0).toString(16).padStart(8, "0");
};
