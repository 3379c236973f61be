//! Operators that only move bytes: concatenation, slice, nearest-neighbour enlargement by whole factors.

use core::ops::Range;

use fusionproxy_format::{Op, Resize, ResizeMode, Slice};

use super::stage::copy_pixels;
use crate::{Call, Dst, Shape, Src};

/// Whether [`run`] takes `op` for some shapes.
pub(crate) fn supports(op: &Op<'_>) -> bool {
    match op {
        Op::Concat | Op::Slice(_) => true,
        Op::Resize(r) => matches!(r.mode, ResizeMode::NearestFloor | ResizeMode::NearestHalfPixel),
        _ => false,
    }
}

/// The whole factors of an enlargement. Each pixel then becomes a block, in both conventions.
fn factors(input: Shape, output: Shape) -> Option<[usize; 2]> {
    let whole = output.height.is_multiple_of(input.height) && output.width.is_multiple_of(input.width);
    whole.then(|| [output.height / input.height, output.width / input.width])
}

/// Runs `units` of an 8-bit call that [`supports`] accepts; `false` if a resize is not by whole factors.
pub(crate) fn run(call: &Call<'_, '_>, units: Range<usize>) -> bool {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return false };
    let Shape { width, channels, .. } = out.shape();
    match call.op() {
        Op::Concat => {
            for y in units {
                let mut first = 0;
                for source in (0..call.inputs().len()).filter_map(|i| call.source::<u8>(i)) {
                    let channels = source.shape().channels;
                    copy(&source, (y, 0, 0), &out, (y, first), (width, channels));
                    first += channels;
                }
            }
        }
        Op::Slice(Slice { start: [top, left, channel] }) => {
            for y in units {
                copy(&source, (top + y, *left, *channel), &out, (y, 0), (width, channels));
            }
        }
        Op::Resize(Resize { .. }) => {
            let Some([fy, fx]) = factors(source.shape(), out.shape()) else { return false };
            let (from, to) = (source.layout().pixel, out.layout().pixel);
            for y in units {
                for phase in 0..fx {
                    // SAFETY: every pixel of the input row goes to column x * fx + phase of the output row; `Call` proves that
                    // the views do not overlap.
                    unsafe {
                        copy_pixels(
                            (source.ptr(y / fy, 0), from),
                            (out.ptr(y, phase), to * fx),
                            source.shape().width,
                            channels,
                        );
                    }
                }
            }
        }
        _ => return false,
    }
    true
}

/// Copies pixels of channels from (row, column, channel) to (row, channel).
fn copy(
    source: &Src<'_, u8>,
    from: (usize, usize, usize),
    out: &Dst<'_, u8>,
    to: (usize, usize),
    (width, channels): (usize, usize),
) {
    let a = source.ptr(from.0, from.1).wrapping_add(from.2);
    let b = out.ptr(to.0, 0).wrapping_add(to.1);
    // SAFETY: `Call` proves that the pixels and channels lie inside both views, which do not overlap.
    unsafe { copy_pixels((a, source.layout().pixel), (b, out.layout().pixel), width, channels) };
}
