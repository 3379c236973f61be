//! Depthwise rows: four taps interleaved by two levels of unpacking, then one dot product a quarter.

use core::arch::x86_64::*;

use super::finish::Finish;
use crate::x86::depthwise::DepthwiseRow;

/// See [`crate::x86::isa::Isa::depthwise`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
pub(super) unsafe fn run(row: &DepthwiseRow<'_>) {
    // SAFETY: passed on.
    unsafe {
        match row.taps.len() {
            12 => groups::<3>(row),
            28 => groups::<7>(row),
            _ => groups::<0>(row),
        }
    }
}

/// `G` groups of four taps, or any number of them if it is 0.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn groups<const G: usize>(row: &DepthwiseRow<'_>) {
    let finish = Finish::new(&row.requant);
    let groups = if G == 0 { row.taps.len() / 4 } else { G };
    let taps = row.taps.as_ptr();
    let (mut at, mut phase) = (0, 0);
    while at < row.len {
        // SAFETY: phase < period, so tables are inside; at < len, so a vector at `at` ends inside the taps' slack.
        let v = unsafe {
            let bias = row.bias.add(phase * 64);
            let mut acc = [
                _mm512_loadu_si512(bias.cast()),
                _mm512_loadu_si512(bias.add(16).cast()),
                _mm512_loadu_si512(bias.add(32).cast()),
                _mm512_loadu_si512(bias.add(48).cast()),
            ];
            let weights = row.weights.add(phase * groups * 256);
            for g in 0..groups {
                let load = |i: usize| _mm512_loadu_si512((*taps.add(4 * g + i)).add(at).cast());
                let quarters = interleave(load(0), load(1), load(2), load(3));
                for (j, q) in quarters.into_iter().enumerate() {
                    let w = _mm512_loadu_si512(weights.add(g * 256 + j * 64).cast());
                    acc[j] = _mm512_dpbusd_epi32(acc[j], q, w);
                }
            }
            let scale = row.scale.add(phase * 64);
            let scale = [
                _mm512_loadu_ps(scale),
                _mm512_loadu_ps(scale.add(16)),
                _mm512_loadu_ps(scale.add(32)),
                _mm512_loadu_ps(scale.add(48)),
            ];
            finish.apply(acc, scale)
        };
        // SAFETY: bytes at..min(at + 64, len) of the output.
        unsafe {
            let to = row.out.add(at);
            if at + 64 <= row.len {
                _mm512_storeu_si512(to.cast(), v);
            } else {
                _mm512_mask_storeu_epi8(to.cast(), u64::MAX >> (64 - (row.len - at)), v);
            }
        }
        at += 64;
        phase += 1;
        if phase == row.period {
            phase = 0;
        }
    }
}

/// Quarter j holds, in each 128-bit lane, bytes 4 j..4 j + 4 of a, b, c, d, interleaved.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn interleave(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    let (ab_lo, ab_hi) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
    let (cd_lo, cd_hi) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
    [
        _mm512_unpacklo_epi16(ab_lo, cd_lo),
        _mm512_unpackhi_epi16(ab_lo, cd_lo),
        _mm512_unpacklo_epi16(ab_hi, cd_hi),
        _mm512_unpackhi_epi16(ab_hi, cd_hi),
    ]
}
