//! From 32-bit sums to 8-bit results.

use fusionproxy_format::{Finish, Quant};

/// 1.5 * 2^23. Added to a float of magnitude below 2^22 it leaves the float, rounded half to even, in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// Clamp and zero point of 8-bit results. The table, if there is one, is the driver's business.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Requant {
    /// Bounds of the result.
    pub(crate) bounds: [u8; 2],
    /// Added after rounding.
    pub(crate) zero: u8,
}

impl Requant {
    /// For results of this quantisation.
    pub(crate) fn new(output: Quant, finish: &Finish<'_>) -> Self {
        Self { bounds: [finish.lo, finish.hi], zero: output.zero_point }
    }

    /// The result of a sum, in plain arithmetic.
    #[inline(always)]
    pub(crate) fn value(self, sum: i32, scale: f32) -> u8 {
        let zero = i32::from(self.zero);
        let [low, high] = self.bounds.map(|q| (i32::from(q) - zero) as f32);
        // Neither operand is NaN, so that these are the specification's comparisons, in one instruction each.
        let r = (sum as f32 * scale).min(high).max(low);
        ((r + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed() + zero) as u8
    }
}
