//! From 32-bit sums to 8-bit results.

use fusionproxy_format::Finish;

/// Zero point, clamp and table of an 8-bit result.
#[derive(Clone, Copy)]
pub(super) struct Requant<'a> {
    /// Added after rounding.
    pub(super) zero_point: u8,
    /// Clamp and table.
    pub(super) finish: Finish<'a>,
}

impl Requant<'_> {
    /// The 8-bit result for `r` output steps above the zero point; `r` is a number.
    pub(super) fn value(&self, r: f32) -> u8 {
        // Within 2^22, as the clamp leaves it, adding 1.5 * 2^23 rounds half to even.
        const MAGIC: f32 = 12_582_912.0;
        let zero = i32::from(self.zero_point);
        let bound = |q: u8| (i32::from(q) - zero) as f32;
        let r = r.clamp(bound(self.finish.lo), bound(self.finish.hi)) + MAGIC;
        let q = (r.to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed() + zero) as u8;
        self.finish.table.map_or(q, |t| t[usize::from(q)])
    }
}

/// Whether `sum * scale` stays inside 32 bits for every sum of `terms` products with one of these biases, so that the
/// conversion to integers cannot overflow (the instruction then gives the smallest integer, whatever the sign).
///
/// It holds for every network that a calibration can produce; artifacts for which it does not run the scalar kernel.
pub(super) fn fits(terms: usize, bias: &[i32], scale: &[f32]) -> bool {
    let bias = bias.iter().fold(0, |m, b| b.unsigned_abs().max(m));
    let scale = scale.iter().fold(0f32, |m, s| s.abs().max(m));
    (terms as f64 * (255.0 * 128.0) + f64::from(bias)) * f64::from(scale) < 2e9
}
