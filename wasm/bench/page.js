// Runs the contestants in turns and shows what they took.

import { ENGINES, HEIGHT, WIDTH } from "./engines.js";

const sorted = (times) => [...times].sort((a, b) => a - b);
const at = (times, share) => sorted(times)[Math.floor((times.length - 1) * share)];
const ms = (v) => Number(v.toFixed(v < 100 ? 1 : 0));

/** What `bench.mjs` gives to the page, which cannot know it by itself. */
const processorTime = globalThis.processorTime ?? (async () => NaN);

/** Longest that one frame may take, ms: a contestant that needs longer is out. */
const LIMIT = 120_000;

/** PSNR to the network in floats from which a frame is its picture, dB: 8 bits are farther from it than another order of sums. */
const SAME_DB = { f32: 50, int8: 40 };

/** PSNR of a frame of 0…1, dB; no more than 120. */
function psnr(exact, found) {
  if (exact.length !== found.length) return 0;
  const error = exact.reduce((sum, v, i) => sum + (v - found[i]) ** 2, 0) / exact.length;
  return Math.max(0, Math.min(120, -10 * Math.log10(error)));
}

/** Frames of each contestant that are not timed: V8's optimising compiler is still at work. */
const WARM = 20;

/** Frames of contestants that take seconds each: timed, and for the question what processor time they take. */
const SLOW = { warm: 0, rounds: 2, asked: 1 };

function inTime(promise) {
  let timer;
  const late = new Promise((_, fail) => (timer = setTimeout(() => fail(new Error(`nothing after ${LIMIT / 1000} s`)), LIMIT)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** One row a contestant: its runtime and what it runs on; first result from nothing, then what the rounds took. */
export async function compare({ rounds, only = "", say }) {
  const contestants = Object.entries(ENGINES).filter(([name]) => name.includes(only));
  // The slow ones come when the others are done, whose processor they would take.
  const runs = [];
  for (const slow of [false, true]) {
    const group = contestants.filter(([, engine]) => Boolean(engine.slow) === slow);
    runs.push(...(await turns(group, slow ? SLOW : { warm: WARM, rounds, asked: rounds }, say)));
  }
  const exact = runs.find(({ name }) => ENGINES[name].exact)?.luma();
  return runs.map(({ name, what, luma, first, times, processor }) => {
    const { kernels, backend, precision, threads, model } = what();
    const db = exact ? psnr(exact, luma()) : NaN;
    return {
      runtime: name.split(/[ ,]/)[0],
      contestant: name,
      model,
      precision,
      kernels: kernels ?? backend,
      threads,
      width: WIDTH,
      height: HEIGHT,
      rounds: times.length,
      first_ms: ms(first),
      median_ms: ms(at(times, 0.5)),
      quartiles_ms: [ms(at(times, 0.25)), ms(at(times, 0.75))],
      min_ms: ms(at(times, 0)),
      processor_ms: ms(processor),
      psnr_f32: Number(db.toFixed(1)),
      note: db < SAME_DB[precision] ? "another picture" : "",
    };
  });
}

/** Has contestants take turns. */
async function turns(contestants, { warm, rounds, asked }, say) {
  const runs = [];
  const out = new Set();
  const attempt = async (name, work) => {
    if (out.has(name)) return undefined;
    try {
      return await work();
    } catch (e) {
      say(`${name}: not here: ${e.message}`);
      out.add(name);
      return undefined;
    }
  };
  for (const [name, { make }] of contestants) {
    const start = performance.now();
    const engine = await attempt(name, async () => {
      const engine = await inTime(make());
      await inTime(engine.run());
      return engine;
    });
    if (!engine) continue;
    const first = performance.now() - start;
    say(`${name}: first result after ${first.toFixed(0)} ms`);
    runs.push({ name, ...engine, first, times: [], processor: NaN });
  }
  for (let round = -warm; round < rounds; round++) {
    for (const { name, run, times } of runs) {
      const start = performance.now();
      await attempt(name, async () => {
        await inTime(run());
        if (round >= 0) times.push(performance.now() - start);
      });
    }
  }
  // By itself and not frame by frame: the browser's own processes are busy with every question, on the same cores.
  for (const contestant of runs) {
    await attempt(contestant.name, async () => {
      const busy = await processorTime();
      for (let i = 0; i < asked; i++) await inTime(contestant.run());
      contestant.processor = ((await processorTime()) - busy) / asked;
    });
  }
  return runs.filter(({ name }) => !out.has(name));
}

function show(rows) {
  const table = document.querySelector("tbody");
  table.replaceChildren(
    ...rows.map((row) => {
      const line = document.createElement("tr");
      const quartiles = row.quartiles_ms.join("–");
      const { contestant, kernels, precision, first_ms, median_ms, min_ms, processor_ms, psnr_f32, note } = row;
      const on = `${kernels} ${precision}`;
      for (const text of [contestant, on, first_ms, median_ms, quartiles, min_ms, processor_ms, row.rounds, psnr_f32, note]) {
        line.append(Object.assign(document.createElement("td"), { textContent: text }));
      }
      return line;
    }),
  );
}

if (!location.search.includes("manual")) {
  const status = document.querySelector("[role=status]");
  const say = (text) => (status.textContent = text);
  compare({ rounds: 60, say }).then(
    (rows) => (show(rows), say("Done.")),
    (e) => say(e.message),
  );
}
