//! Full-range BT.601 luma and chroma in exact fixed point, and the composition of a fused RGB frame.
//!
//! Luma is `Y = (19595 R + 38470 G + 7471 B + 2^15) >> 16`: the weights 0.299, 0.587, 0.114 of ITU-R BT.601 in 16 bit
//! fixed point. They sum to 2^16, so grey maps to itself, and the result differs from the rounded real value only where
//! that lies within 0.001 of a rounding boundary.
//!
//! The fused frame has the fused luma `F` and the chroma of the visible frame. Chroma does not change when one number
//! is added to all three channels, so for RGB sources `R' = R + (F − Y)` and likewise for G and B keeps it exactly.
//! YUV sources go through the JFIF equations `R = F + 1.402 Cr'`, `G = F − 0.344136 Cb' − 0.714136 Cr'`,
//! `B = F + 1.772 Cb'` with `Cb' = Cb − 128`, each offset rounded to the nearest integer.
//!
//! A colour that leaves the RGB cube is drawn towards the grey `F` by the largest factor that brings it back:
//! luma and hue are kept, saturation gives way. Cutting each channel off by itself would change all three.

use core::ops::Range;

use crate::frame::{FrameError, Plane, VisibleFormat, VisibleFrame, out_rows};

/// Luma of an RGB colour.
#[inline]
#[must_use]
pub const fn luma_of([r, g, b]: [u8; 3]) -> u8 {
    ((19_595 * r as u32 + 38_470 * g as u32 + 7_471 * b as u32 + (1 << 15)) >> 16) as u8
}

/// Chroma of an RGB colour, Cb and Cr with 128 as neutral: `Cb = 128 − 0.168736 R − 0.331264 G + 0.5 B`,
/// `Cr = 128 + 0.5 R − 0.418688 G − 0.081312 B`, rounded to nearest and limited to 255.
#[must_use]
pub const fn chroma_of([r, g, b]: [u8; 3]) -> [u8; 2] {
    let (r, g, b) = (r as i32, g as i32, b as i32);
    let cb = (-11_059 * r - 21_709 * g + 32_768 * b + (128 << 16) + (1 << 15)) >> 16;
    let cr = (32_768 * r - 27_439 * g - 5_329 * b + (128 << 16) + (1 << 15)) >> 16;
    [if cb > 255 { 255 } else { cb as u8 }, if cr > 255 { 255 } else { cr as u8 }]
}

/// Luma of the rows `rows` of a visible frame, one byte a pixel, into `out` (which starts at row `rows.start`).
///
/// YUYV, NV12 and GREY carry luma already; it is copied.
///
/// # Errors
/// [`FrameError`] when the rows are not the frame's or do not fit `out`.
pub fn luma(
    frame: &VisibleFrame<'_>,
    rows: Range<usize>,
    out: &mut [u8],
    out_stride: usize,
) -> Result<(), FrameError> {
    for (y, out) in out_rows(rows, frame.height(), frame.width(), out, out_stride)? {
        let row = frame.row(y);
        match frame.format() {
            VisibleFormat::Rgb8 => luma_row(row, out, rgb8),
            VisibleFormat::Bgr8 => luma_row(row, out, bgr8),
            VisibleFormat::Rgba8 => luma_row(row, out, rgba8),
            VisibleFormat::Rgb565 => luma_row(row, out, rgb565),
            VisibleFormat::Yuyv => {
                for (o, [y, _]) in out.iter_mut().zip(row.as_chunks::<2>().0) {
                    *o = *y;
                }
            }
            VisibleFormat::Nv12 | VisibleFormat::Grey => out.copy_from_slice(row),
        }
    }
    Ok(())
}

/// RGB of the rows `rows` of a visible frame, 3 bytes a pixel, into `out` (which starts at row `rows.start`).
///
/// The same as [`compose`] with the frame's own luma.
///
/// # Errors
/// [`FrameError`] when the rows are not the frame's or do not fit `out`.
pub fn rgb(
    frame: &VisibleFrame<'_>,
    rows: Range<usize>,
    out: &mut [u8],
    out_stride: usize,
) -> Result<(), FrameError> {
    for (y, out) in out_rows(rows, frame.height(), frame.width() * 3, out, out_stride)? {
        let row = frame.row(y);
        match frame.format() {
            VisibleFormat::Rgb8 => out.copy_from_slice(row),
            VisibleFormat::Bgr8 => rgb_row(row, out, bgr8),
            VisibleFormat::Rgba8 => rgb_row(row, out, rgba8),
            VisibleFormat::Rgb565 => rgb_row(row, out, rgb565),
            VisibleFormat::Grey => grey_row(row, out),
            VisibleFormat::Yuyv => {
                for (out, [y0, cb, y1, cr]) in out.chunks_mut(6).zip(row.as_chunks::<4>().0) {
                    shade_pair(&[*y0, *y1], [*cb, *cr], out);
                }
            }
            VisibleFormat::Nv12 => yuv_row(row, frame.chroma_row(y).as_chunks::<2>().0.iter().copied(), out),
        }
    }
    Ok(())
}

