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
}
