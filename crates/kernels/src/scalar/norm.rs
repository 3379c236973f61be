//! Layer, instance and global response normalisation.
//!
//! In 8 bits the statistics are exact integers; what follows is a fixed sequence of f32 operations, none of them fused.

use core::ops::Range;

use super::float::Float;
use super::quantise::{Quantiser, dequantise};
use super::row::{block_row, channel_blocks, gather, map_pixels, over_space};
use crate::{Call, Element, Src};
use fusionproxy_format::{CHANNEL_BLOCK, Norm, NormKind, Op};

/// Sum and sum of squares of up to 2^23 8-bit elements.
#[derive(Clone, Copy, Default)]
struct Sums {
    sum: u32,
    squares: u64,
}

impl Sums {
    #[inline(always)]
    fn add(self, q: u8) -> Self {
        let q = u32::from(q);
        Self { sum: self.sum + q, squares: self.squares + u64::from(q * q) }
    }

    fn join(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, squares: self.squares + other.squares }
    }
}

/// (x - mean) / sqrt(variance + epsilon) = (count * q - sum) * factor.
#[derive(Clone, Copy)]
struct Standard {
    count: i32,
    sum: i32,
    factor: f32,
}

impl Standard {
    fn new(count: usize, s: Sums, scale: f32, epsilon: f32) -> Self {
        // count^2 * variance, in steps; below 2^62, and not negative by the Cauchy-Schwarz inequality.
        let spread = count as u64 * s.squares - u64::from(s.sum) * u64::from(s.sum);
        let n = count as f32;
        let variance = spread as f32 / n / n * (scale * scale);
        Self {
            count: count as i32,
            sum: s.sum as i32,
            factor: 1.0 / libm::sqrtf(variance + epsilon) * scale / n,
        }
    }

    /// The standardised `q`, with gain and offset.
    #[inline(always)]
    fn apply(&self, q: u8, gamma: f32, beta: f32) -> f32 {
        // Both terms are at most 255 * 2^23.
        (self.count * i32::from(q) - self.sum) as f32 * self.factor * gamma + beta
    }
}

/// Runs `units` of a normalisation: rows (layer), channels (instance), or the one whole (global response), in 8 bits.
pub(super) fn run_u8(op: &Norm<'_>, call: &Call<'_, '_>, units: Range<usize>) {
    let quant = call.inputs()[0].quant;
    let quantiser = Quantiser::plain(call.output_quant());
    let per_step = 1.0 / call.output_quant().scale;
    match op.kind {
        NormKind::Layer => map_pixels::<u8>(call, units, |out, lane| {
            let sums = lane.iter().fold(Sums::default(), Sums::add);
            let standard = Standard::new(lane.len(), sums, quant.scale, op.epsilon);
            let channels = lane.iter().zip(op.gamma.iter().zip(op.beta));
            out.fill(channels.map(|(q, (g, b))| quantiser.any(standard.apply(q, *g, *b) * per_step)));
        }),
        NormKind::Instance => per_channel::<u8, _>(
            op,
            call,
            (units, 0..call.output_shape().height),
            |src, block| {
                let sums =
                    over_space(src, rows(src), block, Sums::default(), |_, sums, q| sums.add(q), Sums::join);
                sums.map(|s| Standard::new(pixels(src), s, quant.scale, op.epsilon))
            },
            |q, standard, [gamma, beta]| quantiser.any(standard.apply(q, gamma, beta) * per_step),
        ),
        NormKind::Grn => {
            let norms = |src: &Src<'_, u8>, block| {
                squares(src, quant.zero_point, rows(src), block).map(|s| norm(s, quant.scale))
            };
            response_u8(op, call, 0..call.output_shape().height, norms);
        }
    }
}

/// The sums of squares of a block of channels over `rows`.
fn squares(
    src: &Src<'_, u8>,
    zero_point: u8,
    rows: Range<usize>,
    block: (usize, usize),
) -> [u64; CHANNEL_BLOCK] {
    let square = |_, acc: u64, q: u8| {
        let v = i32::from(q) - i32::from(zero_point);
        acc + (v * v) as u64
    };
    over_space(src, rows, block, 0, square, |a, b| a + b)
}

/// The L2 norm of a channel.
fn norm(squares: u64, scale: f32) -> f32 {
    scale * libm::sqrtf(squares as f32)
}

