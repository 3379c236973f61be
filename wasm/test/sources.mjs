// One picture as every kind of source that a browser has; for pages.

/** An opaque picture as pixels and as anything that a browser can draw. */
export async function drawables(data, width, height) {
  const image = new ImageData(new Uint8ClampedArray(data), width, height);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  const offscreen = new OffscreenCanvas(width, height);
  offscreen.getContext("2d").putImageData(image, 0, 0);
  const element = new Image();
  element.src = canvas.toDataURL("image/png");
  await element.decode();
  return {
    ImageData: image,
    Pixels: { data: new Uint8Array(data), width, height },
    ImageBitmap: await createImageBitmap(image),
    HTMLCanvasElement: canvas,
    OffscreenCanvas: offscreen,
    HTMLImageElement: element,
    VideoFrame: new VideoFrame(canvas, { timestamp: 0 }),
  };
}

/** A playing video of what `draw` draws. */
export async function playing(draw, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const video = Object.assign(document.createElement("video"), { muted: true, srcObject: canvas.captureStream() });
  const timer = setInterval(() => draw(context), 20);
  await Promise.all([video.play(), new Promise((r) => video.addEventListener("loadeddata", r, { once: true }))]);
  return { video, stop: () => clearInterval(timer) };
}

/** A texture of texels in rows without gaps. */
export function textureOf(device, format, data, width, height, usage = 2 | 4) {
  const texture = device.createTexture({ size: [width, height], format, usage });
  device.queue.writeTexture({ texture }, data, { bytesPerRow: data.byteLength / height }, [width, height]);
  return texture;
}

/** A texture's texels of four bytes. */
export async function texelsOf(device, texture) {
  const { width, height } = texture;
  const bytesPerRow = Math.ceil((width * 4) / 256) * 256;
  const buffer = device.createBuffer({ size: bytesPerRow * height, usage: 1 | 8 });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow }, [width, height]);
  device.queue.submit([encoder.finish()]);
  await buffer.mapAsync(1);
  const rows = new Uint8Array(buffer.getMappedRange());
  const texels = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) texels.set(rows.subarray(y * bytesPerRow, y * bytesPerRow + width * 4), y * width * 4);
  buffer.destroy();
  return texels;
}
