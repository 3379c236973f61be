//! Mean, sum and maximum over space or over channels.

use core::ops::Range;

use super::float::Float;
use super::quantise::Quantiser;
use super::row::{channel_blocks, map_pixels, over_space};
use crate::{Call, Src};
use fusionproxy_format::{Axis, CHANNEL_BLOCK, Op, Reduce, ReduceKind};

/// Elements that one result is made of.
fn count(op: &Reduce, call: &Call<'_, '_>) -> usize {
    let shape = call.inputs()[0].data.layout().shape;
    if op.axis == Axis::Space { shape.height * shape.width } else { shape.channels }
}

/// Scale of an 8-bit sum or mean, and the zero points in its sum.
fn finishing(op: &Reduce, call: &Call<'_, '_>) -> (f32, i32) {
    let count = count(op, call);
    let scale = if op.kind == ReduceKind::Mean { op.scale / count as f32 } else { op.scale };
    // At most 255 * 2^23 in magnitude, and so is the sum of the elements alone: `check_geometry` bounds the count.
    (scale, i32::from(call.inputs()[0].quant.zero_point) * count as i32)
}

/// Runs `units` of a reduction: channels if it runs over space, else rows, in 8 bits.
pub(super) fn run_u8(op: &Reduce, call: &Call<'_, '_>, units: Range<usize>) {
    let quantiser = Quantiser::plain(call.output_quant());
    let (scale, zeros) = finishing(op, call);
    let finish = |acc: i32| match op.kind {
        ReduceKind::Max => acc as u8,
        ReduceKind::Mean | ReduceKind::Sum => quantiser.sum(acc - zeros, scale),
    };
    let step = |acc: i32, q: u8| match op.kind {
        ReduceKind::Max => acc.max(i32::from(q)),
        ReduceKind::Mean | ReduceKind::Sum => acc + i32::from(q),
    };
    if op.axis == Axis::Channel {
        map_pixels::<u8>(call, units, |out, lane| out.set(0, finish(lane.iter().fold(0, step))));
        return;
    }
    let (Some(src), Some(dst)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    let rows = 0..src.shape().height;
    for (first, len) in channel_blocks(units) {
        let join = |a: i32, b: i32| if op.kind == ReduceKind::Max { a.max(b) } else { a + b };
        let acc = over_space(&src, rows.clone(), (first, len), 0, |_, acc, q| step(acc, q), join);
        dst.pixel(0, 0).slice(first, len).fill_array(acc.map(finish));
    }
}

/// Runs `units` of a reduction: channels if it runs over space, else rows, in floats.
pub(super) fn run_float<T: Float>(op: &Reduce, call: &Call<'_, '_>, units: Range<usize>) {
    let count = count(op, call) as f32;
    let start = if op.kind == ReduceKind::Max { f32::NEG_INFINITY } else { 0.0 };
    let finish = |acc: f32| T::store(if op.kind == ReduceKind::Mean { acc / count } else { acc });
    let step = |acc: f32, v: f32| match op.kind {
        ReduceKind::Max if v > acc => v,
        ReduceKind::Max => acc,
        ReduceKind::Mean | ReduceKind::Sum => acc + v,
    };
    if op.axis == Axis::Channel {
        map_pixels::<T>(call, units, |out, lane| {
            out.set(0, finish(lane.iter().map(Float::load).fold(start, step)));
        });
        return;
    }
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    let rows = 0..src.shape().height;
    for (first, len) in channel_blocks(units) {
        let acc =
            over_space(&src, rows.clone(), (first, len), start, |_, acc, v: T| step(acc, v.load()), step);
        dst.pixel(0, 0).slice(first, len).fill_array(acc.map(finish));
    }
}

/// Adds the rows `rows` of the input of an 8-bit reduction over space to `sums`, one a channel: the share of a part of the
/// image, where the parts are computed apart.
pub fn sum_rows(src: &Src<'_, u8>, rows: Range<usize>, sums: &mut [i32]) {
    for (block, sums) in channel_blocks(0..src.shape().channels).zip(sums.chunks_mut(CHANNEL_BLOCK)) {
        let acc = over_space(src, rows.clone(), block, 0, |_, acc, q: u8| acc + i32::from(q), |a, b| a + b);
        for (sum, acc) in sums.iter_mut().zip(acc) {
            *sum += acc;
        }
    }
}

/// Writes an 8-bit mean or sum over space from the sums of all rows ([`sum_rows`]). Does nothing for other calls.
pub fn finish_sums(call: &Call<'_, '_>, sums: &[i32]) {
    let Op::Reduce(op) = call.op() else { return };
    let Some(dst) = call.target::<u8>() else { return };
    let quantiser = Quantiser::plain(call.output_quant());
    let (scale, zeros) = finishing(op, call);
    for (c, sum) in sums.iter().enumerate().take(dst.shape().channels) {
        dst.set(0, 0, c, quantiser.sum(sum - zeros, scale));
    }
}
