//! Tensors as readers see them.

/// Number of a tensor in the artifact's table.
pub type TensorId = u16;

/// Element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DType {
    /// Unsigned 8-bit, asymmetric per-tensor quantisation ([`Quant`]).
    U8 = 0,
    /// IEEE 754 half precision.
    F16 = 1,
    /// IEEE 754 single precision.
    F32 = 2,
}

impl DType {
    /// The type with this discriminant.
    pub fn from_u8(v: u8) -> Option<Self> {
        Some(match v {
            0 => Self::U8,
            1 => Self::F16,
            2 => Self::F32,
            _ => return None,
        })
    }

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// Short name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }
}

/// Per-tensor affine quantisation: real = scale * (q - zero_point).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quant {
    /// Size of one step, > 0 and finite.
    pub scale: f32,
    /// The `q` that stands for 0.0.
    pub zero_point: u8,
}

/// A height or width as a function of the padded frame's: `frame * mul / div + add`.
///
/// The division is exact for every frame that the planner accepts; it rejects any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Numerator.
    pub mul: u16,
    /// Denominator, at least 1.
    pub div: u16,
    /// Constant term; with `mul` 0 the extent is absolute.
    pub add: i32,
}

impl Extent {
    /// An extent that does not depend on the frame.
    pub const fn absolute(size: u32) -> Self {
        Self { mul: 0, div: 1, add: size as i32 }
    }

    /// The extent for a frame of `frame` px, or `None` if that is no positive whole number.
    pub fn resolve(self, frame: usize) -> Option<usize> {
        let product = (frame as u64).checked_mul(u64::from(self.mul))?;
        let div = u64::from(self.div);
        if div == 0 || product % div != 0 {
            return None;
        }
        let size = i64::try_from(product / div).ok()?.checked_add(i64::from(self.add))?;
        if size < 1 { None } else { usize::try_from(size).ok() }
    }
}

/// One tensor: NHWC with N = 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor<'a> {
    /// Name of the ONNX value that it holds.
    pub name: &'a str,
    /// Element type.
    pub dtype: DType,
    /// Height.
    pub height: Extent,
    /// Width.
    pub width: Extent,
    /// Channels, at least 1.
    pub channels: usize,
    /// Quantisation; meaningful for [`DType::U8`] only.
    pub quant: Quant,
    /// A constant's elements in NHWC order; `None` for a tensor in the arena.
    pub data: Option<&'a [u8]>,
}

impl Tensor<'_> {
    /// Height, width and channels for a padded frame of `height` x `width` px.
    pub fn resolve(&self, height: usize, width: usize) -> Option<(usize, usize, usize)> {
        Some((self.height.resolve(height)?, self.width.resolve(width)?, self.channels))
    }
}
