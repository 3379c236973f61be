//! Float tiles: pixels times blocks of 16 channels, fused multiply-adds.

use core::arch::x86_64::*;

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
unsafe fn store<const HALF: bool>(row: &FloatRow<'_>, at: usize, mask: __mmask16, v: __m512) {
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
fn lanes(channels: usize, b: usize) -> __mmask16 {
    0xffff >> (16 - (channels - b * 16).min(16))
}

/// See [`crate::x86::isa::Isa::gemm_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
pub(super) unsafe fn gemm(row: &FloatRow<'_>, blocks: usize) {
    // SAFETY: passed on.
    unsafe {
        match (row.half, blocks) {
            (false, 1) => tiles::<12, 1, false>(row),
            (false, 2) => tiles::<12, 2, false>(row),
            (false, 3) => tiles::<8, 3, false>(row),
            (false, _) => tiles::<6, 4, false>(row),
            (true, 1) => tiles::<12, 1, true>(row),
            (true, 2) => tiles::<12, 2, true>(row),
            (true, 3) => tiles::<8, 3, true>(row),
            (true, _) => tiles::<6, 4, true>(row),
        }
    }
}

/// Covers the row with tiles of `P` pixels, the last one moved left, or with single pixels if it is shorter than a tile.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
unsafe fn tiles<const P: usize, const B: usize, const HALF: bool>(row: &FloatRow<'_>) {
    let n = row.pixels;
    // SAFETY: every tile covers pixels inside 0..n.
    unsafe {
        if n < P {
            for x in 0..n {
                tile::<1, B, HALF>(row, x);
            }
            return;
        }
        for x in (0..n).step_by(P) {
            tile::<P, B, HALF>(row, x.min(n - P));
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
unsafe fn tile<const P: usize, const B: usize, const HALF: bool>(row: &FloatRow<'_>, x: usize) {
    let block = row.taps.len() * row.depth * 16;
    let mut acc = [[_mm512_setzero_ps(); B]; P];
    // SAFETY: bias and weights cover B blocks, pixels x..x + P have `depth` numbers at each tap, and their `channels`
    // outputs may be written.
    unsafe {
        for b in 0..B {
            let bias = _mm512_loadu_ps(row.bias.add(16 * b));
            for a in &mut acc {
                a[b] = bias;
            }
        }
        let mut at = 0;
        for tap in row.taps {
            let mut from = tap.add(x * row.step);
            for _ in 0..row.depth {
                let mut w = [_mm512_setzero_ps(); B];
                for (b, w) in w.iter_mut().enumerate() {
                    *w = load::<HALF>(row.weights, at + b * block);
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    let v = _mm512_set1_ps(from.add(p * row.step).read());
                    for (acc, w) in acc.iter_mut().zip(w) {
                        *acc = _mm512_fmadd_ps(v, w, *acc);
                    }
                }
                from = from.add(1);
                at += 16;
            }
        }
        for (p, acc) in acc.iter().enumerate() {
            for (b, v) in acc.iter().enumerate() {
                store::<HALF>(row, (x + p) * row.out_pixel + b * 16, lanes(row.channels, b), *v);
            }
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

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
unsafe fn depthwise_of<const HALF: bool>(row: &FloatRow<'_>) {
    const P: usize = 8;
    let n = row.pixels;
    // SAFETY: every tile covers pixels inside 0..n.
    unsafe {
        if n < P {
            for x in 0..n {
                depthwise_tile::<1, HALF>(row, x);
            }
            return;
        }
        for x in (0..n).step_by(P) {
            depthwise_tile::<P, HALF>(row, x.min(n - P));
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c,fma")]
unsafe fn depthwise_tile<const P: usize, const HALF: bool>(row: &FloatRow<'_>, x: usize) {
    // SAFETY: bias, weights and taps have 16 numbers, slack included; the block's channels of pixels x..x + P may be
    // written.
    unsafe {
        let mut acc = [_mm512_loadu_ps(row.bias); P];
        for (t, tap) in row.taps.iter().enumerate() {
            let w = load::<HALF>(row.weights, t * row.tap_stride);
            let from = tap.add(x * row.step);
            for (p, acc) in acc.iter_mut().enumerate() {
                *acc = _mm512_fmadd_ps(_mm512_loadu_ps(from.add(p * row.step)), w, *acc);
            }
        }
        for (p, v) in acc.iter().enumerate() {
            store::<HALF>(row, (x + p) * row.out_pixel, lanes(row.channels, 0), *v);
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
    // Without gaps, all pixels are one.
    let whole = from_pitch == len * 2 && to_pitch == len * 4;
    let (pixels, len) = if whole { (1, pixels * len) } else { (pixels, len) };
    for p in 0..pixels {
        let (from, to) = (from.wrapping_add(p * from_pitch), to.wrapping_add(p * to_pitch).cast::<f32>());
        for at in (0..len).step_by(16) {
            let mask = lanes(len - at, 0);
            // SAFETY: `len` elements of each pixel, by the caller's promise.
            unsafe {
                let v = _mm256_maskz_loadu_epi16(mask, from.cast::<i16>().add(at));
                _mm512_mask_storeu_ps(to.add(at), mask, _mm512_cvtph_ps(v));
            }
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
        for at in (0..len).step_by(16) {
            let mask = lanes(len - at, 0);
            // SAFETY: `len` elements of each pixel, by the caller's promise.
            unsafe {
                let v = _mm512_maskz_loadu_ps(mask, from.add(at));
                let v = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v);
                _mm256_mask_storeu_epi16(to.cast::<i16>().add(at), mask, v);
            }
        }
    }
}
