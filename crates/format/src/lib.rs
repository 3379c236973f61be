//! The `.fpx` artifact: one fusion network, quantised and packed, ready to execute in place.
//!
//! An artifact is a single little-endian byte string: a header with checksum, a table of tensors in *relative*
//! geometry (so that one artifact runs at any resolution the network allows), a table of operators, and a data
//! section whose weights are packed and aligned for execution straight from flash or a memory map. Nothing is
//! decoded or copied at load.
//!
//! [`Artifact::new`] is the only way in. It proves once everything about the bytes that later code relies on: bounds,
//! alignment, arity, data types, channel counts, finite scales, and that every tensor is produced before it is read.
//! Geometry depends on the frame size and is proven by the planner in `fusionproxy-core`.
//!
//! `docs/format.md` lists every byte; a test holds that table against the records in this crate.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "write")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod artifact;
mod check;
mod error;
mod header;
mod op;
mod record;
mod tensor;
#[cfg(feature = "write")]
mod write;

pub use artifact::{Artifact, OpEntry};
pub use error::LoadError;
pub use header::{ALIGNMENT, HEADER_BYTES, Header, MAGIC, Precision, VERSION};
pub use op::{
    Activation, Axis, Binary, BinaryOp, Blend, CHANNEL_BLOCK, Conv, ConvGeometry, ConvWeights, Convert,
    Finish, FixedPoint, Matmul, Norm, NormKind, Op, OpKind, Pad, PadMode, Pool, PoolKind, Reduce, ReduceKind,
    Resize, ResizeMode, Slice, Softmax, Transpose, Window, packed_row, packed_weights_len, padded_channels,
};
pub use record::{OP_BYTES, OpRecord, PARAM_WORDS, TENSOR_BYTES, TensorRecord};
pub use tensor::{DType, Extent, Quant, Tensor, TensorId};
#[cfg(feature = "write")]
pub use write::{BuildError, Builder};
