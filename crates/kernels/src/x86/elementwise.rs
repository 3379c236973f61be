//! 8-bit sums, products and tables.
//!
//! Whatever the strides and the broadcasting, the leaf kernels see runs of bytes: pixels with gaps are packed into scratch
//! a few KiB at a time, and a broadcast operand is written out there.

use core::ops::Range;

use fusionproxy_format::{Binary, BinaryOp, Finish, FixedPoint};

use super::isa::Isa;
use super::requant::Requant;
use super::stage::{Arena, copy_pixels};
use crate::{Call, Dst, Shape, Src};

/// Bytes of a run, about: small enough for three of them in the L1 cache.
const RUN: usize = 4096;

/// a * qa + b * qb + offset, shifted, of two runs.
pub(super) struct Sum<'a> {
    /// Multipliers, offset and shift.
    pub(super) fixed: FixedPoint,
    /// Clamp and table.
    pub(super) finish: Finish<'a>,
}

/// (qa - zero a) * (qb - zero b) * scale of two runs.
pub(super) struct Product<'a> {
    /// Zero points of the inputs.
    pub(super) zeros: [u8; 2],
    /// Scale.
    pub(super) scale: f32,
    /// Finishing.
    pub(super) requant: Requant<'a>,
}

/// Pixels of a run.
fn pixels(shape: Shape) -> usize {
    (RUN / shape.channels).clamp(1, shape.width)
}

/// Scratch of [`binary`] and [`table`].
pub(super) fn scratch_bytes(output: Shape) -> usize {
    3 * Arena::size(pixels(output) * output.channels) + 64
}

/// Whether [`binary`] takes this operation on 8-bit elements.
pub(super) fn supports(op: &Binary<'_>) -> bool {
    matches!(op.op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul)
}

/// Runs an operation that [`supports`] accepts; `false` if the views are not 8-bit, or the product's scale is so large that
/// the conversion to integers could overflow.
pub(super) fn binary<I: Isa>(
    call: &Call<'_, '_>,
    op: &Binary<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(a), Some(b), Some(out)) = (call.source::<u8>(0), call.source::<u8>(1), call.target::<u8>())
    else {
        return false;
    };
    let sum = Sum { fixed: op.fixed, finish: op.finish };
    let product = Product {
        zeros: [call.inputs()[0].quant.zero_point, call.inputs()[1].quant.zero_point],
        scale: op.scale,
        requant: Requant { zero_point: call.output_quant().zero_point, finish: op.finish },
    };
    if op.op == BinaryOp::Mul && !super::requant::fits(2, &[], &[op.scale]) {
        return false;
    }
    let shape = out.shape();
    let count = pixels(shape);
    let mut arena = Arena::new(scratch);
    let mut part = || arena.take(count * shape.channels);
    let (mut a, mut b, mut target) =
        (Input::new(a, shape, part()), Input::new(b, shape, part()), Output::new(out, part()));
    for y in units {
        for x in (0..shape.width).step_by(count) {
            let n = count.min(shape.width - x);
            let (from_a, from_b, to) = (a.run(y, x, n), b.run(y, x, n), target.run(y, x));
            // SAFETY: the token's existence proves the instructions; each run has n * channels bytes; the output is scratch
            // or, in place, an input's own elements.
            unsafe {
                if op.op == BinaryOp::Mul {
                    I::product(from_a, from_b, to, n * shape.channels, &product);
                } else {
                    I::sum(from_a, from_b, to, n * shape.channels, &sum);
                }
            }
            target.finish(y, x, n);
        }
    }
    true
}

/// Runs a table; `false` if the views are not 8-bit.
pub(super) fn table<I: Isa>(
    call: &Call<'_, '_>,
    table: &[u8; 256],
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(a), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return false };
    let shape = out.shape();
    let count = pixels(shape);
    let mut arena = Arena::new(scratch);
    let mut part = || arena.take(count * shape.channels);
    let (mut a, mut target) = (Input::new(a, shape, part()), Output::new(out, part()));
    for y in units {
        for x in (0..shape.width).step_by(count) {
            let n = count.min(shape.width - x);
            // SAFETY: as in `binary`.
            unsafe { I::table(a.run(y, x, n), target.run(y, x), n * shape.channels, table) };
            target.finish(y, x, n);
        }
    }
    true
}

/// An operand as runs without gaps.
struct Input<'m, 's> {
    source: Src<'m, u8>,
    scratch: &'s mut [u8],
    /// Whether the scratch holds the same for every run.
    constant: bool,
    /// Channels of a run's pixels.
    channels: usize,
}

impl<'m, 's> Input<'m, 's> {
    fn new(source: Src<'m, u8>, output: Shape, scratch: &'s mut [u8]) -> Self {
        let Shape { height, width, channels } = source.shape();
        let constant = height == 1 && width == 1;
        if constant {
            // Repeated for every pixel.
            for pixel in scratch.chunks_exact_mut(output.channels) {
                for (c, to) in pixel.iter_mut().enumerate() {
                    *to = source.get(0, 0, if channels == 1 { 0 } else { c });
                }
            }
        }
        Self { source, scratch, constant, channels: output.channels }
    }

    /// Pixels (y, x)..(y, x + n) as `n * output channels` bytes.
    #[inline]
    fn run(&mut self, y: usize, x: usize, n: usize) -> *const u8 {
        if self.constant {
            return self.scratch.as_ptr();
        }
        let layout = self.source.layout();
        let Shape { height, width, channels } = layout.shape;
        let y = if height == 1 { 0 } else { y };
        let out_channels = self.channels;
        if width > 1 && channels == out_channels {
            let from = self.source.ptr(y, x);
            if layout.pixel == channels {
                return from;
            }
            // SAFETY: n pixels of the row; the scratch holds as many.
            unsafe { copy_pixels(from, layout.pixel, self.scratch.as_mut_ptr(), channels, n, channels) };
            return self.scratch.as_ptr();
        }
        for (i, pixel) in self.scratch.chunks_exact_mut(out_channels).take(n).enumerate() {
            let lane = self.source.pixel(y, if width == 1 { 0 } else { x + i });
            if channels == 1 {
                pixel.fill(lane.get(0));
            } else {
                pixel.iter_mut().zip(lane.iter()).for_each(|(to, v)| *to = v);
            }
        }
        self.scratch.as_ptr()
    }
}

/// The output as runs without gaps.
struct Output<'m, 's> {
    target: Dst<'m, u8>,
    scratch: &'s mut [u8],
    packed: bool,
}

impl<'m, 's> Output<'m, 's> {
    fn new(target: Dst<'m, u8>, scratch: &'s mut [u8]) -> Self {
        Self { target, scratch, packed: target.as_src().packed_pixels() }
    }

    /// Where the run from pixel (y, x) on is to be written.
    #[inline]
    fn run(&mut self, y: usize, x: usize) -> *mut u8 {
        if self.packed { self.target.ptr(y, x) } else { self.scratch.as_mut_ptr() }
    }

    /// Moves the `n` pixels of the run to their places.
    #[inline]
    fn finish(&self, y: usize, x: usize, n: usize) {
        if !self.packed {
            let layout = self.target.layout();
            let channels = layout.shape.channels;
            // SAFETY: n pixels in the scratch and in the row.
            unsafe {
                copy_pixels(
                    self.scratch.as_ptr(),
                    channels,
                    self.target.ptr(y, x),
                    layout.pixel,
                    n,
                    channels,
                );
            }
        }
    }
}
