//! The two float element types: stored in 16 or 32 bits, computed in 32.

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
        // Exponent and mantissa move to the bits that they have in an f32, whose exponents are 112 larger: a
        // multiplication makes up for it, and normalises subnormal numbers. No branches, so that it vectorises.
        let bits = u32::from(self.to_bits());
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((254 - 15) << 23);
        let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
        f32::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 16)
    }

    #[inline(always)]
    fn store(v: f32) -> Self {
        Self::from_f32(v)
    }

    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])> {
        if let ConvWeights::F16 { weights, bias } = *w { Some((weights, bias)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_loads_exactly() {
        for bits in 0..=u16::MAX {
            let h = f16::from_bits(bits);
            let (ours, theirs) = (Float::load(h), h.to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#06x}");
        }
    }
}