/// Global response normalisation of `rows`, in 8 bits.
fn response_u8(
    op: &Norm<'_>,
    call: &Call<'_, '_>,
    rows: Range<usize>,
    norms: impl Fn(&Src<'_, u8>, (usize, usize)) -> [f32; CHANNEL_BLOCK],
) {
    let quant = call.inputs()[0].quant;
    let quantiser = Quantiser::plain(call.output_quant());
    let per_step = 1.0 / call.output_quant().scale;
    response(op, call, rows, norms, |q: u8, response, beta| {
        let v = dequantise(q, quant);
        quantiser.any((v * response + beta + v) * per_step)
    });
}

/// Bytes of the sums of [`square_sums`], a multiple of 64.
pub(crate) const fn sums_bytes(channels: usize) -> usize {
    (channels * size_of::<u64>()).next_multiple_of(64)
}

/// Writes the sum of squares of each channel of the input of an 8-bit global response normalisation over `rows`: the share of
/// a part of the image, where workers share it.
pub fn square_sums(call: &Call<'_, '_>, rows: Range<usize>, sums: &mut [u64]) {
    let Some(src) = call.source::<u8>(0) else { return };
    let zero_point = call.inputs()[0].quant.zero_point;
    for (block, sums) in channel_blocks(0..src.shape().channels).zip(sums.chunks_mut(CHANNEL_BLOCK)) {
        sums.copy_from_slice(&squares(&src, zero_point, rows.clone(), block)[..sums.len()]);
    }
}

/// Writes `rows` of an 8-bit global response normalisation from the sums of all rows. Does nothing for other calls.
pub fn respond(call: &Call<'_, '_>, rows: Range<usize>, sums: &[u64]) {
    let Op::Norm(op) = call.op() else { return };
    let scale = call.inputs()[0].quant.scale;
    response_u8(op, call, rows, |_, (first, len)| {
        let sum = |i: usize| sums.get(first + i).filter(|_| i < len).copied().unwrap_or_default();
        core::array::from_fn(|i| norm(sum(i), scale))
    });
}

/// Runs `units` of a normalisation: rows (layer), channels (instance), or the one whole (global response), in floats.
pub(super) fn run_float<T: Float>(op: &Norm<'_>, call: &Call<'_, '_>, units: Range<usize>) {
    let add = |a: f32, b: f32| a + b;
    match op.kind {
        NormKind::Layer => map_pixels::<T>(call, units, |out, lane| {
            let n = lane.len() as f32;
            let mean = lane.iter().map(Float::load).sum::<f32>() / n;
            let squares = lane.iter().map(|v| (v.load() - mean) * (v.load() - mean)).sum::<f32>();
            let factor = 1.0 / libm::sqrtf(squares / n + op.epsilon);
            let channels = lane.iter().zip(op.gamma.iter().zip(op.beta));
            out.fill(channels.map(|(v, (g, b))| T::store((v.load() - mean) * factor * g + b)));
        }),
        NormKind::Instance => per_channel::<T, _>(
            op,
            call,
            (units, 0..call.output_shape().height),
            |src, block| {
                let n = pixels(src) as f32;
                let mean =
                    over_space(src, rows(src), block, 0.0, |_, acc, v: T| acc + v.load(), add).map(|s| s / n);
                let square = |i: usize, acc: f32, v: T| acc + (v.load() - mean[i]) * (v.load() - mean[i]);
                let squares = over_space(src, rows(src), block, 0.0, square, add);
                core::array::from_fn(|i| (mean[i], 1.0 / libm::sqrtf(squares[i] / n + op.epsilon)))
            },
            |v, (mean, factor), [gamma, beta]| T::store((v.load() - mean) * factor * gamma + beta),
        ),
        NormKind::Grn => {
            let norms = |src: &Src<'_, T>, block| {
                over_space(src, rows(src), block, 0.0, |_, acc, v: T| acc + v.load() * v.load(), add)
                    .map(libm::sqrtf)
            };
            let rows = 0..call.output_shape().height;
            response(op, call, rows, norms, |v: T, response, beta| {
                T::store(v.load() * response + beta + v.load())
            });
        }
    }
}

/// All rows of an image.
fn rows<T: Element>(src: &Src<'_, T>) -> Range<usize> {
    0..src.shape().height
}

fn pixels<T: Element>(src: &Src<'_, T>) -> usize {
    src.shape().height * src.shape().width
}

/// Computes `statistics` of each block of `channels`, and then writes `apply` of each of its elements in `rows`, the statistics
/// of its channel, gain and offset.
#[inline(always)]
fn per_channel<T: Element, S: Copy>(
    op: &Norm<'_>,
    call: &Call<'_, '_>,
    (channels, rows): (Range<usize>, Range<usize>),
    statistics: impl Fn(&Src<'_, T>, (usize, usize)) -> [S; CHANNEL_BLOCK],
    apply: impl Fn(T, S, [f32; 2]) -> T,
) {
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    for block in channel_blocks(channels) {
        let statistics = statistics(&src, block);
        let affine: [[f32; 2]; CHANNEL_BLOCK] = core::array::from_fn(|i| {
            let c = block.0 + i.min(block.1 - 1);
            [op.gamma[c], op.beta[c]]
        });
        for y in rows.clone() {
            for (x, lane) in block_row(&src, y, block) {
                let mut out = [T::default(); CHANNEL_BLOCK];
                gather(&mut out, lane, |i, _, v| apply(v, statistics[i], affine[i]));
                dst.pixel(y, x).slice(block.0, block.1).fill_array(out);
            }
        }
    }
}

/// Global response normalisation of `rows`: `norms` gives the L2 norm of each channel of a block, and `apply` a result from an
/// element, gamma * norm / (mean norm + epsilon), and beta.
#[inline(always)]
fn response<T: Element>(
    op: &Norm<'_>,
    call: &Call<'_, '_>,
    rows: Range<usize>,
    norms: impl Fn(&Src<'_, T>, (usize, usize)) -> [f32; CHANNEL_BLOCK],
    apply: impl Fn(T, f32, f32) -> T,
) {
    let Some(src) = call.source::<T>(0) else { return };
    let channels = src.shape().channels;
    let mut total = 0.0;
    for block in channel_blocks(0..channels) {
        for norm in &norms(&src, block)[..block.1] {
            total += norm;
        }
    }
    let mean = total / channels as f32 + op.epsilon;
    // The norms are computed twice, which takes no memory for them.
    per_channel::<T, _>(
        op,
        call,
        (0..channels, rows),
        |src, block| {
            let mut responses = norms(src, block).map(|norm| norm / mean);
            for (r, gamma) in responses.iter_mut().zip(&op.gamma[block.0..]) {
                *r *= gamma;
            }
            responses
        },
        |v, r, [_, beta]| apply(v, r, beta),
    );
}
