//! The checked reader.

use zerocopy::{FromBytes, little_endian as le};

use crate::header::{ALIGNMENT, HEADER_BYTES, MAGIC, VERSION, checksum};
use crate::record::{OP_BYTES, TENSOR_BYTES};
use crate::{
    DType, Extent, Header, LoadError, Op, OpRecord, Precision, Quant, Tensor, TensorId, TensorRecord, check,
};

#[cfg(target_endian = "big")]
compile_error!(
    "fusionproxy artifacts execute in place and are little-endian; big-endian targets are not supported"
);

/// A checked artifact: borrowed tables over the bytes it was made from. Copying it copies a few pointers.
#[derive(Clone, Copy)]
pub struct Artifact<'a> {
    header: &'a Header,
    tensors: &'a [TensorRecord],
    ops: &'a [OpRecord],
    edges: &'a [le::U16],
    strings: &'a str,
    data: &'a [u8],
    bytes: usize,
}

/// One operator with its wiring.
#[derive(Clone, Copy, Debug)]
pub struct OpEntry<'a> {
    /// Name of the ONNX node that it came from.
    pub name: &'a str,
    /// What it computes.
    pub op: Op<'a>,
    /// Tensors that it reads.
    pub inputs: &'a [le::U16],
    /// Tensor that it writes.
    pub output: TensorId,
}

impl OpEntry<'_> {
    /// Number of the `i`-th input tensor.
    pub fn input(&self, i: usize) -> Option<TensorId> {
        self.inputs.get(i).map(|id| id.get())
    }
}

impl<'a> Artifact<'a> {
    /// Alignment that the bytes themselves need, so that tables of 32-bit numbers can be used in place.
    pub const BASE_ALIGNMENT: usize = 16;

    /// Checks `bytes` and borrows them. Costs one pass over the bytes for the checksum and one over the tables.
    ///
    /// # Errors
    /// Any [`LoadError`]: the bytes are not exactly one undamaged, self-consistent artifact of this version.
    pub fn new(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let artifact = Self::open(bytes, true)?;
        check::artifact(&artifact)?;
        Ok(artifact)
    }

    /// As [`Artifact::new`] without comparing the checksum, for fuzzing the structural checks.
    ///
    /// # Errors
    /// As [`Artifact::new`].
    #[doc(hidden)]
    pub fn new_ignoring_checksum(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let artifact = Self::open(bytes, false)?;
        check::artifact(&artifact)?;
        Ok(artifact)
    }

