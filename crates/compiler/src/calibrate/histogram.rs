//! A histogram of one tensor's values.

/// Bins of a histogram: 8 per 8-bit step.
pub(crate) const BINS: usize = 2048;

/// Counts of values between `lo` and `hi`. Exact zeros, which ReLU makes many of and 8-bit tensors hold exactly, are
/// counted apart.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    pub(crate) lo: f32,
    pub(crate) hi: f32,
    pub(crate) bins: Vec<u64>,
    pub(crate) zeros: u64,
}

impl Histogram {
    /// An empty histogram of a range that includes 0.
    pub(crate) fn new(lo: f32, hi: f32) -> Self {
        let (lo, hi) = (lo.min(0.0), hi.max(0.0));
        let hi = if hi > lo { hi } else { lo + 1e-6 };
        Self { lo, hi, bins: vec![0; BINS], zeros: 0 }
    }

    /// Width of a bin.
    pub(crate) fn step(&self) -> f32 {
        (self.hi - self.lo) / BINS as f32
    }

    /// Centre of a bin.
    pub(crate) fn centre(&self, bin: usize) -> f32 {
        self.lo + (bin as f32 + 0.5) * self.step()
    }

    /// Counts values; those outside go into the outermost bins.
    pub(crate) fn add(&mut self, values: impl Iterator<Item = f32>) {
        let per = 1.0 / self.step();
        for v in values {
            if v == 0.0 {
                self.zeros += 1;
            } else {
                let bin = ((v - self.lo) * per).clamp(0.0, (BINS - 1) as f32);
                self.bins[bin as usize] += 1;
            }
        }
    }

    /// Adds the counts of `other`, whose range may differ.
    pub(crate) fn merge(&mut self, other: &Self) {
        if (other.lo, other.hi) != (self.lo, self.hi) {
            let mut wide = Self::new(self.lo.min(other.lo), self.hi.max(other.hi));
            for (h, bins) in [(&*self, &self.bins), (other, &other.bins)] {
                for (i, n) in bins.iter().enumerate().filter(|(_, n)| **n > 0) {
                    let bin = ((h.centre(i) - wide.lo) / wide.step()).clamp(0.0, (BINS - 1) as f32);
                    wide.bins[bin as usize] += n;
                }
            }
            wide.zeros = self.zeros + other.zeros;
            *self = wide;
            return;
        }
        self.bins.iter_mut().zip(&other.bins).for_each(|(a, b)| *a += b);
        self.zeros += other.zeros;
    }

    /// Values that are not exactly zero.
    pub(crate) fn total(&self) -> u64 {
        self.bins.iter().sum()
    }
}
