//! Leaf kernels of half-precision convolutions: short runs of products are added up in half precision, eight sums a register,
//! and those sums in f32.
//!
//! A tile is eight pixels times 16 or 8 outputs: eight inputs of a pixel are one load, of which the multiply-add takes one by
//! lane, and two vectors of weights serve eight pixels. The f32 sums of a tile would fill all registers; they lie in memory,
//! where a run of 32 products meets them once.

use core::arch::aarch64::{
    float16x8_t, float32x4_t, vaddq_f32, vcombine_u16, vdup_n_u16, vdupq_n_f32, vfmaq_f16, vfmaq_laneq_f16,
    vld1_u16, vld1q_f32, vreinterpretq_f16_u16, vreinterpretq_u16_f16, vst1q_u16,
};

use fusionproxy_format::Activation;
use half::f16;

use super::registers::{RUN, clamp, load, round, splat, wide, zero};
use crate::aarch64::float::{Leaf, Row};
use crate::aarch64::functions::activate_all;

/// Pixels of a tile.
const PIXELS: usize = 8;

/// Half-precision sums. Only calls on a CPU with the feature `fp16` are sound, as [`Leaf`] demands.
pub(super) struct HalfSums;

impl Leaf<f16> for HalfSums {
    unsafe fn multiply(row: &Row<'_, f16>) {
        // SAFETY: passed on.
        unsafe { multiply(row) }
    }

    unsafe fn filter(row: &Row<'_, f16>) {
        // SAFETY: passed on.
        unsafe { filter(row) }
    }
}

