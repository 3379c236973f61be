//! Half-precision tiles: products of f16 numbers, short runs of which are added up in f16, and those sums in f32.
//!
//! Lanes 2 i and 2 i + 1 of a register belong to one output channel: even inputs meet the even lanes, odd inputs the odd ones. So
//! one broadcast of 32 bits serves two inputs, and memory's words are loaded as they lie.

use core::arch::x86_64::*;

use super::float::{lanes, store};
use super::gelu::gelu;
use super::tiles::{Tiles, cover, each_line, opaque};
use crate::x86::float::FloatRow;

/// Most products that a lane adds up in half precision. Each addition rounds to 11 bits, so that a run costs about the square
/// root of its length in units of the last place; f32 sums cost 8 instructions a run.
const RUN: usize = 32;

/// See [`crate::x86::isa::Isa::gemm_half`].
///
/// # Safety
/// As there.
pub(super) unsafe fn gemm(row: &FloatRow<'_>, blocks: usize) {
    // SAFETY: every tile covers pixels inside 0..n.
    unsafe {
        if blocks == 1 {
            let sizes: [(usize, Tiles<FloatRow<'_>>); 4] =
                [(16, tiles::<4, 4, 1>), (8, tiles::<2, 4, 1>), (4, tiles::<1, 4, 1>), (1, tiles::<1, 1, 1>)];
            cover(row, row.pixels, &sizes);
        } else {
            let sizes: [(usize, Tiles<FloatRow<'_>>); 3] =
                [(12, tiles::<3, 4, 2>), (4, tiles::<1, 4, 2>), (1, tiles::<1, 1, 2>)];
            cover(row, row.pixels, &sizes);
        }
    }
}

/// Where lanes find their weights among 16 outputs of an even input and 16 of an odd one: in the order in which
/// [`outputs`] adds pairs.
const TURN: [u16; 32] = {
    let mut turn = [0; 32];
    let mut lane = 0;
    while lane < 32 {
        let (half, pair) = (lane / 16, lane % 16 / 2);
        let output = pair / 2 * 4 + half * 2 + pair % 2;
        turn[lane] = (lane % 2 * 16 + output) as u16;
        lane += 1;
    }
    turn
};

/// The sums of 16 outputs, of which `low` and `high` have the pairs of shares.
#[inline]
#[target_feature(enable = "avx512f,avx512fp16")]
fn outputs([low, high]: [__m512; 2]) -> __m512 {
    _mm512_add_ps(_mm512_shuffle_ps::<0x88>(low, high), _mm512_shuffle_ps::<0xdd>(low, high))
}

/// The lanes of a register in f32.
#[inline]
#[target_feature(enable = "avx512f,avx512fp16")]
fn wide(sums: __m512h) -> [__m512; 2] {
    let words = _mm512_castph_si512(sums);
    [_mm512_castsi512_si256(words), _mm512_extracti64x4_epi64::<1>(words)].map(|v| _mm512_cvtph_ps(v))
}

/// Computes `count` tiles of `N` lines of `L` pixels each, times `B` blocks, from pixel `x` on.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512fp16,f16c,fma")]
unsafe fn tiles<const N: usize, const L: usize, const B: usize>(row: &FloatRow<'_>, x: usize, count: usize) {
    let (step, block) = (row.step, row.taps.len() * row.depth * 16);
    let pairs = row.depth / 2;
    // Runs of about the same length.
    let run = pairs.div_ceil(pairs.div_ceil(RUN));
    // SAFETY: bias and weights cover B blocks, pixels x..x + count * N * L have `depth` numbers at each tap, and their
    // `channels` outputs may be written.
    unsafe {
        let turn = _mm512_loadu_si512(TURN.as_ptr().cast());
        for x in (x..x + count * N * L).step_by(N * L) {
            let mut sums = [[[[_mm512_setzero_ps(); 2]; B]; L]; N];
            let mut weights = row.weights.cast::<u16>();
            for tap in row.taps {
                let tap = tap.cast::<u16>();
                let mut lines = core::array::from_fn::<_, N, _>(|i| tap.wrapping_add((x + i * L) * step));
                let mut left = pairs;
                while left > 0 {
                    let mut acc = [[[_mm512_setzero_ph(); B]; L]; N];
                    for _ in 0..run.min(left) {
                        lines = lines.map(opaque);
                        let mut w = [_mm512_setzero_ph(); B];
                        for (b, w) in w.iter_mut().enumerate() {
                            let words = _mm512_loadu_si512(weights.add(b * block).cast());
                            *w = _mm512_castsi512_ph(_mm512_permutexvar_epi16(turn, words));
                        }
                        for (line, acc) in lines.iter().zip(&mut acc) {
                            for (p, acc) in acc.iter_mut().enumerate() {
                                let pair = line.add(p * step).cast::<i32>().read_unaligned();
                                let v = _mm512_castsi512_ph(_mm512_set1_epi32(pair));
                                for (acc, w) in acc.iter_mut().zip(w) {
                                    *acc = _mm512_fmadd_ph(v, w, *acc);
                                }
                            }
                        }
                        lines = lines.map(|l| l.add(2));
                        weights = weights.add(32);
                    }
                    left -= run.min(left);
                    each_line!(N, |LINE| {
                        for (sums, acc) in sums[LINE % N].iter_mut().zip(&acc[LINE % N]) {
                            for (sums, acc) in sums.iter_mut().zip(acc) {
                                let [low, high] = wide(*acc);
                                *sums = [_mm512_add_ps(sums[0], low), _mm512_add_ps(sums[1], high)];
                            }
                        }
                    });
                }
            }
            for (p, sums) in sums.as_flattened().iter().enumerate() {
                for (b, sums) in sums.iter().enumerate() {
                    let v = _mm512_add_ps(outputs(*sums), _mm512_loadu_ps(row.bias.add(16 * b)));
                    let v = if row.gelu { gelu(v) } else { v };
                    store::<true>(row, (x + p) * row.out_pixel + b * 16, lanes(row.channels, b), v);
                }
            }
        }
    }
}
