// Serves the built demo page.
import { fileURLToPath } from "node:url";

import { serve } from "./serve.mjs";

const folder = fileURLToPath(new URL("../demo/dist/", import.meta.url));
const server = await serve({ folders: { "/": folder }, port: Number(process.env.PORT ?? 8080) });
console.log(`the demo page: ${server.url}/ (Ctrl-C ends it)`);
