//! Float tiles: pixels times blocks of 16 channels, fused multiply-adds.

use core::arch::x86_64::*;

use super::tiles::{Tiles, cover, each_line, opaque};
use crate::x86::float::FloatRow;

/// Elements `at..at + 16` of half-precision or f32 numbers.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
unsafe fn load<const HALF: bool>(from: *const u8, at: usize) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        if HALF {
            _mm512_cvtph_ps(_mm256_loadu_si256(from.cast::<u16>().add(at).cast()))
        } else {
            _mm512_loadu_ps(from.cast::<f32>().add(at))
        }
    }
}

/// Writes the first `n` of 16 results as elements `at..`.
///
/// # Safety
/// They can be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
pub(super) unsafe fn store<const HALF: bool>(row: &FloatRow<'_>, at: usize, mask: __mmask16, v: __m512) {
    let v = _mm512_max_ps(_mm512_set1_ps(row.limits[0]), v);
    let v = _mm512_min_ps(_mm512_set1_ps(row.limits[1]), v);
    // SAFETY: the caller's promise, and the mask.
    unsafe {
        if HALF && !row.wide_out {
            let v = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v);
            _mm256_mask_storeu_epi16(row.out.cast::<i16>().add(at), mask, v);
        } else {
            _mm512_mask_storeu_ps(row.out.cast::<f32>().add(at), mask, v);
        }
    }
}

/// The lanes of block `b` that are channels.
#[inline]
pub(super) fn lanes(channels: usize, b: usize) -> __mmask16 {
    0xffff >> (16 - (channels - b * 16).min(16))
}

/// See [`crate::x86::isa::Isa::gemm_float`].
///
/// # Safety
/// As there.
pub(super) unsafe fn gemm(row: &FloatRow<'_>, blocks: usize) {
    // SAFETY: passed on.
    unsafe {
        if row.half {
            gemm_of::<true>(row, blocks);
        } else {
            gemm_of::<false>(row, blocks);
        }
    }
}

