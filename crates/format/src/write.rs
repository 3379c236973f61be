//! The builder: the inverse of the reader, for the compiler.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zerocopy::{Immutable, IntoBytes, little_endian as le};

use crate::check::{NONE, WORD_ALPHA, WORD_BETA, WORD_CLAMP, WORD_TABLE};
use crate::header::{ALIGNMENT, HEADER_BYTES, MAGIC, VERSION, checksum};
use crate::op::Finish;
use crate::record::PARAM_WORDS;
use crate::{
    Activation, ConvWeights, DType, Header, Op, OpRecord, Precision, Tensor, TensorId, TensorRecord, Window,
};

/// Why a network does not fit an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// More than 65,535 tensors or operators, or more than 4 GiB.
    TooLarge,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the network exceeds an artifact's limits of 65,535 tensors, 65,535 operators and 4 GiB")
    }
}

impl core::error::Error for BuildError {}

/// Collects tensors and operators and writes the artifact's bytes.
///
/// The builder lays out; it does not judge: read the result back with [`crate::Artifact::new`].
#[derive(Default)]
pub struct Builder {
    tensors: Vec<TensorRecord>,
    ops: Vec<OpRecord>,
    edges: Vec<le::U16>,
    strings: String,
    data: Vec<u8>,
}

impl Builder {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor and gives its number. `tensor.data` makes it a constant.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`].
    pub fn tensor(&mut self, tensor: &Tensor<'_>) -> Result<TensorId, BuildError> {
        let id = TensorId::try_from(self.tensors.len()).map_err(|_| BuildError::TooLarge)?;
        let data = match tensor.data {
            Some(d) => self.block(d)?,
            None => 0,
        };
        let (name, name_bytes) = self.string(tensor.name)?;
        let quantised = tensor.dtype == DType::U8;
        self.tensors.push(TensorRecord {
            dtype: tensor.dtype as u8,
            constant: u8::from(tensor.data.is_some()),
            reserved: 0.into(),
            height_mul: tensor.height.mul.into(),
            height_div: tensor.height.div.into(),
            height_add: tensor.height.add.into(),
            width_mul: tensor.width.mul.into(),
            width_div: tensor.width.div.into(),
            width_add: tensor.width.add.into(),
            channels: u32::try_from(tensor.channels).map_err(|_| BuildError::TooLarge)?.into(),
            scale: if quantised { tensor.quant.scale } else { 0.0 }.into(),
            zero_point: u32::from(if quantised { tensor.quant.zero_point } else { 0 }).into(),
            data: data.into(),
            name,
            name_bytes,
        });
        Ok(id)
    }

    /// Adds an operator behind all earlier ones.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`].
    pub fn op(
        &mut self,
        name: &str,
        op: &Op<'_>,
        inputs: &[TensorId],
        output: TensorId,
    ) -> Result<(), BuildError> {
        if self.ops.len() >= usize::from(u16::MAX) {
            return Err(BuildError::TooLarge);
        }
        let mut p = [0u32; PARAM_WORDS];
        p[WORD_TABLE] = NONE;
        let mut activation = 0;
        let mut act = |p: &mut [u32; PARAM_WORDS], a: Activation| {
            let (kind, alpha, beta) = a.encode();
            activation = kind;
            p[WORD_ALPHA] = alpha.to_bits();
            p[WORD_BETA] = beta.to_bits();
        };
        match op {
            Op::Conv(c) | Op::ConvTranspose(c) => {
                window(&mut p, &c.geometry.window);
                p[3] = word(c.geometry.groups)?;
                match c.weights {
                    ConvWeights::Int8 { weights, bias, scale } => {
                        p[4] = self.block(weights)?;
                        p[5] = self.block(bias)?;
                        p[6] = self.block(scale)?;
                    }
                    ConvWeights::F16 { weights, bias } => {
                        p[4] = self.block(weights)?;
                        p[5] = self.block(bias)?;
                    }
                    ConvWeights::F32 { weights, bias } => {
                        p[4] = self.block(weights)?;
                        p[5] = self.block(bias)?;
                    }
                }
                act(&mut p, c.activation);
                self.finish(&mut p, &c.finish)?;
            }
            Op::Binary(b) => {
                p[0] = b.op as u32;
                p[1] = b.fixed.a.cast_unsigned();
                p[2] = b.fixed.b.cast_unsigned();
                p[3] = b.fixed.offset.cast_unsigned();
                p[4] = b.fixed.shift;
                p[5] = b.scale.to_bits();
                act(&mut p, b.activation);
                self.finish(&mut p, &b.finish)?;
            }
            Op::Activation { function, table } => {
                act(&mut p, *function);
                p[WORD_TABLE] = self.optional(*table)?;
            }
            Op::PRelu { slope, tables } => {
                p[0] = self.block(slope)?;
                p[1] = self.block(tables)?;
            }
            Op::Pool(o) => {
                window(&mut p, &o.window);
                p[3] = u32::from_le_bytes([o.kind as u8, u8::from(o.count_include_pad), 0, 0]);
            }
            Op::Reduce(o) => {
                p[0] = u32::from_le_bytes([o.kind as u8, o.axis as u8, 0, 0]);
                p[1] = o.scale.to_bits();
            }
            Op::Resize(o) => p[0] = o.mode as u32,
            Op::Concat | Op::Reshape | Op::Convert(_) => {}
            Op::Slice(o) => {
                for (w, s) in p.iter_mut().zip(o.start) {
                    *w = word(s)?;
                }
            }
            Op::Pad(o) => {
                p[0] = u32::from_le_bytes([o.mode as u8, o.quantised, 0, 0]);
                p[1] = word(o.before[0])?;
                p[2] = word(o.before[1])?;
                p[3] = o.value.to_bits();
            }
            Op::PixelShuffle { block, channel_major } => {
                p[0] = word(*block)?;
                p[1] = u32::from(*channel_major);
            }
            Op::Norm(o) => {
                p[0] = o.kind as u32;
                p[1] = o.epsilon.to_bits();
                p[2] = self.block(o.gamma)?;
                p[3] = self.block(o.beta)?;
            }
            Op::Softmax(o) => {
                p[0] = o.axis as u32;
                p[1] = self.optional(o.exp)?;
            }
            Op::Matmul(o) => {
                p[0] = word(o.heads)?;
                p[1] = u32::from(o.transpose_b);
                p[2] = o.scale.to_bits();
            }
            Op::Transpose(o) => p[0] = u32::from_le_bytes([o.order[0], o.order[1], o.order[2], 0]),
            Op::Blend(o) => {
                p[0] = word(o.block)?;
                p[1] = o.gain.to_bits();
                p[2] = self.optional(o.weight)?;
                p[3] = self.optional(o.residual)?;
            }
        }
        let (name, name_bytes) = self.string(name)?;
        let first_edge = word(self.edges.len())?;
        self.edges.extend(inputs.iter().map(|id| le::U16::new(*id)));
        self.ops.push(OpRecord {
            kind: op.kind() as u8,
            activation,
            inputs: u16::try_from(inputs.len()).map_err(|_| BuildError::TooLarge)?.into(),
            first_edge: first_edge.into(),
            output: output.into(),
            reserved: 0.into(),
            name,
            name_bytes,
            params: p.map(Into::into),
        });
        Ok(())
    }

    /// Lays the artifact out. `io` holds the visible, infrared and fused tensors; `fixed_size` height and width in px.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`].
    pub fn finish_artifact(
        mut self,
        name: &str,
        precision: Precision,
        io: [TensorId; 3],
        stride: u16,
        fixed_size: Option<(u32, u32)>,
        params: u64,
    ) -> Result<Vec<u8>, BuildError> {
        let (name, name_bytes) = self.string(name)?;
        let align = |n: usize, to: usize| n.div_ceil(to) * to;
        let tensors = align(HEADER_BYTES, 8);
        let ops = tensors + size_of_val(self.tensors.as_slice());
        let edges = ops + size_of_val(self.ops.as_slice());
        let strings = edges + size_of_val(self.edges.as_slice());
        let data = align(strings + self.strings.len(), ALIGNMENT);
        let total = align(data + self.data.len(), ALIGNMENT);
        let (fixed_height, fixed_width) = fixed_size.unwrap_or((0, 0));
        let mut header = Header {
            magic: MAGIC,
            version: VERSION.into(),
            precision: precision as u8,
            reserved: 0,
            crc32: 0.into(),
            file_bytes: word(total)?.into(),
            tensors: word(tensors)?.into(),
            tensor_count: word(self.tensors.len())?.into(),
            ops: word(ops)?.into(),
            op_count: word(self.ops.len())?.into(),
            edges: word(edges)?.into(),
            edge_count: word(self.edges.len())?.into(),
            strings: word(strings)?.into(),
            string_bytes: word(self.strings.len())?.into(),
            data: word(data)?.into(),
            data_bytes: word(self.data.len())?.into(),
            visible: io[0].into(),
            infrared: io[1].into(),
            fused: io[2].into(),
            stride: stride.into(),
            fixed_height: fixed_height.into(),
            fixed_width: fixed_width.into(),
            params: params.into(),
            name,
            name_bytes,
        };
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(header.as_bytes());
        out.resize(tensors, 0);
        out.extend_from_slice(self.tensors.as_bytes());
        out.extend_from_slice(self.ops.as_bytes());
        out.extend_from_slice(self.edges.as_bytes());
        out.extend_from_slice(self.strings.as_bytes());
        out.resize(data, 0);
        out.extend_from_slice(&self.data);
        out.resize(total, 0);
        header.crc32 = checksum(&out).into();
        out[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        Ok(out)
    }

    fn string(&mut self, s: &str) -> Result<(le::U32, le::U32), BuildError> {
        let at = self.strings.len();
        self.strings.push_str(s);
        Ok((word(at)?.into(), word(s.len())?.into()))
    }

    fn block<T: IntoBytes + Immutable>(&mut self, values: &[T]) -> Result<u32, BuildError> {
        self.data.resize(self.data.len().div_ceil(ALIGNMENT) * ALIGNMENT, 0);
        let at = word(self.data.len())?;
        self.data.extend_from_slice(values.as_bytes());
        Ok(at)
    }

    fn optional<T: IntoBytes + Immutable>(&mut self, table: Option<&[T; 256]>) -> Result<u32, BuildError> {
        table.map_or(Ok(NONE), |t| self.block(t.as_slice()))
    }

    fn finish(&mut self, p: &mut [u32; PARAM_WORDS], f: &Finish<'_>) -> Result<(), BuildError> {
        p[WORD_CLAMP] = u32::from_le_bytes([f.lo, f.hi, 0, 0]);
        p[WORD_TABLE] = self.optional(f.table)?;
        Ok(())
    }
}

fn word(n: usize) -> Result<u32, BuildError> {
    u32::try_from(n).map_err(|_| BuildError::TooLarge)
}

fn window(p: &mut [u32; PARAM_WORDS], w: &Window) {
    p[0] = u32::from_le_bytes([w.kernel[0], w.kernel[1], w.stride[0], w.stride[1]]);
    p[1] = u32::from_le_bytes([w.dilation[0], w.dilation[1], 0, 0]);
    p[2] = u32::from_le_bytes(w.pad);
}
