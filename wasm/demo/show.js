// Draws inputs and result.

const images = new WeakMap();

/** The canvas, at the size of a picture. */
function sized(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return canvas.getContext("2d");
}

/** Something in memory as RGBA; thermal words are spread between their extremes. */
function rgba(canvas, { data, width, height }) {
  let image = images.get(canvas);
  if (image?.width !== width || image.height !== height) images.set(canvas, (image = new ImageData(width, height)));
  const words = data instanceof Uint16Array;
  let [low, high] = [Infinity, -Infinity];
  if (words) for (const v of data) (low = v < low ? v : low), (high = v > high ? v : high);
  const to = image.data;
  for (let i = 0; i < width * height; i++) {
    const at = 4 * i;
    if (words) to[at] = to[at + 1] = to[at + 2] = ((data[i] - low) * 255) / (high - low || 1);
    else (to[at] = data[3 * i]), (to[at + 1] = data[3 * i + 1]), (to[at + 2] = data[3 * i + 2]);
    to[at + 3] = 255;
  }
  return image;
}

function draw(canvas, source) {
  if (source.data) {
    const { width, height } = source;
    sized(canvas, width, height).putImageData(rgba(canvas, source), 0, 0);
  } else {
    const width = source.videoWidth ?? source.naturalWidth;
    const height = source.videoHeight ?? source.naturalHeight;
    sized(canvas, width, height).drawImage(source, 0, 0);
  }
}

/** Draws the pair, the result and the picture that it is compared with. */
export function show([visible, infrared], out, canvases, side) {
  draw(canvases.visible, visible);
  draw(canvases.infrared, infrared);
  sized(canvases.after, out.width, out.height).putImageData(out.imageData, 0, 0);
  sized(canvases.before, out.width, out.height).drawImage(canvases[side], 0, 0, out.width, out.height);
}