/// Half-precision weights are converted for each tile: tiles are high, so that this is one instruction for 12 or 16.
unsafe fn gemm_of<const HALF: bool>(row: &FloatRow<'_>, blocks: usize) {
    let n = row.pixels;
    // SAFETY: every tile covers pixels inside 0..n, or pairs whose first pixel is.
    unsafe {
        if row.pairs {
            let sizes: [(usize, Tiles<FloatRow<'_>>); 4] = [
                (16, pairs::<4, 4, HALF>),
                (8, pairs::<2, 4, HALF>),
                (4, pairs::<1, 4, HALF>),
                (1, pairs::<1, 1, HALF>),
            ];
            cover(row, n.div_ceil(2), &sizes);
        } else if blocks == 1 {
            let sizes: [(usize, Tiles<FloatRow<'_>>); 4] = [
                (16, tiles::<4, 4, 1, HALF>),
                (8, tiles::<2, 4, 1, HALF>),
                (4, tiles::<1, 4, 1, HALF>),
                (1, tiles::<1, 1, 1, HALF>),
            ];
            cover(row, n, &sizes);
        } else {
            let sizes: [(usize, Tiles<FloatRow<'_>>); 3] =
                [(12, tiles::<3, 4, 2, HALF>), (4, tiles::<1, 4, 2, HALF>), (1, tiles::<1, 1, 2, HALF>)];
            cover(row, n, &sizes);
        }
    }
}

/// Adds the products of number `$k` of a run to the sums of a tile.
macro_rules! step {
    ($k:literal, $acc:ident, $lines:ident, $weights:ident, $step:ident, $block:ident) => {
        let mut w = [_mm512_setzero_ps(); B];
        for (b, w) in w.iter_mut().enumerate() {
            *w = load::<HALF>($weights, b * $block + $k * 16);
        }
        for (line, acc) in $lines.iter().zip(&mut $acc) {
            for (p, acc) in acc.iter_mut().enumerate() {
                let v = _mm512_set1_ps(line.add(p * $step + $k).read());
                for (acc, w) in acc.iter_mut().zip(w) {
                    *acc = _mm512_fmadd_ps(v, w, *acc);
                }
            }
        }
    };
}

/// Computes `count` tiles of `N` lines of `L` pixels each, times `B` blocks, from pixel `x` on.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
unsafe fn tiles<const N: usize, const L: usize, const B: usize, const HALF: bool>(
    row: &FloatRow<'_>,
    x: usize,
    count: usize,
) {
    let (step, block) = (row.step, row.taps.len() * row.depth * 16);
    let size = if HALF { 2 } else { 4 };
    // SAFETY: bias and weights cover B blocks, pixels x..x + count * N * L have `depth` numbers at each tap, and their
    // `channels` outputs may be written.
    unsafe {
        let mut bias = [_mm512_setzero_ps(); B];
        for (b, bias) in bias.iter_mut().enumerate() {
            *bias = _mm512_loadu_ps(row.bias.add(16 * b));
        }
        for x in (x..x + count * N * L).step_by(N * L) {
            let mut acc = [[bias; L]; N];
            let mut weights = row.weights;
            for tap in row.taps {
                let tap = tap.cast::<f32>();
                let mut lines = core::array::from_fn::<_, N, _>(|i| tap.wrapping_add((x + i * L) * step));
                let mut left = row.depth;
                while left >= 4 {
                    lines = lines.map(opaque);
                    step!(0, acc, lines, weights, step, block);
                    step!(1, acc, lines, weights, step, block);
                    step!(2, acc, lines, weights, step, block);
                    step!(3, acc, lines, weights, step, block);
                    lines = lines.map(|l| l.add(4));
                    weights = weights.add(4 * 16 * size);
                    left -= 4;
                }
                while left > 0 {
                    lines = lines.map(opaque);
                    step!(0, acc, lines, weights, step, block);
                    lines = lines.map(|l| l.add(1));
                    weights = weights.add(16 * size);
                    left -= 1;
                }
            }
            each_line!(N, |LINE| {
                for (p, acc) in acc[LINE % N].iter().enumerate() {
                    for (b, v) in acc.iter().enumerate() {
                        let at = (x + LINE * L + p) * row.out_pixel + b * 16;
                        store::<HALF>(row, at, lanes(row.channels, b), *v);
                    }
                }
            });
        }
    }
}

/// Computes `count` tiles of `N` lines of `L` pairs of pixels from pair `x` on: half a register of weights, each channel's
/// doubled, meets two pixels at once. What the last pairs read past the row is slack.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
unsafe fn pairs<const N: usize, const L: usize, const HALF: bool>(
    row: &FloatRow<'_>,
    x: usize,
    count: usize,
) {
    let size = if HALF { 2 } else { 4 };
    let double = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    let apart = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    // SAFETY: as for `tiles`, with two numbers of two pixels for each of one; stores are masked to the channels of pixels
    // that exist.
    unsafe {
        let bias = _mm512_permutexvar_ps(double, _mm512_loadu_ps(row.bias));
        let mask = lanes(row.channels.min(8), 0);
        for x in (x..x + count * N * L).step_by(N * L) {
            let mut acc = [[bias; L]; N];
            let mut weights = row.weights;
            for tap in row.taps {
                let tap = tap.cast::<f32>();
                let mut lines = core::array::from_fn::<_, N, _>(|i| tap.wrapping_add((x + i * L) * row.step));
                for _ in 0..row.depth {
                    lines = lines.map(opaque);
                    let w = _mm512_permutexvar_ps(double, load::<HALF>(weights, 0));
                    for (line, acc) in lines.iter().zip(&mut acc) {
                        for (p, acc) in acc.iter_mut().enumerate() {
                            let pair = line.add(p * row.step).cast::<f64>().read_unaligned();
                            let v = _mm512_castpd_ps(_mm512_set1_pd(pair));
                            *acc = _mm512_fmadd_ps(v, w, *acc);
                        }
                    }
                    lines = lines.map(|l| l.add(2));
                    weights = weights.add(16 * size);
                }
            }
            each_line!(N, |LINE| {
                for (p, v) in acc[LINE % N].iter().enumerate() {
                    let first = 2 * (x + LINE * L + p);
                    let v = _mm512_permutexvar_ps(apart, *v);
                    store::<HALF>(row, first * row.out_pixel, mask, v);
                    if first + 1 < row.pixels {
                        let second = _mm512_shuffle_f32x4::<0b11_10_11_10>(v, v);
                        store::<HALF>(row, (first + 1) * row.out_pixel, mask, second);
                    }
                }
            });
        }
    }
}

/// See [`crate::x86::isa::Isa::depthwise_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
pub(super) unsafe fn depthwise(row: &FloatRow<'_>) {
    // SAFETY: passed on.
    unsafe {
        if row.half {
            depthwise_of::<true>(row);
        } else {
            depthwise_of::<false>(row);
        }
    }
}

unsafe fn depthwise_of<const HALF: bool>(row: &FloatRow<'_>) {
    let n = row.pixels;
    // SAFETY: every tile covers pixels inside 0..n.
    unsafe {
        let single: Tiles<FloatRow<'_>> = columns::<1, 1, 0, HALF>;
        match (row.width, row.stride) {
            (3, 1) => cover(row, n, &[(8, columns::<8, 3, 1, HALF>), (1, single)]),
            (3, 2) => cover(row, n, &[(8, columns::<8, 3, 2, HALF>), (1, single)]),
            (5, 1) => cover(row, n, &[(8, columns::<8, 5, 1, HALF>), (1, single)]),
            (7, 1) => cover(row, n, &[(8, columns::<8, 7, 1, HALF>), (1, single)]),
            _ => cover(row, n, &[(8, columns::<8, 1, 0, HALF>), (1, single)]),
        }
    }
}

/// Computes `count` tiles of `P` pixels from pixel `x` on. `W` taps at a time stand side by side, and pixels are `S` columns
/// apart, so that a column that several windows share is loaded once; `W` of 1 asks nothing of the taps.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
unsafe fn columns<const P: usize, const W: usize, const S: usize, const HALF: bool>(
    row: &FloatRow<'_>,
    x: usize,
    count: usize,
) {
    // SAFETY: bias, weights and taps have 16 numbers, slack included; the block's channels of pixels x..x + count * P may
    // be written.
    unsafe {
        let bias = _mm512_loadu_ps(row.bias);
        let pitch = if W > 1 { row.step / S } else { row.step };
        for x in (x..x + count * P).step_by(P) {
            let mut acc = [bias; P];
            for (t, taps) in row.taps.chunks_exact(W).enumerate() {
                let from = opaque(taps[0].cast::<f32>().add(x * row.step));
                let mut w = [_mm512_setzero_ps(); W];
                for (i, w) in w.iter_mut().enumerate() {
                    *w = load::<HALF>(row.weights, (t * W + i) * row.tap_stride);
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    for (i, w) in w.iter().enumerate() {
                        let column = if W > 1 { p * S + i } else { p };
                        *acc = _mm512_fmadd_ps(_mm512_loadu_ps(from.add(column * pitch)), *w, *acc);
                    }
                }
            }
            for (p, v) in acc.iter().enumerate() {
                store::<HALF>(row, (x + p) * row.out_pixel, lanes(row.channels, 0), *v);
            }
        }
    }
}

/// See [`crate::x86::isa::Isa::widen`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
pub(super) unsafe fn widen(
    from: *const u8,
    from_pitch: usize,
    to: *mut u8,
    to_pitch: usize,
    pixels: usize,
    len: usize,
) {
    if len == 2 && from_pitch == 16 && to_pitch == 8 {
        // SAFETY: passed on.
        unsafe { widen_pairs(from, to.cast(), pixels) };
        return;
    }
    // Without gaps, all pixels are one.
    let whole = from_pitch == len * 2 && to_pitch == len * 4;
    let (pixels, len) = if whole { (1, pixels * len) } else { (pixels, len) };
    for p in 0..pixels {
        let (from, to) = (from.wrapping_add(p * from_pitch), to.wrapping_add(p * to_pitch).cast::<f32>());
        let whole = len / 16 * 16;
        // SAFETY: `len` elements of each pixel, by the caller's promise.
        unsafe {
            for at in (0..whole).step_by(16) {
                _mm512_storeu_ps(to.add(at), load::<true>(from, at));
            }
            if whole < len {
                let mask = lanes(len - whole, 0);
                let v = _mm256_maskz_loadu_epi16(mask, from.cast::<i16>().add(whole));
                _mm512_mask_storeu_ps(to.add(whole), mask, _mm512_cvtph_ps(v));
            }
        }
    }
}

/// Widens two numbers of each pixel of eight: a row of a plane of logits, in blocks of 2 x 2.
///
/// # Safety
/// As for [`widen`] of such pixels.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
unsafe fn widen_pairs(from: *const u8, to: *mut f32, pixels: usize) {
    let every_fourth = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
    for at in (0..pixels).step_by(8) {
        let n = (pixels - at).min(8);
        // The first words of the pixels that are there.
        let mask = 0x1111_1111_u32 >> (32 - 4 * n);
        // SAFETY: two numbers of pixels at..at + n, and of the result.
        unsafe {
            let from = from.add(at * 16);
            let low = _mm512_maskz_loadu_epi32(mask as u16, from.cast());
            let high = _mm512_maskz_loadu_epi32((mask >> 16) as u16, from.wrapping_add(64).cast());
            let v = _mm512_permutex2var_epi32(low, every_fourth, high);
            let v = _mm512_cvtph_ps(_mm512_castsi512_si256(v));
            _mm512_mask_storeu_ps(to.add(at * 2), lanes(2 * n, 0), v);
        }
    }
}

/// See [`crate::x86::isa::Isa::narrow`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
pub(super) unsafe fn narrow(
    from: *const u8,
    from_pitch: usize,
    to: *mut u8,
    to_pitch: usize,
    pixels: usize,
    len: usize,
) {
    let whole = from_pitch == len * 4 && to_pitch == len * 2;
    let (pixels, len) = if whole { (1, pixels * len) } else { (pixels, len) };
    for p in 0..pixels {
        let (from, to) = (from.wrapping_add(p * from_pitch).cast::<f32>(), to.wrapping_add(p * to_pitch));
        let whole = len / 16 * 16;
        let to = to.cast::<i16>();
        // SAFETY: `len` elements of each pixel, by the caller's promise.
        unsafe {
            for at in (0..whole).step_by(16) {
                let v = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm512_loadu_ps(from.add(at)));
                _mm256_storeu_si256(to.add(at).cast(), v);
            }
            if whole < len {
                let mask = lanes(len - whole, 0);
                let v = _mm512_maskz_loadu_ps(mask, from.add(whole));
                let v = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v);
                _mm256_mask_storeu_epi16(to.add(whole), mask, v);
            }
        }
    }
}
