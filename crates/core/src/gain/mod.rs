//! Infrared gain control (AGC): 14 or 16 bit counts to the 8 bit that the network sees.
//!
//! Two transfer curves, in FLIR's words:
//!
//! * [`Curve::Linear`]: *linear histogram*. The values at the two tail rejection points of the histogram become black
//!   and white.
//! * [`Curve::Plateau`]: *plateau equalisation* (V. E. Vickers, "Plateau equalization algorithm for real-time display
//!   of high-quality infrared imagery", Optical Engineering 35(7), 1996): the cumulative histogram with every bin cut
//!   off at the plateau value is the curve, so that large uniform backgrounds cannot take all grey levels. A share of
//!   the levels stays linear (*linear percent*), and the gain has a limit (*maximum gain*) so that a flat scene shows
//!   mid-grey and not amplified noise.
//!
//! Both follow the scene through a first-order filter, so that a warm object that enters the picture does not make the
//! background flicker, and both hold still while the shutter is closed (FFC). Everything is integer arithmetic; the
//! state has fixed size (about 6 KiB) and belongs to the caller.

mod curve;
mod histogram;
mod settings;

use core::ops::Range;

pub use settings::{Curve, GainError, GainSettings};

use crate::frame::{FrameError, InfraredFormat, InfraredFrame, out_rows};
use crate::health::SensorState;
use curve::{Ramp, Rebase};
use histogram::{BINS, Histogram};

/// How [`GainControl::observe`] lets a frame change the transfer curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Moves towards the frame with the time constant of the settings: the normal case.
    Smoothly,
    /// Takes the frame's own curve at once: after a cut, a mode change of the sensor, or for still pictures.
    Afresh,
    /// Keeps the curve: the frame is known not to show the scene.
    Not,
}

/// Gain control of one thermal camera.
///
/// For each frame call [`observe`](Self::observe) once, then [`apply`](Self::apply) on all its rows, split over as many
/// calls or threads as wanted.
#[derive(Debug, Clone)]
pub struct GainControl {
    settings: GainSettings,
    /// Format that the curve was derived from; `None` until a frame of the scene has been seen.
    follows: Option<InfraredFormat>,
    /// Input values that become black and white, counts in 24.8 fixed point; may lie outside the sensor's range.
    low_q8: i32,
    high_q8: i32,
    histogram: Histogram,
    /// Output level, 8.8 fixed point, at the edges of `BINS` equal bins of `low…high`; not decreasing.
    curve: [u16; BINS + 1],
    held: bool,
}

impl GainControl {
    /// Gain control that has seen no frame: until then it maps the full 16 bit range linearly.
    ///
    /// # Errors
    /// [`GainError`] naming the setting that is out of range.
    pub const fn new(settings: GainSettings) -> Result<Self, GainError> {
        if let Err(e) = settings.check() {
            return Err(e);
        }
        Ok(Self {
            settings,
            follows: None,
            low_q8: 0,
            high_q8: 0xffff << 8,
            histogram: Histogram::EMPTY,
            curve: curve::LINEAR,
            held: false,
        })
    }

    /// The input values that map to black and to white, in counts.
    ///
    /// They can lie outside the range of the sensor: a flat scene is centred between limits that are
    /// [`GainSettings::min_span`] apart.
    #[must_use]
    pub const fn limits(&self) -> (i32, i32) {
        ((self.low_q8 + 128) >> 8, (self.high_q8 + 128) >> 8)
    }

    /// True when the last observed frame did not change the curve, because of [`Follow::Not`] or of a closed shutter.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.held
    }

    /// Looks at a frame and updates the transfer curve.
    ///
    /// Statistics come from all pixels of frames of up to 65,535 px, and from a regular grid of about that many pixels
    /// of larger ones. A frame whose [`state`](crate::frame::FrameInfo::state) is FFC counts as [`Follow::Not`]. The
    /// first frame of the scene, and the first after a change of format, is taken afresh. [`InfraredFormat::Grey8`]
    /// needs no curve and changes nothing.
    pub fn observe(&mut self, frame: &InfraredFrame<'_>, follow: Follow) {
        let hold = follow == Follow::Not || frame.info().state == SensorState::Ffc;
        self.held = hold;
        if frame.format() == InfraredFormat::Grey8 {
            return;
        }
        let known = self.follows == Some(frame.format());
        if hold && known {
            return;
        }
        // With nothing to hold, even a closed shutter gives a better curve than none; the next frame replaces it.
        self.follows = if hold { None } else { Some(frame.format()) };
        let weight = if follow == Follow::Smoothly && known { self.settings.weight_q16() } else { 1 << 16 };

        let old_limits = (self.low_q8, self.high_q8);
        let (low, high) = self.settings.widen(self.histogram.limits(frame, &self.settings));
        self.low_q8 = approach(self.low_q8, low, weight);
        self.high_q8 = approach(self.high_q8, high, weight);
        if let Curve::Plateau { plateau_percent, linear_percent } = self.settings.curve {
            let ramp = Ramp::to_bins(self.low_q8, self.high_q8);
            self.histogram.count(frame, |v| Some(ramp.bin(v)));
            let max_step = self.settings.max_step_q16(self.high_q8 - self.low_q8);
            // The filter acts on the level of each input value, so the old curve is read at the new curve's points.
            let rebase = Rebase::new(old_limits, (self.low_q8, self.high_q8));
            let old = self.curve;
            curve::equalise(&self.histogram, plateau_percent, linear_percent, max_step, |i, level| {
                self.curve[i] = approach(i32::from(rebase.level(&old, i)), i32::from(level), weight) as u16;
            });
        }
    }

    /// The rows `rows` of a frame as 8 bit, one byte a pixel, into `out` (which starts at row `rows.start`).
    /// [`InfraredFormat::Grey8`] is copied.
    ///
    /// # Errors
    /// [`FrameError`] when the rows are not the frame's or do not fit `out`.
    pub fn apply(
        &self,
        frame: &InfraredFrame<'_>,
        rows: Range<usize>,
        out: &mut [u8],
        out_stride: usize,
    ) -> Result<(), FrameError> {
        let mask = frame.format().max_value();
        let to_levels = Ramp::to_levels(self.low_q8, self.high_q8);
        let to_bins = Ramp::to_bins(self.low_q8, self.high_q8);
        for (y, out) in out_rows(rows, frame.height(), frame.width(), out, out_stride)? {
            let row = frame.row(y);
            if frame.format() == InfraredFormat::Grey8 {
                out.copy_from_slice(row);
                continue;
            }
            let words = row.as_chunks::<2>().0.iter().map(|w| u16::from_le_bytes(*w) & mask);
            match self.settings.curve {
                Curve::Linear => {
                    for (o, v) in out.iter_mut().zip(words) {
                        *o = to_levels.level(v);
                    }
                }
                Curve::Plateau { .. } => {
                    for (o, v) in out.iter_mut().zip(words) {
                        *o = curve::look_up(&self.curve, to_bins.position_q20(v));
                    }
                }
            }
        }
        Ok(())
    }
}

/// One step of the first-order filter: `old + (new − old) × weight`, rounded to nearest. It preserves the order of two
/// values, and so keeps a curve that does not decrease from decreasing.
fn approach(old: i32, new: i32, weight_q16: u32) -> i32 {
    let step = i64::from(new - old) * i64::from(weight_q16);
    old + ((step + (1 << 15)) >> 16) as i32
}
