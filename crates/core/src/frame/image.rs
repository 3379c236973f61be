//! Checked views of 8-bit images, and the checked rows that a stage writes.

use core::ops::Range;

use super::{FrameError, check_plane, check_side};

/// A borrowed 8-bit image with `C` interleaved channels and a row stride: the input of every stage.
///
/// Pixel `(x, y)`, channel `c` is byte `y * stride + x * C + c`. The constructor has proven that every pixel lies
/// within the buffer; the last row need not be padded to the stride.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a, const C: usize> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
}

/// A single 8-bit plane: luma, or infrared after gain control.
pub type Plane<'a> = Image<'a, 1>;

/// Interleaved 8-bit RGB.
pub type RgbImage<'a> = Image<'a, 3>;

impl<'a, const C: usize> Image<'a, C> {
    /// A view of `width` × `height` px (px of `C` bytes) whose rows start `stride` bytes apart.
    ///
    /// # Errors
    /// [`FrameError`] when a side is 0 or above [`MAX_SIDE`](super::MAX_SIDE), the stride is shorter than a row, or
    /// the buffer ends before the last pixel.
    pub const fn new(width: usize, height: usize, stride: usize, data: &'a [u8]) -> Result<Self, FrameError> {
        const { assert!(C > 0, "an image has at least one channel") };
        if let Err(e) = check_side(width, height) {
            return Err(e);
        }
        if let Err(e) = check_plane("image", width * C, height, stride, data.len()) {
            return Err(e);
        }
        Ok(Self { data, width, height, stride })
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

    /// Distance between the starts of two rows, bytes.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The bytes behind the view, from the first pixel on.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The `width * C` bytes of row `y`; rows below the last repeat it (edge replication).
    #[must_use]
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = y.min(self.height - 1) * self.stride;
        &self.data[start..start + self.width * C]
    }

    /// The top left `width` × `height` px, without a copy: undoes [`pad`](crate::pad).
    ///
    /// # Errors
    /// [`FrameError::Size`] when the view is smaller than that, [`FrameError::Empty`] when a side is 0.
    pub fn crop(&self, width: usize, height: usize) -> Result<Self, FrameError> {
        check_side(width, height)?;
        if width > self.width || height > self.height {
            return Err(FrameError::Size {
                image: "image to crop",
                found: (self.width, self.height),
                needed: (width, height),
            });
        }
        Ok(Self { data: self.data, width, height, stride: self.stride })
    }

    /// Checks that the view is exactly as large as a stage needs.
    pub(crate) fn expect_size(&self, image: &'static str, needed: (usize, usize)) -> Result<(), FrameError> {
        let found = (self.width, self.height);
        if found == needed { Ok(()) } else { Err(FrameError::Size { image, found, needed }) }
    }
}

/// The rows `rows` of an output that is `height` rows tall, each `row_bytes` long: pairs of row number and bytes.
///
/// `out` starts at row `rows.start`, so that a caller can hand disjoint bands of one buffer to several threads.
pub(crate) fn out_rows(
    rows: Range<usize>,
    height: usize,
    row_bytes: usize,
    out: &mut [u8],
    stride: usize,
) -> Result<impl Iterator<Item = (usize, &mut [u8])>, FrameError> {
    if rows.start > rows.end || rows.end > height {
        return Err(FrameError::Rows { start: rows.start, end: rows.end, height });
    }
    check_plane("output", row_bytes, rows.len(), stride, out.len())?;
    Ok(rows.zip(out.chunks_mut(stride)).map(move |(y, chunk)| (y, &mut chunk[..row_bytes])))
}
