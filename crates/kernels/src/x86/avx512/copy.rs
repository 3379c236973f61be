//! Copies of pixels of 16 bytes, the width of most slices.

use core::arch::x86_64::*;

use crate::x86::stage::copy_pixels;

/// [`copy_pixels`], with four pixels of 16 bytes at once where one of the rows has no gaps.
///
/// # Safety
/// As there; the CPU has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn copy(
    from: *const u8,
    from_pitch: usize,
    to: *mut u8,
    to_pitch: usize,
    pixels: usize,
    len: usize,
) {
    // SAFETY: four pixels of both rows at a time, then the caller's promise for those that are left.
    unsafe {
        let mut done = 0;
        if len == 16 && from_pitch > 16 && to_pitch == 16 {
            while done + 4 <= pixels {
                let from = from.add(done * from_pitch);
                let pixel = |i: usize| _mm_loadu_si128(from.add(i * from_pitch).cast());
                let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(pixel(0)), pixel(1));
                let v = _mm512_inserti32x4::<2>(_mm512_castsi256_si512(low), pixel(2));
                let v = _mm512_inserti32x4::<3>(v, pixel(3));
                _mm512_storeu_si512(to.add(done * 16).cast(), v);
                done += 4;
            }
        } else if len == 16 && from_pitch == 16 && to_pitch > 16 {
            while done + 4 <= pixels {
                let v = _mm512_loadu_si512(from.add(done * 16).cast());
                let to = to.add(done * to_pitch);
                _mm_storeu_si128(to.cast(), _mm512_castsi512_si128(v));
                _mm_storeu_si128(to.add(to_pitch).cast(), _mm512_extracti32x4_epi32::<1>(v));
                _mm_storeu_si128(to.add(2 * to_pitch).cast(), _mm512_extracti32x4_epi32::<2>(v));
                _mm_storeu_si128(to.add(3 * to_pitch).cast(), _mm512_extracti32x4_epi32::<3>(v));
                done += 4;
            }
        }
        if done < pixels {
            let (from, to) = (from.add(done * from_pitch), to.add(done * to_pitch));
            copy_pixels(from, from_pitch, to, to_pitch, pixels - done, len);
        }
    }
}

/// Interleaves two runs of 16 * `n` bytes, 4 bytes each in turn.
///
/// # Safety
/// The CPU has the instructions; the runs can be read, 32 * `n` bytes at `to` can be written and do not overlap them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn pair(a: *const u8, b: *const u8, to: *mut u8, n: usize) {
    let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    let mut at = 0;
    while at < 16 * n {
        // SAFETY: bytes at..min(at + 64, 16 n) of the runs, and twice as many of the result.
        unsafe {
            let left = (16 * n - at) / 4;
            let mask = 0xffff >> (16 - left.min(16));
            let a = _mm512_maskz_loadu_epi32(mask, a.add(at).cast());
            let b = _mm512_maskz_loadu_epi32(mask, b.add(at).cast());
            let low = _mm512_permutex2var_epi32(a, first, b);
            let high = _mm512_permutex2var_epi32(a, second, b);
            let to = to.add(2 * at);
            if left >= 16 {
                _mm512_storeu_si512(to.cast(), low);
                _mm512_storeu_si512(to.add(64).cast(), high);
            } else {
                let mask = (1u32 << (2 * left)) - 1;
                _mm512_mask_storeu_epi32(to.cast(), mask as u16, low);
                _mm512_mask_storeu_epi32(to.add(64).cast(), (mask >> 16) as u16, high);
            }
        }
        at += 64;
    }
}