/// The fused frame: luma of `fused`, chroma of `frame`, for the rows `rows`, 3 bytes (R, G, B) a pixel, into `out`
/// (which starts at row `rows.start`).
///
/// # Errors
/// [`FrameError`] when `fused` has not the size of the frame ([`Plane::crop`] it first), when the rows are not the
/// frame's, or when they do not fit `out`.
pub fn compose(
    frame: &VisibleFrame<'_>,
    fused: &Plane<'_>,
    rows: Range<usize>,
    out: &mut [u8],
    out_stride: usize,
) -> Result<(), FrameError> {
    fused.expect_size("fused luma", (frame.width(), frame.height()))?;
    for (y, out) in out_rows(rows, frame.height(), frame.width() * 3, out, out_stride)? {
        let (row, fused) = (frame.row(y), fused.row(y));
        match frame.format() {
            VisibleFormat::Rgb8 => compose_row(row, fused, out, rgb8),
            VisibleFormat::Bgr8 => compose_row(row, fused, out, bgr8),
            VisibleFormat::Rgba8 => compose_row(row, fused, out, rgba8),
            VisibleFormat::Rgb565 => compose_row(row, fused, out, rgb565),
            VisibleFormat::Grey => grey_row(fused, out),
            VisibleFormat::Yuyv => {
                yuv_row(fused, row.as_chunks::<4>().0.iter().map(|&[_, cb, _, cr]| [cb, cr]), out);
            }
            VisibleFormat::Nv12 => {
                yuv_row(fused, frame.chroma_row(y).as_chunks::<2>().0.iter().copied(), out);
            }
        }
    }
    Ok(())
}

#[inline]
const fn rgb8(p: [u8; 3]) -> [u8; 3] {
    p
}

#[inline]
const fn bgr8([b, g, r]: [u8; 3]) -> [u8; 3] {
    [r, g, b]
}

#[inline]
const fn rgba8([r, g, b, _]: [u8; 4]) -> [u8; 3] {
    [r, g, b]
}

/// Expands 5 and 6 bits to 8 by repeating the high bits, so that full scale stays full scale.
#[inline]
const fn rgb565(p: [u8; 2]) -> [u8; 3] {
    let w = u16::from_le_bytes(p);
    let (r, g, b) = ((w >> 11) as u8, (w >> 5 & 0x3f) as u8, (w & 0x1f) as u8);
    [r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2]
}

#[inline]
fn luma_row<const N: usize>(row: &[u8], out: &mut [u8], pixel: impl Fn([u8; N]) -> [u8; 3]) {
    for (o, p) in out.iter_mut().zip(row.as_chunks::<N>().0) {
        *o = luma_of(pixel(*p));
    }
}

#[inline]
fn rgb_row<const N: usize>(row: &[u8], out: &mut [u8], pixel: impl Fn([u8; N]) -> [u8; 3]) {
    for (o, p) in out.as_chunks_mut::<3>().0.iter_mut().zip(row.as_chunks::<N>().0) {
        *o = pixel(*p);
    }
}

#[inline]
fn compose_row<const N: usize>(row: &[u8], fused: &[u8], out: &mut [u8], pixel: impl Fn([u8; N]) -> [u8; 3]) {
    for ((o, p), &f) in out.as_chunks_mut::<3>().0.iter_mut().zip(row.as_chunks::<N>().0).zip(fused) {
        let colour = pixel(*p);
        let y = i32::from(luma_of(colour));
        *o = shade(i32::from(f), colour.map(|c| i32::from(c) - y));
    }
}

fn grey_row(luma: &[u8], out: &mut [u8]) {
    for (o, &y) in out.as_chunks_mut::<3>().0.iter_mut().zip(luma) {
        *o = [y; 3];
    }
}

/// A row of pairs of pixels that share their chroma. An odd width leaves one pixel to the last pair.
fn yuv_row(luma: &[u8], chroma: impl Iterator<Item = [u8; 2]>, out: &mut [u8]) {
    let ((pairs, rest), (luma, last)) = (out.as_chunks_mut::<6>(), luma.as_chunks::<2>());
    let mut chroma = chroma;
    for ((out, luma), chroma) in pairs.iter_mut().zip(luma).zip(&mut chroma) {
        shade_pair(luma, chroma, out);
    }
    if let Some(chroma) = chroma.next() {
        shade_pair(last, chroma, rest);
    }
}

#[inline]
fn shade_pair(luma: &[u8], [cb, cr]: [u8; 2], out: &mut [u8]) {
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    let round = |v: i32| (v + (1 << 15)) >> 16;
    let offsets = [round(91_881 * cr), round(-22_554 * cb - 46_802 * cr), round(116_130 * cb)];
    for (o, &y) in out.as_chunks_mut::<3>().0.iter_mut().zip(luma) {
        *o = shade(i32::from(y), offsets);
    }
}

/// The colour at `offsets` from the grey `luma`, drawn into the RGB cube if need be.
#[inline]
fn shade(luma: i32, offsets: [i32; 3]) -> [u8; 3] {
    let v = offsets.map(|d| luma + d);
    // A value outside 0…255 has a bit above the low eight set, and so has the union.
    if (v[0] | v[1] | v[2]) & !0xff == 0 { v.map(|v| v as u8) } else { shade_into_gamut(luma, offsets) }
}

/// Scales the offsets by the largest factor `s` (16 bit fixed point, rounded down) that keeps every channel in 0…255.
#[cold]
fn shade_into_gamut(luma: i32, offsets: [i32; 3]) -> [u8; 3] {
    let mut s = 1 << 16;
    for d in offsets {
        let room = if d > 0 { 255 - luma } else { luma };
        if d.abs() > room {
            s = s.min((room << 16) / d.abs());
        }
    }
    // |d| s ≤ room 2^16, and room 2^16 is a whole number of units: rounding cannot leave 0…255.
    offsets.map(|d| (luma + ((d * s + (1 << 15)) >> 16)) as u8)
}
