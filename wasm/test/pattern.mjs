// Frames that are the same in every language; `crate/tests/golden.rs` makes the same bytes.

export function pattern(length, step, seed) {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = Math.floor(i / step) + (state >>> 27);
  }
  return bytes;
}

/** RGBA with alpha 255. */
export const opaque = (pixels, step, seed) => pattern(pixels * 4, step, seed).map((v, i) => (i % 4 === 3 ? 255 : v));

/** The frames of one line of golden.txt. */
export function frames(line) {
  const [visible, infrared, format] = line.split(" ");
  const size = (text) => text.split("x").map(Number);
  const [[width, height], [w, h]] = [size(visible), size(infrared)];
  // The native test fills a buffer for RGBA, of which grey and 16-bit frames are the beginning.
  const thermal = pattern(w * h * 4, 31, 2);
  const data = {
    grey: () => thermal.subarray(0, w * h),
    y16: () => new Uint16Array(thermal.buffer, 0, w * h),
    rgba: () => thermal,
  }[format]();
  return [
    { data: pattern(width * height * 4, 97, 1), width, height },
    { data, width: w, height: h },
  ];
}
