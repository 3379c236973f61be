//! WGSL functions that the generated code calls. `P` holds the dispatch's parameters.

use alloc::string::String;

/// Bytes, by the language feature `packed_4x8_integer_dot_product`.
const PACKED: &str = "\
fn octets(v: u32) -> vec4<i32> { return vec4<i32>(unpack4xU8(v)); }
fn weights(v: u32) -> vec4<i32> { return unpack4xI8(v); }
fn pack(v: vec4<i32>) -> u32 { return pack4xU8(vec4<u32>(v)); }
fn dots(x: u32, w: vec4<u32>) -> vec4<i32> {
  return vec4<i32>(dot4I8Packed(x, w.x), dot4I8Packed(x, w.y), dot4I8Packed(x, w.z), dot4I8Packed(x, w.w));
}
";

/// The same without it.
const SHIFTED: &str = "\
fn octets(v: u32) -> vec4<i32> { return vec4<i32>((vec4<u32>(v) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u)); }
fn weights(v: u32) -> vec4<i32> {
  return bitcast<vec4<i32>>(vec4<u32>(v) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
}
fn pack(v: vec4<i32>) -> u32 {
  let b = (vec4<u32>(v) & vec4<u32>(255u)) << vec4<u32>(0u, 8u, 16u, 24u);
  return b.x | b.y | b.z | b.w;
}
fn dots(x: u32, w: vec4<u32>) -> vec4<i32> {
  let v = weights(x);
  return vec4<i32>(dot(v, weights(w.x)), dot(v, weights(w.y)), dot(v, weights(w.z)), dot(v, weights(w.w)));
}
";

/// Integers: division that rounds down, and the element of a transposed convolution's input whose window starts at `n`
/// (outside of the image if there is none).
const INTEGERS: &str = "\
fn divided(a: i32, b: i32) -> i32 {
  let q = a / b;
  return select(q, q - 1, q * b > a);
}
fn upstream(n: i32, stride: i32) -> i32 { return select(-1, n / stride, n >= 0 && n % stride == 0); }
";

/// Half precision: four numbers in two words, and a 4x4 product with a matrix of four columns in two vectors.
const HALF: &str = "\
fn half4(v: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y)); }
fn pack_half(v: vec4<f32>) -> vec2<u32> { return vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw)); }
";

const PRODUCT_UNPACKED: &str = "\
fn product16(x: vec4<f32>, k: u32) -> vec4<f32> {
  let a = P[k];
  let b = P[k + 1u];
  return half4(a.xy) * x.x + half4(a.zw) * x.y + half4(b.xy) * x.z + half4(b.zw) * x.w;
}
";

/// With `shader-f16`: products and sums of four in 16 bits, longer sums in 32.
const PRODUCT_F16: &str = "\
fn product16(x: vec4<f32>, k: u32) -> vec4<f32> {
  let h = vec4<f16>(x);
  let a = P[k];
  let b = P[k + 1u];
  return vec4<f32>(vec4<f16>(half4(a.xy)) * h.x + vec4<f16>(half4(a.zw)) * h.y
    + vec4<f16>(half4(b.xy)) * h.z + vec4<f16>(half4(b.zw)) * h.w);
}
";

const PRODUCT_32: &str = "\
fn product32(x: vec4<f32>, k: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(P[k]) * x.x + bitcast<vec4<f32>>(P[k + 1u]) * x.y
    + bitcast<vec4<f32>>(P[k + 2u]) * x.z + bitcast<vec4<f32>>(P[k + 3u]) * x.w;
}
";

