//! Why a network does not compile.

use std::path::PathBuf;

use fusionproxy_format::{BuildError, LoadError};

/// Why a network does not compile. Each message names the thing at fault, the place, and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are no complete ONNX model.
    #[error("{} is not a complete ONNX model: {reason}; export or copy it again", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Weights are stored in another file, which is missing or too short.
    #[error(
        "{}: the weights `{tensor}` are in the external file `{location}`, {reason}; put it beside the model, or export with external_data=False",
        path.display()
    )]
    ExternalData {
        /// The model.
        path: PathBuf,
        /// The initialiser.
        tensor: String,
        /// The file that should hold it.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Weights are NaN or infinite.
    #[error(
        "{}: {count} of {total} elements of `{tensor}` are NaN or infinite; training has diverged, take an earlier checkpoint",
        path.display()
    )]
    NotFinite {
        /// The model.
        path: PathBuf,
        /// The initialiser.
        tensor: String,
        /// Elements that are not finite.
        count: usize,
        /// All elements.
        total: usize,
    },
    /// Inputs or outputs are not those of a fusion network.
    #[error("{}: {problem}; {remedy}", path.display())]
    Interface {
        /// The model.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// An operator, or a form of it, that artifacts do not have.
    #[error("node `{node}` ({op}, opset {opset}): {problem}; {remedy}")]
    Unsupported {
        /// Name of the ONNX node.
        node: String,
        /// Its operator.
        op: String,
        /// The model's operator set.
        opset: i64,
        /// What is not supported.
        problem: String,
        /// The nearest form that is.
        remedy: String,
    },
    /// The graph cannot be analysed at some frame size.
    #[error(
        "the network cannot be analysed at {height}x{width} px: {reason}; if it was exported for one size, give that size or export it with static shapes"
    )]
    Analysis {
        /// Height in px.
        height: usize,
        /// Width in px.
        width: usize,
        /// tract's reason.
        reason: String,
    },
    /// INT8 needs calibration pairs.
    #[error(
        "{0} needs calibration pairs; give a folder of visible and infrared images (a few dozen), or compile for fp16"
    )]
    NoCalibration(&'static str),
    /// A calibration pair's buffers do not fit its size.
    #[error("calibration pair {index}: {reason}")]
    Pair {
        /// Number of the pair, from 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// The network's values leave what a precision can express.
    #[error("`{value}` {problem}; {remedy}")]
    Range {
        /// The ONNX value.
        value: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// An option does not fit the network.
    #[error("{0}")]
    Option(String),
    /// The network exceeds the artifact's limits.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The artifact that was built does not pass its own reader: a defect of this compiler.
    #[error("the compiled artifact does not load ({0}); please report this network")]
    Emitted(#[from] LoadError),
    /// The artifact cannot be executed for verification.
    #[error("the compiled artifact does not run: {0}")]
    Run(String),
}
