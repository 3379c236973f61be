//! Requantisation of four vectors of sums to one vector of bytes.

use core::arch::x86_64::*;

use crate::x86::requant::Requant;

/// A 256-entry byte table in registers.
#[derive(Clone, Copy)]
pub(super) struct Table([__m512i; 4]);

impl Table {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn new(table: &[u8; 256]) -> Self {
        // SAFETY: four times 64 of 256 bytes.
        Self(unsafe {
            [
                _mm512_loadu_si512(table.as_ptr().cast()),
                _mm512_loadu_si512(table.as_ptr().add(64).cast()),
                _mm512_loadu_si512(table.as_ptr().add(128).cast()),
                _mm512_loadu_si512(table.as_ptr().add(192).cast()),
            ]
        })
    }

    /// The entries at 64 indices: two lookups of 7 bits, chosen by the eighth.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn get(&self, index: __m512i) -> __m512i {
        let low = _mm512_permutex2var_epi8(self.0[0], index, self.0[1]);
        let high = _mm512_permutex2var_epi8(self.0[2], index, self.0[3]);
        _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high)
    }
}

/// [`Requant`] in registers.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    zero: __m512i,
    /// Whether the zero point is not 0.
    offset: bool,
    lo: __m512i,
    hi: __m512i,
    /// Whether there is more to do than to saturate to 0..=255.
    more: bool,
    table: Option<Table>,
}

impl Finish {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn new(r: &Requant<'_>) -> Self {
        Self {
            zero: _mm512_set1_epi16(i16::from(r.zero_point)),
            offset: r.zero_point != 0,
            lo: _mm512_set1_epi8(r.finish.lo.cast_signed()),
            hi: _mm512_set1_epi8(r.finish.hi.cast_signed()),
            more: r.finish.lo > 0 || r.finish.hi < 255 || r.finish.table.is_some(),
            table: r.finish.table.map(|t| Table::new(t)),
        }
    }

    /// Bytes of the sums `acc`, in the order that two levels of packing within 128-bit lanes give: lane l holds elements
    /// 4 l..4 l + 4 of each sum in turn.
    ///
    /// Packing to 16 bits and the addition of the zero point saturate, which changes nothing that the clamp to 0..=255
    /// keeps.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn apply(&self, acc: [__m512i; 4], scale: [__m512; 4]) -> __m512i {
        let [a, b, c, d] = [
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[0]), scale[0])),
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[1]), scale[1])),
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[2]), scale[2])),
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[3]), scale[3])),
        ];
        self.pack([a, b, c, d])
    }

    /// As [`Self::apply`], from rounded values without their zero point.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn pack(&self, v: [__m512i; 4]) -> __m512i {
        let (mut ab, mut cd) = (_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3]));
        if self.offset {
            (ab, cd) = (_mm512_adds_epi16(ab, self.zero), _mm512_adds_epi16(cd, self.zero));
        }
        self.clamp(_mm512_packus_epi16(ab, cd))
    }

    /// Clamp and table.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn clamp(&self, v: __m512i) -> __m512i {
        if !self.more {
            return v;
        }
        let v = _mm512_min_epu8(_mm512_max_epu8(v, self.lo), self.hi);
        match &self.table {
            Some(t) => t.get(v),
            None => v,
        }
    }
}

/// Puts the bytes of [`Finish::apply`] into the order of the sums: 16 bytes of the first, 16 of the second, and so on.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn in_order(v: __m512i) -> __m512i {
    _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v)
}

/// The four 128-bit lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn lanes(v: __m512i) -> [__m128i; 4] {
    [
        _mm512_castsi512_si128(v),
        _mm512_extracti32x4_epi32::<1>(v),
        _mm512_extracti32x4_epi32::<2>(v),
        _mm512_extracti32x4_epi32::<3>(v),
    ]
}

/// Writes four pixels of 16 channels: the first `channels` channels of the first `pixels` pixels.
///
/// # Safety
/// These channels of pixels `pitch` bytes apart may be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn store16(to: *mut u8, pitch: usize, channels: usize, pixels: usize, v: __m512i) {
    // SAFETY: the channels of pixels that the caller names.
    unsafe {
        if channels == 16 && pixels >= 4 {
            if pitch == 16 {
                _mm512_storeu_si512(to.cast(), v);
                return;
            }
            let parts = lanes(v);
            for (p, part) in parts.into_iter().enumerate() {
                _mm_storeu_si128(to.add(p * pitch).cast(), part);
            }
            return;
        }
        let (mask, parts) = (0xffff >> (16 - channels.min(16)), lanes(v));
        for (p, part) in parts.into_iter().enumerate() {
            if p < pixels {
                _mm_mask_storeu_epi8(to.add(p * pitch).cast(), mask, part);
            }
        }
    }
}

/// Writes eight pixels of 8 channels: the first `channels` channels of the first `pixels` pixels.
///
/// # Safety
/// These channels of pixels `pitch` bytes apart may be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn store8(to: *mut u8, pitch: usize, channels: usize, pixels: usize, v: __m512i) {
    // SAFETY: the channels of pixels that the caller names.
    unsafe {
        let full = channels == 8 && pixels >= 8;
        if full && pitch == 8 {
            _mm512_storeu_si512(to.cast(), v);
            return;
        }
        let (mask, parts) = (0xff >> (8 - channels.min(8)), lanes(v));
        for (p, part) in parts.into_iter().enumerate() {
            let even = to.wrapping_add(2 * p * pitch);
            let odd = even.wrapping_add(pitch);
            if full {
                _mm_storel_epi64(even.cast(), part);
                _mm_storeh_pd(odd.cast(), _mm_castsi128_pd(part));
                continue;
            }
            if 2 * p < pixels {
                _mm_mask_storeu_epi8(even.cast(), mask, part);
            }
            if 2 * p + 1 < pixels {
                _mm_mask_storeu_epi8(odd.cast(), mask, _mm_unpackhi_epi64(part, part));
            }
        }
    }
}
