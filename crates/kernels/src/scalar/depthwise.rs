//! Depthwise convolution: one filter per channel. Taps are summed as in [`super::conv`].

use core::ops::Range;

use fusionproxy_format::{CHANNEL_BLOCK, Conv, ConvWeights, padded_channels};

use super::conv::{at, finish, tap};
use super::float::Float;
use super::quantise::Quantiser;
use super::row::channel_blocks;
use crate::{Call, Element, Lane};

/// Runs `rows` in 8 bits.
pub(super) fn run_u8<const TRANSPOSED: bool>(conv: &Conv<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    let (Some(src), Some(dst)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    let ConvWeights::Int8 { weights, bias, scale } = conv.weights else { return };
    let zero = i32::from(call.inputs()[0].quant.zero_point);
    let quantiser = Quantiser::new(call.output_quant(), &conv.finish);
    let kw = usize::from(conv.geometry.window.kernel[1]);
    for (first, len) in channel_blocks(0..conv.geometry.output_channels) {
        let scale = at(scale, first);
        let mut base = at(bias, first);
        for w in taps(conv, weights, first) {
            multiply(&mut base, &[zero; CHANNEL_BLOCK], w);
        }
        for y in rows.clone() {
            for x in 0..dst.shape().width {
                let mut acc = base;
                for (k, w) in taps(conv, weights, first).enumerate() {
                    let Some(sy) = tap::<TRANSPOSED>(conv, 0, y, k / kw, src.shape().height) else {
                        continue;
                    };
                    let Some(sx) = tap::<TRANSPOSED>(conv, 1, x, k % kw, src.shape().width) else { continue };
                    let x = load(src.pixel(sy, sx).slice(first, len));
                    multiply(&mut acc, &x.map(|x| i32::from(x) - zero), w);
                }
                dst.pixel(y, x).slice(first, len).fill_array(quantiser.sums(&acc, &scale));
            }
        }
    }
}

/// Runs `rows` in floats.
pub(super) fn run_float<T: Float, const TRANSPOSED: bool>(
    conv: &Conv<'_>,
    call: &Call<'_, '_>,
    rows: Range<usize>,
) {
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    let Some((weights, bias)) = T::weights(&conv.weights) else { return };
    let kw = usize::from(conv.geometry.window.kernel[1]);
    for (first, len) in channel_blocks(0..conv.geometry.output_channels) {
        for y in rows.clone() {
            for x in 0..dst.shape().width {
                let mut acc = at(bias, first);
                for (k, w) in taps(conv, weights, first).enumerate() {
                    let Some(sy) = tap::<TRANSPOSED>(conv, 0, y, k / kw, src.shape().height) else {
                        continue;
                    };
                    let Some(sx) = tap::<TRANSPOSED>(conv, 1, x, k % kw, src.shape().width) else { continue };
                    let x = load(src.pixel(sy, sx).slice(first, len));
                    for ((acc, x), w) in acc.iter_mut().zip(x).zip(w) {
                        *acc += x.load() * w.load();
                    }
                }
                finish(dst, (y, x), (first, len), acc, conv);
            }
        }
    }
}

/// The weights of the block of channels from `first` on, tap by tap.
#[inline(always)]
fn taps<'a, T>(
    conv: &Conv<'_>,
    weights: &'a [T],
    first: usize,
) -> impl Iterator<Item = &'a [T; CHANNEL_BLOCK]> + use<'a, T> {
    let tap = padded_channels(conv.geometry.output_channels);
    let [kh, kw] = conv.geometry.window.kernel.map(usize::from);
    weights[..kh * kw * tap].as_chunks::<CHANNEL_BLOCK>().0[first / CHANNEL_BLOCK..]
        .iter()
        .step_by(tap / CHANNEL_BLOCK)
}

/// The elements of a lane of up to 16.
#[inline(always)]
fn load<T: Element>(lane: Lane<'_, T>) -> [T; CHANNEL_BLOCK] {
    if lane.len() == CHANNEL_BLOCK {
        return lane.array(0);
    }
    let mut out = [T::default(); CHANNEL_BLOCK];
    for (o, v) in out.iter_mut().zip(lane.iter()) {
        *o = v;
    }
    out
}

#[inline(always)]
fn multiply(acc: &mut [i32; CHANNEL_BLOCK], x: &[i32; CHANNEL_BLOCK], w: &[i8; CHANNEL_BLOCK]) {
    for ((acc, x), w) in acc.iter_mut().zip(x).zip(w) {
        *acc += x * i32::from(*w);
    }
}
