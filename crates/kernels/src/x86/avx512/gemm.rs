//! Tiles of pixels times blocks of 16 channels, one accumulator register each.
//!
//! `vpdpbusd` takes the activations as its unsigned register operand, so they are broadcast by a load and the weights
//! come from memory. A tile of P pixels and B blocks needs P + B loads for P * B products; two loads and two products
//! start a cycle, and a product takes five, so that at least ten accumulators keep the units busy.
//!
//! Additions of addresses compete with products for two of their ports. Pixels are therefore reached from few pointers, each
//! with the multiples of the step that an address can hold, and four steps along a run are written out.

use core::arch::x86_64::*;

use super::finish::{Finish, in_order, store8, store16};
use super::tiles::{Tiles, cover, each_line, opaque};
use crate::x86::gemm::GemmRow;

/// See [`crate::x86::isa::Isa::gemm`].
///
/// # Safety
/// As there.
pub(super) unsafe fn run(row: &GemmRow<'_>, blocks: usize) {
    let n = row.pixels;
    // SAFETY: every tile covers pixels inside 0..n, or pairs whose first pixel is.
    unsafe {
        match blocks {
            1 if row.pairs => {
                let sizes: [(usize, Tiles<GemmRow<'_>>); 4] =
                    [(16, pairs::<4, 4>), (8, pairs::<2, 4>), (4, pairs::<1, 4>), (1, pairs::<1, 1>)];
                cover(row, n.div_ceil(2), &sizes);
            }
            1 => {
                let sizes: [(usize, Tiles<GemmRow<'_>>); 4] = [
                    (16, tiles::<4, 4, 1>),
                    (8, tiles::<2, 4, 1>),
                    (4, tiles::<1, 4, 1>),
                    (1, tiles::<1, 1, 1>),
                ];
                cover(row, n, &sizes);
            }
            2 => cover(row, n, &[(12, tiles::<3, 4, 2>), (4, tiles::<1, 4, 2>), (1, tiles::<1, 1, 2>)]),
            3 => cover(row, n, &[(8, tiles::<2, 4, 3>), (2, tiles::<1, 2, 3>), (1, tiles::<1, 1, 3>)]),
            _ => cover(row, n, &[(6, tiles::<2, 3, 4>), (2, tiles::<1, 2, 4>), (1, tiles::<1, 1, 4>)]),
        }
    }
}

/// Adds the products of group `$k` of 4 bytes to the sums of a tile.
macro_rules! step {
    ($k:literal, $acc:ident, $lines:ident, $weights:ident, $step:ident, $block:ident) => {
        let mut w = [_mm512_setzero_si512(); B];
        for (b, w) in w.iter_mut().enumerate() {
            *w = _mm512_loadu_si512($weights.add(b * $block + $k * 64).cast());
        }
        for (line, acc) in $lines.iter().zip(&mut $acc) {
            for (p, acc) in acc.iter_mut().enumerate() {
                let from = line.add(p * $step + $k * 4);
                let v = _mm512_set1_epi32(from.cast::<i32>().read_unaligned());
                for (acc, w) in acc.iter_mut().zip(w) {
                    *acc = _mm512_dpbusd_epi32(*acc, v, w);
                }
            }
        }
    };
}

/// Computes `count` tiles of `N` lines of `L` pixels each, times `B` blocks, from pixel `x` on.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn tiles<const N: usize, const L: usize, const B: usize>(row: &GemmRow<'_>, x: usize, count: usize) {
    let finish = Finish::new(&row.requant);
    let (step, block) = (row.step, row.taps.len() * row.quads * 64);
    // SAFETY: bias, scale and weights cover B blocks, and pixels x..x + count * N * L have `quads` * 4 bytes at each tap.
    unsafe {
        let mut bias = [_mm512_setzero_si512(); B];
        let mut scale = [_mm512_setzero_ps(); B];
        for b in 0..B {
            bias[b] = _mm512_loadu_si512(row.bias.add(16 * b).cast());
            scale[b] = _mm512_loadu_ps(row.scale.add(16 * b));
        }
        for x in (x..x + count * N * L).step_by(N * L) {
            let mut acc = [[bias; L]; N];
            if !row.row_bias.is_null() {
                each_line!(N, |LINE| {
                    for (p, acc) in acc[LINE % N].iter_mut().enumerate() {
                        let v = _mm512_set1_epi32(row.row_bias.add(x + LINE * L + p).read());
                        for acc in acc {
                            *acc = _mm512_add_epi32(*acc, v);
                        }
                    }
                });
            }
            let mut weights = row.weights;
            for tap in row.taps {
                let mut lines = core::array::from_fn::<_, N, _>(|i| tap.wrapping_add((x + i * L) * step));
                let mut left = row.quads;
                while left >= 4 {
                    lines = lines.map(opaque);
                    step!(0, acc, lines, weights, step, block);
                    step!(1, acc, lines, weights, step, block);
                    step!(2, acc, lines, weights, step, block);
                    step!(3, acc, lines, weights, step, block);
                    lines = lines.map(|l| l.add(16));
                    weights = weights.add(4 * 64);
                    left -= 4;
                }
                while left > 0 {
                    lines = lines.map(opaque);
                    step!(0, acc, lines, weights, step, block);
                    lines = lines.map(|l| l.add(4));
                    weights = weights.add(64);
                    left -= 1;
                }
            }
            store::<N, L, B>(row, &finish, x, &acc, &scale);
        }
    }
}

/// Requantises and writes a tile.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn store<const N: usize, const L: usize, const B: usize>(
    row: &GemmRow<'_>,
    finish: &Finish,
    x: usize,
    acc: &[[[__m512i; B]; L]; N],
    scale: &[__m512; B],
) {
    let zero = _mm512_setzero_si512();
    // SAFETY: pixels x..x + N * L of the output have `channels` <= 16 * B bytes to write, and masks or the comparison with
    // `channels` keep each store inside them.
    unsafe {
        let out = row.out.add(x * row.out_pixel);
        let pitch = row.out_pixel;
        each_line!(N, |LINE| {
            let (acc, out) = (&acc[LINE % N], out.add(LINE * L * pitch));
            if B == 1 {
                let at = |i: usize| if i < L { acc[i % L][0] } else { zero };
                let v = in_order(finish.apply([at(0), at(1), at(2), at(3)], [scale[0]; 4]));
                store16(out, pitch, row.channels, L, v);
            } else if B == 2 {
                let mask = u32::MAX >> (32 - row.channels.min(32));
                for p in (0..L).step_by(2) {
                    let (c, d) = if p + 1 < L { (acc[p + 1][0], acc[p + 1][1]) } else { (zero, zero) };
                    let sums = [acc[p][0], acc[p][1], c, d];
                    let v = in_order(finish.apply(sums, [scale[0], scale[1], scale[0], scale[1]]));
                    let to = out.add(p * pitch);
                    if L >= 2 && pitch == 32 && row.channels == 32 {
                        _mm512_storeu_si512(to.cast(), v);
                    } else {
                        _mm256_mask_storeu_epi8(to.cast(), mask, _mm512_castsi512_si256(v));
                        if L >= 2 {
                            let v = _mm512_extracti64x4_epi64::<1>(v);
                            _mm256_mask_storeu_epi8(to.add(pitch).cast(), mask, v);
                        }
                    }
                }
            } else {
                let mask = u64::MAX >> (64 - row.channels.min(64));
                for (p, acc) in acc.iter().enumerate() {
                    let (d, s) = if B > 3 { (acc[B - 1], scale[B - 1]) } else { (zero, scale[2]) };
                    let v = finish.apply([acc[0], acc[1], acc[2], d], [scale[0], scale[1], scale[2], s]);
                    _mm512_mask_storeu_epi8(out.add(p * pitch).cast(), mask, in_order(v));
                }
            }
        });
    }
}

/// Computes `count` tiles of `N` lines of `L` pairs of pixels from pair `x` on: half a register of weights, each channel's doubled,
/// meets two pixels at once. What the last pairs read past the row is slack.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn pairs<const N: usize, const L: usize>(row: &GemmRow<'_>, x: usize, count: usize) {
    let finish = Finish::new(&row.requant);
    let step = row.step;
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
    // SAFETY: as for `tiles`, with 8 bytes of two pixels for each 4 of one; stores are masked to the channels of
    // pixels that exist.
    unsafe {
        let bias = _mm512_permutexvar_epi32(double, _mm512_loadu_si512(row.bias.cast()));
        let scale = _mm512_permutexvar_ps(double, _mm512_loadu_ps(row.scale));
        let order = _mm512_loadu_si512(order.as_ptr().cast());
        for x in (x..x + count * N * L).step_by(N * L) {
            let mut acc = [[bias; L]; N];
            let mut weights = row.weights;
            for tap in row.taps {
                let mut lines = core::array::from_fn::<_, N, _>(|i| tap.wrapping_add((x + i * L) * step));
                for _ in 0..row.quads {
                    lines = lines.map(opaque);
                    let w = _mm512_permutexvar_epi32(double, _mm512_loadu_si512(weights.cast()));
                    for (line, acc) in lines.iter().zip(&mut acc) {
                        for (p, acc) in acc.iter_mut().enumerate() {
                            let v = _mm512_set1_epi64(line.add(p * step).cast::<i64>().read_unaligned());
                            *acc = _mm512_dpbusd_epi32(*acc, v, w);
                        }
                    }
                    lines = lines.map(|l| l.add(8));
                    weights = weights.add(64);
                }
            }
            let zero = _mm512_setzero_si512();
            each_line!(N, |LINE| {
                let at = |i: usize| if i < L { acc[LINE % N][i % L] } else { zero };
                let v = finish.apply([at(0), at(1), at(2), at(3)], [scale; 4]);
                let first = 2 * (x + LINE * L);
                let left = row.pixels.saturating_sub(first).min(2 * L);
                let to = row.out.wrapping_add(first * row.out_pixel);
                store8(to, row.out_pixel, row.channels, left, _mm512_permutexvar_epi8(order, v));
            });
        }
    }
}
