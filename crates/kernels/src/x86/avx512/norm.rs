//! Layer and response normalisation of rows of pixels.

use core::arch::x86_64::*;

use super::finish::in_order;
use crate::x86::norm::NormRow;

/// Bytes of 16 results `r` above the zero point; NaN is the zero point.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn quantise(r: __m512, [low, high]: [__m512; 2], zero: __m512i) -> __m128i {
    let r = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_ORD_Q>(r, r), r);
    let r = _mm512_max_ps(_mm512_min_ps(r, high), low);
    _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(r), zero))
}

/// Largest factor for which no sum or product of the fast kernels can be infinite times zero.
const LARGE: f32 = 1e15;

/// Bytes of 64 results `r` above the zero point, none of which is NaN. What is too small saturates where it is packed.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn quantise64(r: [__m512; 4], high: __m512, zero: __m512i) -> __m512i {
    let [a, b, c, d] = [
        _mm512_cvtps_epi32(_mm512_min_ps(r[0], high)),
        _mm512_cvtps_epi32(_mm512_min_ps(r[1], high)),
        _mm512_cvtps_epi32(_mm512_min_ps(r[2], high)),
        _mm512_cvtps_epi32(_mm512_min_ps(r[3], high)),
    ];
    let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero);
    let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero);
    in_order(_mm512_packus_epi16(ab, cd))
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

/// Pixels whose statistics are finished together.
const BATCH: usize = 16;

/// [`crate::x86::norm::factor`] of 16 pixels, by the same operations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn factors(channels: usize, sums: &[u64; BATCH], squares: &[u64; BATCH], row: &NormRow<'_>) -> __m512 {
    let count = _mm512_set1_epi64(channels as i64);
    let mut spread = [_mm256_setzero_ps(); 2];
    for (i, spread) in spread.iter_mut().enumerate() {
        // SAFETY: 8 of 16 numbers.
        let (sum, squares) = unsafe {
            (
                _mm512_loadu_si512(sums[8 * i..].as_ptr().cast()),
                _mm512_loadu_si512(squares[8 * i..].as_ptr().cast()),
            )
        };
        let v = _mm512_sub_epi64(_mm512_mullo_epi64(count, squares), _mm512_mullo_epi64(sum, sum));
        *spread = _mm512_cvtepu64_ps(v);
    }
    let n = _mm512_set1_ps(channels as f32);
    let spread = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(spread[0]), spread[1]);
    let variance = _mm512_div_ps(_mm512_div_ps(spread, n), n);
    let variance = _mm512_mul_ps(variance, _mm512_set1_ps(row.scale * row.scale));
    let root = _mm512_sqrt_ps(_mm512_add_ps(variance, _mm512_set1_ps(row.epsilon)));
    let factor = _mm512_mul_ps(_mm512_div_ps(_mm512_set1_ps(1.0), root), _mm512_set1_ps(row.scale));
    _mm512_div_ps(factor, n)
}