    fn open(bytes: &'a [u8], verify: bool) -> Result<Self, LoadError> {
        if bytes.len() >= MAGIC.len() && bytes[..MAGIC.len()] != MAGIC {
            return Err(LoadError::NotAnArtifact);
        }
        let truncated = LoadError::Truncated { found: bytes.len(), needed: HEADER_BYTES };
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| truncated)?;
        if !bytes.as_ptr().addr().is_multiple_of(Self::BASE_ALIGNMENT) {
            return Err(LoadError::Misaligned);
        }
        if header.version.get() != VERSION {
            return Err(LoadError::Version { found: header.version.get() });
        }
        let expected = header.file_bytes.get() as usize;
        if bytes.len() < expected {
            return Err(LoadError::Truncated { found: bytes.len(), needed: expected });
        }
        if bytes.len() > expected {
            return Err(LoadError::TrailingBytes { found: bytes.len(), expected });
        }
        if verify {
            let computed = checksum(bytes);
            if computed != header.crc32.get() {
                return Err(LoadError::Checksum { computed, stored: header.crc32.get() });
            }
        }
        let section = |offset: le::U32, len: usize, align: usize, name: &'static str| {
            let start = offset.get() as usize;
            let end = start.checked_add(len).ok_or(LoadError::Header(name))?;
            if start < HEADER_BYTES || !start.is_multiple_of(align) || end > bytes.len() {
                return Err(LoadError::Header(name));
            }
            Ok(&bytes[start..end])
        };
        let count = |n: le::U32, size: usize, name: &'static str| {
            let n = n.get() as usize;
            if n > usize::from(u16::MAX) * 4 {
                return Err(LoadError::Header(name));
            }
            Ok(n * size)
        };
        let tensors = section(
            header.tensors,
            count(header.tensor_count, TENSOR_BYTES, "tensor_count is too large")?,
            4,
            "the tensor table lies outside the file",
        )?;
        let ops = section(
            header.ops,
            count(header.op_count, OP_BYTES, "op_count is too large")?,
            4,
            "the operator table lies outside the file",
        )?;
        let edges = section(
            header.edges,
            count(header.edge_count, 2, "edge_count is too large")?,
            2,
            "the edge list lies outside the file",
        )?;
        let strings = section(
            header.strings,
            header.string_bytes.get() as usize,
            1,
            "the strings lie outside the file",
        )?;
        let data = section(
            header.data,
            header.data_bytes.get() as usize,
            ALIGNMENT,
            "the data section lies outside the file",
        )?;
        Ok(Self {
            header,
            tensors: <[TensorRecord]>::ref_from_bytes(tensors)
                .map_err(|_| LoadError::Header("tensor table"))?,
            ops: <[OpRecord]>::ref_from_bytes(ops).map_err(|_| LoadError::Header("operator table"))?,
            edges: <[le::U16]>::ref_from_bytes(edges).map_err(|_| LoadError::Header("edge list"))?,
            strings: core::str::from_utf8(strings)
                .map_err(|_| LoadError::Header("the strings are not UTF-8"))?,
            data,
            bytes: bytes.len(),
        })
    }

    /// The header as stored.
    pub fn header(&self) -> &'a Header {
        self.header
    }

    /// Size of the whole artifact in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Size of the data section (weights, biases, scales, tables) in bytes.
    pub fn data_bytes(&self) -> usize {
        self.data.len()
    }

    /// The network's name.
    pub fn name(&self) -> &'a str {
        self.string(self.header.name, self.header.name_bytes).unwrap_or("")
    }

    /// The precision that it was compiled for.
    pub fn precision(&self) -> Precision {
        Precision::from_u8(self.header.precision).unwrap_or(Precision::F32)
    }

    /// Trainable parameters of the source network.
    pub fn params(&self) -> u64 {
        self.header.params.get()
    }

    /// Multiple in px that height and width are padded to, at least 1.
    pub fn stride(&self) -> usize {
        usize::from(self.header.stride.get())
    }

    /// Height and width in px that the network is pinned to, if it is.
    pub fn fixed_size(&self) -> Option<(usize, usize)> {
        let (h, w) = (self.header.fixed_height.get() as usize, self.header.fixed_width.get() as usize);
        (h > 0 && w > 0).then_some((h, w))
    }

    /// Tensor of the visible input.
    pub fn visible(&self) -> TensorId {
        self.header.visible.get()
    }

    /// Tensor of the infrared input.
    pub fn infrared(&self) -> TensorId {
        self.header.infrared.get()
    }

    /// Tensor of the fused output.
    pub fn fused(&self) -> TensorId {
        self.header.fused.get()
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// Number of operators.
    pub fn op_count(&self) -> usize {
        self.ops.len()
    }

    /// One tensor.
    ///
    /// # Errors
    /// [`LoadError::Tensor`] for a number outside the table; no other on a checked artifact.
    pub fn tensor(&self, id: TensorId) -> Result<Tensor<'a>, LoadError> {
        let index = usize::from(id);
        let err = |field| LoadError::Tensor { index, field };
        let r = self.tensors.get(index).ok_or(err("no such tensor"))?;
        let dtype = DType::from_u8(r.dtype).ok_or(err("unknown dtype"))?;
        let height = Extent { mul: r.height_mul.get(), div: r.height_div.get(), add: r.height_add.get() };
        let width = Extent { mul: r.width_mul.get(), div: r.width_div.get(), add: r.width_add.get() };
        let channels = r.channels.get() as usize;
        if height.div == 0 || width.div == 0 {
            return Err(err("extent divisor is zero"));
        }
        if channels == 0 || channels > 1 << 20 {
            return Err(err("channels must be 1..=1048576"));
        }
        let quant = Quant { scale: r.scale.get(), zero_point: r.zero_point.get() as u8 };
        if dtype == DType::U8 {
            if !(quant.scale.is_finite() && quant.scale > 0.0) {
                return Err(err("scale must be finite and positive"));
            }
            if r.zero_point.get() > 255 {
                return Err(err("zero_point must be 0..=255"));
            }
        }
        let data = match r.constant {
            0 => None,
            1 => {
                if height.mul != 0 || width.mul != 0 {
                    return Err(err("a constant's extents must be absolute"));
                }
                let (h, w) =
                    height.resolve(0).zip(width.resolve(0)).ok_or(err("a constant has an empty extent"))?;
                let len = h
                    .checked_mul(w)
                    .and_then(|n| n.checked_mul(channels))
                    .and_then(|n| n.checked_mul(dtype.bytes()))
                    .ok_or(err("a constant is too large"))?;
                Some(
                    self.block(r.data, len)
                        .ok_or(err("data lies outside the data section or is unaligned"))?,
                )
            }
            _ => return Err(err("constant must be 0 or 1")),
        };
        let name = self.string(r.name, r.name_bytes).ok_or(err("name lies outside the strings"))?;
        Ok(Tensor { name, dtype, height, width, channels, quant, data })
    }

    /// One operator.
    ///
    /// # Errors
    /// [`LoadError::Op`] for a number outside the table; no other on a checked artifact.
    pub fn op(&self, index: usize) -> Result<OpEntry<'a>, LoadError> {
        let err = |field| LoadError::Op { index, field };
        let r = self.ops.get(index).ok_or(err("no such operator"))?;
        let first = r.first_edge.get() as usize;
        let inputs = self
            .edges
            .get(first..first.saturating_add(usize::from(r.inputs.get())))
            .ok_or(err("inputs lie outside the edge list"))?;
        let name = self.string(r.name, r.name_bytes).ok_or(err("name lies outside the strings"))?;
        let output = r.output.get();
        let op = check::decode(self, r, inputs, output).map_err(err)?;
        Ok(OpEntry { name, op, inputs, output })
    }

    /// The tensor that an operator writes, without the checks of [`Self::op`].
    pub(crate) fn output_of(&self, index: usize) -> Option<TensorId> {
        self.ops.get(index).map(|r| r.output.get())
    }

    fn string(&self, offset: le::U32, len: le::U32) -> Option<&'a str> {
        let start = offset.get() as usize;
        self.strings.get(start..start.checked_add(len.get() as usize)?)
    }

    /// `len` bytes of the data section; the offset is a multiple of [`ALIGNMENT`].
    pub(crate) fn block(&self, offset: le::U32, len: usize) -> Option<&'a [u8]> {
        let start = offset.get() as usize;
        if !start.is_multiple_of(ALIGNMENT) {
            return None;
        }
        self.data.get(start..start.checked_add(len)?)
    }
}
