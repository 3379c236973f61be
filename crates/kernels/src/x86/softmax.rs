//! Softmax over channels or along rows. What is summed is brought together first: each channel of a row becomes a run.

use core::ops::Range;

use fusionproxy_format::{Axis, Softmax};

use super::element::Float;
use super::heads;
use super::isa::Isa;
use super::stage::Arena;
use crate::{Call, Shape};

/// Elements of a run, and runs of a row.
fn runs(axis: Axis, shape: Shape) -> (usize, usize) {
    if axis == Axis::Channel { (shape.channels, 1) } else { (shape.width, shape.channels) }
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes(op: &Softmax<'_>, output: Shape) -> usize {
    let (len, count) = runs(op.axis, output);
    Arena::size(len * 4) + Arena::size(len * count) + 64
}

/// Runs `units` of an 8-bit softmax; `false` if the views are not 8-bit.
pub(super) fn run<I: Isa>(
    call: &Call<'_, '_>,
    op: &Softmax<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out), Some(exp)) = (call.source::<u8>(0), call.target::<u8>(), op.exp) else {
        return false;
    };
    let (len, count) = runs(op.axis, out.shape());
    let mut arena = Arena::new(scratch);
    let shares = arena.take(len * 4).as_mut_ptr().cast();
    let rows = arena.take(len * count).as_mut_ptr();
    let (from_pixel, to_pixel) = (source.layout().pixel, out.layout().pixel);
    for y in units {
        // SAFETY: the token's existence proves the instructions; the channels of a pixel, or the pixels of a row, which the
        // scratch has room for.
        unsafe {
            if op.axis == Axis::Channel {
                for x in 0..out.shape().width {
                    I::softmax(source.ptr(y, x), out.ptr(y, x), len, exp, shares);
                }
                continue;
            }
            heads::split(source.ptr(y, 0), from_pixel, count, len, rows, len);
            for row in (0..count).map(|c| rows.add(c * len)) {
                I::softmax(row, row, len, exp, shares);
            }
            heads::join(rows, len, count, len, out.ptr(y, 0), to_pixel);
        }
    }
    true
}

/// Scratch of [`run_float`].
pub(super) fn float_scratch(output: Shape) -> usize {
    2 * Arena::size(output.width * output.channels * 4) + 64
}

/// Runs `units` of a float softmax; `false` if the views are of another type.
pub(super) fn run_float<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    op: &Softmax<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    let Shape { width, channels, .. } = out.shape();
    let (len, count) = runs(op.axis, out.shape());
    let mut arena = Arena::new(scratch);
    let [row, turned] = [(); 2].map(|()| arena.take(width * channels * 4).as_mut_ptr().cast::<f32>());
    let size = size_of::<T>();
    for y in units {
        // SAFETY: the token's existence proves the instructions; the scratch holds a row twice.
        unsafe {
            let from = source.ptr(y, 0).cast();
            T::load::<I>()(from, source.layout().pixel * size, row.cast(), channels * 4, width, channels);
            if op.axis == Axis::Channel {
                (0..width).for_each(|x| I::softmax_float(row.add(x * len), len));
            } else {
                for c in 0..count {
                    let run = turned.add(c * len);
                    (0..len).for_each(|x| run.add(x).write(row.add(x * count + c).read()));
                    I::softmax_float(run, len);
                    (0..len).for_each(|x| row.add(x * count + c).write(run.add(x).read()));
                }
            }
            let to = out.ptr(y, 0).cast();
            T::store::<I>()(row.cast(), channels * 4, to, out.layout().pixel * size, width, channels);
        }
    }
    true
}
