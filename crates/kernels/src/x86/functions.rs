//! Activations of f32 numbers as plain arithmetic without branches, to be compiled, and vectorised, for an instruction set.
//!
//! Relative errors are a few units in the last place, but for [`gelu`], which bounds the absolute one.

use core::arch::x86_64::{_mm_cvtss_f32, _mm_fmadd_ss, _mm_set_ss, _mm_sqrt_ss};

use fusionproxy_format::{Activation, BinaryOp, Quant};

use super::float_elementwise::{FloatBlend, FloatUpsample};
use super::requant::Requant;

/// a b + c, rounded once. Without the standard library, `f32` has no such method.
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    // SAFETY: the instruction belongs to every set that this module is compiled for (`compiled::methods`).
    unsafe { _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c))) }
}

/// The square root of `v`, by the instruction that all of these CPUs have: without the standard library, `f32` has none.
#[inline(always)]
pub(super) fn root(v: f32) -> f32 {
    // SAFETY: SSE is part of x86-64.
    unsafe { _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))) }
}

/// Added to a number, rounds it to the nearest integer, which is then in the low bits of the sum.
const MAGIC: f32 = 12_582_912.0;

/// 2^n of `shifted`, n + [`MAGIC`].
#[inline(always)]
fn power(shifted: f32) -> f32 {
    f32::from_bits(((shifted.to_bits().wrapping_sub(MAGIC.to_bits())).wrapping_add(127)) << 23)
}

/// exp(x), 0 below -87.3 and at most 2.4e38.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // 2^n * exp(r) with |r| <= ln 2 / 2.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let inside = if x > 88.3 { 88.3 } else { x };
    let inside = if inside < -87.3 { -87.3 } else { inside };
    let shifted = inside * core::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = inside - n * LN2_HIGH - n * LN2_LOW;
    // Cephes, expf.
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_6e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let v = p * power(shifted);
    if x < -87.3 { 0.0 } else { v }
}

/// 1 / (1 + exp(-x)), 0 where the exponential is at its limit: an infinity times it is then not a number, as it has to be.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let v = 1.0 / (1.0 + exp(-x));
    if x < -88.3 { 0.0 } else { v }
}

/// tanh(x), by a polynomial near 0, where the quotient would cancel.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let magnitude = if x.abs() > 15.0 { 15.0 } else { x.abs() };
    let e = exp(2.0 * magnitude);
    let far = 1.0 - 2.0 / (e + 1.0);
    // Cephes, tanhf.
    let z = x * x;
    let p = -5.704_988_7e-3;
    let p = p * z + 2.063_908_8e-2;
    let p = p * z - 5.373_971_5e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328e-1;
    let near = p * z * x + x;
    let far = if x < 0.0 { -far } else { far };
    if magnitude < 0.625 { near } else { far }
}

/// x Phi(x), Phi being the distribution function of the normal distribution, to an absolute error of 3.1e-7.
///
/// Neither a division nor the general exponential: it is max(x, 0) - m Phi(-m) with m = |x|, and Phi(-m) = 2^g(m) with a smooth
/// g, of which g(0) is -1. Both polynomials are our own least maximum fits, that of g weighted by the error it makes in the
/// result. Beyond 6 the second term is below 4e-9.
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    let m = if x.abs() > 6.0 { 6.0 } else { x.abs() };
    let g = fused(2.992_424_4e-5, m, -7.398_747e-4);
    let g = fused(g, m, 7.977_464e-3);
    let g = fused(g, m, -5.323_819e-2);
    let g = fused(g, m, -4.589_157e-1);
    let g = fused(g, m, -1.151_147);
    let g = fused(g, m, -1.0);
    // 2^n * 2^r with |r| <= 1/2.
    let shifted = g + MAGIC;
    let r = g - (shifted - MAGIC);
    let p = fused(1.326_472_7e-3, r, 9.671_513e-3);
    let p = fused(p, r, 5.550_734e-2);
    let p = fused(p, r, 2.402_224_2e-1);
    let p = fused(p, r, core::f32::consts::LN_2);
    let p = fused(p, r, 1.0);
    // max(x, 0); the formula is not a number at minus infinity, and neither is this.
    let positive = 0.5 * x + 0.5 * x.abs();
    fused(-m * p, power(shifted), positive)
}

