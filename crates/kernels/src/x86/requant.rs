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

/// Whether `sum * scale` stays inside 32 bits for every sum of `terms` products with one of these biases, so that the
/// conversion to integers cannot overflow (the instruction then gives the smallest integer, whatever the sign).
///
/// It holds for every network that a calibration can produce; artifacts for which it does not run the scalar kernel.
pub(super) fn fits(terms: usize, bias: &[i32], scale: &[f32]) -> bool {
    let bias = bias.iter().fold(0, |m, b| b.unsigned_abs().max(m));
    let scale = scale.iter().fold(0f32, |m, s| s.abs().max(m));
    (terms as f64 * (255.0 * 128.0) + f64::from(bias)) * f64::from(scale) < 2e9
}
