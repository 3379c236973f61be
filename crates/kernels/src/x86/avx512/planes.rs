//! Depthwise rows of one plane.

use core::arch::x86_64::*;

use super::finish::{Finish, store8, store16};
use crate::x86::depthwise_planes::PlaneRow;

/// Kernel widths and horizontal strides that [`run`] knows.
pub(super) const WINDOWS: &[(u8, u8)] = &[(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)];

/// See [`crate::x86::isa::Isa::depthwise_plane`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
pub(super) unsafe fn run(row: &PlaneRow<'_>, width: usize, stride: usize) {
    // SAFETY: passed on.
    unsafe {
        match (width, stride, row.pitch) {
            (3, 1, 16) => plane::<3, 1, 4>(row),
            (3, 1, _) => plane::<3, 1, 2>(row),
            (3, _, 16) => plane::<3, 2, 4>(row),
            (3, ..) => plane::<3, 2, 2>(row),
            (5, 1, 16) => plane::<5, 1, 4>(row),
            (5, 1, _) => plane::<5, 1, 2>(row),
            (5, _, 16) => plane::<5, 2, 4>(row),
            (5, ..) => plane::<5, 2, 2>(row),
            (_, _, 16) => plane::<7, 1, 4>(row),
            _ => plane::<7, 1, 2>(row),
        }
    }
}

/// Columns at which vectors of four begin, counted from the window of the first of `outs` outputs; unused ones are `NONE`.
const fn positions(width: usize, stride: usize, outs: usize) -> [usize; 4] {
    match (width, stride, outs) {
        (3, 1, 4) => [0, 2, NONE, NONE],
        (3, 1, _) => [0, NONE, NONE, NONE],
        (3, _, 4) => [0, 2, 4, 6],
        (3, ..) => [0, 2, NONE, NONE],
        (5, 1, _) | (5 | 7, _, 2) => [0, 4, NONE, NONE],
        _ => [0, 4, 8, NONE],
    }
}

const NONE: usize = usize::MAX;

/// Whether output `out` takes taps from the vector at `position`: the window's first column falls into the last vector
/// that begins at or before it, and the window goes on in those four and eight columns on.
const fn uses(width: usize, stride: usize, outs: usize, position: usize, out: usize) -> bool {
    let start = out * stride;
    let all = positions(width, stride, outs);
    let (mut first, mut i) = (0, 0);
    while i < 4 {
        if all[i] != NONE && all[i] <= start {
            first = all[i];
        }
        i += 1;
    }
    position >= first && (position - first).is_multiple_of(4) && position < start + width
}

/// Permutation of four columns of 16 channels, or twice four columns of 8, the second ones two outputs further on, that
/// puts a channel's columns side by side.
const fn taps(stride: usize, outs: usize) -> [u8; 64] {
    let (mut taps, mut i) = ([0; 64], 0);
    while i < 64 {
        let (dword, column) = (i / 4, i % 4);
        taps[i] =
            if outs == 4 { column * 16 + dword } else { (column + dword / 8 * 2 * stride) * 8 + dword % 8 }
                as u8;
        i += 1;
    }
    taps
}

/// Permutation of packed results into the order of outputs. Packing leaves lane l with channels 4 l..4 l + 4 of each sum.
/// With 16 channels, sums are outputs. With 8, lanes 0 and 1 of sum a are output a (of the second set, sums 2 and 3, output
/// 2 + a), and lanes 2 and 3 are two outputs on.
const fn order(outs: usize) -> [u8; 64] {
    let (mut order, mut i) = ([0; 64], 0);
    while i < 64 {
        order[i] = if outs == 4 {
            let (out, channel) = (i / 16, i % 16);
            channel / 4 * 16 + out * 4 + channel % 4
        } else {
            let (out, channel) = (i / 8, i % 8);
            let (set, inner) = (out / 4, out % 4);
            (channel / 4 + inner / 2 * 2) * 16 + (set * 2 + inner % 2) * 4 + channel % 4
        } as u8;
        i += 1;
    }
    order
}

