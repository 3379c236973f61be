import { Fusion } from "fusionproxy";

import { drive } from "./drive.js";
import { camera, open } from "./files.js";
import { Graph } from "./graph.js";
import { modelOf } from "./models.js";
import { sceneOf } from "./scene.js";
import { show } from "./show.js";
import { themed } from "./theme.js";

const $ = (id) => document.getElementById(id);
const graph = new Graph($("graph"));
const state = { frames: undefined, own: { visible: undefined, infrared: undefined }, paused: false, stale: true };
const clock = { start: performance.now(), stopped: 0 };

/** Until when an error stands, however many frames come. */
let stands = 0;

/** The frames that were refused: what refused them would do so again, another model or backend may not. */
let refused;

/** Other frames, another model or another backend: what was said and measured before is over. */
function anew() {
  refused = undefined;
  stands = 0;
  graph.clear();
  state.stale = true;
}

function report(text, error = false) {
  if (error) stands = performance.now() + 5000;
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
  anew();
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
  anew();
}

/** The last choice for each role: what opens after a later one, or after the return to the drive, is closed again. */
const choices = { visible: undefined, infrared: undefined };

async function choose(role, file) {
  if (!file) return;
  const choice = (choices[role] = Symbol());
  try {
    const opened = await (file === "camera" ? camera() : open(file));
    if (choices[role] !== choice) return opened.close();
    state.own[role]?.close();
    state.own[role] = opened;
    useOwn();
  } catch (e) {
    if (choices[role] === choice) report(e.message, true);
  }
}

for (const role of ["visible", "infrared"]) {
  const drop = $(`drop-${role}`);
  $(`file-${role}`).addEventListener("change", (e) => choose(role, e.target.files[0]));
  for (const type of ["dragenter", "dragover"]) drop.addEventListener(type, () => drop.classList.add("over"));
  for (const type of ["dragleave", "drop"]) drop.addEventListener(type, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (e) => choose(role, e.dataTransfer.files[0]));
}
// On the stage, the first is the visible one, and the second the thermal one.
document.querySelector(".stage").addEventListener("drop", ({ dataTransfer: { files } }) => {
  if (files.length === 1) choose(state.own.visible ? "infrared" : "visible", files[0]);
  else ["visible", "infrared"].forEach((role, i) => choose(role, files[i]));
});
// Beside them, a browser would leave the page for the file.
for (const type of ["dragover", "drop"]) document.addEventListener(type, (e) => e.preventDefault());
$("camera").addEventListener("click", () => choose("visible", "camera"));
$("slider").addEventListener("input", (e) => cut(e.target.value));
for (const radio of document.querySelectorAll("[name=side]")) {
  radio.addEventListener("change", () => {
    $("tag-before").textContent = radio.value === "visible" ? "Visible" : "Thermal";
    state.stale = true;
  });
}
const restart = () => {
  for (const role of ["visible", "infrared"]) {
    choices[role] = undefined;
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

/** The present Fusion; a change of model or backend makes the next one before it ends this one. */
let fusion;
let latest = 0;

const CHOICES = ["model", "precision", "backend"];
/** What of them runs. */
let running = [];
async function create() {
  const turn = ++latest;
  const chosen = CHOICES.map((id) => $(id).value);
  const [name, precision, backend] = chosen;
  let next;
  try {
    next = await Fusion.create({ model: modelOf(name, precision), backend, gain: "linear" });
  } catch (e) {
    if (turn !== latest) return;
    // What cannot be had is not chosen.
    running.forEach((value, i) => ($(CHOICES[i]).value = value));
    throw e;
  }
  // Another choice was made meanwhile.
  if (turn !== latest) return next.dispose();
  running = chosen;
  next.addEventListener("backendchange", anew);
  fusion?.dispose();
  fusion = next;
  anew();
}
for (const id of CHOICES) {
  $(id).addEventListener("change", () => {
    // What this network does not come in cannot be chosen.
    for (const option of $("precision").options) option.disabled = !modelOf($("model").value, option.value);
    if ($("precision").selectedOptions[0].disabled) $("precision").value = "int8";
    create().catch((e) => report(e.message, true));
  });
}

const canvases = Object.fromEntries(["before", "after", "visible", "infrared"].map((id) => [id, $(id)]));
let shown = 0;

function present(pair, out, since) {
  const side = document.querySelector("[name=side]:checked").value;
  show(pair, out, canvases, side);
  if (shown++ % 10 === 0) {
    const [level, text] = sceneOf($("visible"), $("infrared"));
    $("scene").dataset.level = level;
    if ($("scene-text").textContent !== text) $("scene-text").textContent = text;
  }
  $("median").textContent = graph.median.toFixed(1);
  const { model, precision, kernels, threads, backend, reason } = fusion.info;
  const on = `${backend}${threads > 1 ? ` of ${threads}` : ""}, ${kernels}`;
  const text = `${since}${out.width}x${out.height} px, ${model} ${precision} on ${on} (${reason})`;
  // A live region is read out whenever it changes.
  if ($("status").textContent !== text && performance.now() > stands) report(text);
  document.body.dataset.frames = String(shown);
}

function main() {
  const opened = performance.now();
  const said = (e) => report(e.message, true);
  create().catch(said);
  startDrive().catch(said);
  let since = "";
  const step = async () => {
    const { frames } = state;
    const current = fusion;
    if (current && frames && frames !== refused && ((state.live && !state.paused) || state.stale)) {
      // Whatever changes while the frame is fused asks for another.
      state.stale = false;
      try {
        const pair = frames();
        const start = performance.now();
        const out = await current.fuse(...pair, { still: !state.live });
        graph.add(performance.now() - start);
        since ||= `First frame after ${Math.round(performance.now() - opened)} ms. `;
        if (current === fusion) present(pair, out, since);
      } catch (e) {
        state.stale = true;
        // A frame that a change overtook is no error.
        if (current === fusion && e.code !== "disposed") {
          // A lost device is replaced. All else would come with every frame.
          if (e.code !== "device") refused = frames;
          report(e.message, true);
        }
      }
    }
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

themed($("theme"));
cut(50);
main();
