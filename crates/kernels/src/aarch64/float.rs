//! Float convolution, pointwise, dense, grouped and depthwise: stored in 16 or 32 bits, computed in 32.
//!
//! The layout of the work is that of the 8-bit drivers. Numbers become f32 where a tile loads them: four inputs of a pixel
//! are one load and serve 16 outputs, weights serve four pixels. CPUs that multiply in half precision have leaf kernels of their
//! own ([`super::fp16`]).

use core::arch::aarch64::{
    float32x4_t, vcvt_f16_f32, vcvt_f32_f16, vdupq_n_f32, vfmaq_f32, vfmaq_laneq_f32, vld1_u16, vld1q_f32,
    vmaxq_f32, vminq_f32, vreinterpret_f16_u16, vreinterpret_u16_f16, vst1_u16, vst1q_f32,
};
use core::ops::Range;

use fusionproxy_format::{
    Activation, CHANNEL_BLOCK, Conv, ConvGeometry, ConvWeights, DType, Op, padded_channels,
};
use half::f16;

use super::functions::activate;
use crate::rows::stage::{Parts, Stage, StagePlan};
use crate::{Call, Element, Shape};

/// Most taps of a pixel.
const MAX_TAPS: usize = 128;

/// Pixels of a tile: with 16 outputs, half of the registers.
const PIXELS: usize = 4;

/// A float element type.
pub(super) trait Float: Element {
    /// Weights and bias, if the convolution is of this type.
    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])>;

    /// Four numbers.
    ///
    /// # Safety
    /// They can be read.
    unsafe fn load(from: *const Self) -> float32x4_t;

    /// Writes four numbers, rounded to nearest, ties to even.
    ///
    /// # Safety
    /// They can be written.
    unsafe fn store(to: *mut Self, v: float32x4_t);
}

impl Float for f32 {
    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])> {
        if let ConvWeights::F32 { weights, bias } = *w { Some((weights, bias)) } else { None }
    }

    #[inline(always)]
    unsafe fn load(from: *const Self) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut Self, v: float32x4_t) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(to, v) }
    }
}

impl Float for f16 {
    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])> {
        if let ConvWeights::F16 { weights, bias } = *w { Some((weights, bias)) } else { None }
    }

    #[inline(always)]
    unsafe fn load(from: *const Self) -> float32x4_t {
        // SAFETY: the caller's promise; an f16 has the layout of its bits.
        unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut Self, v: float32x4_t) {
        // SAFETY: the caller's promise; an f16 has the layout of its bits.
        unsafe { vst1_u16(to.cast(), vreinterpret_u16_f16(vcvt_f16_f32(v))) }
    }
}

/// How the activations reach the leaf kernel.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    /// In place.
    Direct,
    /// From staged rows; a run is a kernel row.
    Rows,
    /// From staged rows; a run is one pixel.
    Pixels,
}

fn access(g: &ConvGeometry) -> Option<Access> {
    let w = &g.window;
    let [kh, kw] = w.kernel.map(usize::from);
    let access = if g.depthwise() {
        Access::Pixels
    } else if kh == 1 && kw == 1 && w.pad == [0; 4] {
        Access::Direct
    } else if w.dilation[1] == 1 || kw == 1 {
        Access::Rows
    } else {
        Access::Pixels
    };
    let taps = if access == Access::Pixels { kh * kw } else { kh };
    (taps <= MAX_TAPS).then_some(access)
}

/// Whether [`run`] takes this operator.
pub(super) fn supports(op: &Op<'_>) -> bool {
    match op {
        Op::Conv(c) => !matches!(c.weights, ConvWeights::Int8 { .. }) && access(&c.geometry).is_some(),
        _ => false,
    }
}

