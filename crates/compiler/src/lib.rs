//! Compiles ONNX fusion networks to `.fpx` artifacts.
//!
//! ```text
//! ONNX ─ source (checks, tract) ─▶ import ─▶ fuse ─▶ calibrate ─▶ quantise ─▶ emit ─▶ verify
//! ```
//!
//! tract parses and analyses the ONNX graph, is the f32 oracle, and shows every value's range on the calibration pairs.
//! The rest is this crate's: its own small graph of images, pattern fusion, relative geometry, scales, packed weights.
//! An operator that artifacts lack is an error that names the node; nothing falls back to floating point silently.
#![forbid(unsafe_code)]

mod calibrate;
mod compile;
mod emit;
mod error;
mod fuse;
mod import;
mod ir;
mod options;
mod quantise;
mod report;
mod source;
mod verify;

pub use calibrate::CalibrationPair;
pub use compile::{Compiled, Stage, compile};
pub use emit::{RustConstants, constants};
pub use error::CompileError;
pub use options::{Options, Precision, RangeMethod};
pub use quantise::RangeRecord;
pub use report::{Calibration, Report};
pub use verify::{LayerRecord, Verification};
