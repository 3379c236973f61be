//! Half-precision tiles: products of f16 numbers, short runs of which are added up in f16, and those sums in f32.
//!
//! Two lanes of a register belong to one output channel: even inputs meet the even lanes, odd inputs the odd ones. So one broadcast
//! of 32 bits serves two inputs, and 16 outputs fill a register; 8 outputs do with four inputs.

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
    let packed = row.weight_pitch == 16;
    // SAFETY: every tile covers pixels inside 0..n; quads are packed and divide the depth.
    unsafe {
        match blocks {
            1 if packed && row.channels <= 8 && row.depth.is_multiple_of(4) => single::<4, true>(row),
            1 if packed => single::<2, true>(row),
            1 => single::<2, false>(row),
            _ if packed => double::<true>(row),
            _ => double::<false>(row),
        }
    }
}

/// Tiles of one block.
unsafe fn single<const G: usize, const PACKED: bool>(row: &FloatRow<'_>) {
    let sizes: [(usize, Tiles<FloatRow<'_>>); 4] = [
        (16, tiles::<4, 4, 1, G, PACKED>),
        (8, tiles::<2, 4, 1, G, PACKED>),
        (4, tiles::<1, 4, 1, G, PACKED>),
        (1, tiles::<1, 1, 1, G, PACKED>),
    ];
    // SAFETY: passed on.
    unsafe { cover(row, row.pixels, &sizes) };
}

/// Tiles of two blocks.
unsafe fn double<const PACKED: bool>(row: &FloatRow<'_>) {
    let sizes: [(usize, Tiles<FloatRow<'_>>); 3] = [
        (12, tiles::<3, 4, 2, 2, PACKED>),
        (4, tiles::<1, 4, 2, 2, PACKED>),
        (1, tiles::<1, 1, 2, 2, PACKED>),
    ];
    // SAFETY: passed on.
    unsafe { cover(row, row.pixels, &sizes) };
}

/// Where lanes find their weights among `inputs` times 32 / `inputs` outputs: in the order in which [`outputs`] adds shares.
const fn turn(inputs: usize) -> [u16; 32] {
    let outputs = 32 / inputs;
    let mut turn = [0; 32];
    let mut lane = 0;
    while lane < 32 {
        let (half, share) = (lane / 16, lane % inputs);
        // Of pairs, two outputs lie in each 128 bits of each half, next to those of the other half; of quads, one.
        let output = match inputs {
            2 => lane % 16 / 4 * 4 + half * 2 + lane % 4 / 2,
            _ => half * 4 + lane % 16 / 4,
        };
        turn[lane] = (share * outputs + output) as u16;
        lane += 1;
    }
    turn
}

/// [`turn`] for `G` inputs.
struct Turn<const G: usize>;

impl<const G: usize> Turn<G> {
    const LANES: [u16; 32] = turn(G);
}

/// The weights of `G` inputs, in the order of [`turn`].
///
/// # Safety
/// 16 weights of each input, `pitch` apart, can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512fp16")]
unsafe fn weights_of<const G: usize, const PACKED: bool>(from: *const u16, pitch: usize) -> __m512h {
    // SAFETY: the caller's promise; a constant has 32 words.
    unsafe {
        let words = if G == 4 {
            // The first 8 outputs of each input.
            let first = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13);
            let (low, high) = (_mm512_loadu_si512(from.cast()), _mm512_loadu_si512(from.add(32).cast()));
            _mm512_permutex2var_epi64(low, first, high)
        } else if PACKED {
            _mm512_loadu_si512(from.cast())
        } else {
            let [even, odd] = [from, from.add(pitch)].map(|w| _mm256_loadu_si256(w.cast()));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(even), odd)
        };
        let turn = _mm512_loadu_si512(Turn::<G>::LANES.as_ptr().cast());
        _mm512_castsi512_ph(_mm512_permutexvar_epi16(turn, words))
    }
}

/// `G` inputs in turn in all lanes.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512fp16")]
unsafe fn inputs_of<const G: usize>(from: *const u16) -> __m512h {
    // SAFETY: the caller's promise.
    unsafe {
        _mm512_castsi512_ph(if G == 4 {
            _mm512_set1_epi64(from.cast::<i64>().read_unaligned())
        } else {
            _mm512_set1_epi32(from.cast::<i32>().read_unaligned())
        })
    }
}

