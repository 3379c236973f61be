//! Padding to a multiple of the network's stride by edge replication.
//!
//! The frame stays in the top left corner, so cropping back is [`Image::crop`], a view and no copy.

use core::ops::Range;

use crate::frame::{FrameError, Image, out_rows};

/// The smallest multiple of `stride` that is not below `size`, px. A stride of 0 counts as 1.
///
/// Sizes are those of frames ([`MAX_SIDE`](crate::frame::MAX_SIDE)), so the sum cannot overflow.
#[must_use]
pub const fn padded(size: usize, stride: usize) -> usize {
    let stride = if stride == 0 { 1 } else { stride };
    size.div_ceil(stride).saturating_mul(stride)
}

/// Rows `rows` of `image` enlarged to `padded_size` (width, height; px) by repeating its last column and its last row,
/// into `out` (which starts at row `rows.start`).
///
/// # Errors
/// [`FrameError::Size`] when the padded size is below the image's, else [`FrameError`] when the rows are not those of
/// the padded image or do not fit `out`.
pub fn pad<const C: usize>(
    image: &Image<'_, C>,
    padded_size: (usize, usize),
    rows: Range<usize>,
    out: &mut [u8],
    out_stride: usize,
) -> Result<(), FrameError> {
    let inner = image.width() * C;
    expect_larger(padded_size, (image.width(), image.height()))?;
    for (y, out) in out_rows(rows, padded_size.1, padded_size.0 * C, out, out_stride)? {
        out[..inner].copy_from_slice(image.row(y));
        repeat_last_pixel::<C>(out, inner);
    }
    Ok(())
}

/// Pads in place: `buffer` holds an image of `size` px with `C` channels at `stride` bytes a row, and has room for
/// `padded_size`. The frame path of a microcontroller writes luma straight into the network's input and calls this.
///
/// # Errors
/// [`FrameError`] when the padded size is below the image's or does not fit the buffer.
pub fn pad_in_place<const C: usize>(
    buffer: &mut [u8],
    stride: usize,
    size: (usize, usize),
    padded_size: (usize, usize),
) -> Result<(), FrameError> {
    let (width, height) = size;
    // The checks of the image and of the padded rows prove every index below.
    Image::<'_, C>::new(width, height, stride, buffer)?;
    expect_larger(padded_size, size)?;
    for (_, row) in out_rows(0..padded_size.1, padded_size.1, padded_size.0 * C, buffer, stride)?.take(height)
    {
        repeat_last_pixel::<C>(row, width * C);
    }
    let last = (height - 1) * stride;
    for y in height..padded_size.1 {
        buffer.copy_within(last..last + padded_size.0 * C, y * stride);
    }
    Ok(())
}

fn expect_larger(padded: (usize, usize), inner: (usize, usize)) -> Result<(), FrameError> {
    if padded.0 < inner.0 || padded.1 < inner.1 {
        return Err(FrameError::Size { image: "padded image", found: padded, needed: inner });
    }
    Ok(())
}

/// Fills `row[inner..]` with the pixel that ends at `inner`, which is at least one pixel in.
fn repeat_last_pixel<const C: usize>(row: &mut [u8], inner: usize) {
    let (image, margin) = row.split_at_mut(inner);
    let pixel = &image[inner - C..];
    for p in margin.chunks_exact_mut(C) {
        p.copy_from_slice(pixel);
    }
}
