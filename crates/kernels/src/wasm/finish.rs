//! From 32-bit sums to 8-bit results: the arithmetic of the scalar quantiser, four sums at a time.

use core::arch::wasm32::{
    f32x4_add, f32x4_convert_i32x4, f32x4_mul, f32x4_pmax, f32x4_pmin, f32x4_splat, i16x8_narrow_i32x4,
    i32x4_splat, i32x4_sub, u8x16_narrow_i16x8, v128,
};

use fusionproxy_format::{Finish as Params, Quant};

/// 1.5 * 2^23. Added to a float of magnitude below 2^22 it leaves the float, rounded half to even, in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// Clamp, rounding and zero point in registers.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    low: v128,
    high: v128,
    offset: v128,
}

impl Finish {
    pub(super) fn new(output: Quant, finish: &Params<'_>) -> Self {
        let zero = i32::from(output.zero_point);
        let bound = |q: u8| f32x4_splat((i32::from(q) - zero) as f32);
        Self {
            low: bound(finish.lo),
            high: bound(finish.hi),
            offset: i32x4_splat(MAGIC.to_bits().cast_signed() - zero),
        }
    }

    /// The results, 0..=255, of four sums, before the table.
    #[inline(always)]
    pub(super) fn apply(&self, acc: v128, scale: v128) -> v128 {
        let r = f32x4_mul(f32x4_convert_i32x4(acc), scale);
        // `pmin(a, b)` is b < a ? b : a, and `pmax` a < b ? b : a: one instruction each on x86-64.
        let r = f32x4_pmax(self.low, f32x4_pmin(self.high, r));
        i32x4_sub(f32x4_add(r, f32x4_splat(MAGIC)), self.offset)
    }
}

/// The bytes of four vectors of results.
#[inline(always)]
pub(super) fn pack(v: [v128; 4]) -> v128 {
    u8x16_narrow_i16x8(i16x8_narrow_i32x4(v[0], v[1]), i16x8_narrow_i32x4(v[2], v[3]))
}
