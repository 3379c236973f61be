//! What a caller may choose.

use serde::{Deserialize, Serialize};

/// Precision of the artifact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats: the reference.
    F32,
    /// Stored as half precision; `docs/numerics.md` says how sums are taken.
    Fp16,
    /// 8-bit activations and weights. Needs calibration pairs.
    #[default]
    Int8,
}

/// How the range of a tensor is chosen from its histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RangeMethod {
    /// Smallest and largest value seen.
    MinMax,
    /// Cuts off 0.01 % of the values at either end.
    Percentile,
    /// Least mean squared quantisation error over the histogram.
    Mse,
    /// Least Kullback-Leibler divergence between the histogram and its quantised form
    /// (Migacz, "8-bit inference with TensorRT", GTC 2017).
    Kl,
    /// Per tensor the method with the least squared error, or one method for all where that gives a better image.
    #[default]
    Auto,
}

/// Options of [`crate::compile`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Precision.
    pub precision: Precision,
    /// Name of the visible input; `None`: `vis`, or a guess.
    pub visible: Option<String>,
    /// Name of the infrared input; `None`: `ir`, or a guess.
    pub infrared: Option<String>,
    /// Name of the fused output; `None`: `fused`, or the only one.
    pub output: Option<String>,
    /// Name stored in the artifact; `None`: the file's stem.
    pub name: Option<String>,
    /// Range selection for 8-bit tensors.
    pub range: RangeMethod,
    /// Nodes (ONNX names, `*` matches any run of characters) kept at half precision in an INT8 artifact.
    pub keep_fp16: Vec<String>,
    /// Keep as many operators at half precision as the fused image's PSNR against f32, in dB, takes to reach this.
    pub target_psnr: Option<f64>,
    /// Height and width in px that the network is analysed and calibrated at where the model leaves them open.
    pub size: Option<(usize, usize)>,
    /// Skip running the artifact against the f32 network.
    pub skip_verify: bool,
}
