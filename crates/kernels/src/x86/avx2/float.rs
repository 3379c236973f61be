//! Float tiles: pixels times one block of 16 channels in two registers, fused multiply-adds.

use core::arch::x86_64::*;

use crate::x86::float::FloatRow;

/// Elements `at..at + 16` of half-precision or f32 numbers.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load<const HALF: bool>(from: *const u8, at: usize) -> [__m256; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        if HALF {
            let from = from.cast::<u16>().add(at);
            [
                _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(from.add(8).cast())),
            ]
        } else {
            let from = from.cast::<f32>().add(at);
            [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))]
        }
    }
}

/// Clamps 16 results and writes those that are channels as elements `at..`.
///
/// # Safety
/// They can be written.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn store<const HALF: bool>(row: &FloatRow<'_>, at: usize, v: [__m256; 2]) {
    let clamp = |v| {
        let v = _mm256_max_ps(_mm256_set1_ps(row.limits[0]), v);
        _mm256_min_ps(_mm256_set1_ps(row.limits[1]), v)
    };
    let (low, high) = (clamp(v[0]), clamp(v[1]));
    let n = row.channels.min(16);
    // SAFETY: whole registers where 16 elements may be written, else through an array of as many.
    unsafe {
        if HALF && !row.wide_out {
            let mut rest = [0u16; 16];
            let to = row.out.cast::<u16>().add(at);
            let target = if n == 16 { to } else { rest.as_mut_ptr() };
            _mm_storeu_si128(target.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(low));
            _mm_storeu_si128(target.add(8).cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(high));
            if n < 16 {
                core::ptr::copy_nonoverlapping(rest.as_ptr(), to, n);
            }
        } else {
            let mut rest = [0f32; 16];
            let to = row.out.cast::<f32>().add(at);
            let target = if n == 16 { to } else { rest.as_mut_ptr() };
            _mm256_storeu_ps(target, low);
            _mm256_storeu_ps(target.add(8), high);
            if n < 16 {
                core::ptr::copy_nonoverlapping(rest.as_ptr(), to, n);
            }
        }
    }
}

/// See [`crate::x86::isa::Isa::gemm_float`]; one block.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn gemm(row: &FloatRow<'_>) {
    // SAFETY: passed on.
    unsafe {
        if row.half {
            tiles::<true, false>(row);
        } else {
            tiles::<false, false>(row);
        }
    }
}

/// See [`crate::x86::isa::Isa::depthwise_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn depthwise(row: &FloatRow<'_>) {
    // SAFETY: passed on.
    unsafe {
        if row.half {
            tiles::<true, true>(row);
        } else {
            tiles::<false, true>(row);
        }
    }
}

/// Covers the row with tiles of 6 pixels, the last one moved left, or with single pixels if it is shorter than a tile.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tiles<const HALF: bool, const DEPTHWISE: bool>(row: &FloatRow<'_>) {
    const P: usize = 6;
    let n = row.pixels;
    // SAFETY: every tile covers pixels inside 0..n.
    unsafe {
        if n < P {
            for x in 0..n {
                tile::<1, HALF, DEPTHWISE>(row, x);
            }
            return;
        }
        for x in (0..n).step_by(P) {
            tile::<P, HALF, DEPTHWISE>(row, x.min(n - P));
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile<const P: usize, const HALF: bool, const DEPTHWISE: bool>(row: &FloatRow<'_>, x: usize) {
    // SAFETY: bias and weights cover a block; pixels x..x + P have `depth` (depthwise: 16, slack included) numbers at each
    // tap, and their `channels` outputs may be written.
    unsafe {
        let bias = [_mm256_loadu_ps(row.bias), _mm256_loadu_ps(row.bias.add(8))];
        let mut acc = [bias; P];
        let mut at = 0;
        for tap in row.taps {
            let mut from = tap.cast::<f32>().add(x * row.step);
            if DEPTHWISE {
                let w = load::<HALF>(row.weights, at);
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = from.add(p * row.step);
                    acc[0] = _mm256_fmadd_ps(_mm256_loadu_ps(from), w[0], acc[0]);
                    acc[1] = _mm256_fmadd_ps(_mm256_loadu_ps(from.add(8)), w[1], acc[1]);
                }
                at += row.tap_stride;
                continue;
            }
            for _ in 0..row.depth {
                let w = load::<HALF>(row.weights, at);
                for (p, acc) in acc.iter_mut().enumerate() {
                    let v = _mm256_set1_ps(from.add(p * row.step).read());
                    acc[0] = _mm256_fmadd_ps(v, w[0], acc[0]);
                    acc[1] = _mm256_fmadd_ps(v, w[1], acc[1]);
                }
                from = from.add(1);
                at += 16;
            }
        }
        for (p, v) in acc.iter().enumerate() {
            store::<HALF>(row, (x + p) * row.out_pixel, *v);
        }
    }
}

/// See [`crate::x86::isa::Isa::widen`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
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
        let from = from.wrapping_add(p * from_pitch).cast::<u16>();
        let to = to.wrapping_add(p * to_pitch).cast::<f32>();
        for at in (0..len).step_by(8) {
            let n = (len - at).min(8);
            // SAFETY: `len` elements of each pixel, by the caller's promise; fewer than 8 go through arrays.
            unsafe {
                if n == 8 {
                    _mm256_storeu_ps(to.add(at), _mm256_cvtph_ps(_mm_loadu_si128(from.add(at).cast())));
                } else {
                    let (mut halves, mut floats) = ([0u16; 8], [0f32; 8]);
                    core::ptr::copy_nonoverlapping(from.add(at), halves.as_mut_ptr(), n);
                    let v = _mm256_cvtph_ps(_mm_loadu_si128(halves.as_ptr().cast()));
                    _mm256_storeu_ps(floats.as_mut_ptr(), v);
                    core::ptr::copy_nonoverlapping(floats.as_ptr(), to.add(at), n);
                }
            }
        }
    }
}

/// See [`crate::x86::isa::Isa::narrow`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
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
        let from = from.wrapping_add(p * from_pitch).cast::<f32>();
        let to = to.wrapping_add(p * to_pitch).cast::<u16>();
        for at in (0..len).step_by(8) {
            let n = (len - at).min(8);
            // SAFETY: as in `widen`.
            unsafe {
                let (mut floats, mut halves) = ([0f32; 8], [0u16; 8]);
                core::ptr::copy_nonoverlapping(from.add(at), floats.as_mut_ptr(), n);
                let v = _mm256_loadu_ps(floats.as_ptr());
                let v = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v);
                _mm_storeu_si128(halves.as_mut_ptr().cast(), v);
                core::ptr::copy_nonoverlapping(halves.as_ptr(), to.add(at), n);
            }
        }
    }
}
