// Debian's Chromium (`apt-get install chromium`, or CHROMIUM=/path/to/chrome) with WebGPU on SwiftShader.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

const COMMON = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
// All four: without any one of them, importing video frames or drawing to a canvas by WebGPU ends the GPU process.
const GPU = ["--enable-unsafe-webgpu", "--enable-features=Vulkan", "--use-vulkan=swiftshader", "--use-angle=swiftshader"];
// Two cameras that are none: a moving test pattern each.
const CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/** Starts a browser with a fresh profile, which `close` removes. `gpu`: whether there is WebGPU; `flags`: further arguments. */
export async function launch({ gpu = true, flags = [], ...context } = {}) {
  const profile = mkdtempSync(join(tmpdir(), "fusionproxy-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [...COMMON, ...CAMERA, ...(gpu ? GPU : ["--disable-gpu"]), ...flags],
    ...context,
  });
  return Object.assign(Object.create(browser), {
    newPage: () => browser.newPage(),
    /** Processor time of all pages' processes so far, ms: what a loaded machine does not distort. */
    processorTime: async () => {
      const session = await (browser.browser()?.newBrowserCDPSession() ?? browser.newCDPSession(browser.pages()[0]));
      const { processInfo } = await session.send("SystemInfo.getProcessInfo");
      await session.detach();
      return processInfo.filter((p) => p.type === "renderer").reduce((sum, p) => sum + p.cpuTime * 1000, 0);
    },
    version: () => `Chromium ${browser.browser()?.version() ?? ""}`,
    close: async () => {
      await browser.close();
      rmSync(profile, { recursive: true, force: true });
    },
  });
}
