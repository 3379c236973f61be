//! Registers of eight half-precision numbers.

use core::arch::aarch64::{
    float16x8_t, float32x4_t, vcvt_f16_f32, vcvt_f32_f16, vcvt_high_f16_f32, vcvt_high_f32_f16, vdupq_n_u16,
    vget_low_f16, vld1q_u16, vmaxq_f16, vminq_f16, vreinterpretq_f16_u16,
};

use half::f16;

/// Most products that are added up in half precision.
pub(super) const RUN: usize = 32;

/// Eight times `v`.
#[inline]
#[target_feature(enable = "neon,fp16")]
pub(super) fn splat(v: f16) -> float16x8_t {
    vreinterpretq_f16_u16(vdupq_n_u16(v.to_bits()))
}

/// Eight zeros.
#[inline]
#[target_feature(enable = "neon,fp16")]
pub(super) fn zero() -> float16x8_t {
    splat(f16::ZERO)
}

/// Eight numbers.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "neon,fp16")]
pub(super) unsafe fn load(from: *const f16) -> float16x8_t {
    // SAFETY: the caller's promise; an f16 has the layout of its bits.
    vreinterpretq_f16_u16(unsafe { vld1q_u16(from.cast()) })
}

/// Eight numbers in f32.
#[inline]
#[target_feature(enable = "neon,fp16")]
pub(super) fn wide(v: float16x8_t) -> [float32x4_t; 2] {
    [vcvt_f32_f16(vget_low_f16(v)), vcvt_high_f32_f16(v)]
}

/// Eight numbers rounded to nearest, ties to even.
#[inline]
#[target_feature(enable = "neon,fp16")]
pub(super) fn round([low, high]: [float32x4_t; 2]) -> float16x8_t {
    vcvt_high_f16_f32(vcvt_f16_f32(low), high)
}

/// The numbers within bounds; NaN stays NaN.
#[inline]
#[target_feature(enable = "neon,fp16")]
pub(super) fn clamp(v: float16x8_t, lo: float16x8_t, hi: float16x8_t) -> float16x8_t {
    vmaxq_f16(vminq_f16(v, hi), lo)
}
