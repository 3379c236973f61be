//! Functions of four f32 numbers in a register, and activations by them.

use core::arch::aarch64::{
    float32x4_t, vabsq_f32, vaddq_f32, vaddq_s32, vcvtq_s32_f32, vdupq_n_f32, vdupq_n_s32, vfmaq_f32,
    vfmsq_f32, vld1q_f32, vmaxq_f32, vminq_f32, vmulq_f32, vmulq_n_f32, vreinterpretq_f32_s32, vrndnq_f32,
    vshlq_n_s32, vst1q_f32,
};
use core::ops::Range;

use fusionproxy_format::Activation;

use super::float::Float;
use crate::{Call, Lane, LaneMut, scalar};

/// Numbers that are worked on at once.
const BLOCK: usize = 16;

/// Beyond it x Phi(-x) is below 1.5e-6.
const END: f32 = 5.0;

/// Phi(-m) by the powers of 2 m / [`END`] - 1, a least maximum fit of m Phi(-m).
const TAIL: [f32; 14] = [
    0.006_209_836,
    -0.043_818_764,
    0.136_918_11,
    -0.239_704_56,
    0.232_238_58,
    -0.064_641_33,
    -0.128_629_09,
    0.159_503_13,
    -0.030_016_577,
    -0.070_453_09,
    0.045_960_244,
    0.006_570_405,
    -0.012_686_562,
    0.002_549_864,
];

/// x Phi(x), Phi being the distribution function of the normal distribution, to 2e-6: max(x, 0) - m Phi(-m) with m = |x|.
#[inline(always)]
fn gelu(x: float32x4_t) -> float32x4_t {
    // SAFETY: instructions of every AArch64.
    unsafe {
        let magnitude = vabsq_f32(x);
        // NaN stays NaN.
        let m = vminq_f32(magnitude, vdupq_n_f32(END));
        let k = vfmaq_f32(vdupq_n_f32(-1.0), m, vdupq_n_f32(2.0 / END));
        let mut tail = vdupq_n_f32(TAIL[TAIL.len() - 1]);
        for power in TAIL.iter().rev().skip(1) {
            tail = vfmaq_f32(vdupq_n_f32(*power), tail, k);
        }
        // max(x, 0); the formula is not a number at minus infinity, and neither is this.
        vfmsq_f32(vmulq_n_f32(vaddq_f32(x, magnitude), 0.5), m, tail)
    }
}

/// exp(x) to a few units in the last place, for x of at most 88 and at least -87, which stand for those beyond.
#[inline(always)]
pub(super) fn exp(x: float32x4_t) -> float32x4_t {
    // 2^n * exp(r) with |r| <= ln 2 / 2.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Cephes, expf.
    const POWERS: [f32; 5] = [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5];
    // SAFETY: instructions of every AArch64.
    unsafe {
        // NaN stays NaN.
        let x = vmaxq_f32(vminq_f32(x, vdupq_n_f32(88.0)), vdupq_n_f32(-87.0));
        let n = vrndnq_f32(vmulq_n_f32(x, core::f32::consts::LOG2_E));
        let r = vfmsq_f32(x, n, vdupq_n_f32(LN2_HIGH));
        let r = vfmsq_f32(r, n, vdupq_n_f32(LN2_LOW));
        let mut p = vdupq_n_f32(1.987_569_1e-4);
        for power in POWERS {
            p = vfmaq_f32(vdupq_n_f32(power), p, r);
        }
        let p = vaddq_f32(vfmaq_f32(r, vmulq_f32(p, r), r), vdupq_n_f32(1.0));
        let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
        vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent)))
    }
}

/// `function` of four numbers.
#[inline(always)]
pub(super) fn activate(function: Activation, v: float32x4_t) -> float32x4_t {
    if matches!(function, Activation::Gelu) { gelu(v) } else { one_by_one(function, v) }
}

/// `function` of all numbers, in place.
#[inline(never)]
pub(super) fn activate_all(function: Activation, numbers: &mut [float32x4_t]) {
    for v in numbers {
        *v = activate(function, *v);
    }
}

/// `function` of four numbers by the scalar kernels.
#[inline(never)]
fn one_by_one(function: Activation, v: float32x4_t) -> float32x4_t {
    let mut values = [0.0; 4];
    // SAFETY: an array of four.
    unsafe {
        vst1q_f32(values.as_mut_ptr(), v);
        values = values.map(|v| scalar::activate(function, v));
        vld1q_f32(values.as_ptr())
    }
}

/// Whether [`run`] takes this function.
pub(super) fn supports(function: Activation) -> bool {
    matches!(function, Activation::Gelu)
}

/// Runs rows `units` of an activation; `false` if it is not one that [`supports`] accepts, or of another type.
pub(super) fn run<T: Float>(call: &Call<'_, '_>, function: Activation, units: Range<usize>) -> bool {
    let (Some(source), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    if !supports(function) {
        return false;
    }
    for y in units {
        if let (Some(from), Some(to)) = (source.row(y), out.row(y)) {
            gelu_lane(from, to);
        } else {
            (0..out.shape().width).for_each(|x| gelu_lane(source.pixel(y, x), out.pixel(y, x)));
        }
    }
    true
}

/// Writes the function of each element of `from`, which may be the same elements.
fn gelu_lane<T: Float>(from: Lane<'_, T>, to: LaneMut<'_, T>) {
    let mut at = 0;
    while at < from.len() {
        let n = (from.len() - at).min(BLOCK);
        let mut block = [T::default(); BLOCK];
        if n == BLOCK {
            block = from.array(at);
        } else {
            block.iter_mut().zip(from.slice(at, n).iter()).for_each(|(to, v)| *to = v);
        }
        for four in block.as_chunks_mut::<4>().0 {
            // SAFETY: an array of four.
            unsafe { T::store(four.as_mut_ptr(), gelu(T::load(four.as_ptr()))) };
        }
        to.slice(at, n).fill_array(block);
        at += n;
    }
}
