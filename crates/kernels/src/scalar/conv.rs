//! Convolution and transposed convolution: 8-bit, f16 and f32; dense, grouped and dilated.
//!
//! Both directions sum the same taps, from other input pixels. In 8 bits a tap outside of the image contributes nothing to
//! `bias + zero * sum w + sum w * (x - zero)`, which is `bias + sum w * x` with the padding read as the zero point.

use core::ops::Range;

use fusionproxy_format::{CHANNEL_BLOCK, Conv, ConvWeights, packed_row};

use super::activation::activate;
use super::depthwise;
use super::float::Float;
use super::quantise::Quantiser;
use super::window::{forward, transposed};
use crate::{Call, Dst, Lane, Src};

/// Runs output rows `rows` of a convolution, transposed or not, in 8 bits.
pub(super) fn run_u8<const TRANSPOSED: bool>(conv: &Conv<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    if conv.geometry.depthwise() {
        depthwise::run_u8::<TRANSPOSED>(conv, call, rows);
    } else {
        dense_u8::<TRANSPOSED>(conv, call, rows);
    }
}

/// Runs output rows `rows` of a convolution, transposed or not, in floats.
pub(super) fn run_float<T: Float, const TRANSPOSED: bool>(
    conv: &Conv<'_>,
    call: &Call<'_, '_>,
    rows: Range<usize>,
) {
    if conv.geometry.depthwise() {
        depthwise::run_float::<T, TRANSPOSED>(conv, call, rows);
    } else {
        dense_float::<T, TRANSPOSED>(conv, call, rows);
    }
}

/// The input row or column of a tap.
#[inline(always)]
pub(super) fn tap<const TRANSPOSED: bool>(
    conv: &Conv<'_>,
    axis: usize,
    o: usize,
    k: usize,
    extent: usize,
) -> Option<usize> {
    let w = &conv.geometry.window;
    if TRANSPOSED { transposed(w, axis, o, k, extent) } else { forward(w, axis, o, k, extent) }
}

/// A block of up to 16 output channels of one group.
struct Block {
    /// First entry of the per-channel arrays.
    slot: usize,
    /// First input channel of the group, and how many.
    input: (usize, usize),
    /// First output channel, and how many.
    output: (usize, usize),
}

/// The blocks in the order of the packed weights.
fn blocks(conv: &Conv<'_>) -> impl Iterator<Item = Block> + use<> {
    let g = conv.geometry;
    let (inputs, outputs) = (g.input_channels / g.groups, g.output_channels / g.groups);
    let per_group = outputs.div_ceil(CHANNEL_BLOCK);
    (0..g.groups * per_group).map(move |i| {
        let (group, done) = (i / per_group, i % per_group * CHANNEL_BLOCK);
        Block {
            slot: i * CHANNEL_BLOCK,
            input: (group * inputs, inputs),
            output: (group * outputs + done, (outputs - done).min(CHANNEL_BLOCK)),
        }
    })
}

/// A block's entries of a per-channel array.
#[inline(always)]
pub(super) fn at<T: Copy>(values: &[T], slot: usize) -> [T; CHANNEL_BLOCK] {
    core::array::from_fn(|i| values[slot + i])
}

