//! Leaf kernels of half-precision convolutions: short runs of products are added up in half precision, eight sums a register,
//! and those sums in f32.
//!
//! A tile is eight pixels times 16 or 8 outputs: eight inputs of a pixel are one load, of which the multiply-add takes one by
//! lane, and two vectors of weights serve eight pixels. The f32 sums of a tile would fill all registers; they lie in memory,
//! where a run of 32 products meets them once.

use core::arch::aarch64::{
    float16x8_t, float32x4_t, vaddq_f32, vcombine_u16, vcvt_f16_f32, vcvt_f32_f16, vcvt_high_f16_f32,
    vcvt_high_f32_f16, vdup_n_u16, vdupq_n_f32, vdupq_n_u16, vfmaq_f16, vfmaq_laneq_f16, vget_low_f16,
    vld1_u16, vld1q_f32, vld1q_u16, vmaxq_f16, vminq_f16, vreinterpretq_f16_u16, vreinterpretq_u16_f16,
    vst1q_f32, vst1q_u16,
};

use fusionproxy_format::Activation;
use half::f16;

use crate::aarch64::float::{Leaf, Row};
use crate::scalar;

/// Most products that are added up in half precision.
const RUN: usize = 32;

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

#[inline]
#[target_feature(enable = "neon,fp16")]
fn zero() -> float16x8_t {
    vreinterpretq_f16_u16(vdupq_n_u16(0))
}

/// Eight numbers.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "neon,fp16")]
unsafe fn load(from: *const f16) -> float16x8_t {
    // SAFETY: the caller's promise; an f16 has the layout of its bits.
    vreinterpretq_f16_u16(unsafe { vld1q_u16(from.cast()) })
}

/// Eight numbers in f32.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn wide(v: float16x8_t) -> [float32x4_t; 2] {
    [vcvt_f32_f16(vget_low_f16(v)), vcvt_high_f32_f16(v)]
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
                        *x = vreinterpretq_f16_u16(vdupq_n_u16(from.add(p * row.step).read().to_bits()));
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

    /// The bias of outputs 8 `v`..
    #[inline]
    #[target_feature(enable = "neon,fp16")]
    fn bias(&self, v: usize) -> [float32x4_t; 2] {
        // SAFETY: the promise to `new`.
        unsafe { [vld1q_f32(self.bias.add(8 * v)), vld1q_f32(self.bias.add(8 * v + 4))] }
    }

    /// Adds the sums of a run.
    #[inline]
    #[target_feature(enable = "neon,fp16")]
    fn add(&mut self, acc: &[[float16x8_t; V]; P]) {
        for v in 0..V {
            let bias = self.bias(v);
            for (sums, acc) in self.sums.iter_mut().zip(acc) {
                let base = if self.begun { sums[v] } else { bias };
                let [low, high] = wide(acc[v]);
                sums[v] = [vaddq_f32(base[0], low), vaddq_f32(base[1], high)];
            }
        }
        self.begun = true;
    }

    /// Adds the sums of the last run, applies the activation and writes the outputs from `first` on of pixels `x..x + P`.
    ///
    /// # Safety
    /// The row's channels of these pixels can be written.
    #[inline]
    #[target_feature(enable = "neon,fp16")]
    unsafe fn finish(&mut self, acc: &[[float16x8_t; V]; P], row: &Row<'_, f16>, x: usize, first: usize) {
        self.add(acc);
        let channels = (row.channels - first).min(8 * V);
        for (p, sums) in self.sums.iter().enumerate() {
            // SAFETY: `channels` numbers of the pixel; an array of 16.
            unsafe {
                let to: *mut u16 = row.out.add((x + p) * row.out_pixel + first).cast();
                let mut rounded = [0u16; 16];
                for (v, sums) in sums.iter().enumerate() {
                    let bits = vreinterpretq_u16_f16(activated(row.activation, *sums));
                    let whole = channels >= 8 * (v + 1);
                    vst1q_u16(if whole { to.add(8 * v) } else { rounded.as_mut_ptr() }, bits);
                    if !whole {
                        core::ptr::copy_nonoverlapping(rounded.as_ptr(), to.add(8 * v), channels - 8 * v);
                    }
                }
            }
        }
    }
}

/// The activation of eight sums, rounded.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn activated(activation: Activation, [low, high]: [float32x4_t; 2]) -> float16x8_t {
    let round = |low, high| vcvt_high_f16_f32(vcvt_f16_f32(low), high);
    match activation {
        Activation::None => round(low, high),
        Activation::Clamp { lo, hi } => {
            // Rounding keeps the order: rounded bounds of rounded sums are the same numbers.
            let [lo, hi] = [lo, hi].map(|v| vreinterpretq_f16_u16(vdupq_n_u16(f16::from_f32(v).to_bits())));
            vmaxq_f16(vminq_f16(round(low, high), hi), lo)
        }
        other => {
            let mut values = [0.0; 8];
            // SAFETY: an array of eight.
            unsafe {
                vst1q_f32(values.as_mut_ptr(), low);
                vst1q_f32(values.as_mut_ptr().add(4), high);
                values = values.map(|v| scalar::activate(other, v));
                round(vld1q_f32(values.as_ptr()), vld1q_f32(values.as_ptr().add(4)))
            }
        }
    }
}
