// A static server for tests, the bench and the demo.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, resolve, sep } from "node:path";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webm": "video/webm",
};

/** What a page needs for shared memory, and with it for threads of others. */
export const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/**
 * Serves folders on 127.0.0.1. `folders` maps the beginning of a path to a folder; `pages` maps whole paths to functions
 * of request and response; `headers` go with every answer. Gives the server, with its `url`.
 */
export function serve({ folders, pages = {}, headers = {}, port = 0 }) {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (pages[path]) return pages[path](request, response);
    const mount = Object.keys(folders).find((m) => path.startsWith(m));
    const root = mount && resolve(folders[mount]);
    const file = root && join(root, path.slice(mount.length), path.endsWith("/") ? "index.html" : "");
    try {
      if (!file?.startsWith(root + sep)) throw new Error("outside");
      const body = await readFile(file);
      response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404, { "content-type": "text/plain" }).end("not found");
    }
  });
  return new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(port, "127.0.0.1", () => {
      server.url = `http://127.0.0.1:${server.address().port}`;
      done(server);
    });
  });
}