/// min(max(x, lo), hi); NaN stays NaN.
#[inline(always)]
pub(super) fn clamp(x: f32, lo: f32, hi: f32) -> f32 {
    let x = if x < lo { lo } else { x };
    if x > hi { hi } else { x }
}

/// Numbers that are worked on at once. They pass through an array, which is known not to overlap anything.
const BLOCK: usize = 64;

/// Numbers `0..len` at `from`. A copy of constant length, where it is one, passes through no memory.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(super) unsafe fn block(from: *const f32, len: usize) -> [f32; BLOCK] {
    // SAFETY: the caller's promise.
    unsafe {
        if len == BLOCK {
            return from.cast::<[f32; BLOCK]>().read();
        }
        let mut v = [0.0; BLOCK];
        core::ptr::copy_nonoverlapping(from, v.as_mut_ptr(), len);
        v
    }
}

/// Writes the first `len` numbers.
///
/// # Safety
/// They can be written.
#[inline(always)]
pub(super) unsafe fn set_block(to: *mut f32, len: usize, v: [f32; BLOCK]) {
    // SAFETY: the caller's promise.
    unsafe {
        if len == BLOCK {
            to.cast::<[f32; BLOCK]>().write(v);
        } else {
            core::ptr::copy_nonoverlapping(v.as_ptr(), to, len);
        }
    }
}

/// Applies `f` to each number of `a` and `b` and writes the results.
///
/// # Safety
/// `n` numbers at `a` and `b` can be read and at `to` written; `to` is `a` or `b` or overlaps neither.
#[inline(always)]
unsafe fn each2(a: *const f32, b: *const f32, to: *mut f32, n: usize, f: impl Fn(f32, f32) -> f32) {
    let mut at = 0;
    while at < n {
        let len = (n - at).min(BLOCK);
        // SAFETY: numbers at..at + len of each run.
        unsafe {
            let (mut x, y) = (block(a.add(at), len), block(b.add(at), len));
            for (x, y) in x.iter_mut().zip(y) {
                *x = f(*x, y);
            }
            set_block(to.add(at), len, x);
        }
        at += len;
    }
}

/// Applies `f` to each number.
///
/// # Safety
/// `n` numbers at `v` can be read and written.
#[inline(always)]
unsafe fn each(v: *mut f32, n: usize, f: impl Fn(f32) -> f32) {
    // SAFETY: passed on.
    unsafe { each2(v, v, v, n, |x, _| f(x)) }
}

/// The body of [`super::isa::Isa::binary`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn binary(op: BinaryOp, a: *const f32, b: *const f32, to: *mut f32, n: usize) {
    // SAFETY: passed on.
    unsafe {
        match op {
            BinaryOp::Add => each2(a, b, to, n, |a, b| a + b),
            BinaryOp::Sub => each2(a, b, to, n, |a, b| a - b),
            BinaryOp::Mul => each2(a, b, to, n, |a, b| a * b),
            BinaryOp::Div => each2(a, b, to, n, |a, b| a / b),
            BinaryOp::Min => each2(a, b, to, n, |a, b| if b < a { b } else { a }),
            BinaryOp::Max => each2(a, b, to, n, |a, b| if b > a { b } else { a }),
        }
    }
}

/// The body of [`super::isa::Isa::fold_pixels`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn fold_pixels(from: *const f32, pixels: usize, channels: usize, max: bool, acc: *mut f32) {
    let mut first = 0;
    while first < channels {
        let len = (channels - first).min(BLOCK);
        // SAFETY: channels first..first + len of each pixel and of the result.
        unsafe {
            let mut sums = block(acc.add(first), len);
            for p in 0..pixels {
                let from = from.add(p * channels + first);
                if len.is_multiple_of(16) {
                    // Whole registers, whose number is the same in every turn.
                    for (i, sums) in sums.chunks_exact_mut(16).enumerate().take(len / 16) {
                        let v = from.add(16 * i).cast::<[f32; 16]>().read();
                        for (acc, v) in sums.iter_mut().zip(v) {
                            let larger = if v > *acc { v } else { *acc };
                            *acc = if max { larger } else { *acc + v };
                        }
                    }
                    continue;
                }
                for (i, acc) in sums.iter_mut().enumerate().take(len) {
                    let v = from.add(i).read();
                    let larger = if v > *acc { v } else { *acc };
                    *acc = if max { larger } else { *acc + v };
                }
            }
            set_block(acc.add(first), len, sums);
        }
        first += len;
    }
}

