//! Layer and response normalisation of rows of pixels.

use core::arch::x86_64::*;

use crate::x86::norm::{NormRow, factor};

/// Bytes of 16 results `r` above the zero point; NaN is the zero point.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn quantise(r: __m512, [low, high]: [__m512; 2], zero: __m512i) -> __m128i {
    let r = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_ORD_Q>(r, r), r);
    let r = _mm512_max_ps(_mm512_min_ps(r, high), low);
    _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(r), zero))
}

/// The clamp around the zero point, and the zero point.
#[inline]
#[target_feature(enable = "avx512f")]
fn bounds(row: &NormRow<'_>) -> ([__m512; 2], __m512i) {
    let zero = i32::from(row.requant.zero_point);
    let bound = |q: u8| _mm512_set1_ps((i32::from(q) - zero) as f32);
    ([bound(row.requant.finish.lo), bound(row.requant.finish.hi)], _mm512_set1_epi32(zero))
}

/// Sum and sum of squares of `n` bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn statistics(from: *const u8, n: usize) -> (u32, u64) {
    let zero = _mm512_setzero_si512();
    let low_byte = _mm512_set1_epi16(0xff);
    let (mut sum, mut even, mut odd) = (zero, zero, zero);
    let mut at = 0;
    while at < n {
        let mask = u64::MAX >> (64 - (n - at).min(64));
        // SAFETY: bytes at..min(at + 64, n).
        let v = unsafe { _mm512_maskz_loadu_epi8(mask, from.add(at).cast()) };
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(v, zero));
        let (e, o) = (_mm512_and_si512(v, low_byte), _mm512_srli_epi16::<8>(v));
        even = _mm512_dpwssd_epi32(even, e, e);
        odd = _mm512_dpwssd_epi32(odd, o, o);
        at += 64;
    }
    // A lane holds at most 2^14 / 64 times four squares.
    let squares = _mm512_add_epi32(even, odd);
    let low = _mm512_and_si512(squares, _mm512_set1_epi64(0xffff_ffff));
    let squares = _mm512_add_epi64(low, _mm512_srli_epi64::<32>(squares));
    (_mm512_reduce_add_epi64(sum) as u32, _mm512_reduce_add_epi64(squares).cast_unsigned())
}

/// See [`crate::x86::isa::Isa::layer_norm`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn layer_norm(row: &NormRow<'_>) {
    let channels = row.gain.len();
    let (limits, zero) = bounds(row);
    let per_step = _mm512_set1_ps(row.per_step);
    let count = _mm512_set1_ps(channels as f32);
    for x in 0..row.pixels {
        // SAFETY: pixel x of both rows has `channels` bytes; masks keep loads and stores inside.
        unsafe {
            let (from, to) = (row.from.0.add(x * row.from.1), row.to.0.add(x * row.to.1));
            let sums = statistics(from, channels);
            let sqrt = |v| _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v)));
            let factor = _mm512_set1_ps(factor(channels, sums, row.scale, row.epsilon, sqrt));
            let sum = _mm512_set1_ps(sums.0 as f32);
            for c in (0..channels).step_by(16) {
                let mask = 0xffff >> (16 - (channels - c).min(16));
                let q = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, from.add(c).cast()));
                // Below 2^24, so that product and difference are exact.
                let v = _mm512_sub_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(q), count), sum);
                let gamma = _mm512_maskz_loadu_ps(mask, row.gain.as_ptr().add(c));
                let beta = _mm512_maskz_loadu_ps(mask, row.beta.as_ptr().add(c));
                let v = _mm512_add_ps(_mm512_mul_ps(_mm512_mul_ps(v, factor), gamma), beta);
                let q = quantise(_mm512_mul_ps(v, per_step), limits, zero);
                // A masked store covers bytes of the next pixel, whose load would then wait for it where both are in place.
                if mask == 0xff {
                    _mm_storel_epi64(to.add(c).cast(), q);
                } else {
                    _mm_mask_storeu_epi8(to.add(c).cast(), mask, q);
                }
            }
        }
    }
}