/// Rows of all channels of a group; a depthwise pixel takes whole blocks.
fn plan(conv: &Conv<'_>, output: Shape, bytes: usize) -> StagePlan {
    let g = &conv.geometry;
    let pixel = if g.depthwise() { padded_channels(g.input_channels) } else { g.input_channels / g.groups };
    StagePlan::new(&g.window, output, pixel * bytes, false)
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes(op: &Op<'_>, dtype: DType, output: Shape) -> usize {
    match op {
        Op::Conv(c) if supports(op) => match access(&c.geometry) {
            Some(Access::Rows | Access::Pixels) => Parts::size(plan(c, output, dtype.bytes()).bytes()),
            Some(Access::Direct) | None => 0,
        },
        _ => 0,
    }
}

/// The leaf kernels of a float convolution.
pub(super) trait Leaf<T> {
    /// Multiplies a row.
    ///
    /// # Safety
    /// The CPU has the instructions. The pointers of the row reach as far as it says, and nothing overlaps the output.
    unsafe fn multiply(row: &Row<'_, T>);

    /// Filters a row of a depthwise convolution.
    ///
    /// # Safety
    /// As for [`Self::multiply`], with 16 numbers at each tap.
    unsafe fn filter(row: &Row<'_, T>);
}

/// Products and sums in f32, by instructions of every AArch64.
pub(super) struct Single;

impl<T: Float> Leaf<T> for Single {
    unsafe fn multiply(row: &Row<'_, T>) {
        // SAFETY: passed on.
        unsafe { multiply(row) }
    }

    unsafe fn filter(row: &Row<'_, T>) {
        // SAFETY: passed on.
        unsafe { filter(row) }
    }
}

/// One row of output pixels times a block of up to 16 outputs.
pub(super) struct Row<'a, T> {
    /// Where each run of activations begins for pixel 0.
    pub(super) taps: &'a [*const T],
    /// Numbers in a run.
    pub(super) depth: usize,
    /// Numbers from one pixel's runs to the next one's.
    pub(super) step: usize,
    /// Pixels in the row.
    pub(super) pixels: usize,
    /// Weights of the block, 16 for each number of each run.
    pub(super) weights: *const T,
    /// Depthwise: from one tap's 16 weights to the next one's.
    pub(super) tap_stride: usize,
    /// Depthwise: taps that stand side by side, pixels that follow one another this many columns apart; 1 and any if not so.
    pub(super) columns: (usize, usize),
    /// Bias of the block, 16.
    pub(super) bias: *const f32,
    /// First output of pixel 0.
    pub(super) out: *mut T,
    /// Numbers between output pixels.
    pub(super) out_pixel: usize,
    /// Outputs to be written, 1..=16.
    pub(super) channels: usize,
    /// The fused activation.
    pub(super) activation: Activation,
}

/// Runs rows `units`; `false` if the convolution is not one that [`supports`] accepts, or of another type.
///
/// # Safety
/// The CPU has the instructions of the leaf kernels.
pub(super) unsafe fn run<T: Float, L: Leaf<T>>(
    call: &Call<'_, '_>,
    conv: &Conv<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    let (Some((weights, bias)), Some(access)) = (T::weights(&conv.weights), access(&conv.geometry)) else {
        return false;
    };
    let (g, w) = (&conv.geometry, &conv.geometry.window);
    let depthwise = g.depthwise();
    let [kh, kw] = w.kernel.map(usize::from);
    let [sy, sx] = w.stride.map(usize::from);
    let [dy, dx] = w.dilation.map(usize::from);
    // A depthwise convolution is one group here, in which each output has one input of its own.
    let groups = if depthwise { 1 } else { g.groups };
    let (inputs, outputs) = (g.input_channels / groups, g.output_channels / groups);
    let (width, blocks) = (out.shape().width, outputs.div_ceil(CHANNEL_BLOCK));
    let block_len = kh * kw * inputs * CHANNEL_BLOCK;

    let line = |group: usize, y: usize, taps: &[*const T], step: usize| {
        for block in 0..blocks {
            let (index, first) = (group * blocks + block, block * CHANNEL_BLOCK);
            let mut shifted = [core::ptr::null(); MAX_TAPS];
            for (to, tap) in shifted.iter_mut().zip(taps) {
                *to = tap.wrapping_add(if depthwise { first } else { 0 });
            }
            let row = Row {
                taps: &shifted[..taps.len()],
                depth: if access == Access::Rows { kw * inputs } else { inputs },
                step,
                pixels: width,
                weights: if depthwise {
                    &weights[first..]
                } else {
                    &weights[index * block_len..][..block_len]
                }
                .as_ptr(),
                tap_stride: blocks * CHANNEL_BLOCK,
                columns: (if dx == 1 { kw } else { 1 }, sx),
                bias: bias[index * CHANNEL_BLOCK..][..CHANNEL_BLOCK].as_ptr(),
                out: out.ptr(y, 0).wrapping_add(group * outputs + first),
                out_pixel: out.layout().pixel,
                channels: (outputs - first).min(CHANNEL_BLOCK),
                activation: conv.activation,
            };
            // SAFETY: the caller has the instructions. A run of `depth` numbers at each tap for every pixel lies inside the view or a staged row (depthwise:
            // 16 numbers, of which the padded pixel of the staged row has as many). The artifact proves the lengths of
            // weights and bias. The output's row has `width` pixels with these channels.
            unsafe {
                if depthwise {
                    L::filter(&row);
                } else {
                    L::multiply(&row);
                }
            }
        }
    };

    if access == Access::Direct {
        for y in units {
            let start = source.ptr(y * sy, 0);
            for group in 0..groups {
                line(group, y, &[start.wrapping_add(group * inputs)], sx * source.layout().pixel);
            }
        }
        return true;
    }
    let size = size_of::<T>();
    let plan = plan(conv, out.shape(), size);
    let memory = Parts::new(scratch).take(plan.bytes());
    let pixel = if depthwise { padded_channels(inputs) } else { inputs };
    for group in 0..groups {
        let mut stage = Stage::new(plan, memory, source, (group * inputs, inputs), w.pad[1], 0);
        for y in units.clone() {
            let (mut taps, mut n) = ([core::ptr::null(); MAX_TAPS], 0);
            for ky in 0..kh {
                let row = stage.row((y * sy + ky * dy) as isize - isize::from(w.pad[0]));
                for kx in 0..if access == Access::Pixels { kw } else { 1 } {
                    taps[n] = row.wrapping_add(plan.column(kx * dx)).cast::<T>();
                    n += 1;
                }
            }
            line(group, y, &taps[..n], sx * pixel);
        }
    }
    true
}

/// Multiplies a row.
///
/// # Safety
/// The pointers of the row reach as far as it says, and nothing overlaps the output.
unsafe fn multiply<T: Float>(row: &Row<'_, T>) {
    // SAFETY: every tile covers pixels inside the row.
    unsafe {
        let mut x = 0;
        while x + PIXELS <= row.pixels {
            tile::<T, PIXELS>(row, x);
            x += PIXELS;
        }
        while x < row.pixels {
            tile::<T, 1>(row, x);
            x += 1;
        }
    }
}

/// Computes pixels `x..x + P`.
///
/// # Safety
/// As for [`multiply`]; the pixels are the row's.
#[inline(always)]
unsafe fn tile<T: Float, const P: usize>(row: &Row<'_, T>, x: usize) {
    // SAFETY: 16 weights and biases; `depth` numbers at each tap of every pixel.
    unsafe {
        let bias: [float32x4_t; 4] = core::array::from_fn(|v| vld1q_f32(row.bias.add(4 * v)));
        let mut sums = [bias; P];
        let mut weights = row.weights;
        for tap in row.taps {
            let mut from = tap.add(x * row.step);
            let mut step = |sums: &mut [[float32x4_t; 4]; P], x: &[float32x4_t; P], lane: usize| {
                for v in 0..4 {
                    let w = T::load(weights.add(4 * v));
                    for (sums, x) in sums.iter_mut().zip(x) {
                        sums[v] = match lane {
                            0 => vfmaq_laneq_f32::<0>(sums[v], w, *x),
                            1 => vfmaq_laneq_f32::<1>(sums[v], w, *x),
                            2 => vfmaq_laneq_f32::<2>(sums[v], w, *x),
                            _ => vfmaq_laneq_f32::<3>(sums[v], w, *x),
                        };
                    }
                }
                weights = weights.add(CHANNEL_BLOCK);
            };
            for _ in 0..row.depth / 4 {
                let x = core::array::from_fn(|p| T::load(from.add(p * row.step)));
                step(&mut sums, &x, 0);
                step(&mut sums, &x, 1);
                step(&mut sums, &x, 2);
                step(&mut sums, &x, 3);
                from = from.add(4);
            }
            for _ in 0..row.depth % 4 {
                let one = |p: usize| {
                    // Not four: the row may end here.
                    let four = [from.add(p * row.step).read(), T::default(), T::default(), T::default()];
                    T::load(four.as_ptr())
                };
                step(&mut sums, &core::array::from_fn(one), 0);
                from = from.add(1);
            }
        }
        for (p, sums) in sums.into_iter().enumerate() {
            finish(row, x + p, sums);
        }
    }
}

/// Filters a row of a depthwise convolution.
///
/// # Safety
/// As for [`multiply`], with 16 numbers at each tap.
unsafe fn filter<T: Float>(row: &Row<'_, T>) {
    for x in 0..row.pixels {
        // SAFETY: 16 numbers of each tap of pixel x, and 16 weights of it.
        unsafe {
            let mut sums: [float32x4_t; 4] = core::array::from_fn(|v| vld1q_f32(row.bias.add(4 * v)));
            for (t, tap) in row.taps.iter().enumerate() {
                let (from, weights) = (tap.add(x * row.step), row.weights.add(t * row.tap_stride));
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = vfmaq_f32(*sum, T::load(from.add(4 * v)), T::load(weights.add(4 * v)));
                }
            }
            finish(row, x, sums);
        }
    }
}

/// Applies the activation and writes the outputs of pixel `x`.
///
/// # Safety
/// As for [`multiply`].
#[inline(always)]
unsafe fn finish<T: Float>(row: &Row<'_, T>, x: usize, mut sums: [float32x4_t; 4]) {
    // SAFETY: `channels` numbers of the pixel; arrays of 16.
    unsafe {
        match row.activation {
            Activation::None => {}
            Activation::Clamp { lo, hi } => {
                sums = sums.map(|v| vmaxq_f32(vminq_f32(v, vdupq_n_f32(hi)), vdupq_n_f32(lo)));
            }
            other => sums = sums.map(|v| activate(other, v)),
        }
        let to = row.out.add(x * row.out_pixel);
        if row.channels == CHANNEL_BLOCK {
            for (v, sum) in sums.into_iter().enumerate() {
                T::store(to.add(4 * v), sum);
            }
        } else {
            let mut values = [T::default(); CHANNEL_BLOCK];
            for (v, sum) in sums.into_iter().enumerate() {
                T::store(values.as_mut_ptr().add(4 * v), sum);
            }
            core::ptr::copy_nonoverlapping(values.as_ptr(), to, row.channels);
        }
    }
}
