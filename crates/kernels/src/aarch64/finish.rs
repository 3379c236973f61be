//! From 32-bit sums to 8-bit results, 16 at a time.

use core::arch::aarch64::{
    float32x4_t, int16x8_t, int32x4_t, uint8x16_t, vcombine_s16, vcombine_u8, vcvtnq_s32_f32, vcvtq_f32_s32,
    vdupq_n_s16, vdupq_n_u8, vmaxq_u8, vminq_u8, vmulq_f32, vqaddq_s16, vqmovn_s32, vqmovun_s16,
};

use crate::rows::requant::Requant;

/// Zero point and bounds in registers.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    zero: int16x8_t,
    low: uint8x16_t,
    high: uint8x16_t,
}

impl Finish {
    #[inline(always)]
    pub(super) fn new(requant: Requant) -> Self {
        let [low, high] = requant.bounds;
        // SAFETY: instructions of every AArch64.
        unsafe {
            Self { zero: vdupq_n_s16(i16::from(requant.zero)), low: vdupq_n_u8(low), high: vdupq_n_u8(high) }
        }
    }

    /// The results of 16 sums. The specification clamps before it rounds; as its bounds are integers, and every step here
    /// saturates, clamping last gives the same.
    #[inline(always)]
    pub(super) fn apply(&self, sums: [int32x4_t; 4], scale: [float32x4_t; 4]) -> uint8x16_t {
        // SAFETY: instructions of every AArch64.
        unsafe {
            let round = |i: usize| vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[i]), scale[i])));
            let low = vqaddq_s16(vcombine_s16(round(0), round(1)), self.zero);
            let high = vqaddq_s16(vcombine_s16(round(2), round(3)), self.zero);
            let q = vcombine_u8(vqmovun_s16(low), vqmovun_s16(high));
            vmaxq_u8(vminq_u8(q, self.high), self.low)
        }
    }
}