/// The sums of 32 / `G` outputs, of which `low` and `high` have the shares.
#[inline]
#[target_feature(enable = "avx512f,avx512fp16")]
fn outputs<const G: usize>([low, high]: [__m512; 2]) -> __m512 {
    let sums = _mm512_add_ps(_mm512_shuffle_ps::<0x88>(low, high), _mm512_shuffle_ps::<0xdd>(low, high));
    if G == 2 {
        return sums;
    }
    // In each 128 bits two shares of an output and two of the fourth one after it.
    let sums = _mm512_add_ps(sums, _mm512_permute_ps::<0b10_11_00_01>(sums));
    let turn = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm512_permutexvar_ps(turn, sums)
}

/// The lanes of a register in f32.
#[inline]
#[target_feature(enable = "avx512f,avx512fp16")]
fn wide(sums: __m512h) -> [__m512; 2] {
    let words = _mm512_castph_si512(sums);
    [_mm512_castsi512_si256(words), _mm512_extracti64x4_epi64::<1>(words)].map(|v| _mm512_cvtph_ps(v))
}

/// Computes `count` tiles of `N` lines of `L` pixels each, times `B` blocks, from pixel `x` on. `G` inputs meet one broadcast;
/// those of 2 have 16 outputs a block, those of 4 have 8. `PACKED`: weights of 2 inputs are a register.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512fp16,f16c,fma")]
unsafe fn tiles<const N: usize, const L: usize, const B: usize, const G: usize, const PACKED: bool>(
    row: &FloatRow<'_>,
    x: usize,
    count: usize,
) {
    const { assert!(G == 2 || G == 4 && B == 1 && PACKED) };
    let (step, pitch) = (row.step, row.weight_pitch);
    let block = if PACKED { row.taps.len() * row.depth * 16 } else { 16 };
    let steps = row.depth / G;
    // Runs of about the same length.
    let run = steps.div_ceil(steps.div_ceil(RUN));
    // SAFETY: bias and weights cover B blocks, pixels x..x + count * N * L have `depth` numbers at each tap, and their
    // `channels` outputs may be written.
    unsafe {
        let mut sums = [[[[_mm512_setzero_ps(); 2]; B]; L]; N];
        for x in (x..x + count * N * L).step_by(N * L) {
            let mut weights = row.weights.cast::<u16>();
            let mut first = true;
            for tap in row.taps {
                let tap = tap.cast::<u16>();
                let mut lines = core::array::from_fn::<_, N, _>(|i| tap.wrapping_add((x + i * L) * step));
                let mut left = steps;
                while left > 0 {
                    let mut acc = [[[_mm512_setzero_ph(); B]; L]; N];
                    for _ in 0..run.min(left) {
                        lines = lines.map(opaque);
                        let mut w = [_mm512_setzero_ph(); B];
                        for (b, w) in w.iter_mut().enumerate() {
                            *w = weights_of::<G, PACKED>(weights.add(b * block), pitch);
                        }
                        for (line, acc) in lines.iter().zip(&mut acc) {
                            for (p, acc) in acc.iter_mut().enumerate() {
                                let v = inputs_of::<G>(line.add(p * step));
                                for (acc, w) in acc.iter_mut().zip(w) {
                                    *acc = _mm512_fmadd_ph(v, w, *acc);
                                }
                            }
                        }
                        lines = lines.map(|l| l.add(G));
                        weights = weights.add(G * if PACKED { 16 } else { pitch });
                    }
                    left -= run.min(left);
                    each_line!(N, |LINE| {
                        for (sums, acc) in sums[LINE % N].iter_mut().zip(&acc[LINE % N]) {
                            for (sums, acc) in sums.iter_mut().zip(acc) {
                                let [low, high] = wide(*acc);
                                *sums = if first {
                                    [low, high]
                                } else {
                                    [_mm512_add_ps(sums[0], low), _mm512_add_ps(sums[1], high)]
                                };
                            }
                        }
                    });
                    first = false;
                }
            }
            for (p, sums) in sums.as_flattened().iter().enumerate() {
                for (b, sums) in sums.iter().enumerate() {
                    // Of quads, lanes that are no outputs are never stored.
                    let bias = _mm512_loadu_ps(row.bias.add(16 * b));
                    let v = _mm512_fmadd_ps(outputs::<G>(*sums), _mm512_set1_ps(row.scale), bias);
                    let v = if row.gelu { gelu(v) } else { v };
                    store::<true>(row, (x + p) * row.out_pixel + b * 16, lanes(row.channels, b), v);
                }
            }
        }
    }
}