/// A window `W` wide, of stride `S`. A vector of sums holds 16 channels of one output (`OUTS` 4), or 8 channels of two
/// outputs that are two apart (`OUTS` 2).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn plane<const W: usize, const S: usize, const OUTS: usize>(row: &PlaneRow<'_>) {
    let (taps, order) = (const { taps(S, OUTS) }, const { order(OUTS) });
    // Outputs of a tile: one vector of results.
    let tile = 16 / OUTS;
    let finish = Finish::new(&row.requant);
    // SAFETY: arrays of 64 bytes; bias and scale have 16 values; tiles lie inside the row, or the row is shorter than a
    // tile and only its own pixels are written, while the columns read past it are slack.
    unsafe {
        let taps = _mm512_loadu_si512(taps.as_ptr().cast());
        let order = _mm512_loadu_si512(order.as_ptr().cast());
        let bias = _mm512_loadu_si512(row.bias.cast());
        let scale = _mm512_loadu_ps(row.scale);
        // The weights of a 3 x 3 window stay in registers: shifts 3 and, of stride 1, 2.
        let small = W == 3 && row.rows.len() == 3;
        let mut kept = [[_mm512_setzero_si512(); 2]; 3];
        if small {
            for (ky, kept) in kept.iter_mut().enumerate() {
                for (i, w) in kept.iter_mut().enumerate() {
                    *w = _mm512_loadu_si512(row.weights.add((ky * 6 + 3 - i) * 64).cast());
                }
            }
        }
        let mut x = 0;
        while x < row.pixels {
            let at = if x + tile <= row.pixels { x } else { row.pixels.saturating_sub(tile) };
            let v = if small {
                sums3::<S, OUTS>(row, at, taps, bias, &kept)
            } else {
                sums::<W, S, OUTS>(row, at, taps, bias)
            };
            let v = _mm512_permutexvar_epi8(order, finish.apply(v, [scale; 4]));
            if OUTS == 4 {
                store16(row.out.add(at * row.out_pixel), row.out_pixel, row.channels, row.pixels - at, v);
            } else {
                store8(row.out.add(at * row.out_pixel), row.out_pixel, row.channels, row.pixels - at, v);
            }
            x += tile;
        }
    }
}

/// [`sums`] of a 3 x 3 window with its weights in registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn sums3<const S: usize, const OUTS: usize>(
    row: &PlaneRow<'_>,
    x: usize,
    taps: __m512i,
    bias: __m512i,
    weights: &[[__m512i; 2]; 3],
) -> [__m512i; 4] {
    let pitch = OUTS * 4;
    let mut acc = [bias; 4];
    for (ky, weights) in weights.iter().enumerate() {
        // SAFETY: there are three rows, and the columns of the tile's windows are in them or their slack.
        unsafe {
            let input = (*row.rows.as_ptr().add(ky)).add(x * S * pitch);
            for set in 0..4 / OUTS {
                for position in positions(3, S, OUTS) {
                    if position == NONE {
                        continue;
                    }
                    let from = input.add((set * 4 * S + position) * pitch);
                    let v = _mm512_permutexvar_epi8(taps, _mm512_loadu_si512(from.cast()));
                    for out in 0..OUTS {
                        if uses(3, S, OUTS, position, out) {
                            let acc = &mut acc[set * OUTS + out];
                            *acc = _mm512_dpbusd_epi32(*acc, v, weights[out * S - position]);
                        }
                    }
                }
            }
        }
    }
    acc
}

/// Four vectors of sums, from output `x` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn sums<const W: usize, const S: usize, const OUTS: usize>(
    row: &PlaneRow<'_>,
    x: usize,
    taps: __m512i,
    bias: __m512i,
) -> [__m512i; 4] {
    let pitch = OUTS * 4;
    let mut acc = [bias; 4];
    let mut weights = row.weights;
    for input in row.rows {
        // SAFETY: the columns of the tile's windows are in the row or its slack; the table has W + 3 vectors a kernel row.
        unsafe {
            let input = input.add(x * S * pitch);
            for set in 0..4 / OUTS {
                for position in positions(W, S, OUTS) {
                    if position == NONE {
                        continue;
                    }
                    let from = input.add((set * 4 * S + position) * pitch);
                    let v = _mm512_permutexvar_epi8(taps, _mm512_loadu_si512(from.cast()));
                    for out in 0..OUTS {
                        if uses(W, S, OUTS, position, out) {
                            let shift = 3 + position - out * S;
                            let w = _mm512_loadu_si512(weights.add(shift * 64).cast());
                            let acc = &mut acc[set * OUTS + out];
                            *acc = _mm512_dpbusd_epi32(*acc, v, w);
                        }
                    }
                }
            }
            weights = weights.add((W + 3) * 64);
        }
    }
    acc
}
