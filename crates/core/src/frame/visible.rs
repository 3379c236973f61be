//! Frames of the visible camera.

use super::{FrameError, FrameInfo, check_plane, check_side};

/// Pixel layout of a visible frame. All are full range BT.601 where they carry luma and chroma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisibleFormat {
    /// 3 bytes a pixel: red, green, blue.
    Rgb8,
    /// 3 bytes a pixel: blue, green, red.
    Bgr8,
    /// 4 bytes a pixel: red, green, blue and an alpha that is ignored.
    Rgba8,
    /// 4:2:2, 4 bytes for two pixels side by side: Y0, Cb, Y1, Cr (V4L2 `YUYV`).
    Yuyv,
    /// 4:2:0, a luma plane and a plane of interleaved Cb, Cr at half the rows and columns (V4L2 `NV12`).
    Nv12,
    /// 2 bytes a pixel, little-endian word `rrrrrggg gggbbbbb` (V4L2 `RGBP`). A sensor that sends the high byte first
    /// has its bytes swapped by its driver.
    Rgb565,
    /// 1 byte a pixel: luma.
    Grey,
}

impl VisibleFormat {
    /// Bytes of one row of the first plane, `width` px wide. An odd width still stores whole pairs in YUYV.
    #[must_use]
    pub const fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::Rgb8 | Self::Bgr8 => width * 3,
            Self::Rgba8 => width * 4,
            Self::Yuyv => width.div_ceil(2) * 4,
            Self::Rgb565 => width * 2,
            Self::Nv12 | Self::Grey => width,
        }
    }
}

/// A borrowed visible frame whose buffers have been proven to hold it.
#[derive(Debug, Clone, Copy)]
pub struct VisibleFrame<'a> {
    format: VisibleFormat,
    width: usize,
    height: usize,
    stride: usize,
    data: &'a [u8],
    chroma: &'a [u8],
    chroma_stride: usize,
    info: FrameInfo,
}

impl<'a> VisibleFrame<'a> {
    /// A frame in one buffer, rows `stride` bytes apart.
    ///
    /// For [`VisibleFormat::Nv12`] the chroma plane follows the luma plane at byte `stride * height` with the same
    /// stride, as V4L2 and most camera peripherals store it; [`Self::nv12`] takes two buffers.
    ///
    /// # Errors
    /// [`FrameError`] naming the side, the plane's stride or the plane's buffer that does not fit.
    pub fn new(
        format: VisibleFormat,
        width: usize,
        height: usize,
        stride: usize,
        data: &'a [u8],
        info: FrameInfo,
    ) -> Result<Self, FrameError> {
        if format == VisibleFormat::Nv12 {
            // Checked first: a stride that is too short must be reported as such.
            check_side(width, height)?;
            check_plane("luma", width, height, stride, data.len())?;
            let start = stride.saturating_mul(height).min(data.len());
            return match Self::nv12(width, height, data, stride, &data[start..], stride, info) {
                Err(FrameError::Buffer { needed, .. }) => Err(FrameError::Buffer {
                    plane: "luma and chroma",
                    found: data.len(),
                    needed: stride.saturating_mul(height).saturating_add(needed),
                }),
                other => other,
            };
        }
        check_side(width, height)?;
        check_plane("visible", format.row_bytes(width), height, stride, data.len())?;
        Ok(Self { format, width, height, stride, data, chroma: &[], chroma_stride: 0, info })
    }

    /// An NV12 frame in two buffers: `width` × `height` luma, and `ceil(width / 2)` × `ceil(height / 2)` pairs of Cb,
    /// Cr. Strides are in bytes.
    ///
    /// # Errors
    /// [`FrameError`] naming the side, the plane's stride or the plane's buffer that does not fit.
    pub fn nv12(
        width: usize,
        height: usize,
        luma: &'a [u8],
        luma_stride: usize,
        chroma: &'a [u8],
        chroma_stride: usize,
        info: FrameInfo,
    ) -> Result<Self, FrameError> {
        check_side(width, height)?;
        check_plane("luma", width, height, luma_stride, luma.len())?;
        check_plane("chroma", width.div_ceil(2) * 2, height.div_ceil(2), chroma_stride, chroma.len())?;
        Ok(Self {
            format: VisibleFormat::Nv12,
            width,
            height,
            stride: luma_stride,
            data: luma,
            chroma,
            chroma_stride,
            info,
        })
    }

    /// Pixel layout.
    #[must_use]
    pub const fn format(&self) -> VisibleFormat {
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

    /// The bytes of row `y` of the first plane; rows below the last repeat it.
    #[must_use]
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = y.min(self.height - 1) * self.stride;
        &self.data[start..start + self.format.row_bytes(self.width)]
    }

    /// The Cb, Cr pairs that belong to pixel row `y` of an NV12 frame; empty for every other format.
    #[must_use]
    pub fn chroma_row(&self, y: usize) -> &'a [u8] {
        if self.format != VisibleFormat::Nv12 {
            return &[];
        }
        let start = y.min(self.height - 1) / 2 * self.chroma_stride;
        &self.chroma[start..start + self.width.div_ceil(2) * 2]
    }
}