/// One conversion, one multiplication, one rounding: the arithmetic of the CPU's kernels, which no compiler can contract.
/// `P[k]` is the zero point and the bounds of the result above it; a table follows where there is one.
const QUANTISE: &str = "\
fn quantise_real(r: vec4<f32>, k: u32) -> vec4<i32> {
  let f = P[k];
  let v = clamp(r, vec4<f32>(bitcast<f32>(f.y)), vec4<f32>(bitcast<f32>(f.z)));
  return vec4<i32>(round(v)) + bitcast<i32>(f.x);
}
fn quantise(sum: vec4<i32>, scale: vec4<f32>, k: u32) -> vec4<i32> {
  return quantise_real(vec4<f32>(sum) * scale, k);
}
fn octet_at(q: i32, k: u32) -> i32 {
  let i = u32(q);
  return i32((P[k + (i >> 4u)][(i >> 2u) & 3u] >> ((i & 3u) * 8u)) & 255u);
}
fn look_up(q: vec4<i32>, k: u32) -> vec4<i32> {
  return vec4<i32>(octet_at(q.x, k), octet_at(q.y, k), octet_at(q.z, k), octet_at(q.w, k));
}
fn look_up_each(q: vec4<i32>, k: u32) -> vec4<i32> {
  return vec4<i32>(octet_at(q.x, k), octet_at(q.y, k + 16u), octet_at(q.z, k + 32u), octet_at(q.w, k + 48u));
}
fn int_at(q: i32, k: u32) -> i32 {
  let i = u32(q);
  return bitcast<i32>(P[k + (i >> 2u)][i & 3u]);
}
fn ints_at(q: vec4<i32>, k: u32) -> vec4<i32> {
  return vec4<i32>(int_at(q.x, k), int_at(q.y, k), int_at(q.z, k), int_at(q.w, k));
}
fn weighted(a: vec4<i32>, b: vec4<i32>, k: u32) -> vec4<i32> {
  let f = bitcast<vec4<i32>>(P[k]);
  let l = bitcast<vec4<i32>>(P[k + 1u]);
  let r = (a * f.x + b * f.y + f.z) >> vec4<u32>(u32(f.w));
  return clamp(r, vec4<i32>(l.x), vec4<i32>(l.y));
}
fn multiplied(a: vec4<i32>, b: vec4<i32>, k: u32) -> vec4<i32> {
  let f = P[k];
  let sum = (a - bitcast<i32>(f.x)) * (b - bitcast<i32>(f.y));
  return quantise(sum, vec4<f32>(bitcast<f32>(f.z)), k + 1u);
}
fn real(q: vec4<i32>, k: u32) -> vec4<f32> {
  let f = P[k];
  return vec4<f32>(q - bitcast<i32>(f.x)) * bitcast<f32>(f.y);
}
";

/// Abramowitz and Stegun 7.1.26, |error| <= 1.5e-7. Arguments are limited where the function is flat.
const FUNCTIONS: &str = "\
fn erf4(v: vec4<f32>) -> vec4<f32> {
  let x = min(abs(v), vec4<f32>(6.0));
  let t = 1.0 / (1.0 + 0.3275911 * x);
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return sign(v) * (1.0 - p * exp(-x * x));
}
fn sigmoid4(v: vec4<f32>) -> vec4<f32> { return 1.0 / (1.0 + exp(-clamp(v, vec4<f32>(-80.0), vec4<f32>(80.0)))); }
fn tanh4(v: vec4<f32>) -> vec4<f32> { return tanh(clamp(v, vec4<f32>(-15.0), vec4<f32>(15.0))); }
";

/// The functions, for an adapter with the packed dot product or without, with `shader-f16` or without; `parameters`
/// tells whether the dispatch has any.
pub(crate) fn prelude(out: &mut String, packed_dot: bool, f16: bool, parameters: bool) {
    out.push_str(if packed_dot { PACKED } else { SHIFTED });
    out.push_str(INTEGERS);
    out.push_str(HALF);
    out.push_str(FUNCTIONS);
    if parameters {
        out.push_str(QUANTISE);
        out.push_str(if f16 { PRODUCT_F16 } else { PRODUCT_UNPACKED });
        out.push_str(PRODUCT_32);
    }
}
