//! The hottest instruction: products of four outputs' weights with four activations, added up.
//!
//! With `simd128` it is `i32x4.dot_i16x8_s`, twice. Bytes become its 16-bit operands by a mask and a shift: of a vector of
//! bytes, the even ones are `v & 0x00ff` and the odd ones `v >> 8`, and a sum of products may be taken over the even and
//! the odd ones apart, as long as activations and weights are split alike.
//!
//! With `relaxed-simd` it is `i32x4.relaxed_dot_i8x16_i7x16_add_s`, once. The standard fixes its result for activations
//! below 128 alone; beyond, an engine may take them as signed, or saturate sums of two. On x86-64 with AVX-VNNI engines
//! emit `vpdpbusd`, which takes them as unsigned and saturates nothing: exactly what is needed. [`exact`] finds out.

use core::arch::wasm32::v128;

pub(super) use body::{activations, mac, weights};

#[cfg(target_feature = "relaxed-simd")]
mod body {
    use core::arch::wasm32::{i32x4_relaxed_dot_i8x16_i7x16_add, v128};

    /// Weights of four outputs, four inputs each.
    pub(crate) type Weights = v128;

    /// Four activations, four times.
    pub(crate) type Activations = v128;

    #[inline(always)]
    pub(crate) fn weights(w: v128) -> Weights {
        w
    }

    #[inline(always)]
    pub(crate) fn activations(v: v128) -> Activations {
        v
    }

    /// `acc` plus, for each output, its four products.
    #[inline(always)]
    pub(crate) fn mac(acc: v128, v: Activations, w: Weights) -> v128 {
        i32x4_relaxed_dot_i8x16_i7x16_add(w, v, acc)
    }
}

#[cfg(not(target_feature = "relaxed-simd"))]
mod body {
    use core::arch::wasm32::{
        i16x8_shl, i16x8_shr, i32x4_add, i32x4_dot_i16x8, u16x8_shr, u16x8_splat, v128, v128_and,
    };

    /// Weights of four outputs: inputs 0 and 2, and 1 and 3, of each.
    pub(crate) type Weights = [v128; 2];

    /// Four activations, four times, split alike.
    pub(crate) type Activations = [v128; 2];

    #[inline(always)]
    pub(crate) fn weights(w: v128) -> Weights {
        [i16x8_shr(i16x8_shl(w, 8), 8), i16x8_shr(w, 8)]
    }

    #[inline(always)]
    pub(crate) fn activations(v: v128) -> Activations {
        [v128_and(v, u16x8_splat(0x00ff)), u16x8_shr(v, 8)]
    }

    /// `acc` plus, for each output, its four products.
    #[inline(always)]
    pub(crate) fn mac(acc: v128, v: Activations, w: Weights) -> v128 {
        let acc = i32x4_add(acc, i32x4_dot_i16x8(v[0], w[0]));
        i32x4_add(acc, i32x4_dot_i16x8(v[1], w[1]))
    }
}

/// Whether this engine's dot product is exact for all weights and all activations. A module for `relaxed-simd` must not be
/// used where it is not. Without `relaxed-simd` it always is.
pub fn exact() -> bool {
    use core::arch::wasm32::{i32x4_extract_lane, i32x4_splat};
    use core::hint::black_box;

    // The extremes, where signs and saturation would show, and both of unlike neighbours.
    let quads = [[255; 4], [128; 4], [127; 4], [0, 255, 0, 255], [255, 0, 255, 0], [1, 2, 129, 254]];
    let rows = [[-128; 4], [127; 4], [-128, 127, -128, 127], [127, -128, -1, 1], [0, -128, 0, 127]];
    let one = |v: [u8; 4], w: [i8; 4]| {
        let want: i32 = v.iter().zip(w).map(|(v, w)| i32::from(*v) * i32::from(w)).sum();
        let bytes = |b: [u8; 4]| -> v128 { black_box(i32x4_splat(i32::from_le_bytes(b))) };
        let (v, w) = (bytes(v), bytes(w.map(i8::cast_unsigned)));
        let start = i32x4_splat(1 << 30);
        i32x4_extract_lane::<0>(mac(black_box(start), activations(v), weights(w))) == want + (1 << 30)
    };
    quads.iter().all(|v| rows.iter().all(|w| one(*v, *w)))
}
