//! What the compiler tells about an artifact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::verify::Verification;
use crate::{Precision, RangeMethod, RangeRecord};

/// Calibration as it was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Pairs.
    pub pairs: usize,
    /// Height in px that they were cropped to.
    pub height: usize,
    /// Width in px.
    pub width: usize,
    /// How ranges were chosen: `auto` where each tensor's least squared error gave the best image.
    pub method: RangeMethod,
    /// Ranges of the 8-bit values.
    pub ranges: Vec<RangeRecord>,
}

/// A compiled network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the network.
    pub name: String,
    /// Precision that was asked for.
    pub precision: Precision,
    /// Operator set of the ONNX model.
    pub opset: i64,
    /// ONNX name of the visible input, and its channels.
    pub visible: (String, usize),
    /// ONNX name of the infrared input, and its channels.
    pub infrared: (String, usize),
    /// ONNX name of the fused output.
    pub fused: String,
    /// What was guessed about these, in a sentence each.
    pub guesses: Vec<String>,
    /// Trainable parameters.
    pub params: u64,
    /// Height and width are padded to a multiple of this many px.
    pub stride: usize,
    /// Height and width in px that the network is pinned to.
    pub fixed_size: Option<(usize, usize)>,
    /// Why it is pinned.
    pub fixed_reason: Option<String>,
    /// Size of the artifact in bytes.
    pub artifact_bytes: usize,
    /// Operators of the artifact by kind.
    pub operators: BTreeMap<String, usize>,
    /// ONNX nodes kept at half precision in an INT8 artifact.
    pub half_precision: Vec<String>,
    /// Calibration, where it was done.
    pub calibration: Option<Calibration>,
    /// Verification, unless it was skipped.
    pub verification: Option<Verification>,
}
