//! Tiles of pixels times blocks of 16 channels, one accumulator register each.
//!
//! `vpdpbusd` takes the activations as its unsigned register operand, so they are broadcast by a load and the weights
//! come from memory. A tile of P pixels and B blocks needs P + B loads for P * B products; two loads and two products
//! start a cycle, and a product takes five, so that at least ten accumulators keep the units busy.

use core::arch::x86_64::*;

use super::finish::{Finish, in_order, store8, store16};
use crate::x86::gemm::GemmRow;

/// See [`crate::x86::isa::Isa::gemm`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
pub(super) unsafe fn run(row: &GemmRow<'_>, blocks: usize) {
    // SAFETY: passed on.
    unsafe {
        match blocks {
            1 if row.pairs => pairs(row),
            1 => tiles::<12, 4, 1>(row),
            2 => tiles::<8, 2, 2>(row),
            3 => tiles::<6, 1, 3>(row),
            _ => tiles::<6, 1, 4>(row),
        }
    }
}

/// Covers the row with tiles of `LARGE` pixels, and what is left with tiles of `SMALL`, then of one. The last large tile
/// of a row that is no multiple of it is moved left and computes some pixels twice.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn tiles<const LARGE: usize, const SMALL: usize, const B: usize>(row: &GemmRow<'_>) {
    let finish = Finish::new(&row.requant);
    let n = row.pixels;
    let mut x = 0;
    // SAFETY: every tile covers pixels inside 0..n.
    unsafe {
        while x + LARGE <= n {
            tile::<LARGE, B>(row, &finish, x);
            x += LARGE;
        }
        if n - x > SMALL && n >= LARGE {
            tile::<LARGE, B>(row, &finish, n - LARGE);
            return;
        }
        while x < n {
            if x + SMALL <= n {
                tile::<SMALL, B>(row, &finish, x);
                x += SMALL;
            } else if n >= SMALL {
                tile::<SMALL, B>(row, &finish, n - SMALL);
                return;
            } else {
                tile::<1, B>(row, &finish, x);
                x += 1;
            }
        }
    }
}

/// Computes pixels `x..x + P` times `B` blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn tile<const P: usize, const B: usize>(row: &GemmRow<'_>, finish: &Finish, x: usize) {
    let block = row.taps.len() * row.quads * 64;
    let mut acc = [[_mm512_setzero_si512(); B]; P];
    // SAFETY: bias and weights cover B blocks, and pixels x..x + P have `quads` * 4 bytes at each tap.
    unsafe {
        for b in 0..B {
            let bias = _mm512_loadu_si512(row.bias.add(16 * b).cast());
            for a in &mut acc {
                a[b] = bias;
            }
        }
        let mut weights = row.weights;
        for tap in row.taps {
            let mut from = tap.add(x * row.step);
            for _ in 0..row.quads {
                let mut w = [_mm512_setzero_si512(); B];
                for (b, w) in w.iter_mut().enumerate() {
                    *w = _mm512_loadu_si512(weights.add(b * block).cast());
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    let v = _mm512_set1_epi32(from.add(p * row.step).cast::<i32>().read_unaligned());
                    for (acc, w) in acc.iter_mut().zip(w) {
                        *acc = _mm512_dpbusd_epi32(*acc, v, w);
                    }
                }
                from = from.add(4);
                weights = weights.add(64);
            }
        }
        store::<P, B>(row, finish, x, &acc);
    }
}

