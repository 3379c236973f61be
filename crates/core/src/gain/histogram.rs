//! The histogram of a frame and its percentiles.

use super::GainSettings;
use crate::frame::{InfraredFormat, InfraredFrame};

/// Bins of the histogram; 4 KiB of counters.
pub(super) const BINS: usize = 1024;

/// Most pixels that are counted in one frame.
const MAX_SAMPLES: usize = 0xffff;

/// A histogram in fixed storage.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    bins: [u32; BINS],
    total: u32,
}

impl Histogram {
    pub(super) const EMPTY: Self = Self { bins: [0; BINS], total: 0 };

    pub(super) const fn bins(&self) -> &[u32; BINS] {
        &self.bins
    }

    /// Pixels counted.
    pub(super) const fn total(&self) -> u32 {
        self.total
    }

    /// Counts the pixels of a frame anew; `bin` gives the bin of a value, or `None` for one that does not count.
    pub(super) fn count(&mut self, frame: &InfraredFrame<'_>, bin: impl Fn(u16) -> Option<usize>) {
        *self = Self::EMPTY;
        let step = sample_step(frame.width(), frame.height());
        let mask = frame.format().max_value();
        for y in (0..frame.height()).step_by(step) {
            for word in frame.row(y).as_chunks::<2>().0.iter().step_by(step) {
                if let Some(counter) =
                    bin(u16::from_le_bytes(*word) & mask).and_then(|bin| self.bins.get_mut(bin))
                {
                    *counter += 1;
                    self.total += 1;
                }
            }
        }
    }

    /// The values at the two tail rejection points of a 14 or 16 bit frame.
    ///
    /// Two passes: a coarse histogram over the whole range of the format finds the bins of both points, a fine one
    /// resolves the range between them. A few hot or defective pixels therefore cost no resolution: the limits are exact
    /// when the scene spans up to 960 counts, and within 1/400 of its span otherwise.
    pub(super) fn limits(&mut self, frame: &InfraredFrame<'_>, settings: &GainSettings) -> (u16, u16) {
        let coarse = if frame.format() == InfraredFormat::Y14 { 4 } else { 6 };
        self.count(frame, |v| Some(usize::from(v >> coarse)));
        let rejected = |permille: u16| self.total * u32::from(permille) / 1000;
        // Numbers, from 1, of the pixels in ascending order that are the limits.
        let (low, high) =
            (rejected(settings.low_tail_permille) + 1, self.total - rejected(settings.high_tail_permille));
        let ((low_bin, below), (high_bin, _)) = (self.find(low), self.find(high));

        let start = (low_bin << coarse) as u16;
        let width = (high_bin + 1 - low_bin) << coarse;
        let mut fine = 0;
        while (width - 1) >> fine >= BINS {
            fine += 1;
        }
        self.count(frame, |v| Some(usize::from(v.checked_sub(start)?) >> fine));
        let first = self.find(low - below).0 << fine;
        let last = (self.find(high - below).0 << fine) + (1 << fine) - 1;
        (start.saturating_add(first as u16), start.saturating_add(last as u16))
    }

    /// The bin that holds pixel number `n` (from 1) in ascending order, and how many pixels lie below the bin.
    fn find(&self, n: u32) -> (usize, u32) {
        let mut below = 0;
        for (bin, &count) in self.bins.iter().enumerate() {
            if below + count >= n {
                return (bin, below);
            }
            below += count;
        }
        (BINS - 1, below)
    }
}

/// The smallest step, in rows and columns, that takes no more than `MAX_SAMPLES` pixels.
fn sample_step(width: usize, height: usize) -> usize {
    let mut step = 1;
    while width.div_ceil(step) * height.div_ceil(step) > MAX_SAMPLES {
        step += 1;
    }
    step
}
