//! Fixed-point transfer curves.

use super::histogram::{BINS, Histogram};

/// White, in 8.8 fixed point.
const WHITE_Q8: u32 = 255 << 8;

/// Straight line from black to white.
pub(super) const LINEAR: [u16; BINS + 1] = {
    let mut curve = [0; BINS + 1];
    let mut i = 0;
    while i <= BINS {
        curve[i] = (i as u32 * WHITE_Q8 / BINS as u32) as u16;
        i += 1;
    }
    curve
};

/// A straight line `(v − low) × scale / (high − low)`, evaluated with one 32-bit multiplication a pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ramp {
    /// Whole counts of `low`.
    base: i32,
    /// Highest `v − base` that matters: one count or two above `high`.
    top: i32,
    /// Rise per count, 20 fractional bits, rounded up so that the middle of a flat scene does not fall below mid-grey.
    slope_q20: u32,
    /// What the fraction of `low` takes off, 20 fractional bits.
    bias_q20: u32,
}

impl Ramp {
    /// To output levels 0…255.
    pub(super) fn to_levels(low_q8: i32, high_q8: i32) -> Self {
        Self::new(low_q8, high_q8, 255)
    }

    /// To positions in the curve, 0…`BINS`.
    pub(super) fn to_bins(low_q8: i32, high_q8: i32) -> Self {
        Self::new(low_q8, high_q8, BINS as u64)
    }

    /// `scale` is at most 1024 and the span at least one count, so that `(span + 2) × slope` stays below 2^32.
    fn new(low_q8: i32, high_q8: i32, scale: u64) -> Self {
        let span_q8 = (high_q8 - low_q8).max(256) as u64;
        let slope_q20 = (scale << 28).div_ceil(span_q8);
        let fraction = (low_q8 & 0xff) as u64;
        Self {
            base: low_q8 >> 8,
            top: (span_q8 >> 8) as i32 + 2,
            slope_q20: slope_q20 as u32,
            bias_q20: ((slope_q20 * fraction) >> 8) as u32,
        }
    }

    /// Position of a value, 20 fractional bits; 0 at and below `low`.
    #[inline]
    pub(super) fn position_q20(&self, v: u16) -> u32 {
        let above = (i32::from(v) - self.base).clamp(0, self.top) as u32;
        (above * self.slope_q20).saturating_sub(self.bias_q20)
    }

    /// Output level of a value.
    #[inline]
    pub(super) fn level(&self, v: u16) -> u8 {
        ((self.position_q20(v) + (1 << 19)) >> 20).min(255) as u8
    }

    /// Bin of a value; values beyond the limits fall into the outermost bins.
    #[inline]
    pub(super) fn bin(&self, v: u16) -> usize {
        (self.position_q20(v) >> 20).min(BINS as u32 - 1) as usize
    }
}

/// Output level at a position of the curve, linear between its points.
#[inline]
pub(super) fn look_up(curve: &[u16; BINS + 1], position_q20: u32) -> u8 {
    let position = position_q20.min(((BINS as u32) << 20) - 1);
    let i = (position >> 20) as usize;
    let fraction_q12 = position >> 8 & 0xfff;
    let (low, high) = (u32::from(curve[i]), u32::from(curve[i + 1]));
    // The curve does not decrease; a q8 level with a q12 fraction has 20 fractional bits.
    ((low * 4096 + (high - low) * fraction_q12 + (1 << 19)) >> 20) as u8
}

/// Finds the points of a curve over new limits in a curve over old ones, so that two curves can be mixed value by value
/// although their limits differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rebase {
    /// Position of the new curve's first point in the old curve, bins with 20 fractional bits.
    start_q20: i64,
    /// Distance of the new curve's points in the old curve, likewise; 1 when the limits have not changed.
    step_q20: i64,
}

impl Rebase {
    /// Between limits (low, high) with 8 fractional bits; both spans are at least one count.
    pub(super) fn new(old: (i32, i32), new: (i32, i32)) -> Self {
        let span = |(low, high): (i32, i32)| i64::from(high - low).max(256);
        Self {
            start_q20: i64::from(new.0 - old.0) * ((BINS as i64) << 20) / span(old),
            step_q20: (span(new) << 20) / span(old),
        }
    }

    /// Level of the old curve, 8 fractional bits, at point `i` of the new one; black and white continue beyond its ends.
    pub(super) fn level(&self, old: &[u16; BINS + 1], i: usize) -> u16 {
        let position = (self.start_q20 + i as i64 * self.step_q20).clamp(0, (BINS as i64) << 20);
        let at = (position >> 20) as usize;
        let fraction_q12 = (position >> 8 & 0xfff) as u32;
        let (low, high) = (u32::from(old[at]), u32::from(old[(at + 1).min(BINS)]));
        (low + (((high - low) * fraction_q12 + (1 << 11)) >> 12)) as u16
    }
}

/// Plateau equalisation: gives the level (8.8 fixed point) at each of the `BINS + 1` bin edges to `set`.
///
/// A bin raises the curve in proportion to its count, cut off at the plateau, and by `max_step_q16` levels at most.
/// What that leaves of the 255 levels, and `linear_percent` of them to begin with, rises linearly, so that the curve
/// always runs from black to white.
pub(super) fn equalise(
    histogram: &Histogram,
    plateau_percent: u16,
    linear_percent: u8,
    max_step_q16: u32,
    mut set: impl FnMut(usize, u16),
) {
    let plateau =
        (u64::from(histogram.total()) * u64::from(plateau_percent) / (100 * BINS as u64)).max(1) as u32;
    let cut: u32 = histogram.bins().iter().map(|&n| n.min(plateau)).sum();
    let levels_q16 = u64::from(255u32 << 16) * u64::from(100 - linear_percent) / 100;
    // 8 more fractional bits, so that the rounding of 1024 steps stays below a hundredth of a level.
    let per_pixel_q24 = (levels_q16 << 8) / u64::from(cut.max(1));
    let step = |n: u32| (((u64::from(n.min(plateau)) * per_pixel_q24) >> 8) as u32).min(max_step_q16);

    let equalised: u32 = histogram.bins().iter().map(|&n| step(n)).sum();
    let linear = (255 << 16) - equalised;
    let mut sum = 0;
    set(0, 0);
    for (i, &n) in histogram.bins().iter().enumerate() {
        sum += step(n);
        let straight = u64::from(linear) * (i as u64 + 1) / BINS as u64;
        set(i + 1, ((sum + straight as u32) >> 8) as u16);
    }
}