/// Requantises and writes a tile.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn store<const P: usize, const B: usize>(
    row: &GemmRow<'_>,
    finish: &Finish,
    x: usize,
    acc: &[[__m512i; B]; P],
) {
    let zero = _mm512_setzero_si512();
    // SAFETY: scale covers B blocks; pixels x..x + P of the output have `channels` <= 16 * B bytes to write, and masks or
    // the comparison with `channels` keep each store inside them.
    unsafe {
        let mut scale = [_mm512_setzero_ps(); B];
        for (b, s) in scale.iter_mut().enumerate() {
            *s = _mm512_loadu_ps(row.scale.add(16 * b));
        }
        let out = row.out.add(x * row.out_pixel);
        if B == 1 {
            for p in (0..P).step_by(4) {
                let at = |i: usize| if p + i < P { acc[p + i][0] } else { zero };
                let v = in_order(finish.apply([at(0), at(1), at(2), at(3)], [scale[0]; 4]));
                store16(out.add(p * row.out_pixel), row.out_pixel, row.channels, P - p, v);
            }
        } else if B == 2 {
            let mask = u32::MAX >> (32 - row.channels.min(32));
            for p in (0..P).step_by(2) {
                let (c, d) = if p + 1 < P { (acc[p + 1][0], acc[p + 1][1]) } else { (zero, zero) };
                let v = finish.apply([acc[p][0], acc[p][1], c, d], [scale[0], scale[1], scale[0], scale[1]]);
                let v = in_order(v);
                let to = out.add(p * row.out_pixel);
                if P >= 2 && row.out_pixel == 32 && row.channels == 32 {
                    _mm512_storeu_si512(to.cast(), v);
                } else {
                    _mm256_mask_storeu_epi8(to.cast(), mask, _mm512_castsi512_si256(v));
                    if P >= 2 {
                        let to = to.add(row.out_pixel);
                        _mm256_mask_storeu_epi8(to.cast(), mask, _mm512_extracti64x4_epi64::<1>(v));
                    }
                }
            }
        } else {
            let mask = u64::MAX >> (64 - row.channels.min(64));
            for (p, acc) in acc.iter().enumerate() {
                let (d, s) = if B > 3 { (acc[B - 1], scale[B - 1]) } else { (zero, scale[2]) };
                let v = finish.apply([acc[0], acc[1], acc[2], d], [scale[0], scale[1], scale[2], s]);
                _mm512_mask_storeu_epi8(out.add(p * row.out_pixel).cast(), mask, in_order(v));
            }
        }
    }
}

/// Rows of interleaved pairs: half a register of weights, each channel's doubled, meets two pixels at once.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn pairs(row: &GemmRow<'_>) {
    let finish = Finish::new(&row.requant);
    // SAFETY: tiles of pairs whose first pixel exists; what the last ones read past the row is slack.
    unsafe {
        let n = row.pixels.div_ceil(2);
        let mut x = 0;
        while x + 12 <= n {
            pair_tile::<12>(row, &finish, x);
            x += 12;
        }
        while x < n {
            if x + 4 <= n {
                pair_tile::<4>(row, &finish, x);
                x += 4;
            } else {
                pair_tile::<1>(row, &finish, x);
                x += 1;
            }
        }
    }
}

/// Computes pairs `x..x + P`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn pair_tile<const P: usize>(row: &GemmRow<'_>, finish: &Finish, x: usize) {
    let double = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    // Packed, lane l holds 4 values of each of four sums: channels 2 l and 2 l + 1 of both pixels of a pair.
    let order = const {
        let (mut order, mut i) = ([0u8; 64], 0);
        while i < 64 {
            let (pixel, channel) = (i / 8, i % 8);
            order[i] = (channel / 2 * 16 + pixel / 2 * 4 + channel % 2 * 2 + pixel % 2) as u8;
            i += 1;
        }
        order
    };
    let zero = _mm512_setzero_si512();
    // SAFETY: as for `tile`, with 8 bytes of two pixels for each 4 of one; stores are masked to the channels of
    // pixels that exist.
    unsafe {
        let bias = _mm512_permutexvar_epi32(double, _mm512_loadu_si512(row.bias.cast()));
        let scale = _mm512_permutexvar_ps(double, _mm512_loadu_ps(row.scale));
        let order = _mm512_loadu_si512(order.as_ptr().cast());
        let mut acc = [bias; P];
        let mut weights = row.weights;
        for tap in row.taps {
            let mut from = tap.add(x * row.step);
            for _ in 0..row.quads {
                let w = _mm512_permutexvar_epi32(double, _mm512_loadu_si512(weights.cast()));
                for (p, acc) in acc.iter_mut().enumerate() {
                    let v = _mm512_set1_epi64(from.add(p * row.step).cast::<i64>().read_unaligned());
                    *acc = _mm512_dpbusd_epi32(*acc, v, w);
                }
                from = from.add(8);
                weights = weights.add(64);
            }
        }
        let write = |p: usize, sums: [__m512i; 4]| {
            let v = _mm512_permutexvar_epi8(order, finish.apply(sums, [scale; 4]));
            let first = 2 * (x + p);
            let left = (row.pixels - first).min(2 * (P - p));
            store8(row.out.add(first * row.out_pixel), row.out_pixel, row.channels, left, v);
        };
        // Written out: indices that are no constants would keep the sums in memory.
        if P == 1 {
            write(0, [acc[0], zero, zero, zero]);
        } else {
            write(0, [acc[0], acc[1 % P], acc[2 % P], acc[3 % P]]);
        }
        if P == 12 {
            write(4, [acc[4 % P], acc[5 % P], acc[6 % P], acc[7 % P]]);
            write(8, [acc[8 % P], acc[9 % P], acc[10 % P], acc[11 % P]]);
        }
    }
}
