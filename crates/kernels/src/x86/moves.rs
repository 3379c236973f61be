//! Operators that only move elements: concat, slice, nearest-neighbour enlargement, pixel shuffle, reshape.

use core::ops::Range;

use fusionproxy_format::{DType, Op, Resize, ResizeMode, Slice};
use half::f16;

use super::stage::copy_pixels;
use crate::{Call, Dst, Element, Shape, Src};

/// The whole factors by which a nearest-neighbour resize enlarges. Each pixel then becomes a block, in both conventions.
fn factors(op: &Resize, input: Shape, output: Shape) -> Option<[usize; 2]> {
    let nearest = matches!(op.mode, ResizeMode::NearestFloor | ResizeMode::NearestHalfPixel);
    let whole = output.height.is_multiple_of(input.height) && output.width.is_multiple_of(input.width);
    (nearest && whole).then(|| [output.height / input.height, output.width / input.width])
}

/// Runs `units` of a call if it is one of the operators above; else gives `false`.
pub(super) fn run(call: &Call<'_, '_>, units: Range<usize>) -> bool {
    match call.output().dtype() {
        DType::U8 => typed::<u8>(call, units),
        DType::F16 => typed::<f16>(call, units),
        DType::F32 => typed::<f32>(call, units),
    }
}

/// Whether [`run`] takes `op` for some shapes.
pub(super) fn supports(op: &Op<'_>) -> bool {
    match op {
        Op::Concat | Op::Slice(_) | Op::PixelShuffle { .. } | Op::Reshape => true,
        Op::Resize(r) => matches!(r.mode, ResizeMode::NearestFloor | ResizeMode::NearestHalfPixel),
        _ => false,
    }
}

fn typed<T: Element>(call: &Call<'_, '_>, units: Range<usize>) -> bool {
    let (Some(source), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    let Shape { width, channels, .. } = out.shape();
    match call.op() {
        Op::Concat => {
            for y in units {
                let mut first = 0;
                for source in (0..call.inputs().len()).filter_map(|i| call.source::<T>(i)) {
                    let channels = source.shape().channels;
                    copy(&source, (y, 0, 0), &out, (y, 0, first), width, channels);
                    first += channels;
                }
            }
        }
        Op::Slice(Slice { start: [top, left, channel] }) => {
            for y in units {
                copy(&source, (top + y, *left, *channel), &out, (y, 0, 0), width, channels);
            }
        }
        Op::Resize(r) => {
            let Some([fy, fx]) = factors(r, source.shape(), out.shape()) else { return false };
            let (from, to) = (source.layout().pixel, out.layout().pixel);
            let bytes = size_of::<T>();
            for y in units {
                for phase in 0..fx {
                    // SAFETY: every pixel of the input row goes to column x * fx + phase of the output row; `Call` proves that
                    // the views do not overlap, here and below.
                    unsafe {
                        copy_pixels(
                            source.ptr(y / fy, 0).cast(),
                            from * bytes,
                            out.ptr(y, phase).cast(),
                            to * fx * bytes,
                            source.shape().width,
                            channels * bytes,
                        );
                    }
                }
            }
        }
        Op::PixelShuffle { block, channel_major } => {
            // Runs of consecutive elements of an input pixel, and how far apart they are in a row of output.
            let (runs, len) = if channels == 1 {
                (1, *block)
            } else if *channel_major {
                (block * channels, 1)
            } else {
                (*block, channels)
            };
            let (from, to) = (source.layout().pixel, out.layout().pixel);
            if channels == 1 && to != 1 {
                return false;
            }
            let bytes = size_of::<T>();
            for y in units {
                for run in 0..runs {
                    let (dx, c) =
                        if len == 1 && channels > 1 { (run % block, run / block) } else { (run, 0) };
                    let at = y % block * block + dx;
                    let first = if *channel_major { c * block * block + at } else { at * channels };
                    // SAFETY: elements first..first + len of every pixel of the input row; they go to columns
                    // x * block + dx (and, of one channel, to the block - 1 that follow) of the output row.
                    unsafe {
                        copy_pixels(
                            source.ptr(y / block, 0).add(first).cast(),
                            from * bytes,
                            out.ptr(y, dx).add(c).cast(),
                            to * block * bytes,
                            source.shape().width,
                            len * bytes,
                        );
                    }
                }
            }
        }
        Op::Reshape => {
            if !(dense(&source) && dense(&out.as_src())) {
                return false;
            }
            let (row, source_row) = (width * channels, source.layout().row);
            let (start, end) = (units.start * row, units.end * row);
            let first = start / source_row;
            source.expect_rows(&(first..end.div_ceil(source_row)));
            // SAFETY: without gaps the elements of both views are in the same order, and their number is the same; both admit
            // these rows, those of the output by `Call::expect_units`. `Call` proves that the views do not overlap.
            unsafe {
                let from = source.ptr(first, 0).add(start % source_row);
                core::ptr::copy_nonoverlapping(from, out.ptr(units.start, 0), end - start);
            }
        }
        _ => return false,
    }
    true
}

/// Whether a view has no gaps.
fn dense<T: Element>(v: &Src<'_, T>) -> bool {
    let l = v.layout();
    l.pixel == l.shape.channels && l.row == l.pixel * l.shape.width && l.ring >= l.shape.height
}

/// Copies `width` pixels of `channels` channels from (row, column, channel) to (row, column, channel).
fn copy<T: Element>(
    source: &Src<'_, T>,
    from: (usize, usize, usize),
    out: &Dst<'_, T>,
    to: (usize, usize, usize),
    width: usize,
    channels: usize,
) {
    let bytes = size_of::<T>();
    let a = source.ptr(from.0, from.1).wrapping_add(from.2);
    let b = out.ptr(to.0, to.1).wrapping_add(to.2);
    // SAFETY: `Call` proves that the pixels and channels lie inside both views, which do not overlap.
    unsafe {
        copy_pixels(
            a.cast(),
            source.layout().pixel * bytes,
            b.cast(),
            out.layout().pixel * bytes,
            width,
            channels * bytes,
        );
    }
}
