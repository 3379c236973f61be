//! 8-bit bilinear enlargement by exactly 2, half-pixel centres.
//!
//! Every source coordinate then lies a quarter of the way from one neighbour to the other, so that the weights are 9, 3, 3
//! and 1 sixteenths and the specification's 22 fractional bits reduce to 4: q = (9 a + 3 b + 3 c + d + 8) >> 4.

use core::ops::Range;

use fusionproxy_format::{Resize, ResizeMode};

use super::isa::Isa;
use super::stage::{Arena, copy_pixels};
use crate::{Call, Shape};

/// One output row.
pub(super) struct UpsampleRow {
    /// The nearer source row, pixels without gaps.
    pub(super) near: *const u8,
    /// The farther one.
    pub(super) far: *const u8,
    /// Bytes of a pixel.
    pub(super) channels: usize,
    /// Bytes of a source row.
    pub(super) len: usize,
    /// Room for `len + 2 * channels` numbers: 3 near + far, with the first and last pixel repeated.
    pub(super) mixed: *mut u16,
    /// `len` bytes: output pixels of even columns.
    pub(super) even: *mut u8,
    /// `len` bytes: output pixels of odd columns.
    pub(super) odd: *mut u8,
}

/// Whether [`run`] takes this resize of 8-bit elements.
pub(super) fn supports(op: &Resize, input: Shape, output: Shape) -> bool {
    op.mode == ResizeMode::BilinearHalfPixel
        && output.height == 2 * input.height
        && output.width == 2 * input.width
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes(input: Shape) -> usize {
    let len = input.width * input.channels;
    2 * Arena::size(len) + Arena::size(2 * (len + 2 * input.channels)) + 2 * Arena::size(len) + 64
}

/// Runs `units` of a resize that [`supports`] accepts; `false` if the views are not 8-bit.
pub(super) fn run<I: Isa>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return false };
    let Shape { height, width, channels } = source.shape();
    let len = width * channels;
    let mut arena = Arena::new(scratch);
    let [near, far, even, odd] = [(); 4].map(|()| arena.take(len));
    let mixed = arena.take(2 * (len + 2 * channels)).as_mut_ptr().cast();
    let pixel = source.layout().pixel;
    let pack = |y: usize, to: &mut [u8]| {
        let from = source.ptr(y, 0);
        if pixel == channels {
            return from;
        }
        // SAFETY: the row's pixels; the scratch holds as many.
        unsafe { copy_pixels(from, pixel, to.as_mut_ptr(), channels, width, channels) };
        to.as_ptr()
    };
    for y in units {
        let other = if y % 2 == 0 { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(height - 1) };
        let row = UpsampleRow {
            near: pack(y / 2, near),
            far: pack(other, far),
            channels,
            len,
            mixed,
            even: even.as_mut_ptr(),
            odd: odd.as_mut_ptr(),
        };
        let pitch = 2 * out.layout().pixel;
        // SAFETY: the token's existence proves the instructions; the source rows have `len` bytes and the scratch was
        // taken for it; even and odd columns of the output row are `width` pixels each.
        unsafe {
            I::upsample(&row);
            copy_pixels(row.even, channels, out.ptr(y, 0), pitch, width, channels);
            copy_pixels(row.odd, channels, out.ptr(y, 1), pitch, width, channels);
        }
    }
    true
}

/// The body of [`Isa::upsample`], to be compiled for an instruction set.
///
/// # Safety
/// As for [`Isa::upsample`].
#[inline(always)]
pub(super) unsafe fn body(row: &UpsampleRow) {
    let UpsampleRow { near, far, channels, len, mixed, even, odd } = *row;
    // SAFETY: the sizes that `UpsampleRow` gives.
    unsafe {
        for i in 0..len {
            let v = 3 * u16::from(near.add(i).read()) + u16::from(far.add(i).read());
            mixed.add(channels + i).write(v);
        }
        core::ptr::copy_nonoverlapping(mixed.add(channels), mixed, channels);
        core::ptr::copy_nonoverlapping(mixed.add(len), mixed.add(channels + len), channels);
        for i in 0..len {
            let centre = 3 * mixed.add(channels + i).read() + 8;
            even.add(i).write(((centre + mixed.add(i).read()) >> 4) as u8);
        }
        for i in 0..len {
            let centre = 3 * mixed.add(channels + i).read() + 8;
            odd.add(i).write(((centre + mixed.add(2 * channels + i).read()) >> 4) as u8);
        }
    }
}
