//! Frames of the thermal camera.

use super::{FrameError, FrameInfo, check_plane, check_side};

/// Pixel layout of an infrared frame. Words of 16 bits are little-endian; a sensor that sends the high byte first
/// (VoSPI does) has its bytes swapped by its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InfraredFormat {
    /// 1 byte a pixel: the sensor applied its own gain control (AGC).
    Grey8,
    /// 2 bytes a pixel, 16 significant bits: raw counts, or centikelvin of a radiometric sensor (V4L2 `Y16 `).
    Y16,
    /// 2 bytes a pixel, 14 significant bits in the low end of the word; the two high bits are ignored (V4L2 `Y14 `).
    Y14,
}

impl InfraredFormat {
    /// Bytes of one row, `width` px wide.
    #[must_use]
    pub const fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::Grey8 => width,
            Self::Y16 | Self::Y14 => width * 2,
        }
    }

    /// Largest value of a pixel.
    #[must_use]
    pub const fn max_value(self) -> u16 {
        match self {
            Self::Grey8 => 0xff,
            Self::Y16 => 0xffff,
            Self::Y14 => 0x3fff,
        }
    }
}

/// A borrowed infrared frame whose buffer has been proven to hold it.
#[derive(Debug, Clone, Copy)]
pub struct InfraredFrame<'a> {
    format: InfraredFormat,
    width: usize,
    height: usize,
    stride: usize,
    data: &'a [u8],
    info: FrameInfo,
}

impl<'a> InfraredFrame<'a> {
    /// A frame of `width` × `height` px whose rows start `stride` bytes apart.
    ///
    /// # Errors
    /// [`FrameError`] when a side is 0 or above [`MAX_SIDE`](super::MAX_SIDE), the stride is shorter than a row, or
    /// the buffer ends before the last pixel.
    pub fn new(
        format: InfraredFormat,
        width: usize,
        height: usize,
        stride: usize,
        data: &'a [u8],
        info: FrameInfo,
    ) -> Result<Self, FrameError> {
        check_side(width, height)?;
        check_plane("infrared", format.row_bytes(width), height, stride, data.len())?;
        Ok(Self { format, width, height, stride, data, info })
    }

    /// Pixel layout.
    #[must_use]
    pub const fn format(&self) -> InfraredFormat {
        self.format
    }

    /// Width, px.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Height, px.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Time, number and health of the frame.
    #[must_use]
    pub const fn info(&self) -> FrameInfo {
        self.info
    }

    /// The bytes of row `y`; rows below the last repeat it.
    #[must_use]
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = y.min(self.height - 1) * self.stride;
        &self.data[start..start + self.format.row_bytes(self.width)]
    }
}
