import { fileURLToPath } from "node:url";

import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  resolve: { alias: { fusionproxy: fileURLToPath(new URL("../dist/index.js", import.meta.url)) } },
  // Modules and models stay files: inlined, they would be a third larger and compiled late.
  build: { target: "es2022", assetsInlineLimit: 0 },
  assetsInclude: ["**/*.fpx"],
});
