//! Softmax over the channels of each pixel, or over each row for every channel.

use core::ops::Range;

use fusionproxy_format::{Axis, CHANNEL_BLOCK, DType, Softmax};
use half::f16;

use super::float::Float;
use super::row::{block_row, channel_blocks, gather, map_pixels};
use crate::{Call, Dst, Element};

/// Runs `rows` of a softmax.
pub(super) fn run(op: &Softmax<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    match call.output().dtype() {
        DType::U8 => run_u8(op, call, rows),
        DType::F16 => run_float::<f16>(op, call, rows),
        DType::F32 => run_float::<f32>(op, call, rows),
    }
}

fn run_u8(op: &Softmax<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    // The call's constructor asks for the table.
    let Some(exp) = op.exp else { return };
    let exp = |max: u8, q: u8| u32::from(exp[usize::from(max.wrapping_sub(q))]);
    // At most (2^15 + 510) * 65535 * 2: `check_geometry` bounds the number of terms. Where the table begins with 0, which
    // the artifact's reader refuses, the sum may be 0.
    let share = |e: u32, sum: u32| ((510 * e + sum) / (2 * sum).max(1)) as u8;
    if op.axis == Axis::Channel {
        map_pixels::<u8>(call, rows, |out, lane| {
            let max = lane.iter().fold(0, u8::max);
            let sum = lane.iter().map(|q| exp(max, q)).sum();
            out.map(lane, |q| share(exp(max, q), sum));
        });
        return;
    }
    let (Some(src), Some(dst)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    for (y, block) in blocks(&dst, rows) {
        let mut max = [0; CHANNEL_BLOCK];
        for (_, lane) in block_row(&src, y, block) {
            gather(&mut max, lane, |_, max, q| max.max(q));
        }
        let mut sum = [0; CHANNEL_BLOCK];
        for (_, lane) in block_row(&src, y, block) {
            gather(&mut sum, lane, |i, sum, q| sum + exp(max[i], q));
        }
        for (x, lane) in block_row(&src, y, block) {
            let mut out = [0; CHANNEL_BLOCK];
            gather(&mut out, lane, |i, _, q| share(exp(max[i], q), sum[i]));
            dst.pixel(y, x).slice(block.0, block.1).fill_array(out);
        }
    }
}

fn run_float<T: Float>(op: &Softmax<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    let larger = |max: f32, v: T| if v.load() > max { v.load() } else { max };
    if op.axis == Axis::Channel {
        map_pixels::<T>(call, rows, |out, lane| {
            let max = lane.iter().fold(f32::NEG_INFINITY, larger);
            let exp = |v: T| libm::expf(v.load() - max);
            let sum: f32 = lane.iter().map(exp).sum();
            out.map(lane, |v| T::store(exp(v) / sum));
        });
        return;
    }
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    for (y, block) in blocks(&dst, rows) {
        let mut max = [f32::NEG_INFINITY; CHANNEL_BLOCK];
        for (_, lane) in block_row(&src, y, block) {
            gather(&mut max, lane, |_, max, v| larger(max, v));
        }
        let exp = |i: usize, v: T| libm::expf(v.load() - max[i]);
        let mut sum = [0.0; CHANNEL_BLOCK];
        for (_, lane) in block_row(&src, y, block) {
            gather(&mut sum, lane, |i, sum, v| sum + exp(i, v));
        }
        for (x, lane) in block_row(&src, y, block) {
            let mut out = [T::default(); CHANNEL_BLOCK];
            gather(&mut out, lane, |i, _, v| T::store(exp(i, v) / sum[i]));
            dst.pixel(y, x).slice(block.0, block.1).fill_array(out);
        }
    }
}

/// Rows, and in each the first channel and length of each block of channels.
fn blocks<T: Element>(dst: &Dst<'_, T>, rows: Range<usize>) -> impl Iterator<Item = (usize, (usize, usize))> {
    let channels = dst.shape().channels;
    rows.flat_map(move |y| channel_blocks(0..channels).map(move |block| (y, block)))
}
