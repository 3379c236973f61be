// Runs the contestants in turns and shows what they took.

import { ENGINES, HEIGHT, WIDTH } from "./engines.js";

const sorted = (times) => [...times].sort((a, b) => a - b);
const at = (times, share) => sorted(times)[Math.floor((times.length - 1) * share)];
const ms = (v) => Number(v.toFixed(v < 100 ? 1 : 0));

/** What `bench.mjs` gives to the page, which cannot know it by itself. */
const processorTime = globalThis.processorTime ?? (async () => NaN);

/** One row a contestant: its runtime and what it runs on; first result from nothing, then what the rounds took. */
export async function compare({ rounds, only = "", say }) {
  const runs = [];
  for (const [name, { make, slow = false }] of Object.entries(ENGINES).filter(([name]) => name.includes(only))) {
    const start = performance.now();
    try {
      const { run, what } = await make();
      await run();
      const first = performance.now() - start;
      say(`${name}: first result after ${first.toFixed(0)} ms`);
      runs.push({ name, run, what, first, times: [], left: slow ? Math.max(2, rounds / 10) : rounds });
    } catch (e) {
      say(`${name}: not here: ${e.message}`);
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const { run, times, left } of runs) {
      if (round >= left) continue;
      const start = performance.now();
      await run();
      times.push(performance.now() - start);
    }
  }
  // By itself and not frame by frame: the browser's own processes are busy with every question, on the same cores.
  for (const contestant of runs) {
    const { run, left } = contestant;
    const busy = await processorTime();
    for (let i = 0; i < left; i++) await run();
    contestant.processor = ((await processorTime()) - busy) / Math.ceil(left);
  }
  return runs.map(({ name, what, first, times, processor }) => {
    const { kernels, backend, precision, threads, model } = what();
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
    };
  });
}

function show(rows) {
  const table = document.querySelector("tbody");
  table.replaceChildren(
    ...rows.map((row) => {
      const line = document.createElement("tr");
      const quartiles = row.quartiles_ms.join("–");
      const { contestant, kernels, precision, first_ms, median_ms, min_ms, processor_ms } = row;
      const on = `${kernels} ${precision}`;
      for (const text of [contestant, on, first_ms, median_ms, quartiles, min_ms, processor_ms, row.rounds]) {
        line.append(Object.assign(document.createElement("td"), { textContent: text }));
      }
      return line;
    }),
  );
}

if (!location.search.includes("manual")) {
  const status = document.querySelector("[role=status]");
  const say = (text) => (status.textContent = text);
  compare({ rounds: 20, say }).then(
    (rows) => (show(rows), say("Done.")),
    (e) => say(e.message),
  );
}
