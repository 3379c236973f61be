//! Maximum and average over a sliding window.

use core::ops::Range;

use super::float::Float;
use super::row::{channel_blocks, gather};
use super::window::forward;
use crate::{Call, Element};
use fusionproxy_format::{CHANNEL_BLOCK, Pool, PoolKind};

/// Runs `rows` of a pooling, in 8 bits.
pub(super) fn run_u8(op: &Pool, call: &Call<'_, '_>, rows: Range<usize>) {
    let kernel = op.window.kernel.map(u32::from);
    let zero = u32::from(call.inputs()[0].quant.zero_point);
    match op.kind {
        PoolKind::Max => slide(op, call, rows, 0, u8::max, |max, _| max),
        PoolKind::Average => slide(
            op,
            call,
            rows,
            0,
            |sum, v: u8| sum + u32::from(v),
            |sum, taps| {
                let all = kernel[0] * kernel[1];
                let (sum, n) =
                    if op.count_include_pad { (sum + zero * (all - taps), all) } else { (sum, taps) };
                // Round half up; n is at most 255^2, and not 0: `check_geometry` asks for a tap in the image.
                ((2 * sum + n) / (2 * n)) as u8
            },
        ),
    }
}

/// Runs `rows` of a pooling, in floats.
pub(super) fn run_float<T: Float>(op: &Pool, call: &Call<'_, '_>, rows: Range<usize>) {
    let kernel = op.window.kernel.map(f32::from);
    match op.kind {
        PoolKind::Max => {
            let max = |max: f32, v: T| if v.load() > max { v.load() } else { max };
            slide(op, call, rows, f32::NEG_INFINITY, max, |max, _| T::store(max));
        }
        PoolKind::Average => slide(
            op,
            call,
            rows,
            0.0,
            |sum, v: T| sum + v.load(),
            |sum, taps| {
                T::store(sum / if op.count_include_pad { kernel[0] * kernel[1] } else { taps as f32 })
            },
        ),
    }
}

/// Folds the elements under each window with `step`, and writes `finish` of the result and the number of taps that lie in
/// the image.
#[inline(always)]
fn slide<T: Element, A: Copy>(
    op: &Pool,
    call: &Call<'_, '_>,
    rows: Range<usize>,
    start: A,
    step: impl Fn(A, T) -> A,
    finish: impl Fn(A, u32) -> T,
) {
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    let [kh, kw] = op.window.kernel.map(usize::from);
    for y in rows {
        for x in 0..dst.shape().width {
            for (first, len) in channel_blocks(0..dst.shape().channels) {
                let mut acc = [start; CHANNEL_BLOCK];
                let mut taps = 0;
                for sy in (0..kh).filter_map(|k| forward(&op.window, 0, y, k, src.shape().height)) {
                    for sx in (0..kw).filter_map(|k| forward(&op.window, 1, x, k, src.shape().width)) {
                        gather(&mut acc, src.pixel(sy, sx).slice(first, len), |_, acc, v| step(acc, v));
                        taps += 1;
                    }
                }
                dst.pixel(y, x).slice(first, len).fill_array(acc.map(|acc| finish(acc, taps)));
            }
        }
    }
}
