//! The fixed-size records of the tensor and operator tables.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, little_endian as le};

/// Bytes of a [`TensorRecord`].
pub const TENSOR_BYTES: usize = 44;
/// Bytes of an [`OpRecord`].
pub const OP_BYTES: usize = 72;
/// 32-bit parameter words of an operator.
pub const PARAM_WORDS: usize = 13;

/// One tensor.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TensorRecord {
    /// [`crate::DType`] as its discriminant.
    pub dtype: u8,
    /// 0: lives in the arena. 1: constant, its elements lie in the data section at `data`.
    pub constant: u8,
    /// Zero.
    pub reserved: le::U16,
    /// Height = `H * mul / div + add`, H being the padded frame height in px.
    pub height_mul: le::U16,
    /// See `height_mul`.
    pub height_div: le::U16,
    /// See `height_mul`.
    pub height_add: le::I32,
    /// Width = `W * mul / div + add`, W being the padded frame width in px.
    pub width_mul: le::U16,
    /// See `width_mul`.
    pub width_div: le::U16,
    /// See `width_mul`.
    pub width_add: le::I32,
    /// Channels.
    pub channels: le::U32,
    /// Quantisation scale of an 8-bit tensor: real = scale * (q - zero_point). Zero for float tensors.
    pub scale: le::F32,
    /// Quantisation zero point of an 8-bit tensor, 0..=255.
    pub zero_point: le::U32,
    /// Offset in the data section of a constant's elements, in NHWC order without gaps.
    pub data: le::U32,
    /// Offset of the tensor's name in the strings.
    pub name: le::U32,
    /// Bytes of the tensor's name.
    pub name_bytes: le::U32,
}

/// One operator.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OpRecord {
    /// [`crate::OpKind`] as its discriminant.
    pub kind: u8,
    /// [`crate::Activation`] as its discriminant (fused after the operator).
    pub activation: u8,
    /// Number of inputs.
    pub inputs: le::U16,
    /// Index of the first input in the edge list.
    pub first_edge: le::U32,
    /// Tensor that the operator writes.
    pub output: le::U16,
    /// Zero.
    pub reserved: le::U16,
    /// Offset of the operator's name in the strings (the name of its ONNX node).
    pub name: le::U32,
    /// Bytes of the operator's name.
    pub name_bytes: le::U32,
    /// Parameters, by kind: see [`crate::Op`] and `docs/format.md`.
    pub params: [le::U32; PARAM_WORDS],
}

const _: () = assert!(size_of::<TensorRecord>() == TENSOR_BYTES);
const _: () = assert!(size_of::<OpRecord>() == OP_BYTES);
const _: () = assert!(size_of::<crate::Header>() == crate::HEADER_BYTES);
