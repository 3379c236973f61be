//! The fixed header at offset 0.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, little_endian as le};

/// First eight bytes of every artifact. As in PNG, the high bit, the line ends and the EOF byte expose transfers that
/// treated the file as text.
pub const MAGIC: [u8; 8] = *b"\x89FPX\r\n\x1a\n";

/// Version of the layout in this crate. A reader accepts exactly this version.
pub const VERSION: u16 = 1;

/// Bytes of [`Header`].
pub const HEADER_BYTES: usize = 92;

/// Alignment, in bytes, of the data section and of every block in it, relative to the start of the file.
pub const ALIGNMENT: usize = 64;

/// The header record. All offsets are in bytes from the start of the file, all lengths count records unless they say
/// bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: le::U16,
    /// [`Precision`] as its discriminant.
    pub precision: u8,
    /// Zero.
    pub reserved: u8,
    /// CRC-32 (IEEE 802.3) of all other bytes of the file, in order.
    pub crc32: le::U32,
    /// Length of the whole file in bytes.
    pub file_bytes: le::U32,
    /// Offset of the tensor table.
    pub tensors: le::U32,
    /// Number of tensors.
    pub tensor_count: le::U32,
    /// Offset of the operator table, in execution order.
    pub ops: le::U32,
    /// Number of operators.
    pub op_count: le::U32,
    /// Offset of the edge list (`u16` tensor numbers, the inputs of all operators one after another).
    pub edges: le::U32,
    /// Number of edges.
    pub edge_count: le::U32,
    /// Offset of the UTF-8 string bytes that names point into.
    pub strings: le::U32,
    /// Bytes of strings.
    pub string_bytes: le::U32,
    /// Offset of the data section (weights, biases, scales, tables), a multiple of [`ALIGNMENT`].
    pub data: le::U32,
    /// Bytes of the data section.
    pub data_bytes: le::U32,
    /// Tensor that receives the visible image, `[H, W, 1]` luma or `[H, W, 3]` RGB.
    pub visible: le::U16,
    /// Tensor that receives the infrared image, `[H, W, 1]`.
    pub infrared: le::U16,
    /// Tensor that holds the fused image after the last operator, `[H, W, 1]` luma or `[H, W, 3]` RGB.
    pub fused: le::U16,
    /// The network's stride in px: height and width are padded to a multiple of it.
    pub stride: le::U16,
    /// Height in px that the network is pinned to, or 0 where it runs at any.
    pub fixed_height: le::U32,
    /// Width in px that the network is pinned to, or 0 where it runs at any.
    pub fixed_width: le::U32,
    /// Trainable parameters of the source network.
    pub params: le::U64,
    /// Offset of the network's name in the strings.
    pub name: le::U32,
    /// Bytes of the network's name.
    pub name_bytes: le::U32,
}

/// The checksum of a whole file, leaving out the bytes of the checksum itself: CRC-32 as in IEEE 802.3 and zip.
pub(crate) fn checksum(file: &[u8]) -> u32 {
    let field = core::mem::offset_of!(Header, crc32);
    let mut crc = u32::MAX;
    for part in [file.get(..field), file.get(field + size_of::<le::U32>()..)].into_iter().flatten() {
        crc = part.iter().fold(crc, |crc, byte| crc >> 8 ^ CRC32[usize::from(crc as u8 ^ byte)]);
    }
    !crc
}

/// Remainders of one byte. A kilobyte: the tables of faster ways would be a tenth of what a web page loads, and a file is
/// checked once.
static CRC32: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The precision that the compiler was asked for. Individual operators may differ: see their tensors' types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Precision {
    /// 32-bit floats throughout: the reference.
    F32 = 0,
    /// Activations and weights stored as IEEE half precision, accumulated in f32, or in runs of 32 products in half precision
    /// whose sums are added up in f32 (`docs/numerics.md`).
    F16 = 1,
    /// 8-bit activations and weights.
    Int8 = 2,
    /// 8-bit, with the operators that lose most kept at half precision.
    Mixed = 3,
}

impl Precision {
    /// The precision with this discriminant.
    pub fn from_u8(v: u8) -> Option<Self> {
        Some(match v {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Int8,
            3 => Self::Mixed,
            _ => return None,
        })
    }

    /// The word that the command line and the reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "fp16",
            Self::Int8 => "int8",
            Self::Mixed => "mixed",
        }
    }
}
