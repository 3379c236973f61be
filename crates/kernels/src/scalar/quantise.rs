//! From accumulators and real numbers to 8-bit results.

use fusionproxy_format::{Finish, Quant};

/// 1.5 * 2^23. Added to a float of magnitude below 2^22 it leaves the float, rounded half to even, in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// `r` rounded to the nearest integer, ties to even. |r| must be below 2^22.
#[inline(always)]
pub(crate) fn round_ties_even(r: f32) -> i32 {
    // Two's complement: the bits of MAGIC + n are those of MAGIC plus n.
    (r + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed()
}

/// The end of every 8-bit operator that computes in real numbers: clamp, round, add the zero point, look up.
#[derive(Clone, Copy)]
pub(crate) struct Quantiser<'a> {
    low: f32,
    high: f32,
    zero: i32,
    table: Option<&'a [u8; 256]>,
}

impl<'a> Quantiser<'a> {
    /// For an operator with a fused clamp and table.
    pub(crate) fn new(output: Quant, finish: &Finish<'a>) -> Self {
        let zero = i32::from(output.zero_point);
        Self {
            low: (i32::from(finish.lo) - zero) as f32,
            high: (i32::from(finish.hi) - zero) as f32,
            zero,
            table: finish.table,
        }
    }

    /// For an operator without.
    pub(crate) fn plain(output: Quant) -> Self {
        Self::new(output, &Finish { lo: 0, hi: 255, table: None })
    }

    /// The 8-bit result for `r` output steps above the zero point. `r` must be a number.
    #[inline(always)]
    pub(crate) fn number(&self, r: f32) -> u8 {
        let r = if r < self.high { r } else { self.high };
        let r = if r > self.low { r } else { self.low };
        // The clamp leaves 0..=255.
        (round_ties_even(r) + self.zero) as u8
    }

    /// As [`Self::number`], with the zero point for NaN.
    #[inline(always)]
    pub(crate) fn any(&self, r: f32) -> u8 {
        self.look_up(self.number(if r.is_nan() { 0.0 } else { r }))
    }

    /// The 8-bit result of an integer sum.
    #[inline(always)]
    pub(crate) fn sum(&self, acc: i32, scale: f32) -> u8 {
        self.look_up(self.number(acc as f32 * scale))
    }

    /// The results of the sums of a block of channels.
    #[inline(always)]
    pub(crate) fn sums<const N: usize>(&self, acc: &[i32; N], scale: &[f32; N]) -> [u8; N] {
        // The table stands outside of the loop, so that the arithmetic vectorises.
        let q: [u8; N] = core::array::from_fn(|i| self.number(acc[i] as f32 * scale[i]));
        match self.table {
            Some(table) => q.map(|v| table[usize::from(v)]),
            None => q,
        }
    }

    #[inline(always)]
    fn look_up(&self, q: u8) -> u8 {
        match self.table {
            Some(table) => table[usize::from(q)],
            None => q,
        }
    }
}

/// The real number that `q` stands for.
#[inline(always)]
pub(crate) fn dequantise(q: u8, quant: Quant) -> f32 {
    (i32::from(q) - i32::from(quant.zero_point)) as f32 * quant.scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_to_even() {
        for (r, n) in
            [(0.5, 0), (-0.5, 0), (1.5, 2), (2.5, 2), (-1.5, -2), (-2.5, -2), (0.49999997, 0), (-255.0, -255)]
        {
            assert_eq!(round_ties_even(r), n, "{r}");
        }
        for i in -2_000_i32..2_000 {
            let r = i as f32 / 7.0;
            assert_eq!(round_ties_even(r), r.round_ties_even() as i32, "{r}");
        }
    }

    #[test]
    fn clamps_before_it_rounds_and_looks_up_last() {
        let table: [u8; 256] = core::array::from_fn(|i| 255 - i as u8);
        let quant = Quant { scale: 1.0, zero_point: 10 };
        let q = Quantiser::new(quant, &Finish { lo: 10, hi: 20, table: Some(&table) });
        assert_eq!(q.sum(-5, 1.0), 245);
        assert_eq!(q.sum(i32::MAX, f32::MAX), 235);
        assert_eq!(q.sum(3, 1.5), 255 - 14);
        assert_eq!(q.any(f32::NAN), 245);
        assert_eq!(q.any(f32::NEG_INFINITY), 245);
        assert_eq!(Quantiser::plain(quant).any(f32::INFINITY), 255);
        assert_eq!(Quantiser::plain(quant).any(f32::NAN), 10);
    }
}
