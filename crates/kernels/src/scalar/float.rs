//! The two float element types: stored in 16 or 32 bits, computed in 32.
//!
//! Half-precision numbers become f32 and are rounded to nearest by integer arithmetic that every CPU has, or, on AArch64, by its
//! own conversions: the same numbers.

use fusionproxy_format::ConvWeights;
use half::f16;

use crate::Element;

/// A float element.
pub(crate) trait Float: Element {
    /// The element as the f32 to compute with.
    fn load(self) -> f32;

    /// The element nearest to a result, ties to even.
    fn store(v: f32) -> Self;

    /// Weights and bias of a convolution of this type.
    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])>;
}

impl Float for f32 {
    #[inline(always)]
    fn load(self) -> f32 {
        self
    }

    #[inline(always)]
    fn store(v: f32) -> Self {
        v
    }

    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])> {
        if let ConvWeights::F32 { weights, bias } = *w { Some((weights, bias)) } else { None }
    }
}

impl Float for f16 {
    #[inline(always)]
    fn load(self) -> f32 {
        widen(self)
    }

    #[inline(always)]
    fn store(v: f32) -> Self {
        narrow(v)
    }

    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])> {
        if let ConvWeights::F16 { weights, bias } = *w { Some((weights, bias)) } else { None }
    }
}

/// A half-precision number in single precision.
#[cfg(not(all(target_arch = "aarch64", target_feature = "neon")))]
#[inline(always)]
fn widen(v: f16) -> f32 {
    // Exponent and mantissa move to the bits that they have in an f32, whose exponents are 112 larger: a
    // multiplication makes up for it, and normalises subnormal numbers. No branches, so that it vectorises.
    let bits = u32::from(v.to_bits());
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((254 - 15) << 23);
    let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 16)
}

/// The half-precision number nearest to `v`.
#[cfg(not(all(target_arch = "aarch64", target_feature = "neon")))]
#[inline(always)]
fn narrow(v: f32) -> f16 {
    // Giesen, "Float->half variants": three results, one of which is selected without branches.
    let bits = v.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    // Rounded to 10 bits of mantissa, ties to even, and the exponent moved; a carry out of the mantissa is right, too.
    let odd = magnitude >> 13 & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    // The sum with a number whose last place is the smallest half-precision number rounds to multiples of that.
    let unit = f32::from_bits((112 + 14) << 23);
    let subnormal = (f32::from_bits(magnitude) + unit).to_bits().wrapping_sub(unit.to_bits());
    let special = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let finite = if magnitude < 113 << 23 { subnormal } else { normal };
    let result = if magnitude >= 143 << 23 { special } else { finite };
    f16::from_bits((result | bits >> 16 & 0x8000) as u16)
}

/// A half-precision number in single precision. The compiler sees a conversion of one number, of which it makes vectors.
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
#[inline(always)]
fn widen(v: f16) -> f32 {
    use core::arch::aarch64::{vcvt_f32_f16, vdup_n_u16, vgetq_lane_f32, vreinterpret_f16_u16};
    // SAFETY: instructions of every AArch64 with NEON.
    unsafe { vgetq_lane_f32::<0>(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(v.to_bits())))) }
}

/// The half-precision number nearest to `v`, likewise.
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
#[inline(always)]
fn narrow(v: f32) -> f16 {
    use core::arch::aarch64::{vcvt_f16_f32, vdupq_n_f32, vget_lane_u16, vreinterpret_u16_f16};
    // SAFETY: instructions of every AArch64 with NEON.
    f16::from_bits(unsafe { vget_lane_u16::<0>(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(v)))) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_loads_exactly() {
        for bits in (0..=u16::MAX).step_by(if cfg!(miri) { 97 } else { 1 }) {
            let h = f16::from_bits(bits);
            let (ours, theirs) = (Float::load(h), h.to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#06x}");
        }
    }

    #[test]
    fn half_precision_stores_the_nearest() {
        // Around every half-precision number and every middle between two, and a walk over all exponents.
        let near = (0..=u16::MAX).step_by(if cfg!(miri) { 97 } else { 1 }).flat_map(|h| {
            let bits = f16::from_bits(h).to_f32().to_bits();
            [0, 1, 0xfff, 0x1000, 0x1001, 0x1fff].map(|d| bits.wrapping_add(d))
        });
        for bits in near.chain((0..=u32::MAX).step_by(if cfg!(miri) { 1 << 24 } else { 4_093 })) {
            let v = f32::from_bits(bits);
            let (ours, theirs) = (<f16 as Float>::store(v), f16::from_f32(v));
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#010x}");
        }
    }
}
