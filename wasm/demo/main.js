import { Fusion } from "fusionproxy";

import { drive } from "./drive.js";
import { open } from "./files.js";
import { Graph } from "./graph.js";
import { show } from "./show.js";

const $ = (id) => document.getElementById(id);
const graph = new Graph($("graph"));
const state = { frames: undefined, own: { visible: undefined, infrared: undefined }, paused: false, stale: true };
const clock = { start: performance.now(), stopped: 0 };

function report(text, error = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", error);
}

function cut(percent) {
  document.querySelector(".stage").style.setProperty("--cut", `${percent}%`);
}

async function startDrive() {
  const [width, height] = $("size").value.split("x").map(Number);
  const made = await drive(width, height, Number($("condition").value));
  state.frames = () => made.frames((performance.now() - clock.start) / 1000);
  state.live = true;
  graph.clear();
  state.stale = true;
}

function useOwn() {
  const { visible, infrared } = state.own;
  $("drive").hidden = !visible && !infrared;
  if (!visible || !infrared) {
    if (visible || infrared) report(`Now choose the ${visible ? "thermal" : "visible"} one.`);
    return;
  }
  state.frames = () => [visible.source, infrared.source];
  state.live = visible.live || infrared.live;
  graph.clear();
  state.stale = true;
}

async function choose(role, file) {
  if (!file) return;
  try {
    const opened = await open(file);
    state.own[role]?.close();
    state.own[role] = opened;
    useOwn();
  } catch (e) {
    report(e.message, true);
  }
}

for (const role of ["visible", "infrared"]) {
  const drop = $(`drop-${role}`);
  $(`file-${role}`).addEventListener("change", (e) => choose(role, e.target.files[0]));
  for (const type of ["dragenter", "dragover"]) {
    drop.addEventListener(type, (e) => (e.preventDefault(), drop.classList.add("over")));
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (e) => {
    e.preventDefault();
    drop.classList.remove("over");
    choose(role, e.dataTransfer.files[0]);
  });
}
$("slider").addEventListener("input", (e) => cut(e.target.value));
for (const radio of document.querySelectorAll("[name=side]")) {
  radio.addEventListener("change", () => {
    $("tag-before").textContent = radio.value === "visible" ? "Visible" : "Thermal";
    state.stale = true;
  });
}
const restart = () => {
  for (const role of ["visible", "infrared"]) {
    state.own[role]?.close();
    state.own[role] = undefined;
    $(`file-${role}`).value = "";
  }
  $("drive").hidden = true;
  return startDrive().catch((e) => report(e.message, true));
};
$("condition").addEventListener("change", restart);
$("size").addEventListener("change", restart);
$("drive").addEventListener("click", restart);
$("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  $("pause").setAttribute("aria-pressed", String(state.paused));
  $("pause").textContent = state.paused ? "Go on" : "Pause";
  if (state.paused) clock.stopped = performance.now();
  else clock.start += performance.now() - clock.stopped;
});

async function main() {
  const opened = performance.now();
  const [fusion] = await Promise.all([Fusion.create({ gain: "linear" }), startDrive()]);
  let first = true;
  let refused;
  const step = async () => {
    const { frames } = state;
    if (frames && frames !== refused && ((state.live && !state.paused) || state.stale)) {
      try {
        const pair = frames();
        const start = performance.now();
        const out = await fusion.fuse(...pair, { still: !state.live });
        const ms = performance.now() - start;
        state.stale = false;
        const side = document.querySelector("[name=side]:checked").value;
        show(pair, out, { before: $("before"), after: $("after"), visible: $("visible"), infrared: $("infrared") }, side);
        graph.add(ms);
        const { model, precision, kernels } = fusion.info;
        const since = first ? `First frame after ${Math.round(performance.now() - opened)} ms. ` : "";
        first = false;
        report(`${since}${out.width}x${out.height} px, ${model} ${precision} on ${kernels}: ${graph.median.toFixed(1)} ms a frame (median)`);
        document.body.dataset.frames = String(Number(document.body.dataset.frames ?? 0) + 1);
      } catch (e) {
        // Once for each source: it would come again with every frame.
        refused = frames;
        report(e.message, true);
      }
    }
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

cut(50);
main().catch((e) => report(e.message, true));
