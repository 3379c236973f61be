//! 8-bit softmax of one run. See `lines::softmax` for why the shares are exact.

use core::arch::x86_64::*;

use super::finish::Table;

/// See [`crate::x86::isa::Isa::softmax`]. The exponentials are looked up as low and high bytes, which are also what is
/// summed.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
pub(super) unsafe fn run(from: *const u8, to: *mut u8, n: usize, exp: &[u16; 256], shares: *mut u32) {
    let (mut low, mut high) = ([0u8; 256], [0u8; 256]);
    for at in (0..256).step_by(32) {
        // SAFETY: 32 of 256 entries.
        unsafe {
            let v = _mm512_loadu_si512(exp[at..].as_ptr().cast());
            _mm256_storeu_si256(low[at..].as_mut_ptr().cast(), _mm512_cvtepi16_epi8(v));
            let v = _mm512_srli_epi16::<8>(v);
            _mm256_storeu_si256(high[at..].as_mut_ptr().cast(), _mm512_cvtepi16_epi8(v));
        }
    }
    let (low, high) = (Table::new(&low), Table::new(&high));
    let zero = _mm512_setzero_si512();
    // The low bytes of all exponentials, then the high ones.
    let (lows, highs) = (shares.cast::<u8>(), shares.cast::<u8>().wrapping_add(n));
    let mask = |at: usize| u64::MAX >> (64 - (n - at).min(64));
    // SAFETY: masks keep loads and stores inside of n bytes; `shares` has room for 4 n.
    unsafe {
        let mut max = zero;
        for at in (0..n).step_by(64) {
            max = _mm512_max_epu8(max, _mm512_maskz_loadu_epi8(mask(at), from.add(at).cast()));
        }
        let mut bytes = [0u8; 64];
        _mm512_storeu_si512(bytes.as_mut_ptr().cast(), max);
        let max = _mm512_set1_epi8(bytes.iter().fold(0, |m, v| *v.max(&m)).cast_signed());
        let (mut sum_low, mut sum_high) = (zero, zero);
        for at in (0..n).step_by(64) {
            let mask = mask(at);
            let below = _mm512_sub_epi8(max, _mm512_maskz_loadu_epi8(mask, from.add(at).cast()));
            let (l, h) = (low.get(below), high.get(below));
            _mm512_mask_storeu_epi8(lows.add(at).cast(), mask, l);
            _mm512_mask_storeu_epi8(highs.add(at).cast(), mask, h);
            sum_low = _mm512_add_epi64(sum_low, _mm512_sad_epu8(_mm512_maskz_mov_epi8(mask, l), zero));
            sum_high = _mm512_add_epi64(sum_high, _mm512_sad_epu8(_mm512_maskz_mov_epi8(mask, h), zero));
        }
        let sum = _mm512_reduce_add_epi64(sum_low) + 256 * _mm512_reduce_add_epi64(sum_high);
        let reciprocal = _mm512_set1_pd(1.0 / (2 * sum).max(1) as f64);
        let half = _mm512_set1_pd(0.5 + 1.0 / (1u64 << 40) as f64);
        for at in (0..n).step_by(16) {
            let mask = 0xffff >> (16 - (n - at).min(16));
            let l = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, lows.add(at).cast()));
            let h = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, highs.add(at).cast()));
            let e = _mm512_or_si512(l, _mm512_slli_epi32::<8>(h));
            // 510 e
            let e = _mm512_sub_epi32(_mm512_slli_epi32::<9>(e), _mm512_slli_epi32::<1>(e));
            let share =
                |e: __m256i| _mm512_cvttpd_epi32(_mm512_fmadd_pd(_mm512_cvtepi32_pd(e), reciprocal, half));
            let shares = (share(_mm512_castsi512_si256(e)), share(_mm512_extracti64x4_epi64::<1>(e)));
            let q = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(shares.0), shares.1);
            _mm_mask_storeu_epi8(to.add(at).cast(), mask, _mm512_cvtepi32_epi8(q));
        }
    }
}
