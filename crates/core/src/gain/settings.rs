//! Settings of the gain control and their bounds.

use core::fmt;

use super::histogram::BINS;

/// Shape of the transfer curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// Straight from black to white.
    Linear,
    /// Plateau equalisation.
    Plateau {
        /// Plateau value, in percent of the mean count of a histogram bin: 1…65,535. Small values approach equal steps
        /// for all values that occur, large ones full histogram equalisation.
        plateau_percent: u16,
        /// Share of the output levels that stays linear: 0…100 %. It keeps the distance of two objects visible between
        /// which no pixel lies.
        linear_percent: u8,
    },
}

/// Settings of [`GainControl`](super::GainControl).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GainSettings {
    /// Shape of the transfer curve.
    pub curve: Curve,
    /// Tail rejection at the cold end: so many of 1000 pixels may become black.
    pub low_tail_permille: u16,
    /// Tail rejection at the hot end: so many of 1000 pixels may become white. Small, since hot objects are what a
    /// thermal camera is for.
    pub high_tail_permille: u16,
    /// Fewest counts that are spread over black to white: 1…65,535. FLIR's maximum gain is 255 / `min_span`. About 20
    /// times the sensor's noise keeps a flat scene calm.
    pub min_span: u16,
    /// Time constant of the filter over frames; 0 follows every frame at once. The weight of a new frame is
    /// `1 / (frames + 1)`, the first-order low-pass discretised by backward differences.
    pub time_constant_frames: u16,
}

impl GainSettings {
    /// Settings for a raw 14 bit microbolometer at 9 to 30 frames a second (a FLIR Lepton or Boson): plateau
    /// equalisation, settling in about a second.
    pub const DEFAULT: Self = Self {
        curve: Curve::Plateau { plateau_percent: 300, linear_percent: 30 },
        low_tail_permille: 5,
        high_tail_permille: 1,
        min_span: 128,
        time_constant_frames: 6,
    };

    /// Settings for single pictures: linear, nothing but the extreme tails rejected, no filter.
    pub const STILL: Self = Self {
        curve: Curve::Linear,
        low_tail_permille: 5,
        high_tail_permille: 1,
        min_span: 64,
        time_constant_frames: 0,
    };

    pub(super) const fn check(&self) -> Result<(), GainError> {
        if self.low_tail_permille as u32 + self.high_tail_permille as u32 > 900 {
            return Err(GainError::Tails { low: self.low_tail_permille, high: self.high_tail_permille });
        }
        if self.min_span == 0 {
            return Err(GainError::MinSpan);
        }
        if let Curve::Plateau { plateau_percent, linear_percent } = self.curve {
            if plateau_percent == 0 {
                return Err(GainError::Plateau);
            }
            if linear_percent > 100 {
                return Err(GainError::LinearPercent(linear_percent));
            }
        }
        Ok(())
    }

    /// Weight of a new frame, 16 bit fixed point.
    pub(super) const fn weight_q16(&self) -> u32 {
        (1 << 16) / (self.time_constant_frames as u32 + 1)
    }

    /// Limits in 24.8 fixed point, spread about their middle to the least span.
    pub(super) fn widen(&self, (low, high): (u16, u16)) -> (i32, i32) {
        let (low, high) = (i32::from(low) << 8, i32::from(high) << 8);
        let span = i32::from(self.min_span) << 8;
        if high - low >= span {
            return (low, high);
        }
        let start = (low + high) / 2 - span / 2;
        (start, start + span)
    }

    /// Largest rise of the equalising part of the curve over one bin of a range of `span_q8` counts, in output levels
    /// of 16 bit fixed point: the maximum gain times the width of the bin.
    pub(super) fn max_step_q16(&self, span_q8: i32) -> u32 {
        let counts_q8 = u64::from(span_q8.unsigned_abs());
        (((255 << 8) * counts_q8) / (BINS as u64 * u64::from(self.min_span))) as u32
    }
}

impl Default for GainSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A setting of the gain control that is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GainError {
    /// The two tails together reject more than 900 of 1000 pixels.
    Tails {
        /// `low_tail_permille` as given.
        low: u16,
        /// `high_tail_permille` as given.
        high: u16,
    },
    /// `min_span` is 0.
    MinSpan,
    /// `plateau_percent` is 0.
    Plateau,
    /// `linear_percent` is above 100.
    LinearPercent(u8),
}

impl fmt::Display for GainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tails { low, high } => write!(
                f,
                "low_tail_permille {low} and high_tail_permille {high} reject more than 900 of 1000 pixels: \
                 lower one of them"
            ),
            Self::MinSpan => f.write_str("min_span is 0: give at least 1 count"),
            Self::Plateau => f.write_str("plateau_percent is 0: give at least 1, or choose the linear curve"),
            Self::LinearPercent(p) => write!(f, "linear_percent is {p}: give 0 to 100"),
        }
    }
}

impl core::error::Error for GainError {}