fn dense_u8<const TRANSPOSED: bool>(conv: &Conv<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    let (Some(src), Some(dst)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    let ConvWeights::Int8 { weights, bias, scale } = conv.weights else { return };
    let zero = i32::from(call.inputs()[0].quant.zero_point);
    let quantiser = Quantiser::new(call.output_quant(), &conv.finish);
    let [kh, kw] = conv.geometry.window.kernel.map(usize::from);
    for block in blocks(conv) {
        let row = packed_row(kw, block.input.1) * CHANNEL_BLOCK;
        let weights = &weights[block.slot * kh * row / CHANNEL_BLOCK..][..kh * row];
        let scale = at(scale, block.slot);
        let mut base = at(bias, block.slot);
        for kernel_row in weights.chunks_exact(row) {
            add_zero_share(&mut base, kernel_row, kw * block.input.1, zero);
        }
        for y in rows.clone() {
            for x in 0..dst.shape().width {
                let mut acc = base;
                for (ky, kernel_row) in weights.chunks_exact(row).enumerate() {
                    if let Some(sy) = tap::<TRANSPOSED>(conv, 0, y, ky, src.shape().height) {
                        kernel_row_u8::<TRANSPOSED>(&mut acc, conv, &block, kernel_row, src, (sy, x), zero);
                    }
                }
                dst.pixel(y, x)
                    .slice(block.output.0, block.output.1)
                    .fill_array(quantiser.sums(&acc, &scale));
            }
        }
    }
}

/// base += zero * sum of the first `len` weights of a kernel row.
fn add_zero_share(base: &mut [i32; CHANNEL_BLOCK], kernel_row: &[i8], len: usize, zero: i32) {
    for (i, quad) in kernel_row.as_chunks::<{ 4 * CHANNEL_BLOCK }>().0.iter().enumerate() {
        dot(base, core::array::from_fn(|k| if 4 * i + k < len { zero } else { 0 }), quad);
    }
}

/// acc += one row of the kernel, at input row `at.0` for output column `at.1`.
#[inline(always)]
fn kernel_row_u8<const TRANSPOSED: bool>(
    acc: &mut [i32; CHANNEL_BLOCK],
    conv: &Conv<'_>,
    block: &Block,
    kernel_row: &[i8],
    src: Src<'_, u8>,
    at: (usize, usize),
    zero: i32,
) {
    let (first, inputs) = block.input;
    let lane = |kx: usize| {
        let sx = tap::<TRANSPOSED>(conv, 1, at.1, kx, src.shape().width)?;
        Some(src.pixel(at.0, sx).slice(first, inputs))
    };
    let (quads, _) = kernel_row.as_chunks::<{ 4 * CHANNEL_BLOCK }>();
    if inputs.is_multiple_of(4) {
        // Each tap begins a quad of its own.
        for (kx, quads) in quads.chunks_exact(inputs / 4).enumerate() {
            if let Some(lane) = lane(kx) {
                for (x, w) in lane.arrays::<4>().zip(quads) {
                    dot(acc, x.map(|x| i32::from(x) - zero), w);
                }
            }
        }
        return;
    }
    let mut quads = quads.iter();
    let (mut x, mut filled) = ([0; 4], 0);
    let mut push = |v: i32| {
        x[filled] = v;
        filled += 1;
        if filled == 4 {
            if let Some(w) = quads.next() {
                dot(acc, x, w);
            }
            filled = 0;
        }
    };
    for kx in 0..usize::from(conv.geometry.window.kernel[1]) {
        match lane(kx) {
            Some(lane) => lane.iter().for_each(|x| push(i32::from(x) - zero)),
            None => (0..inputs).for_each(|_| push(0)),
        }
    }
    // The packed row's padding.
    (0..3).for_each(|_| push(0));
}

/// acc\[o\] += sum over k of w\[o\]\[k\] * x\[k\]
#[inline(always)]
fn dot(acc: &mut [i32; CHANNEL_BLOCK], x: [i32; 4], w: &[i8; 4 * CHANNEL_BLOCK]) {
    for (acc, w) in acc.iter_mut().zip(w.as_chunks::<4>().0) {
        let w = w.map(i32::from);
        *acc += w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3];
    }
}

fn dense_float<T: Float, const TRANSPOSED: bool>(conv: &Conv<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    let Some((weights, bias)) = T::weights(&conv.weights) else { return };
    let [kh, kw] = conv.geometry.window.kernel.map(usize::from);
    for block in blocks(conv) {
        let inputs = block.input.1;
        let weights = &weights[block.slot * kh * kw * inputs..][..kh * kw * inputs * CHANNEL_BLOCK];
        let taps = || weights.chunks_exact(inputs * CHANNEL_BLOCK);
        for y in rows.clone() {
            for x in 0..dst.shape().width {
                let mut acc = at(bias, block.slot);
                for (k, tap_weights) in taps().enumerate() {
                    let Some(sy) = tap::<TRANSPOSED>(conv, 0, y, k / kw, src.shape().height) else {
                        continue;
                    };
                    let Some(sx) = tap::<TRANSPOSED>(conv, 1, x, k % kw, src.shape().width) else { continue };
                    accumulate(&mut acc, src.pixel(sy, sx).slice(block.input.0, inputs), tap_weights);
                }
                finish(dst, (y, x), block.output, acc, conv);
            }
        }
    }
}

/// acc\[o\] += sum over c of w\[c\]\[o\] * x\[c\]
#[inline(always)]
fn accumulate<T: Float>(acc: &mut [f32; CHANNEL_BLOCK], x: Lane<'_, T>, weights: &[T]) {
    for (x, w) in x.iter().zip(weights.as_chunks::<CHANNEL_BLOCK>().0) {
        let x = x.load();
        for (acc, w) in acc.iter_mut().zip(w) {
            *acc += w.load() * x;
        }
    }
}

/// Writes `channels` (the first one and how many) of pixel `at`.
#[inline(always)]
pub(super) fn finish<T: Float>(
    dst: Dst<'_, T>,
    at: (usize, usize),
    channels: (usize, usize),
    acc: [f32; CHANNEL_BLOCK],
    conv: &Conv<'_>,
) {
    let out = dst.pixel(at.0, at.1).slice(channels.0, channels.1);
    out.fill(acc.iter().map(|v| T::store(activate(conv.activation, *v))));
}
