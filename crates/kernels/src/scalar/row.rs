//! Loops of operators that compute an output pixel from the same pixel of their input.

use core::ops::Range;

use fusionproxy_format::CHANNEL_BLOCK;

use crate::{Call, Element, Lane, LaneMut, Shape, Src};

/// Writes `f` of each element of `rows`.
#[inline(always)]
pub(super) fn map1<S: Element, T: Element>(call: &Call<'_, '_>, rows: Range<usize>, f: impl Fn(S) -> T) {
    let (Some(src), Some(dst)) = (call.source::<S>(0), call.target::<T>()) else { return };
    for y in rows {
        if let (Some(out), Some(lane)) = (dst.row(y), src.row(y)) {
            out.map(lane, &f);
        } else {
            for x in 0..dst.shape().width {
                dst.pixel(y, x).map(src.pixel(y, x), &f);
            }
        }
    }
}

/// Hands `f` the output and the input channels of each pixel of `rows`.
#[inline(always)]
pub(super) fn map_pixels<T: Element>(
    call: &Call<'_, '_>,
    rows: Range<usize>,
    f: impl Fn(LaneMut<'_, T>, Lane<'_, T>),
) {
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    for y in rows {
        for x in 0..dst.shape().width {
            f(dst.pixel(y, x), src.pixel(y, x));
        }
    }
}

/// Writes `f` of each pair of elements of `rows`; an input dimension of 1 is repeated.
#[inline(always)]
pub(super) fn map2<T: Element>(call: &Call<'_, '_>, rows: Range<usize>, f: impl Fn(T, T) -> T) {
    let (Some(a), Some(b), Some(dst)) = (call.source::<T>(0), call.source::<T>(1), call.target::<T>()) else {
        return;
    };
    let Shape { width, channels, .. } = dst.shape();
    let whole_row = |s: &Src<'_, T>| s.shape().width == width && s.shape().channels == channels;
    let whole_rows = whole_row(&a) && whole_row(&b);
    let at = |i: usize, extent: usize| if extent == 1 { 0 } else { i };
    for y in rows {
        let (ya, yb) = (at(y, a.shape().height), at(y, b.shape().height));
        if whole_rows && let (Some(out), Some(a), Some(b)) = (dst.row(y), a.row(ya), b.row(yb)) {
            out.map2(a, b, &f);
            continue;
        }
        for x in 0..width {
            let out = dst.pixel(y, x);
            let a = a.pixel(ya, at(x, a.shape().width));
            let b = b.pixel(yb, at(x, b.shape().width));
            match (a.len() == channels, b.len() == channels) {
                (true, true) => out.map2(a, b, &f),
                (true, false) => {
                    let b = b.get(0);
                    out.map(a, |a| f(a, b));
                }
                (false, true) => {
                    let a = a.get(0);
                    out.map(b, |b| f(a, b));
                }
                (false, false) => out.fill(core::iter::repeat(f(a.get(0), b.get(0)))),
            }
        }
    }
}

/// First channel and length of each block of up to 16 of the channels `range`.
pub(super) fn channel_blocks(range: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    let end = range.end;
    range.step_by(CHANNEL_BLOCK).map(move |first| (first, (end - first).min(CHANNEL_BLOCK)))
}

/// The columns of row `y` with their channels of a block.
#[inline(always)]
pub(super) fn block_row<'m, T: Element>(
    src: &Src<'m, T>,
    y: usize,
    block: (usize, usize),
) -> impl Iterator<Item = (usize, Lane<'m, T>)> {
    (0..src.shape().width).map(move |x| (x, src.pixel(y, x).slice(block.0, block.1)))
}

/// acc\[i\] = step(i, acc\[i\], lane\[i\]) for a block of channels.
#[inline(always)]
pub(super) fn gather<A: Copy, T: Element>(
    acc: &mut [A; CHANNEL_BLOCK],
    lane: Lane<'_, T>,
    step: impl Fn(usize, A, T) -> A,
) {
    if lane.len() == CHANNEL_BLOCK {
        for (i, (acc, v)) in acc.iter_mut().zip(lane.array::<CHANNEL_BLOCK>(0)).enumerate() {
            *acc = step(i, *acc, v);
        }
    } else {
        for (i, (acc, v)) in acc.iter_mut().zip(lane.iter()).enumerate() {
            *acc = step(i, *acc, v);
        }
    }
}

/// Folds the channels of a block of every pixel of `rows`: the elements of each row with `step`, starting from `start`, and the rows with
/// `join`. In floats, the short sums of the rows keep the rounding error of large images small.
#[inline(always)]
pub(super) fn over_space<A: Copy, T: Element>(
    src: &Src<'_, T>,
    rows: Range<usize>,
    block: (usize, usize),
    start: A,
    step: impl Fn(usize, A, T) -> A,
    join: impl Fn(A, A) -> A,
) -> [A; CHANNEL_BLOCK] {
    let mut all = [start; CHANNEL_BLOCK];
    for y in rows {
        let mut row = [start; CHANNEL_BLOCK];
        for (_, lane) in block_row(src, y, block) {
            gather(&mut row, lane, &step);
        }
        for (all, row) in all.iter_mut().zip(row) {
            *all = join(*all, row);
        }
    }
    all
}
