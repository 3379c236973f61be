//! From 32-bit sums to 8-bit results: the arithmetic of the scalar quantiser, four sums at a time.

use core::arch::wasm32::{
    f32x4_add, f32x4_convert_i32x4, f32x4_mul, f32x4_splat, i8x16_min, i8x16_narrow_i16x8, i8x16_splat,
    i16x8_max, i16x8_narrow_i32x4, i16x8_splat, i32x4_splat, i32x4_sub, u8x16_splat, v128, v128_xor,
};

use core::hint::black_box;

use crate::rows::requant::Requant;

/// 1.5 * 2^23. Added to a float of magnitude below 2^22 it leaves the float, rounded half to even, in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// Whether every sum of `terms` products, times one of these scales, stays where [`MAGIC`] works. Rounding may then come
/// before the clamp, which narrowing with saturation does for nothing. It holds for every network that a calibration can
/// produce; calls for which it does not run the scalar kernel.
pub(super) fn fits(terms: usize, bias: &[i32], scale: &[f32]) -> bool {
    let bias = bias.iter().fold(0, |m, b| b.unsigned_abs().max(m));
    let scale = scale.iter().fold(0f32, |m, s| s.abs().max(m));
    (terms as f32 * (255.0 * 255.0) + bias as f32) * scale < 4_000_000.0
}

/// Rounding, zero point and clamp in registers.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    magic: v128,
    sign: v128,
    offset: v128,
    low: v128,
    high: v128,
}

impl Finish {
    #[inline(always)]
    pub(super) fn new(requant: Requant) -> Self {
        Self {
            // As constants, V8 would build them anew at every use, in three instructions.
            magic: black_box(f32x4_splat(MAGIC)),
            sign: black_box(u8x16_splat(128)),
            offset: i32x4_splat(MAGIC.to_bits().cast_signed() - i32::from(requant.zero) + 128),
            // The compiler must not know that it is a byte, see `pack`.
            low: black_box(i16x8_splat(i16::from(requant.bounds[0]) - 128)),
            high: i8x16_splat((requant.bounds[1] ^ 128).cast_signed()),
        }
    }

    /// The results of four sums that [`fits`] bounds, less 128, before the clamp.
    #[inline(always)]
    pub(super) fn apply(&self, acc: v128, scale: v128) -> v128 {
        self.round(f32x4_mul(f32x4_convert_i32x4(acc), scale))
    }

    /// The same of real numbers below 2^22.
    #[inline(always)]
    pub(super) fn round(&self, r: v128) -> v128 {
        i32x4_sub(f32x4_add(r, self.magic), self.offset)
    }

    /// The clamped bytes of four vectors of results.
    ///
    /// `u8x16_narrow_i16x8` of `i16x8_narrow_i32x4` would become eighteen instructions instead of three: LLVM takes them for
    /// pairs of minimum and maximum, merges those and does not find the saturating instructions again. The lower bound
    /// between them, of which it knows nothing, and signed bytes keep them apart.
    #[inline(always)]
    pub(super) fn pack(&self, v: [v128; 4]) -> v128 {
        let half = |a, b| i16x8_max(i16x8_narrow_i32x4(a, b), self.low);
        let signed = i8x16_narrow_i16x8(half(v[0], v[1]), half(v[2], v[3]));
        v128_xor(i8x16_min(signed, self.high), self.sign)
    }
}

/// Writes the first `n` bytes of `v`, at most 16.
///
/// # Safety
/// They can be written.
#[inline(always)]
pub(super) unsafe fn store_first(to: *mut u8, v: v128, n: usize) {
    // SAFETY: the caller's promise; at most the 16 bytes of the array are read.
    unsafe {
        if n >= 16 {
            to.cast::<v128>().write_unaligned(v);
        } else {
            let bytes: [u8; 16] = core::mem::transmute(v);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, n);
        }
    }
}