/// Computes some pixels from one on.
type Tile = unsafe fn(&Row<'_, f16>, usize);

/// Covers a row with tiles of [`PIXELS`] pixels, of half as many, and of one.
///
/// # Safety
/// As for the tiles.
#[inline(always)]
unsafe fn cover(row: &Row<'_, f16>, whole: Tile, half: Tile, one: Tile) {
    let n = row.pixels;
    // SAFETY: every tile covers pixels inside 0..n.
    unsafe {
        let mut x = 0;
        while x + PIXELS <= n {
            whole(row, x);
            x += PIXELS;
        }
        // Some pixels twice is less than the rest one by one.
        if n - x > PIXELS / 2 && n >= PIXELS {
            whole(row, n - PIXELS);
        } else if n > x && n >= PIXELS / 2 {
            if n - x > PIXELS / 2 {
                half(row, x);
            }
            half(row, n - PIXELS / 2);
        } else {
            while x < n {
                one(row, x);
                x += 1;
            }
        }
    }
}

/// Multiplies a row.
///
/// # Safety
/// As for [`Leaf::multiply`].
#[target_feature(enable = "neon,fp16")]
unsafe fn multiply(row: &Row<'_, f16>) {
    // SAFETY: passed on.
    unsafe {
        if row.channels > 8 {
            cover(row, tile::<PIXELS, 2>, tile::<{ PIXELS / 2 }, 2>, tile::<1, 2>);
        } else {
            cover(row, tile::<PIXELS, 1>, tile::<{ PIXELS / 2 }, 1>, tile::<1, 1>);
        }
    }
}

/// Filters a row of a depthwise convolution.
///
/// # Safety
/// As for [`Leaf::filter`].
#[target_feature(enable = "neon,fp16")]
unsafe fn filter(row: &Row<'_, f16>) {
    // SAFETY: passed on. Taps stand side by side where the row says so.
    unsafe {
        match row.columns {
            (3, 1) => cover(row, columns::<PIXELS, 3, 1>, columns::<4, 3, 1>, columns::<1, 3, 1>),
            (3, 2) => cover(row, columns::<PIXELS, 3, 2>, columns::<4, 3, 2>, columns::<1, 3, 2>),
            (5, 1) => cover(row, columns::<PIXELS, 5, 1>, columns::<4, 5, 1>, columns::<1, 5, 1>),
            (5, 2) => cover(row, columns::<PIXELS, 5, 2>, columns::<4, 5, 2>, columns::<1, 5, 2>),
            (7, 1) => cover(row, columns::<PIXELS, 7, 1>, columns::<4, 7, 1>, columns::<1, 7, 1>),
            _ => cover(row, columns::<PIXELS, 1, 0>, columns::<4, 1, 0>, columns::<1, 1, 0>),
        }
    }
}

/// Adds the products of one input of `P` pixels, which is lane `LANE` of each, with the weights of 8 `V` outputs.
///
/// # Safety
/// The weights can be read.
#[inline]
#[target_feature(enable = "neon,fp16")]
unsafe fn input<const LANE: i32, const P: usize, const V: usize>(
    acc: &mut [[float16x8_t; V]; P],
    x: &[float16x8_t; P],
    weights: *const f16,
) {
    for v in 0..V {
        // SAFETY: the caller's promise.
        let w = unsafe { load(weights.add(8 * v)) };
        for (acc, x) in acc.iter_mut().zip(x) {
            acc[v] = vfmaq_laneq_f16::<LANE>(acc[v], w, *x);
        }
    }
}

/// Computes pixels `x..x + P` times 8 `V` outputs.
///
/// # Safety
/// As for [`multiply`]; the pixels are the row's.
#[target_feature(enable = "neon,fp16")]
unsafe fn tile<const P: usize, const V: usize>(row: &Row<'_, f16>, x: usize) {
    const BLOCK: usize = 16;
    // SAFETY: 16 weights of each number and 16 biases; `depth` numbers at each tap of every pixel.
    unsafe {
        let mut sums = Sums::<P, V>::new(row.bias);
        let mut acc = [[zero(); V]; P];
        let mut weights = row.weights;
        // Products that still fit the run.
        let mut room = RUN;
        for tap in row.taps {
            let mut from = tap.add(x * row.step);
            let mut left = row.depth;
            while left > 0 {
                // A tap that must be cut is cut where a register ends.
                let n = if left <= room { left } else { room & !7 };
                if n == 0 {
                    sums.add(&acc);
                    acc = [[zero(); V]; P];
                    room = RUN;
                    continue;
                }
                (left, room) = (left - n, room - n);
                for _ in 0..n / 8 {
                    let mut x = [zero(); P];
                    for (p, x) in x.iter_mut().enumerate() {
                        *x = load(from.add(p * row.step));
                    }
                    input::<0, P, V>(&mut acc, &x, weights);
                    input::<1, P, V>(&mut acc, &x, weights.add(BLOCK));
                    input::<2, P, V>(&mut acc, &x, weights.add(2 * BLOCK));
                    input::<3, P, V>(&mut acc, &x, weights.add(3 * BLOCK));
                    input::<4, P, V>(&mut acc, &x, weights.add(4 * BLOCK));
                    input::<5, P, V>(&mut acc, &x, weights.add(5 * BLOCK));
                    input::<6, P, V>(&mut acc, &x, weights.add(6 * BLOCK));
                    input::<7, P, V>(&mut acc, &x, weights.add(7 * BLOCK));
                    (from, weights) = (from.add(8), weights.add(8 * BLOCK));
                }
                // Not eight: the row may end here.
                if n & 4 != 0 {
                    let mut x = [zero(); P];
                    for (p, x) in x.iter_mut().enumerate() {
                        let four = vld1_u16(from.add(p * row.step).cast());
                        *x = vreinterpretq_f16_u16(vcombine_u16(four, vdup_n_u16(0)));
                    }
                    input::<0, P, V>(&mut acc, &x, weights);
                    input::<1, P, V>(&mut acc, &x, weights.add(BLOCK));
                    input::<2, P, V>(&mut acc, &x, weights.add(2 * BLOCK));
                    input::<3, P, V>(&mut acc, &x, weights.add(3 * BLOCK));
                    (from, weights) = (from.add(4), weights.add(4 * BLOCK));
                }
                for _ in 0..n % 4 {
                    let mut x = [zero(); P];
                    for (p, x) in x.iter_mut().enumerate() {
                        *x = splat(from.add(p * row.step).read());
                    }
                    input::<0, P, V>(&mut acc, &x, weights);
                    (from, weights) = (from.add(1), weights.add(BLOCK));
                }
            }
        }
        sums.finish(&acc, row, x, 0);
    }
}

/// Computes pixels `x..x + P` of a depthwise convolution. `W` taps at a time stand side by side, and pixels are `S` columns
/// apart; `W` of 1 asks nothing of the taps.
///
/// # Safety
/// As for [`filter`]; the pixels are the row's.
#[target_feature(enable = "neon,fp16")]
unsafe fn columns<const P: usize, const W: usize, const S: usize>(row: &Row<'_, f16>, x: usize) {
    let pitch = if W > 1 { row.step / S } else { row.step };
    for first in (0..row.channels).step_by(8) {
        // SAFETY: 16 numbers of each tap of every pixel, 16 weights of it, 16 biases; columns of neighbouring taps and pixels are
        // the same numbers.
        unsafe {
            let mut sums = Sums::<P, 1>::new(row.bias.add(first));
            let mut acc = [[zero(); 1]; P];
            let mut weights = row.weights.add(first);
            for (run, taps) in row.taps.chunks(RUN / W * W).enumerate() {
                if run > 0 {
                    sums.add(&acc);
                    acc = [[zero(); 1]; P];
                }
                for taps in taps.chunks_exact(W) {
                    let from = taps[0].add(x * row.step + first);
                    let mut w = [zero(); W];
                    for w in &mut w {
                        *w = load(weights);
                        weights = weights.add(row.tap_stride);
                    }
                    for (p, [acc]) in acc.iter_mut().enumerate() {
                        for (i, w) in w.iter().enumerate() {
                            let column = if W > 1 { p * S + i } else { p };
                            *acc = vfmaq_f16(*acc, load(from.add(column * pitch)), *w);
                        }
                    }
                }
            }
            sums.finish(&acc, row, x, first);
        }
    }
}

/// The f32 sums of a tile of `P` pixels times 8 `V` outputs.
struct Sums<const P: usize, const V: usize> {
    sums: [[[float32x4_t; 2]; V]; P],
    bias: *const f32,
    /// Whether `sums` have been written.
    begun: bool,
}

impl<const P: usize, const V: usize> Sums<P, V> {
    /// The sums before the first run.
    ///
    /// # Safety
    /// 8 `V` biases can be read whenever the sums are used.
    #[inline]
    #[target_feature(enable = "neon,fp16")]
    unsafe fn new(bias: *const f32) -> Self {
        Self { sums: [[[vdupq_n_f32(0.0); 2]; V]; P], bias, begun: false }
    }

    /// The sums of `p` and outputs 8 `v`.. with those of one more run; `BEGUN` says whether there have been any.
    #[inline]
    #[target_feature(enable = "neon,fp16")]
    fn with<const BEGUN: bool>(&self, p: usize, v: usize, acc: float16x8_t) -> [float32x4_t; 2] {
        let base = if BEGUN {
            self.sums[p][v]
        } else {
            // SAFETY: the promise to `new`.
            unsafe { [vld1q_f32(self.bias.add(8 * v)), vld1q_f32(self.bias.add(8 * v + 4))] }
        };
        let [low, high] = wide(acc);
        [vaddq_f32(base[0], low), vaddq_f32(base[1], high)]
    }

    /// Adds the sums of a run.
    #[inline]
    #[target_feature(enable = "neon,fp16")]
    fn add(&mut self, acc: &[[float16x8_t; V]; P]) {
        if self.begun {
            self.add_to::<true>(acc);
        } else {
            self.add_to::<false>(acc);
            self.begun = true;
        }
    }

    #[inline]
    #[target_feature(enable = "neon,fp16")]
    fn add_to<const BEGUN: bool>(&mut self, acc: &[[float16x8_t; V]; P]) {
        for (p, acc) in acc.iter().enumerate() {
            for (v, acc) in acc.iter().enumerate() {
                self.sums[p][v] = self.with::<BEGUN>(p, v, *acc);
            }
        }
    }

    /// Adds the sums of the last run, applies the activation and writes the outputs from `first` on of pixels `x..x + P`.
    ///
    /// Always inlined, which functions with instructions of their own cannot be told to be: what calls it has them.
    ///
    /// # Safety
    /// The CPU has the instructions. The row's channels of these pixels can be written.
    #[inline(always)]
    unsafe fn finish(&mut self, acc: &[[float16x8_t; V]; P], row: &Row<'_, f16>, x: usize, first: usize) {
        // SAFETY: passed on.
        unsafe {
            match row.activation {
                Activation::None | Activation::Clamp { .. } if self.begun => {
                    self.write(row, x, first, |sums, p, v| sums.with::<true>(p, v, acc[p][v]));
                }
                Activation::None | Activation::Clamp { .. } => {
                    self.write(row, x, first, |sums, p, v| sums.with::<false>(p, v, acc[p][v]));
                }
                function => {
                    self.add(acc);
                    let mut results = self.sums;
                    activate_all(function, results.as_flattened_mut().as_flattened_mut());
                    self.write(row, x, first, |_, p, v| results[p][v]);
                }
            }
        }
    }

    /// Writes `result` of each pixel and each eight outputs, rounded and clamped.
    ///
    /// # Safety
    /// As for [`Self::finish`].
    #[inline(always)]
    unsafe fn write(
        &self,
        row: &Row<'_, f16>,
        x: usize,
        first: usize,
        result: impl Fn(&Self, usize, usize) -> [float32x4_t; 2],
    ) {
        let channels = (row.channels - first).min(8 * V);
        // SAFETY: `channels` numbers of each pixel; an array of eight; the caller has the instructions.
        unsafe {
            // Rounding keeps the order: rounded bounds of rounded sums are the same numbers.
            let (lo, hi) = match row.activation {
                Activation::Clamp { lo, hi } => (lo, hi),
                _ => (f32::NEG_INFINITY, f32::INFINITY),
            };
            let (lo, hi) = (splat(f16::from_f32(lo)), splat(f16::from_f32(hi)));
            for p in 0..P {
                for v in 0..V {
                    let bits = vreinterpretq_u16_f16(clamp(round(result(self, p, v)), lo, hi));
                    let to: *mut u16 = row.out.add((x + p) * row.out_pixel + first + 8 * v).cast();
                    if channels == 8 * V {
                        vst1q_u16(to, bits);
                    } else {
                        let mut eight = [0u16; 8];
                        vst1q_u16(eight.as_mut_ptr(), bits);
                        let n = channels.saturating_sub(8 * v).min(8);
                        core::ptr::copy_nonoverlapping(eight.as_ptr(), to, n);
                    }
                }
            }
        }
    }
}
