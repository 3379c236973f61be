//! Interleaving of weights, with the instructions that every x86-64 CPU has.

use core::arch::x86_64::*;

/// One byte, signed or not.
pub(super) trait Byte {}
impl Byte for u8 {}
impl Byte for i8 {}

/// 16 bytes in a register.
#[derive(Clone, Copy)]
pub(super) struct Bytes(__m128i);

impl Bytes {
    /// Zeros.
    #[inline]
    pub(super) fn zero() -> Self {
        // SAFETY: SSE2 belongs to the architecture.
        Self(unsafe { _mm_setzero_si128() })
    }

    /// The first 16 elements.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub(super) fn of<T: Byte>(from: &[T]) -> Self {
        // SAFETY: SSE2 belongs to the architecture; the slice holds 16 bytes.
        Self(unsafe { _mm_loadu_si128(from[..16].as_ptr().cast()) })
    }

    /// The first 8 bytes twice.
    #[inline]
    pub(super) fn low_twice(self) -> Self {
        // SAFETY: SSE2 belongs to the architecture.
        Self(unsafe { _mm_unpacklo_epi64(self.0, self.0) })
    }

    /// The first byte of each of four, then the second byte of each, and so on: four times 16 bytes.
    #[inline]
    pub(super) fn interleave([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        // SAFETY: SSE2 belongs to the architecture.
        unsafe {
            let (ab_lo, ab_hi) = (_mm_unpacklo_epi8(a.0, b.0), _mm_unpackhi_epi8(a.0, b.0));
            let (cd_lo, cd_hi) = (_mm_unpacklo_epi8(c.0, d.0), _mm_unpackhi_epi8(c.0, d.0));
            [
                Self(_mm_unpacklo_epi16(ab_lo, cd_lo)),
                Self(_mm_unpackhi_epi16(ab_lo, cd_lo)),
                Self(_mm_unpacklo_epi16(ab_hi, cd_hi)),
                Self(_mm_unpackhi_epi16(ab_hi, cd_hi)),
            ]
        }
    }

    /// Writes the first 16 bytes of `to`.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub(super) fn store(self, to: &mut [u8]) {
        // SAFETY: SSE2 belongs to the architecture; the slice holds 16 bytes.
        unsafe { _mm_storeu_si128(to[..16].as_mut_ptr().cast(), self.0) };
    }

    /// The sum of the unsigned bytes.
    #[inline]
    pub(super) fn sum(self) -> u32 {
        // SAFETY: SSE2 belongs to the architecture.
        unsafe {
            let halves = _mm_sad_epu8(self.0, _mm_setzero_si128());
            (_mm_cvtsi128_si32(halves) + _mm_cvtsi128_si32(_mm_unpackhi_epi64(halves, halves)))
                .cast_unsigned()
        }
    }

    /// Signed bytes that are less by 128.
    #[inline]
    pub(super) fn flip_signs(self) -> Self {
        // SAFETY: SSE2 belongs to the architecture.
        Self(unsafe { _mm_xor_si128(self.0, _mm_set1_epi8(-128)) })
    }

    /// The first four bytes of `a`'s registers and of `b`'s, then the next four of each, and so on.
    #[inline]
    pub(super) fn interleave_fours(a: [Self; 4], b: [Self; 4]) -> [Self; 8] {
        // SAFETY: SSE2 belongs to the architecture.
        core::array::from_fn(|i| unsafe {
            let (a, b) = (a[i / 2].0, b[i / 2].0);
            Self(if i % 2 == 0 { _mm_unpacklo_epi32(a, b) } else { _mm_unpackhi_epi32(a, b) })
        })
    }

    /// Of 8 pixels of 8 bytes, register i: byte 2 i of each pixel, then byte 2 i + 1 of each.
    #[inline]
    pub(super) fn planes([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        // SAFETY: SSE2 belongs to the architecture.
        unsafe {
            // Pixels 0 and 4, 1 and 5, 2 and 6, 3 and 7 by bytes; then those by bytes of even and of odd pixels; then all.
            let (p04, p15) = (_mm_unpacklo_epi8(a.0, c.0), _mm_unpackhi_epi8(a.0, c.0));
            let (p26, p37) = (_mm_unpacklo_epi8(b.0, d.0), _mm_unpackhi_epi8(b.0, d.0));
            let (even_low, even_high) = (_mm_unpacklo_epi8(p04, p26), _mm_unpackhi_epi8(p04, p26));
            let (odd_low, odd_high) = (_mm_unpacklo_epi8(p15, p37), _mm_unpackhi_epi8(p15, p37));
            [
                Self(_mm_unpacklo_epi8(even_low, odd_low)),
                Self(_mm_unpackhi_epi8(even_low, odd_low)),
                Self(_mm_unpacklo_epi8(even_high, odd_high)),
                Self(_mm_unpackhi_epi8(even_high, odd_high)),
            ]
        }
    }

    /// Half `half` of `a`, then that of `b`.
    #[inline]
    pub(super) fn joined(a: Self, b: Self, half: usize) -> Self {
        // SAFETY: SSE2 belongs to the architecture.
        Self(unsafe { if half == 0 { _mm_unpacklo_epi64(a.0, b.0) } else { _mm_unpackhi_epi64(a.0, b.0) } })
    }
}
