//! Operands and outputs of element-wise operators as runs without gaps.
//!
//! Pixels with gaps are packed into scratch a few KiB at a time, half-precision numbers become f32 there, and a broadcast
//! operand is written out.

use super::element::Lane;
use super::isa::Isa;
use super::stage::CopyPixels;
use crate::{Dst, Shape, Src};

/// Bytes of a run, about: small enough for three of them in the L1 cache.
const RUN: usize = 4096;

/// Pixels of a run for an output of this shape.
pub(super) fn pixels<T: Lane>(output: Shape) -> usize {
    (RUN / (output.channels * T::WIDE)).clamp(1, output.width)
}

/// Bytes of scratch for one operand or output.
pub(super) fn bytes<T: Lane>(output: Shape) -> usize {
    pixels::<T>(output) * output.channels * T::WIDE
}

/// An operand.
pub(super) struct Input<'m, 's, T> {
    source: Src<'m, T>,
    scratch: &'s mut [u8],
    copy: CopyPixels,
    /// Whether the scratch holds the same for every run.
    constant: bool,
    /// Channels of a run's pixels.
    channels: usize,
}

impl<'m, 's, T: Lane> Input<'m, 's, T> {
    /// `source`, broadcast to `output`, through `scratch` of [`bytes`].
    pub(super) fn new<I: Isa>(source: Src<'m, T>, output: Shape, scratch: &'s mut [u8]) -> Self {
        let Shape { height, width, .. } = source.shape();
        let mut input =
            Self { source, scratch, copy: T::load::<I>(), constant: false, channels: output.channels };
        if height == 1 && width == 1 {
            input.run(0, 0, pixels::<T>(output));
            input.constant = true;
        }
        input
    }

    /// Pixels (y, x)..(y, x + n), each with the output's channels, in the wide form; at most [`pixels`].
    #[inline]
    pub(super) fn run(&mut self, y: usize, x: usize, n: usize) -> *const u8 {
        let to = self.scratch.as_mut_ptr();
        if self.constant {
            return to;
        }
        let layout = self.source.layout();
        let Shape { height, width, channels } = layout.shape;
        let from = self.source.ptr(if height == 1 { 0 } else { y }, if width == 1 { 0 } else { x });
        // A column of one pixel is repeated by standing still.
        let pitch = if width == 1 { 0 } else { layout.pixel * size_of::<T>() };
        let wide_pitch = self.channels * T::WIDE;
        debug_assert!(n * wide_pitch <= self.scratch.len());
        if channels == self.channels {
            if T::SAME && pitch == wide_pitch {
                return from.cast();
            }
            // SAFETY: n pixels of the row, or one n times; the scratch holds as many.
            unsafe { (self.copy)(from.cast(), pitch, to, wide_pitch, n, channels) };
        } else {
            for c in 0..self.channels {
                // SAFETY: the one channel of n pixels of the row; a place for each in the scratch.
                unsafe { (self.copy)(from.cast(), pitch, to.add(c * T::WIDE), wide_pitch, n, 1) };
            }
        }
        to
    }
}

/// The output.
pub(super) struct Output<'m, 's, T> {
    target: Dst<'m, T>,
    scratch: &'s mut [u8],
    copy: CopyPixels,
    in_place: bool,
}

impl<'m, 's, T: Lane> Output<'m, 's, T> {
    /// `target`, through `scratch` of [`bytes`].
    pub(super) fn new<I: Isa>(target: Dst<'m, T>, scratch: &'s mut [u8]) -> Self {
        let in_place = T::SAME && target.as_src().packed_pixels();
        Self { target, scratch, copy: T::store::<I>(), in_place }
    }

    /// Where the wide form of the run from pixel (y, x) on is to be written.
    #[inline]
    pub(super) fn run(&mut self, y: usize, x: usize) -> *mut u8 {
        if self.in_place { self.target.ptr(y, x).cast() } else { self.scratch.as_mut_ptr() }
    }

    /// Moves the `n` pixels of the run to their places.
    #[inline]
    pub(super) fn finish(&self, y: usize, x: usize, n: usize) {
        if !self.in_place {
            let layout = self.target.layout();
            let channels = layout.shape.channels;
            let to = self.target.ptr(y, x).cast();
            let pitch = layout.pixel * size_of::<T>();
            // SAFETY: n pixels in the scratch and in the row.
            unsafe { (self.copy)(self.scratch.as_ptr(), channels * T::WIDE, to, pitch, n, channels) };
        }
    }
}

/// Calls `f` with (y, x, n) for every run of `rows` of an output.
pub(super) fn each<T: Lane>(
    rows: core::ops::Range<usize>,
    output: Shape,
    mut f: impl FnMut(usize, usize, usize),
) {
    let count = pixels::<T>(output);
    for y in rows {
        for x in (0..output.width).step_by(count) {
            f(y, x, count.min(output.width - x));
        }
    }
}
