//! 8-bit convolution rows in registers of 256 bits.
//!
//! The macro makes a module with or without VNNI: instructions are chosen by attributes, which take no parameters.

/// Defines `gemm` and `depthwise` for the instruction sets `$features`, with `$dot` as the dot product.
macro_rules! kernels {
    ($features:literal, $dot:path) => {
        use core::arch::x86_64::*;

        use crate::x86::avx2::finish::{Finish, store16};
        use crate::x86::depthwise::DepthwiseRow;
        use crate::x86::gemm::GemmRow;

        /// See [`crate::x86::isa::Isa::gemm`]; one block.
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(in crate::x86) unsafe fn gemm(row: &GemmRow<'_>) {
            let finish = Finish::new(&row.requant);
            let n = row.pixels;
            // SAFETY: every tile covers pixels inside 0..n.
            unsafe {
                if n < TILE {
                    for x in 0..n {
                        tile::<1>(row, &finish, x);
                    }
                    return;
                }
                for x in (0..n).step_by(TILE) {
                    tile::<TILE>(row, &finish, x.min(n - TILE));
                }
            }
        }

        /// Computes pixels `x..x + P` of a block: two registers of sums each.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn tile<const P: usize>(row: &GemmRow<'_>, finish: &Finish, x: usize) {
            // SAFETY: bias, scale and weights cover a block, pixels x..x + P have `quads` * 4 bytes at each tap, and their
            // `channels` outputs may be written.
            unsafe {
                let bias = [_mm256_loadu_si256(row.bias.cast()), _mm256_loadu_si256(row.bias.add(8).cast())];
                let mut acc = [bias; P];
                if !row.row_bias.is_null() {
                    for (p, acc) in acc.iter_mut().enumerate() {
                        let v = _mm256_set1_epi32(row.row_bias.add(x + p).read());
                        *acc = acc.map(|a| _mm256_add_epi32(a, v));
                    }
                }
                let mut weights = row.weights;
                for tap in row.taps {
                    let mut from = tap.add(x * row.step);
                    for _ in 0..row.quads {
                        let low = _mm256_loadu_si256(weights.cast());
                        let high = _mm256_loadu_si256(weights.add(32).cast());
                        for (p, acc) in acc.iter_mut().enumerate() {
                            let v = _mm256_set1_epi32(from.add(p * row.step).cast::<i32>().read_unaligned());
                            acc[0] = $dot(acc[0], v, low);
                            acc[1] = $dot(acc[1], v, high);
                        }
                        from = from.add(4);
                        weights = weights.add(64);
                    }
                }
                let scale = [_mm256_loadu_ps(row.scale), _mm256_loadu_ps(row.scale.add(8))];
                let scale = [scale[0], scale[1], scale[0], scale[1]];
                for p in (0..P).step_by(2) {
                    let next = if p + 1 < P { acc[p + 1] } else { acc[p] };
                    let v = finish.apply([acc[p][0], acc[p][1], next[0], next[1]], scale);
                    let to = row.out.add((x + p) * row.out_pixel);
                    store16(to, row.channels, _mm256_castsi256_si128(v));
                    if p + 1 < P {
                        store16(to.add(row.out_pixel), row.channels, _mm256_extracti128_si256::<1>(v));
                    }
                }
            }
        }

        /// See [`crate::x86::isa::Isa::depthwise`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(in crate::x86) unsafe fn depthwise(row: &DepthwiseRow<'_>) {
            let finish = Finish::new(&row.requant);
            let groups = row.taps.len() / 4;
            let (mut at, mut phase) = (0, 0);
            while at < row.len {
                // SAFETY: phase < period, so tables are inside; at < len, so a vector at `at` ends inside the taps' slack;
                // bytes at..min(at + 32, len) of the output.
                unsafe {
                    let bias = row.bias.add(phase * 32);
                    let mut acc = [
                        _mm256_loadu_si256(bias.cast()),
                        _mm256_loadu_si256(bias.add(8).cast()),
                        _mm256_loadu_si256(bias.add(16).cast()),
                        _mm256_loadu_si256(bias.add(24).cast()),
                    ];
                    let weights = row.weights.add(phase * groups * 128);
                    for g in 0..groups {
                        let load = |i: usize| _mm256_loadu_si256(row.taps[4 * g + i].add(at).cast());
                        let (a, b, c, d) = (load(0), load(1), load(2), load(3));
                        let (ab_lo, ab_hi) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
                        let (cd_lo, cd_hi) = (_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d));
                        let w = |j: usize| _mm256_loadu_si256(weights.add(g * 128 + j * 32).cast());
                        acc[0] = $dot(acc[0], _mm256_unpacklo_epi16(ab_lo, cd_lo), w(0));
                        acc[1] = $dot(acc[1], _mm256_unpackhi_epi16(ab_lo, cd_lo), w(1));
                        acc[2] = $dot(acc[2], _mm256_unpacklo_epi16(ab_hi, cd_hi), w(2));
                        acc[3] = $dot(acc[3], _mm256_unpackhi_epi16(ab_hi, cd_hi), w(3));
                    }
                    let scale = row.scale.add(phase * 32);
                    let scale = [
                        _mm256_loadu_ps(scale),
                        _mm256_loadu_ps(scale.add(8)),
                        _mm256_loadu_ps(scale.add(16)),
                        _mm256_loadu_ps(scale.add(24)),
                    ];
                    let v = finish.packed(acc, scale);
                    if at + 32 <= row.len {
                        _mm256_storeu_si256(row.out.add(at).cast(), v);
                    } else {
                        let mut rest = [0u8; 32];
                        _mm256_storeu_si256(rest.as_mut_ptr().cast(), v);
                        core::ptr::copy_nonoverlapping(rest.as_ptr(), row.out.add(at), row.len - at);
                    }
                }
                at += 32;
                phase += 1;
                if phase == row.period {
                    phase = 0;
                }
            }
        }
    };
}

/// With the dot product of unsigned and signed bytes.
pub(in crate::x86) mod vnni {
    const TILE: usize = 6;

    kernels!("avx2,fma,f16c,avxvnni", _mm256_dpbusd_avx_epi32);
}

/// Without: even and odd bytes as 16-bit numbers. `vpmaddubsw` would be shorter, and saturates.
pub(in crate::x86) mod plain {
    const TILE: usize = 4;

    kernels!("avx2,fma,f16c", dot);

    /// Adds the products of four unsigned bytes of `a` and signed bytes of `w` in each lane.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn dot(acc: __m256i, a: __m256i, w: __m256i) -> __m256i {
        let even = _mm256_madd_epi16(
            _mm256_and_si256(a, _mm256_set1_epi16(0xff)),
            _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w)),
        );
        let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(a), _mm256_srai_epi16::<8>(w));
        _mm256_add_epi32(acc, _mm256_add_epi32(even, odd))
    }
}
