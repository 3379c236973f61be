//! Vectors of NEON, for the drivers of [`crate::rows::wide`].

use core::arch::aarch64::{
    float32x4_t, int16x8_t, uint8x16_t, uint32x4_t, vaddq_f32, vcombine_s16, vcombine_u8, vcvtnq_s32_f32,
    vcvtq_f32_s32, vcvtq_f32_u32, vdup_n_u16, vdupq_n_s16, vdupq_n_u8, vdupq_n_u16, vdupq_n_u32,
    vget_low_s16, vget_low_u8, vget_low_u16, vld1q_f32, vld1q_u8, vmlal_high_s16, vmlal_s16, vmovl_high_s16,
    vmovl_high_u8, vmovl_s16, vmovl_u8, vmull_high_u8, vmull_high_u16, vmull_u8, vmull_u16, vmulq_f32,
    vpadalq_u16, vpaddlq_u8, vqaddq_s16, vqmovn_s32, vqmovun_s16, vreinterpretq_s16_u16,
    vreinterpretq_s32_u32, vreinterpretq_u32_s32, vst1q_u8, vst1q_u32, vsubl_high_u8, vsubl_u8, vsubq_f32,
};

use crate::rows::wide::Lanes;

/// The vectors.
pub(super) struct Vectors;

/// Each byte less `zero`.
#[inline(always)]
fn less(v: uint8x16_t, zero: u8) -> [int16x8_t; 2] {
    // SAFETY: instructions of every AArch64.
    unsafe {
        let zero = vdupq_n_u8(zero);
        [vsubl_u8(vget_low_u8(v), vget_low_u8(zero)), vsubl_high_u8(v, zero)]
            .map(|v| vreinterpretq_s16_u16(v))
    }
}

impl Lanes for Vectors {
    type Bytes = uint8x16_t;
    type Floats = float32x4_t;
    type Sums = uint32x4_t;
    /// The zero point.
    type Finish = int16x8_t;

    #[inline(always)]
    fn bytes(v: [u8; 16]) -> uint8x16_t {
        // SAFETY: 16 bytes, here and below with instructions of every AArch64.
        unsafe { vld1q_u8(v.as_ptr()) }
    }

    #[inline(always)]
    fn array(v: uint8x16_t) -> [u8; 16] {
        let mut bytes = [0; 16];
        // SAFETY: see `bytes`.
        unsafe { vst1q_u8(bytes.as_mut_ptr(), v) };
        bytes
    }

    #[inline(always)]
    fn floats(v: [f32; 4]) -> float32x4_t {
        // SAFETY: see `bytes`.
        unsafe { vld1q_f32(v.as_ptr()) }
    }

    #[inline(always)]
    fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see `bytes`.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see `bytes`.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see `bytes`.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    fn less(v: uint8x16_t, zero: u8) -> [float32x4_t; 4] {
        let [low, high] = less(v, zero);
        // SAFETY: see `bytes`.
        unsafe {
            [
                vmovl_s16(vget_low_s16(low)),
                vmovl_high_s16(low),
                vmovl_s16(vget_low_s16(high)),
                vmovl_high_s16(high),
            ]
            .map(|v| vcvtq_f32_s32(v))
        }
    }

    #[inline(always)]
    fn times(v: uint8x16_t, n: u16) -> [float32x4_t; 4] {
        // SAFETY: see `bytes`.
        unsafe {
            let (low, high) = (vmovl_u8(vget_low_u8(v)), vmovl_high_u8(v));
            [
                vmull_u16(vget_low_u16(low), vdup_n_u16(n)),
                vmull_high_u16(low, vdupq_n_u16(n)),
                vmull_u16(vget_low_u16(high), vdup_n_u16(n)),
                vmull_high_u16(high, vdupq_n_u16(n)),
            ]
            .map(|v| vcvtq_f32_u32(v))
        }
    }

    #[inline(always)]
    fn finish(zero: u8) -> int16x8_t {
        // SAFETY: see `bytes`.
        unsafe { vdupq_n_s16(i16::from(zero)) }
    }

    /// The conversion makes 0 of NaN, and every step saturates.
    #[inline(always)]
    fn quantise(zero: int16x8_t, r: [float32x4_t; 4]) -> uint8x16_t {
        // SAFETY: see `bytes`.
        unsafe {
            let [a, b, c, d] = r.map(|r| vqmovn_s32(vcvtnq_s32_f32(r)));
            let (low, high) = (vqaddq_s16(vcombine_s16(a, b), zero), vqaddq_s16(vcombine_s16(c, d), zero));
            vcombine_u8(vqmovun_s16(low), vqmovun_s16(high))
        }
    }

    #[inline(always)]
    fn none() -> uint32x4_t {
        // SAFETY: see `bytes`.
        unsafe { vdupq_n_u32(0) }
    }

    #[inline(always)]
    fn sums(v: uint32x4_t) -> [u32; 4] {
        let mut sums = [0; 4];
        // SAFETY: see `bytes`.
        unsafe { vst1q_u32(sums.as_mut_ptr(), v) };
        sums
    }

    #[inline(always)]
    fn add_powers([sum, squares]: [uint32x4_t; 2], v: uint8x16_t) -> [uint32x4_t; 2] {
        // SAFETY: see `bytes`.
        unsafe {
            let low = vmull_u8(vget_low_u8(v), vget_low_u8(v));
            let squares = vpadalq_u16(squares, low);
            [vpadalq_u16(sum, vpaddlq_u8(v)), vpadalq_u16(squares, vmull_high_u8(v, v))]
        }
    }

    #[inline(always)]
    fn add_squares(sums: [uint32x4_t; 4], v: uint8x16_t, zero: u8) -> [uint32x4_t; 4] {
        let [low, high] = less(v, zero);
        // SAFETY: see `bytes`. Below 2^31, or beyond, the bits of a signed sum are those of an unsigned one.
        unsafe {
            let [a, b, c, d] = sums.map(|v| vreinterpretq_s32_u32(v));
            [
                vmlal_s16(a, vget_low_s16(low), vget_low_s16(low)),
                vmlal_high_s16(b, low, low),
                vmlal_s16(c, vget_low_s16(high), vget_low_s16(high)),
                vmlal_high_s16(d, high, high),
            ]
            .map(|v| vreinterpretq_u32_s32(v))
        }
    }
}