/// The body of [`super::isa::Isa::blend_float`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn blend(row: &FloatBlend) {
    let mut at = 0;
    while at < row.len {
        let len = (row.len - at).min(BLOCK);
        // SAFETY: numbers at..at + len of each run.
        unsafe {
            let (a, i) = (block(row.a.add(at), len), block(row.infrared.add(at), len));
            let (mut v, mut b) = (block(row.visible.add(at), len), [0.0; BLOCK]);
            if row.gain != 0.0 {
                b = block(row.b.add(at), len);
                b.iter_mut().for_each(|b| *b = row.gain * tanh(*b));
            }
            for k in 0..BLOCK {
                v[k] = clamp(v[k] + sigmoid(a[k]) * (i[k] - v[k]) + b[k], 0.0, 1.0);
            }
            set_block(row.visible.add(at), len, v);
        }
        at += len;
    }
}

/// The body of [`super::isa::Isa::upsample_float`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn upsample(row: &FloatUpsample) {
    let FloatUpsample { near, far, channels, len, mixed, even, odd } = *row;
    // SAFETY: the sizes that `FloatUpsample` gives.
    unsafe {
        each2(near, far, mixed.add(channels), len, |near, far| near + (far - near) * 0.25);
        core::ptr::copy_nonoverlapping(mixed.add(channels), mixed, channels);
        core::ptr::copy_nonoverlapping(mixed.add(len), mixed.add(channels + len), channels);
        let centre = mixed.add(channels);
        each2(centre, mixed, even, len, |near, far| near + (far - near) * 0.25);
        each2(centre, mixed.add(2 * channels), odd, len, |near, far| near + (far - near) * 0.25);
    }
}

/// The body of [`super::isa::Isa::quantise`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn quantise(from: *const f32, to: *mut u8, n: usize, per_step: f32, requant: &Requant<'_>) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe {
            let r = from.add(i).read() * per_step;
            to.add(i).write(requant.value(if r.is_nan() { 0.0 } else { r }));
        }
    }
}

/// The body of [`super::isa::Isa::dequantise`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn dequantise(from: *const u8, to: *mut f32, n: usize, quant: Quant) {
    let zero = i32::from(quant.zero_point);
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write((i32::from(from.add(i).read()) - zero) as f32 * quant.scale) };
    }
}

/// The body of [`super::isa::Isa::activate`].
///
/// # Safety
/// `n` numbers at `v` can be read and written.
#[inline(always)]
pub(super) unsafe fn activate(v: *mut f32, n: usize, function: Activation) {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    // SAFETY: passed on.
    unsafe {
        match function {
            Activation::None => {}
            Activation::Clamp { lo, hi } => each(v, n, |x| clamp(x, lo, hi)),
            Activation::LeakyRelu { slope } => each(v, n, |x| if x < 0.0 { slope * x } else { x }),
            Activation::HardSwish => each(v, n, |x| x * clamp(x / 6.0 + 0.5, 0.0, 1.0)),
            Activation::HardSigmoid { alpha, beta } => each(v, n, |x| clamp(alpha * x + beta, 0.0, 1.0)),
            Activation::Gelu => each(v, n, gelu),
            Activation::GeluTanh => {
                each(v, n, |x| 0.5 * x * (1.0 + tanh(SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x))));
            }
            Activation::Silu => each(v, n, |x| x * sigmoid(x)),
            Activation::Sigmoid => each(v, n, sigmoid),
            Activation::Tanh => each(v, n, tanh),
            Activation::Abs => each(v, n, f32::abs),
            Activation::Exp => each(v, n, libm::expf),
            Activation::Sqrt => each(v, n, libm::sqrtf),
            Activation::Affine { alpha, beta } => each(v, n, |x| alpha * x + beta),
        }
    }
}
