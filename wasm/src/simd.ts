// What WebAssembly can do here.

/** A module of one function with one SIMD instruction. */
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** A module of one function of two words: lane 0 of `i32x4.relaxed_dot_i8x16_i7x16_add_s` of their splats and zero. */
const RELAXED = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 100, 0, 0, 10, 22, 1, 20, 0,
  32, 0, 253, 17, 32, 1, 253, 17, 65, 0, 253, 17, 253, 147, 2, 253, 27, 0, 11,
]);

/** Whether there is SIMD of 128 bits. */
export const hasSimd = (): boolean => typeof WebAssembly === "object" && WebAssembly.validate(SIMD);

/**
 * Whether the relaxed dot product takes its second operand as unsigned bytes and saturates nothing, which the standard
 * leaves to the engine. x86-64 with AVX-VNNI does; then its module gives the same bytes as the other, faster.
 */
export function hasExactDots(): boolean {
  if (!hasSimd() || !WebAssembly.validate(RELAXED)) return false;
  const { d } = new WebAssembly.Instance(new WebAssembly.Module(RELAXED)).exports as { d(w: number, v: number): number };
  // Four weights of -128 or 127, four activations of 255.
  return d(0x80808080 | 0, -1) === -4 * 128 * 255 && d(0x7f7f7f7f, -1) === 4 * 127 * 255;
}
