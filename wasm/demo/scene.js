// The scene-status light: whether both cameras show something.

const SIDE = 32;
const small = document.createElement("canvas");
Object.assign(small, { width: SIDE, height: SIDE });
const context = small.getContext("2d", { willReadFrequently: true });

/** Mean and standard deviation of a picture's luma, of a thumbnail. */
function statistics(canvas) {
  context.drawImage(canvas, 0, 0, SIDE, SIDE);
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  let [sum, squares] = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const y = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    (sum += y), (squares += y * y);
  }
  const n = SIDE * SIDE;
  return { mean: sum / n, deviation: Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2)) };
}

/** A level (good, fair, poor) and what it says. */
export function sceneOf(visible, infrared) {
  const [v, i] = [statistics(visible), statistics(infrared)];
  const flat = { visible: v.deviation < 6, infrared: i.deviation < 4 };
  if (flat.visible && flat.infrared) return ["poor", "Neither camera sees detail"];
  if (flat.infrared) return ["poor", "Thermal is flat: visible leads"];
  if (flat.visible) return ["poor", "Visible is blind: thermal leads"];
  if (v.mean < 50) return ["fair", "Dark: thermal adds what is warm"];
  if (v.mean > 215) return ["fair", "Glare: thermal adds what is hidden"];
  return ["good", "Both cameras see"];
}