/// See [`crate::x86::isa::Isa::response_norm`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn response_norm(row: &NormRow<'_>) {
    let channels = row.gain.len();
    let (limits, zero) = bounds(row);
    let (per_step, scale) = (_mm512_set1_ps(row.per_step), _mm512_set1_ps(row.scale));
    let zero_in = _mm512_set1_epi32(i32::from(row.zero_point));
    // Channels outside, so that their responses stay in registers.
    for c in (0..channels).step_by(16) {
        let mask = 0xffff >> (16 - (channels - c).min(16));
        // SAFETY: channels c.. of each pixel of both rows; masks keep loads and stores inside.
        unsafe {
            let response = _mm512_maskz_loadu_ps(mask, row.gain.as_ptr().add(c));
            let beta = _mm512_maskz_loadu_ps(mask, row.beta.as_ptr().add(c));
            let (mut from, mut to) = (row.from.0.add(c), row.to.0.add(c));
            for _ in 0..row.pixels {
                let q = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, from.cast()));
                let v = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(q, zero_in)), scale);
                let r = _mm512_add_ps(_mm512_add_ps(_mm512_mul_ps(v, response), beta), v);
                _mm_mask_storeu_epi8(to.cast(), mask, quantise(_mm512_mul_ps(r, per_step), limits, zero));
                from = from.wrapping_add(row.from.1);
                to = to.wrapping_add(row.to.1);
            }
        }
    }
}

/// Where the sum, or sum of squares, of byte `e` of the period is: vectors of 64 hold the bytes 0, 2, 1, 3 of each four in turn.
pub(super) fn sum_at(e: usize) -> usize {
    e / 64 * 64 + [0, 2, 1, 3][e % 4] * 16 + e % 64 / 4
}

/// See [`crate::x86::isa::Isa::add_squares`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn add_squares(row: *const u8, n: usize, period: usize, zero: u8, sums: *mut u64) {
    let fill = _mm512_set1_epi8(zero.cast_signed());
    let zero = _mm512_set1_epi16(i16::from(zero));
    let (low_byte, low_word) = (_mm512_set1_epi16(0xff), _mm512_set1_epi32(0xffff));
    for phase in 0..period {
        let mut at = phase * 64;
        while at < n {
            let mut acc = [_mm512_setzero_si512(); 4];
            // 2^16 squares of at most 255^2 fit 32 bits.
            for _ in 0..1 << 16 {
                if at >= n {
                    break;
                }
                let mask = u64::MAX >> (64 - (n - at).min(64));
                // SAFETY: bytes at..min(at + 64, n) of the row; where it ends, the zero point adds nothing.
                let v = unsafe { _mm512_mask_loadu_epi8(fill, mask, row.add(at).cast()) };
                let even = _mm512_sub_epi16(_mm512_and_si512(v, low_byte), zero);
                let odd = _mm512_sub_epi16(_mm512_srli_epi16::<8>(v), zero);
                let (even, odd) = (_mm512_mullo_epi16(even, even), _mm512_mullo_epi16(odd, odd));
                acc[0] = _mm512_add_epi32(acc[0], _mm512_and_si512(even, low_word));
                acc[1] = _mm512_add_epi32(acc[1], _mm512_srli_epi32::<16>(even));
                acc[2] = _mm512_add_epi32(acc[2], _mm512_and_si512(odd, low_word));
                acc[3] = _mm512_add_epi32(acc[3], _mm512_srli_epi32::<16>(odd));
                at += period * 64;
            }
            for (j, acc) in acc.into_iter().enumerate() {
                // SAFETY: 16 of the 64 sums of the phase.
                unsafe {
                    let to = sums.add(phase * 64 + j * 16);
                    let halves = [_mm512_castsi512_si256(acc), _mm512_extracti64x4_epi64::<1>(acc)];
                    for (h, half) in halves.into_iter().enumerate() {
                        let to = to.add(8 * h);
                        let sum = _mm512_loadu_si512(to.cast());
                        _mm512_storeu_si512(to.cast(), _mm512_add_epi64(sum, _mm512_cvtepu32_epi64(half)));
                    }
                }
            }
        }
    }
}
