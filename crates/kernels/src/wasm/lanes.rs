//! Vectors of `simd128`, for the drivers of [`crate::rows::wide`].

use core::arch::wasm32::{
    f32x4, f32x4_add, f32x4_convert_i32x4, f32x4_eq, f32x4_mul, f32x4_pmax, f32x4_pmin, f32x4_splat,
    f32x4_sub, i16x8_mul, i16x8_splat, i16x8_sub, i32x4_add, i32x4_extend_high_i16x8, i32x4_extend_low_i16x8,
    i32x4_splat, u16x8_extadd_pairwise_u8x16, u16x8_extend_high_u8x16, u16x8_extend_low_u8x16,
    u32x4_extadd_pairwise_u16x8, u32x4_extend_high_u16x8, u32x4_extend_low_u16x8, v128, v128_and, v128_load,
    v128_store,
};

use super::finish::Finish;
use crate::rows::requant::Requant;
use crate::rows::wide::Lanes;

/// The vectors.
pub(super) struct Vectors;

/// Where results are clamped before they are rounded: where rounding works, and far beyond a byte.
const LIMIT: f32 = 1_048_576.0;

/// Each byte less `zero`.
#[inline(always)]
fn less(v: v128, zero: u8) -> [v128; 2] {
    [u16x8_extend_low_u8x16(v), u16x8_extend_high_u8x16(v)]
        .map(|v| i16x8_sub(v, i16x8_splat(i16::from(zero))))
}

impl Lanes for Vectors {
    type Bytes = v128;
    type Floats = v128;
    type Sums = v128;
    type Finish = Finish;

    #[inline(always)]
    fn bytes(v: [u8; 16]) -> v128 {
        // SAFETY: 16 bytes.
        unsafe { v128_load(v.as_ptr().cast()) }
    }

    #[inline(always)]
    fn array(v: v128) -> [u8; 16] {
        let mut bytes = [0; 16];
        // SAFETY: 16 bytes.
        unsafe { v128_store(bytes.as_mut_ptr().cast(), v) };
        bytes
    }

    #[inline(always)]
    fn floats([a, b, c, d]: [f32; 4]) -> v128 {
        f32x4(a, b, c, d)
    }

    #[inline(always)]
    fn add(a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }

    #[inline(always)]
    fn sub(a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }

    #[inline(always)]
    fn mul(a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }

    #[inline(always)]
    fn less(v: v128, zero: u8) -> [v128; 4] {
        let [a, b] = less(v, zero);
        [
            i32x4_extend_low_i16x8(a),
            i32x4_extend_high_i16x8(a),
            i32x4_extend_low_i16x8(b),
            i32x4_extend_high_i16x8(b),
        ]
        .map(|v| f32x4_convert_i32x4(v))
    }

    /// In floats, where the products are exact, too, and multiplication is faster.
    #[inline(always)]
    fn times(v: v128, n: u16) -> [v128; 4] {
        Self::less(v, 0).map(|v| f32x4_mul(v, f32x4_splat(f32::from(n))))
    }

    #[inline(always)]
    fn finish(zero: u8) -> Finish {
        Finish::new(Requant { bounds: [0, 255], zero })
    }

    #[inline(always)]
    fn quantise(finish: Finish, r: [v128; 4]) -> v128 {
        let round = |r: v128| {
            let number = v128_and(r, f32x4_eq(r, r));
            finish.round(f32x4_pmax(f32x4_pmin(number, f32x4_splat(LIMIT)), f32x4_splat(-LIMIT)))
        };
        finish.pack(r.map(round))
    }

    #[inline(always)]
    fn none() -> v128 {
        i32x4_splat(0)
    }

    #[inline(always)]
    fn sums(v: v128) -> [u32; 4] {
        let mut sums = [0; 4];
        // SAFETY: four numbers.
        unsafe { v128_store(sums.as_mut_ptr().cast(), v) };
        sums
    }

    #[inline(always)]
    fn add_powers([sum, squares]: [v128; 2], v: v128) -> [v128; 2] {
        let sum = i32x4_add(sum, u32x4_extadd_pairwise_u16x8(u16x8_extadd_pairwise_u8x16(v)));
        // The square of a byte fits 16 bits.
        let [low, high] = less(v, 0).map(|v| u32x4_extadd_pairwise_u16x8(i16x8_mul(v, v)));
        [sum, i32x4_add(squares, i32x4_add(low, high))]
    }

    #[inline(always)]
    fn add_squares([a, b, c, d]: [v128; 4], v: v128, zero: u8) -> [v128; 4] {
        // As in `add_powers`.
        let [low, high] = less(v, zero).map(|v| i16x8_mul(v, v));
        [
            i32x4_add(a, u32x4_extend_low_u16x8(low)),
            i32x4_add(b, u32x4_extend_high_u16x8(low)),
            i32x4_add(c, u32x4_extend_low_u16x8(high)),
            i32x4_add(d, u32x4_extend_high_u16x8(high)),
        ]
    }
}
