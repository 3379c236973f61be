// Files by address: progress, integrity and a cache that works offline.

import { FusionError, reason } from "./errors.js";
import type { Bytes } from "./foreign.js";

/** How far loading is. */
export interface Progress {
  /** What is being loaded. */
  readonly file: string;
  /** Bytes so far. */
  readonly loaded: number;
  /** Bytes in all, as far as the server says; 0 if it does not. */
  readonly total: number;
}

/** How a file is loaded. */
export interface LoadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with every part that arrives. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** What the bytes must hash to, as in HTML: `sha256-…`, in base64. */
  readonly integrity?: string | undefined;
  /** Whether to keep the file in the Cache API, and to take it from there. */
  readonly cache?: boolean | undefined;
}

/** Opens a file; the browser's and Node's differ. */
export type Open = (file: URL | string, signal: AbortSignal | undefined) => Promise<Response>;

/** Name of the cache. */
const CACHE = "fusionproxy";

/** Fails with the code `"aborted"`. */
export const cancelled = (): never => {
  throw new FusionError("aborted", "aborted by its signal");
};

/** Fetches a file from its server. */
export const fetched: Open = async (file, signal) => {
  const response = await fetch(file, signal ? { signal } : {});
  if (!response.ok) {
    const remedy = "check the address, or give the file's bytes";
    throw new FusionError("network", `${file} cannot be loaded: the server answers ${response.status}: ${remedy}`);
  }
  return response;
};

/** A file whole, and what keeps it for later visits: to be called when it has proved to be what was wanted. */
export interface Loaded {
  readonly bytes: Bytes;
  readonly keep?: () => Promise<void>;
}

/** Loads a file whole. */
export async function load(file: URL | string, open: Open, options: LoadOptions): Promise<Loaded> {
  const { signal } = options;
  const integrity = wanted(options.integrity);
  return guarded(file, signal, async () => {
    // Where storage is forbidden (a sandboxed frame, a private window) there is no cache, and that is no error.
    const cache = options.cache && typeof caches === "object" ? await caches.open(CACHE).catch(() => undefined) : undefined;
    const kept = await cache?.match(file).catch(() => undefined);
    const old = async () => new Uint8Array(await kept!.arrayBuffer());
    // What has the right hash is the newest there is.
    if (kept && integrity) {
      const bytes = await old();
      if (await hashes(bytes, integrity)) return { bytes };
      await cache?.delete(file);
    }
    let bytes: Bytes;
    try {
      bytes = await read(await open(file, signal), String(file), options);
    } catch (e) {
      // An answer of the server stands. Where there is none, there is what came before.
      if (!kept || integrity || e instanceof FusionError || signal?.aborted) throw e;
      return { bytes: await old() };
    }
    if (!(await hashes(bytes, integrity))) {
      throw new FusionError("model", `${file} is not the file that \`integrity\` asks for: another version, or changed on its way`);
    }
    // A full disk is no reason to fail.
    return { bytes, keep: async () => cache?.put(file, new Response(bytes)).catch(() => undefined) };
  });
}

/** Loads something from a file; what fails is `"aborted"` or `"network"`, unless it says otherwise. */
export async function guarded<T>(file: URL | string, signal: AbortSignal | undefined, load: () => Promise<T>): Promise<T> {
  if (signal?.aborted) cancelled();
  try {
    return await load();
  } catch (e) {
    if (signal?.aborted) cancelled();
    if (e instanceof FusionError) throw e;
    const remedy = "check the connection and the address, or give the file's bytes";
    throw new FusionError("network", `${file} cannot be loaded: ${reason(e)}: ${remedy}`, { cause: e });
  }
}

async function read(response: Response, file: string, { onProgress }: LoadOptions): Promise<Bytes> {
  if (!onProgress || !response.body) return new Uint8Array(await response.arrayBuffer());
  const total = Number(response.headers.get("content-length") ?? 0);
  const parts: Uint8Array[] = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    onProgress({ file, loaded, total });
  }
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) bytes.set(part, at), (at += part.length);
  return bytes;
}

/** A hash that bytes must have. */
interface Integrity {
  readonly algorithm: string;
  readonly hash: string;
}

function wanted(integrity: string | undefined): Integrity | undefined {
  if (integrity === undefined) return undefined;
  const [, algorithm, hash] = /^(sha256|sha384|sha512)-([A-Za-z0-9+/]+=*)$/.exec(integrity) ?? [];
  if (!algorithm || !hash) {
    throw new FusionError("input", `integrity ${JSON.stringify(integrity)}: give "sha256-" and the hash in base64`);
  }
  if (typeof crypto !== "object" || !crypto.subtle) {
    throw new FusionError("unsupported", "integrity cannot be checked on this page: serve it by https, or leave it out");
  }
  return { algorithm: algorithm.replace("sha", "SHA-"), hash };
}

async function hashes(bytes: Bytes, integrity: Integrity | undefined): Promise<boolean> {
  if (!integrity) return true;
  const hash = new Uint8Array(await crypto.subtle.digest(integrity.algorithm, bytes));
  return btoa(String.fromCharCode(...hash)) === integrity.hash;
}
