//! Half-precision matrix products of token tensors: short runs of products are added up in half precision, those sums in f32.

use core::arch::aarch64::{
    float16x8_t, float32x4_t, vaddq_f32, vdupq_n_f32, vfmaq_f16, vmulq_n_f32, vpaddq_f32,
    vreinterpretq_u16_f16, vst1q_u16,
};
use core::ops::Range;

use fusionproxy_format::Matmul;
use half::f16;

use super::registers::{RUN, load, round, splat, wide, zero};
use crate::{Call, Dst, Src};

/// Queries of a tile of mixed values; keys of a tile of scores.
const QUERIES: usize = 4;
const KEYS: usize = 8;

/// Runs rows `units`; `false` if a head is no multiple of eight channels, or so wide that a lane would add up more than a run.
///
/// # Safety
/// The CPU has the instructions.
#[target_feature(enable = "neon,fp16")]
pub(super) unsafe fn run(call: &Call<'_, '_>, op: &Matmul, units: Range<usize>) -> bool {
    let (Some(a), Some(b), Some(out)) = (call.source::<f16>(0), call.source::<f16>(1), call.target::<f16>())
    else {
        return false;
    };
    let product =
        Product { a, b, out, heads: op.heads, depth: b.shape().channels / op.heads, scale: op.scale };
    if !product.depth.is_multiple_of(8) || op.transpose_b && product.depth > 8 * RUN {
        return false;
    }
    if op.transpose_b {
        product.score(units);
    } else {
        let width = out.shape().width;
        let queries = units.start * width..units.end * width;
        for head in 0..op.heads {
            // Blocks of 32 channels as far as there are, then of eight.
            let wide = product.depth / 32 * 32;
            for first in (0..wide).step_by(32) {
                product.mix::<4>(queries.clone(), head, first);
            }
            for first in (wide..product.depth).step_by(8) {
                product.mix::<1>(queries.clone(), head, first);
            }
        }
    }
    true
}

/// A product of `heads` heads of `depth` channels.
struct Product<'m> {
    a: Src<'m, f16>,
    b: Src<'m, f16>,
    out: Dst<'m, f16>,
    heads: usize,
    depth: usize,
    scale: f32,
}

/// Token `i` in raster order.
fn token(v: &Src<'_, f16>, i: usize) -> *const f16 {
    v.ptr(i / v.shape().width, i % v.shape().width)
}