/// See [`crate::x86::isa::Isa::layer_norm`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(super) unsafe fn layer_norm(row: &NormRow<'_>) {
    let channels = row.gain.len();
    let (limits, zero) = bounds(row);
    let zero16 = _mm512_set1_epi16(i16::from(row.requant.zero_point));
    let per_step = _mm512_set1_ps(row.per_step);
    let count = _mm512_set1_ps(channels as f32);
    for first in (0..row.pixels).step_by(BATCH) {
        let pixels = (row.pixels - first).min(BATCH);
        let (mut sums, mut squares, mut factor) = ([0u64; BATCH], [0u64; BATCH], [0f32; BATCH]);
        // SAFETY: pixel x of both rows has `channels` bytes; masks keep loads and stores inside. A batch is read before it
        // is written.
        unsafe {
            for p in 0..pixels {
                let s = statistics(row.from.0.add((first + p) * row.from.1), channels);
                (sums[p], squares[p]) = (u64::from(s.0), s.1);
            }
            _mm512_storeu_ps(factor.as_mut_ptr(), factors(channels, &sums, &squares, row));
            for p in 0..pixels {
                let (from, to) =
                    (row.from.0.add((first + p) * row.from.1), row.to.0.add((first + p) * row.to.1));
                let plain = factor[p].abs() < LARGE && row.per_step < f32::INFINITY;
                let (factor, sum) = (_mm512_set1_ps(factor[p]), _mm512_set1_ps(sums[p] as f32));
                let result = |c: usize, mask: __mmask16| {
                    let q = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, from.add(c).cast()));
                    // Below 2^24, so that product and difference are exact.
                    let v = _mm512_sub_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(q), count), sum);
                    let gamma = _mm512_maskz_loadu_ps(mask, row.gain.as_ptr().add(c));
                    let beta = _mm512_maskz_loadu_ps(mask, row.beta.as_ptr().add(c));
                    let v = _mm512_add_ps(_mm512_mul_ps(_mm512_mul_ps(v, factor), gamma), beta);
                    _mm512_mul_ps(v, per_step)
                };
                let mut c = 0;
                if plain {
                    while c + 64 <= channels {
                        let all = 0xffff;
                        let r =
                            [result(c, all), result(c + 16, all), result(c + 32, all), result(c + 48, all)];
                        _mm512_storeu_si512(to.add(c).cast(), quantise64(r, limits[1], zero16));
                        c += 64;
                    }
                }
                while c < channels {
                    let mask = 0xffff >> (16 - (channels - c).min(16));
                    let q = quantise(result(c, mask), limits, zero);
                    // A masked store covers bytes of the next pixel, whose load would then wait for it where both are in
                    // place.
                    if mask == 0xffff {
                        _mm_storeu_si128(to.add(c).cast(), q);
                    } else {
                        _mm_mask_storeu_epi8(to.add(c).cast(), mask, q);
                    }
                    c += 16;
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
    let zero16 = _mm512_set1_epi16(i16::from(row.requant.zero_point));
    let (per_step, scale) = (_mm512_set1_ps(row.per_step), _mm512_set1_ps(row.scale));
    let zero_in = _mm512_set1_epi32(i32::from(row.zero_point));
    let plain =
        row.gain.iter().all(|v| v.abs() < LARGE) && row.scale.abs() < LARGE && row.per_step < f32::INFINITY;
    let result = |q: __m128i, response: __m512, beta: __m512| {
        let q = _mm512_sub_epi32(_mm512_cvtepu8_epi32(q), zero_in);
        let v = _mm512_mul_ps(_mm512_cvtepi32_ps(q), scale);
        let r = _mm512_add_ps(_mm512_add_ps(_mm512_mul_ps(v, response), beta), v);
        _mm512_mul_ps(r, per_step)
    };
    let mut c = 0;
    // Channels outside, so that their responses stay in registers.
    // SAFETY: channels c.. of each pixel of both rows; masks keep loads and stores inside.
    unsafe {
        while plain && c + 64 <= channels {
            let all = |v: &[f32]| {
                let v = v.as_ptr().add(c);
                [
                    _mm512_loadu_ps(v),
                    _mm512_loadu_ps(v.add(16)),
                    _mm512_loadu_ps(v.add(32)),
                    _mm512_loadu_ps(v.add(48)),
                ]
            };
            let (response, beta) = (all(row.gain), all(row.beta));
            let (mut from, mut to) = (row.from.0.add(c), row.to.0.add(c));
            for _ in 0..row.pixels {
                let one = |i: usize| result(_mm_loadu_si128(from.add(16 * i).cast()), response[i], beta[i]);
                let r = [one(0), one(1), one(2), one(3)];
                _mm512_storeu_si512(to.cast(), quantise64(r, limits[1], zero16));
                from = from.wrapping_add(row.from.1);
                to = to.wrapping_add(row.to.1);
            }
            c += 64;
        }
        while c < channels {
            let mask = 0xffff >> (16 - (channels - c).min(16));
            let response = _mm512_maskz_loadu_ps(mask, row.gain.as_ptr().add(c));
            let beta = _mm512_maskz_loadu_ps(mask, row.beta.as_ptr().add(c));
            let (mut from, mut to) = (row.from.0.add(c), row.to.0.add(c));
            for _ in 0..row.pixels {
                let r = result(_mm_maskz_loadu_epi8(mask, from.cast()), response, beta);
                _mm_mask_storeu_epi8(to.cast(), mask, quantise(r, limits, zero));
                from = from.wrapping_add(row.from.1);
                to = to.wrapping_add(row.to.1);
            }
            c += 16;
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
