"use strict";

// Light or dark, whatever the system says, at a click.
const theme = document.getElementById("theme");
theme.hidden = false;
theme.onclick = () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
};

// Tables sort by a click on a title: numbers by value, words by alphabet, empty cells last.
for (const table of document.querySelectorAll("table")) {
  const titles = [...table.tHead.rows[0].cells];
  titles.forEach((title, column) => {
    title.onclick = () => {
      const down = title.ariaSort === "ascending";
      titles.forEach((t) => t.removeAttribute("aria-sort"));
      title.ariaSort = down ? "descending" : "ascending";
      const key = (row) => {
        const cell = row.cells[column];
        return cell.dataset.v !== undefined ? Number(cell.dataset.v) : cell.textContent === "–" ? null : cell.textContent;
      };
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
        return down ? -order : order;
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    };
  });
}

// Pictures: two layers side by side, wiped over each other, or as a difference.
const element = (name, properties = {}, ...children) => {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children);
  return e;
};

for (const viewer of document.querySelectorAll(".viewer")) {
  const scenes = JSON.parse(viewer.querySelector("script").textContent);
  if (scenes.length === 0) continue;
  const names = Object.keys(scenes[0].layers);
  const state = { scene: 0, a: names[0], b: names.at(-1), mode: "side", zoom: 1, x: 0, y: 0, wipe: 0.5 };
  const choice = (key, options) => {
    const select = element("select", { title: key }, ...options.map(([v, t]) => element("option", { value: v }, t)));
    select.value = state[key];
    select.onchange = () => { state[key] = select.value; draw(); };
    return select;
  };
  const layers = names.map((n) => [n, n]);
  const scene = choice("scene", scenes.map((s, i) => [i, s.name]));
  const step = (by) => {
    state.scene = (Number(state.scene) + by + scenes.length) % scenes.length;
    scene.value = state.scene;
    draw();
  };
  const modes = [["side", "side by side"], ["wipe", "wipe"], ["difference", "difference ×8"]].map(([mode, text]) => {
    const button = element("button", { type: "button", onclick: () => { state.mode = mode; draw(); } }, text);
    button.dataset.mode = mode;
    return button;
  });
  const panes = element("div", { className: "panes", tabIndex: 0 });
  const hint = element("span", {}, "wheel, pinch or + and −: zoom · drag: move · double click: whole · arrow keys: next pair");
  const bar = element("div", { className: "bar" },
    element("button", { type: "button", onclick: () => step(-1) }, "‹"), scene,
    element("button", { type: "button", onclick: () => step(1) }, "›"),
    choice("a", layers), choice("b", layers), ...modes,
    element("button", { type: "button", title: "smaller", onclick: () => magnify(1 / 1.5, [0.5, 0.5]) }, "−"),
    element("button", { type: "button", title: "larger", onclick: () => magnify(1.5, [0.5, 0.5]) }, "+"), hint);
  viewer.append(bar, panes);

  const place = () => {
    // A whole picture leaves the page's own scrolling to a finger.
    panes.style.touchAction = state.zoom > 1 || state.mode === "wipe" ? "none" : "pan-y";
    for (const pane of panes.children) {
      const { width, height } = pane.getBoundingClientRect();
      for (const img of pane.querySelectorAll("img")) {
        img.style.transform = `translate(${state.x * width}px, ${state.y * height}px) scale(${state.zoom})`;
        img.style.imageRendering = state.zoom > 2 ? "pixelated" : "auto";
      }
      const over = pane.querySelector(".over");
      if (over && state.mode === "wipe") {
        // The cut is fixed to the pane, so it is undone for the picture's own transform.
        const cut = (state.wipe - state.x) / state.zoom;
        over.style.clipPath = `inset(0 0 0 ${100 * cut}%)`;
        pane.querySelector(".wipe").style.left = `${100 * state.wipe}%`;
      }
    }
  };
  const clamp = () => {
    state.zoom = Math.min(32, Math.max(1, state.zoom));
    state.x = Math.min(0, Math.max(1 - state.zoom, state.x));
    state.y = Math.min(0, Math.max(1 - state.zoom, state.y));
  };
  function draw() {
    const { layers: pictures, width, height } = scenes[state.scene];
    const image = (name, over) => element("img", { src: pictures[name] ?? "", alt: name, className: over ? "over" : "" });
    const pane = (...children) => {
      const p = element("div", { className: "pane" }, ...children);
      p.style.aspectRatio = `${width} / ${height}`;
      return p;
    };
    const caption = (name) => element("b", {}, name);
    if (state.mode === "side") {
      panes.replaceChildren(...[state.a, state.b].map((n) => pane(image(n), caption(n))));
    } else {
      const p = pane(image(state.a), image(state.b, true), caption(state.a), caption(state.b));
      if (state.mode === "wipe") p.append(element("div", { className: "wipe" }));
      else {
        p.querySelector(".over").style.mixBlendMode = "difference";
        p.style.filter = "brightness(8)";
      }
      panes.replaceChildren(p);
    }
    modes.forEach((b) => b.setAttribute("aria-pressed", b.dataset.mode === state.mode));
    place();
  }

  // A point's place in the pane under it, 0…1.
  const at = (target, clientX, clientY) => {
    const pane = target.closest(".pane") ?? panes.firstChild;
    const box = pane.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  };
  // Zooms so that the place stays where it is.
  const magnify = (factor, [x, y]) => {
    const before = state.zoom;
    state.zoom *= factor;
    clamp();
    state.x = x - (x - state.x) * state.zoom / before;
    state.y = y - (y - state.y) * state.zoom / before;
    clamp();
    place();
  };
  const move = (dx, dy) => {
    const box = panes.firstChild.getBoundingClientRect();
    state.x += dx / box.width;
    state.y += dy / box.height;
    clamp();
    place();
  };
  panes.addEventListener("wheel", (event) => {
    event.preventDefault();
    magnify(Math.exp(-event.deltaY / 400), at(event.target, event.clientX, event.clientY));
  }, { passive: false });

  // One pointer moves the picture, or the wipe if it began beside it; two zoom. A finger on the whole picture scrolls the page.
  const pointers = new Map();
  const middle = () => {
    const all = [...pointers.values()];
    const mean = (key) => all.reduce((sum, p) => sum + p[key], 0) / all.length;
    return { clientX: mean("clientX"), clientY: mean("clientY") };
  };
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };
  let wiping = false;
  panes.onpointerdown = (event) => {
    pointers.set(event.pointerId, event);
    panes.setPointerCapture(event.pointerId);
    const [x] = at(event.target, event.clientX, event.clientY);
    const box = panes.firstChild.getBoundingClientRect();
    wiping = state.mode === "wipe" && (state.zoom === 1 || Math.abs(x - state.wipe) * box.width < 24);
  };
  panes.onpointerup = panes.onpointercancel = (event) => pointers.delete(event.pointerId);
  panes.onpointermove = (event) => {
    if (!pointers.has(event.pointerId)) return;
    const [from, apart] = [middle(), pointers.size > 1 ? spread() : 0];
    pointers.set(event.pointerId, event);
    const to = middle();
    if (pointers.size > 1) {
      const pane = document.elementFromPoint(to.clientX, to.clientY) ?? panes;
      move(to.clientX - from.clientX, to.clientY - from.clientY);
      magnify(spread() / Math.max(apart, 1), at(pane, to.clientX, to.clientY));
    } else if (wiping) {
      const box = panes.firstChild.getBoundingClientRect();
      state.wipe = Math.min(1, Math.max(0, (to.clientX - box.left) / box.width));
      place();
    } else {
      move(to.clientX - from.clientX, to.clientY - from.clientY);
    }
  };
  panes.ondblclick = () => { Object.assign(state, { zoom: 1, x: 0, y: 0 }); place(); };
  panes.onkeydown = (event) => {
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "+" || event.key === "=") magnify(1.5, [0.5, 0.5]);
    else if (event.key === "-") magnify(1 / 1.5, [0.5, 0.5]);
    else return;
    event.preventDefault();
  };
  addEventListener("resize", place);
  draw();
}
