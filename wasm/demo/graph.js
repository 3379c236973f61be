/** A graph of the last 120 times, ms. */
export class Graph {
  #times = [];
  constructor(canvas) {
    this.canvas = canvas;
  }

  /** Adds a time and draws. */
  add(ms) {
    this.#times.push(ms);
    if (this.#times.length > 120) this.#times.shift();
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const top = Math.max(20, ...this.#times) * 1.15;
    const y = (v) => canvas.height - (v / top) * canvas.height;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.font = "14px system-ui";
    context.fillStyle = context.strokeStyle = style.getPropertyValue("--soft");
    const step = [5, 10, 20, 50, 100, 200, 500, 1000, 2000].find((s) => top / s <= 4) ?? 5000;
    for (let v = step; v < top; v += step) {
      context.globalAlpha = 0.35;
      context.fillRect(0, y(v), canvas.width, 1);
      context.globalAlpha = 1;
      context.fillText(`${v} ms`, 2, y(v) - 3);
    }
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 2;
    context.beginPath();
    this.#times.forEach((v, i) => context.lineTo((i / 119) * canvas.width, y(v)));
    context.stroke();
  }

  /** Median of the times shown, ms. */
  get median() {
    return [...this.#times].sort((a, b) => a - b)[this.#times.length >> 1] ?? 0;
  }

  clear() {
    this.#times = [];
  }
}
