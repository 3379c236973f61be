//! Calibration: what range each value takes on real pairs, seen in tract's f32 run.

mod histogram;
mod observe;
mod pair;
mod range;

pub use pair::CalibrationPair;

pub(crate) use histogram::Histogram;
pub(crate) use observe::{Observations, Observer, Spot, watches};
pub(crate) use pair::{Sample, size_for};
pub(crate) use range::select;