impl Product<'_> {
    /// Values, mixed by the scores of `queries`: 8 `V` channels of `head` from `first` on.
    #[inline]
    #[target_feature(enable = "neon,fp16")]
    fn mix<const V: usize>(&self, queries: Range<usize>, head: usize, first: usize) {
        let mut query = queries.start;
        while query + QUERIES <= queries.end {
            self.mix_tile::<QUERIES, V>(query, head, first);
            query += QUERIES;
        }
        while query < queries.end {
            self.mix_tile::<1, V>(query, head, first);
            query += 1;
        }
    }

    /// [`Self::mix`] of `P` queries from `query` on.
    #[target_feature(enable = "neon,fp16")]
    fn mix_tile<const P: usize, const V: usize>(&self, query: usize, head: usize, first: usize) {
        let width = self.out.shape().width;
        let channel = head * self.depth + first;
        let (a_pixel, b_pixel) = (self.a.layout().pixel, self.b.layout().pixel);
        let scores: [*const f16; P] = core::array::from_fn(|p| self.a.ptr(query + p, 0).wrapping_add(head));
        let mut sums = [[[vdupq_n_f32(0.0); 2]; V]; P];
        let mut acc = [[zero(); V]; P];
        let (mut key, mut room) = (0, RUN);
        for y in 0..self.b.shape().height {
            let values = self.b.ptr(y, 0).wrapping_add(channel);
            for x in 0..self.b.shape().width {
                if room == 0 {
                    add(&mut sums, &acc);
                    acc = [[zero(); V]; P];
                    room = RUN;
                }
                // SAFETY: pixel x of row y has 8 V channels from `channel` on; row query + p of the scores has a pixel for each
                // key, which has a channel for each head.
                unsafe {
                    let mut w = [zero(); V];
                    for (v, w) in w.iter_mut().enumerate() {
                        *w = load(values.add(x * b_pixel + 8 * v));
                    }
                    for (acc, score) in acc.iter_mut().zip(scores) {
                        let score = splat(score.add(key * a_pixel).read());
                        for (acc, w) in acc.iter_mut().zip(w) {
                            *acc = vfmaq_f16(*acc, w, score);
                        }
                    }
                }
                (key, room) = (key + 1, room - 1);
            }
        }
        add(&mut sums, &acc);
        for (p, sums) in sums.iter().enumerate() {
            let to = self.out.ptr((query + p) / width, (query + p) % width).wrapping_add(channel);
            for (v, sums) in sums.iter().enumerate() {
                let rounded = round(sums.map(|s| vmulq_n_f32(s, self.scale)));
                // SAFETY: 8 V channels of the pixel from `channel` on.
                unsafe { vst1q_u16(to.add(8 * v).cast(), vreinterpretq_u16_f16(rounded)) };
            }
        }
    }

    /// Scores of the queries `rows` and all keys.
    #[inline]
    #[target_feature(enable = "neon,fp16")]
    fn score(&self, rows: Range<usize>) {
        let keys = self.out.shape().width;
        let mut key = 0;
        while key + KEYS <= keys {
            self.score_tile::<KEYS>(rows.clone(), key);
            key += KEYS;
        }
        while key < keys {
            self.score_tile::<1>(rows.clone(), key);
            key += 1;
        }
    }

    /// [`Self::score`] of `K` keys from `key` on.
    #[target_feature(enable = "neon,fp16")]
    fn score_tile<const K: usize>(&self, rows: Range<usize>, key: usize) {
        let keys: [*const f16; K] = core::array::from_fn(|k| token(&self.b, key + k));
        let pixel = self.out.layout().pixel;
        for y in rows {
            let (query, to) = (token(&self.a, y), self.out.ptr(y, key));
            for head in 0..self.heads {
                let mut acc = [zero(); KEYS];
                for at in (head * self.depth..(head + 1) * self.depth).step_by(8) {
                    // SAFETY: each token has these channels.
                    unsafe {
                        let query = load(query.add(at));
                        for (acc, key) in acc.iter_mut().zip(keys) {
                            *acc = vfmaq_f16(*acc, query, load(key.add(at)));
                        }
                    }
                }
                let scores = round(totals(acc).map(|s| vmulq_n_f32(s, self.scale)));
                let mut eight = [f16::ZERO; KEYS];
                // SAFETY: an array of eight; output row y has K pixels from `key` on, with a channel for each head.
                unsafe {
                    vst1q_u16(eight.as_mut_ptr().cast(), vreinterpretq_u16_f16(scores));
                    for (k, score) in eight.into_iter().enumerate().take(K) {
                        to.add(k * pixel + head).write(score);
                    }
                }
            }
        }
    }
}

/// Adds the sums of a run.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn add<const P: usize, const V: usize>(sums: &mut [[[float32x4_t; 2]; V]; P], acc: &[[float16x8_t; V]; P]) {
    for (sums, acc) in sums.as_flattened_mut().iter_mut().zip(acc.as_flattened()) {
        let [low, high] = wide(*acc);
        *sums = [vaddq_f32(sums[0], low), vaddq_f32(sums[1], high)];
    }
}

/// The sum of the lanes of each register, in f32.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn totals(acc: [float16x8_t; KEYS]) -> [float32x4_t; 2] {
    let mut fours = [vdupq_n_f32(0.0); KEYS];
    for (four, acc) in fours.iter_mut().zip(acc) {
        let [low, high] = wide(acc);
        *four = vaddq_f32(low, high);
    }
    let [a, b, c, d, e, f, g, h] = fours;
    let four = |a, b, c, d| vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
    [four(a, b, c, d), four(e, f, g, h)]
}
