//! Requantisation of four vectors of sums to one vector of bytes.

use core::arch::x86_64::*;

use crate::x86::requant::Requant;

/// [`Requant`] in registers.
pub(in crate::x86) struct Finish<'a> {
    zero: __m256i,
    lo: __m256i,
    hi: __m256i,
    table: Option<&'a [u8; 256]>,
}

impl<'a> Finish<'a> {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::x86) fn new(r: &Requant<'a>) -> Self {
        Self {
            zero: _mm256_set1_epi16(i16::from(r.zero_point)),
            lo: _mm256_set1_epi8(r.finish.lo.cast_signed()),
            hi: _mm256_set1_epi8(r.finish.hi.cast_signed()),
            table: r.finish.table,
        }
    }

    /// Bytes of the sums in the order that packing within 128-bit lanes gives: lane l holds elements 4 l..4 l + 4 of each
    /// sum in turn. Saturation changes nothing that the clamp to 0..=255 keeps.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::x86) fn packed(&self, acc: [__m256i; 4], scale: [__m256; 4]) -> __m256i {
        let a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[0]), scale[0]));
        let b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[1]), scale[1]));
        let c = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[2]), scale[2]));
        let d = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[3]), scale[3]));
        let ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), self.zero);
        let cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), self.zero);
        let v = _mm256_packus_epi16(ab, cd);
        let v = _mm256_min_epu8(_mm256_max_epu8(v, self.lo), self.hi);
        let Some(table) = self.table else { return v };
        let mut bytes = [0u8; 32];
        // SAFETY: 32 bytes each way.
        unsafe {
            _mm256_storeu_si256(bytes.as_mut_ptr().cast(), v);
            bytes.iter_mut().for_each(|b| *b = table[usize::from(*b)]);
            _mm256_loadu_si256(bytes.as_ptr().cast())
        }
    }

    /// As [`Self::packed`], 8 bytes of each sum in turn.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::x86) fn apply(&self, acc: [__m256i; 4], scale: [__m256; 4]) -> __m256i {
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        _mm256_permutevar8x32_epi32(self.packed(acc, scale), order)
    }
}

/// Writes the first `channels` of 16 bytes.
///
/// # Safety
/// They can be written.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::x86) unsafe fn store16(to: *mut u8, channels: usize, v: __m128i) {
    // SAFETY: the caller's promise.
    unsafe {
        if channels >= 16 {
            _mm_storeu_si128(to.cast(), v);
        } else if channels == 8 {
            _mm_storel_epi64(to.cast(), v);
        } else {
            let mut bytes = [0u8; 16];
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), v);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, channels);
        }
    }
}
