//! Softmax over the channels of each pixel, or over each row for every channel.

use core::ops::Range;

use super::float::Float;
use super::row::{block_row, channel_blocks, gather, map_pixels};
use crate::{Call, Dst, Element};
use fusionproxy_format::{Axis, CHANNEL_BLOCK, Softmax};

/// Runs `rows` of a softmax, in 8 bits.
pub(super) fn run_u8(op: &Softmax<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
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

/// Runs `rows` of a softmax, in floats.
pub(super) fn run_float<T: Float>(op: &Softmax<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    let larger = |max: f32, v: T| if v.load() > max { v.load() } else { max };
    if op.axis == Axis::Channel {
        map_pixels::<T>(call, rows, |out, lane| {
            let max = lane.iter().fold(f32::NEG_INFINITY, larger);
            // The exponentials wait in the output.
            out.map(lane, |v| T::store(libm::expf(v.load() - max)));
            let sum: f32 = out.as_lane().iter().map(Float::load).sum();
            out.map(out.as_lane(), |e| T::store(e.load() / sum));
        });
        return;
    }
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    for (y, block) in blocks(&dst, rows) {
        let mut max = [f32::NEG_INFINITY; CHANNEL_BLOCK];
        for (_, lane) in block_row(&src, y, block) {
            gather(&mut max, lane, |_, max, v| larger(max, v));
        }
        let mut sum = [0.0; CHANNEL_BLOCK];
        for (x, lane) in block_row(&src, y, block) {
            // The exponentials wait in the output.
            let mut exp = [T::default(); CHANNEL_BLOCK];
            gather(&mut exp, lane, |i, _, v| T::store(libm::expf(v.load() - max[i])));
            dst.pixel(y, x).slice(block.0, block.1).fill_array(exp);
            for (sum, exp) in sum.iter_mut().zip(exp) {
                *sum += exp.load();
            }
        }
        for x in 0..dst.shape().width {
            let out = dst.pixel(y, x).slice(block.0, block.1);
            let mut share = [T::default(); CHANNEL_BLOCK];
            gather(&mut share, out.as_lane(), |i, _, exp| T::store(exp.load() / sum[i]));
            out.fill_array(share);
        }
    }
}

/// Rows, and in each the first channel and length of each block of channels.
fn blocks<T: Element>(dst: &Dst<'_, T>, rows: Range<usize>) -> impl Iterator<Item = (usize, (usize, usize))> {
    let channels = dst.shape().channels;
    rows.flat_map(move |y| channel_blocks(0..channels).map(move |block| (y, block)))
}
