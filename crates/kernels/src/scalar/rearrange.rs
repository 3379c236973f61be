//! Operators that move elements and compute nothing: concat, slice, pad, pixel shuffle, transpose, reshape.

use core::ops::Range;

use super::float::Float;
use super::linked;
use crate::{Call, Dst, Element, Src};
use fusionproxy_format::{Op, OpKind, Pad, PadMode, Slice, Transpose};

/// Runs `rows` of one of the operators above, if it is in `SET`, in 8 bits.
pub(super) fn run_u8<const SET: u32>(call: &Call<'_, '_>, rows: Range<usize>) {
    typed::<u8, SET>(call, rows, |pad| pad.quantised);
}

/// Runs `rows` of one of the operators above, if it is in `SET`, in floats.
pub(super) fn run_float<T: Float, const SET: u32>(call: &Call<'_, '_>, rows: Range<usize>) {
    typed::<T, SET>(call, rows, |pad| T::store(pad.value));
}

fn typed<T: Element, const SET: u32>(call: &Call<'_, '_>, rows: Range<usize>, constant: impl Fn(&Pad) -> T) {
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    match call.op() {
        Op::Concat if linked(SET, OpKind::Concat) => concat(call, dst, rows),
        Op::Slice(s) if linked(SET, OpKind::Slice) => slice(s, src, dst, rows),
        Op::Pad(p) if linked(SET, OpKind::Pad) => pad(p, constant(p), src, dst, rows),
        Op::PixelShuffle { block, channel_major } if linked(SET, OpKind::PixelShuffle) => {
            shuffle(*block, *channel_major, src, dst, rows);
        }
        Op::Transpose(t) if linked(SET, OpKind::Transpose) => transpose(t, src, dst, rows),
        Op::Reshape if linked(SET, OpKind::Reshape) => reshape(src, dst, rows),
        _ => {}
    }
}

fn concat<T: Element>(call: &Call<'_, '_>, dst: Dst<'_, T>, rows: Range<usize>) {
    for y in rows {
        let mut first = 0;
        for src in (0..call.inputs().len()).filter_map(|i| call.source::<T>(i)) {
            let channels = src.shape().channels;
            for x in 0..dst.shape().width {
                dst.pixel(y, x).slice(first, channels).copy(src.pixel(y, x));
            }
            first += channels;
        }
    }
}

fn slice<T: Element>(op: &Slice, src: Src<'_, T>, dst: Dst<'_, T>, rows: Range<usize>) {
    let [top, left, channel] = op.start;
    for y in rows {
        for x in 0..dst.shape().width {
            dst.pixel(y, x).copy(src.pixel(top + y, left + x).slice(channel, dst.shape().channels));
        }
    }
}

fn pad<T: Element>(op: &Pad, constant: T, src: Src<'_, T>, dst: Dst<'_, T>, rows: Range<usize>) {
    // The input row or column that stands at output position `o`.
    let source = |o: usize, before: usize, extent: usize| match (o.checked_sub(before), op.mode) {
        (Some(i), _) if i < extent => Some(i),
        (_, PadMode::Constant) => None,
        (Some(_), PadMode::Edge) => Some(extent - 1),
        (None, PadMode::Edge) => Some(0),
        (Some(i), PadMode::Reflect) => Some(2 * (extent - 1) - i),
        (None, PadMode::Reflect) => Some(before - o),
    };
    for y in rows {
        let sy = source(y, op.before[0], src.shape().height);
        for x in 0..dst.shape().width {
            let sx = source(x, op.before[1], src.shape().width);
            match (sy, sx) {
                (Some(sy), Some(sx)) => dst.pixel(y, x).copy(src.pixel(sy, sx)),
                _ => dst.pixel(y, x).fill(core::iter::repeat(constant)),
            }
        }
    }
}

fn shuffle<T: Element>(
    block: usize,
    channel_major: bool,
    src: Src<'_, T>,
    dst: Dst<'_, T>,
    rows: Range<usize>,
) {
    let channels = dst.shape().channels;
    for y in rows {
        for x in 0..dst.shape().width {
            let at = y % block * block + x % block;
            let (from, to) = (src.pixel(y / block, x / block), dst.pixel(y, x));
            if channel_major {
                to.fill(from.step_by(at, block * block));
            } else {
                to.copy(from.slice(at * channels, channels));
            }
        }
    }
}

fn transpose<T: Element>(op: &Transpose, src: Src<'_, T>, dst: Dst<'_, T>, rows: Range<usize>) {
    let order = op.order.map(usize::from);
    for y in rows {
        for x in 0..dst.shape().width {
            let mut at = [0; 3];
            at[order[0]] = y;
            at[order[1]] = x;
            let out = dst.pixel(y, x);
            match order[2] {
                2 => out.copy(src.pixel(at[0], at[1])),
                1 => out.fill(src.across(at[0], at[2])),
                _ => out.fill((0..src.shape().height).map(|sy| src.get(sy, at[1], at[2]))),
            }
        }
    }
}

fn reshape<T: Element>(src: Src<'_, T>, dst: Dst<'_, T>, rows: Range<usize>) {
    let (from, to) = (src.shape(), dst.shape());
    for y in rows {
        // Runs of elements that are consecutive in both views.
        let (mut done, mut at) = (0, y * to.width * to.channels);
        while done < to.width * to.channels {
            let pixel = src.pixel(at / from.channels / from.width, at / from.channels % from.width);
            let (source, target) = (at % from.channels, done % to.channels);
            let len = (from.channels - source).min(to.channels - target);
            dst.pixel(y, done / to.channels).slice(target, len).copy(pixel.slice(source, len));
            done += len;
            at += len;
        }
    }
}