/// See [`crate::x86::isa::Isa::depthwise_half`].
///
/// # Safety
/// As there.
pub(super) unsafe fn depthwise(row: &FloatRow<'_>) {
    let n = row.pixels;
    // SAFETY: every tile covers pixels inside 0..n.
    unsafe {
        let single: Tiles<FloatRow<'_>> = columns::<1, 1, 0>;
        match (row.width, row.stride) {
            (3, 1) => cover(row, n, &[(8, columns::<8, 3, 1>), (1, single)]),
            (3, 2) => cover(row, n, &[(8, columns::<8, 3, 2>), (1, single)]),
            (5, 1) => cover(row, n, &[(8, columns::<8, 5, 1>), (1, single)]),
            (7, 1) => cover(row, n, &[(8, columns::<8, 7, 1>), (1, single)]),
            _ => cover(row, n, &[(8, columns::<8, 1, 0>), (1, single)]),
        }
    }
}

/// Computes `count` tiles of `P` pixels of 32 channels from pixel `x` on. `W` taps at a time stand side by side, and pixels are
/// `S` columns apart; `W` of 1 asks nothing of the taps.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512fp16,f16c,fma")]
unsafe fn columns<const P: usize, const W: usize, const S: usize>(
    row: &FloatRow<'_>,
    x: usize,
    count: usize,
) {
    let masks = [lanes(row.channels, 0), if row.channels > 16 { lanes(row.channels, 1) } else { 0 }];
    let both = u32::from(masks[0]) | u32::from(masks[1]) << 16;
    let pitch = if W > 1 { row.step / S } else { row.step };
    // SAFETY: taps have 32 numbers, slack included; bias, weights and the output are read and written where there are channels of
    // the blocks; pixels x..x + count * P may be written.
    unsafe {
        let bias = [0, 1].map(|b| _mm512_maskz_loadu_ps(masks[b], row.bias.wrapping_add(16 * b)));
        for x in (x..x + count * P).step_by(P) {
            let mut sums = [bias; P];
            for (run, taps) in row.taps.chunks(RUN / W * W).enumerate() {
                let mut acc = [_mm512_setzero_ph(); P];
                for (t, taps) in taps.chunks_exact(W).enumerate() {
                    let from = opaque(taps[0].cast::<u16>().add(x * row.step));
                    let mut w = [_mm512_setzero_ph(); W];
                    for (i, w) in w.iter_mut().enumerate() {
                        let tap = run * (RUN / W * W) + t * W + i;
                        let weights = row.weights.cast::<i16>().wrapping_add(tap * row.tap_stride);
                        *w = _mm512_castsi512_ph(_mm512_maskz_loadu_epi16(both, weights));
                    }
                    for (p, acc) in acc.iter_mut().enumerate() {
                        for (i, w) in w.iter().enumerate() {
                            let column = if W > 1 { p * S + i } else { p };
                            let v = _mm512_loadu_si512(from.add(column * pitch).cast());
                            *acc = _mm512_fmadd_ph(_mm512_castsi512_ph(v), *w, *acc);
                        }
                    }
                }
                for (sums, acc) in sums.iter_mut().zip(acc) {
                    let [low, high] = wide(acc);
                    *sums = [_mm512_add_ps(sums[0], low), _mm512_add_ps(sums[1], high)];
                }
            }
            for (p, sums) in sums.iter().enumerate() {
                for (b, v) in sums.iter().enumerate() {
                    let v = if row.gelu { gelu(*v) } else { *v };
                    store::<true>(row, (x + p) * row.out_pixel + 16 * b, masks[b], v);
                }
            }
        }
    }
}
