//! 8-bit layer normalisation and global response normalisation.
//!
//! The statistics are exact integers; what follows them is the specification's sequence of f32 operations, none of
//! which may be fused.

use core::ops::Range;

use fusionproxy_format::{Finish, Norm, NormKind};

use super::functions::root;
use super::isa::Isa;
use super::requant::Requant;
use super::stage::{Arena, copy_pixels};
use crate::parallel::take_sums;
use crate::scalar::sums_bytes;
use crate::{Call, Dst, Shape, Src};

/// Most channels: their sum of squares fits 32 bits a lane, and 255 times their number is exact in f32.
const MAX_CHANNELS: usize = 1 << 14;

/// One row of pixels to be normalised.
pub(super) struct NormRow<'a> {
    /// First pixel of the input, and bytes between pixels.
    pub(super) from: (*const u8, usize),
    /// First pixel of the output, and bytes between pixels.
    pub(super) to: (*mut u8, usize),
    /// Pixels.
    pub(super) pixels: usize,
    /// Layer: gain of each channel. Response: response of each channel.
    pub(super) gain: &'a [f32],
    /// Offset of each channel; as many as gains.
    pub(super) beta: &'a [f32],
    /// Input scale.
    pub(super) scale: f32,
    /// Input zero point.
    pub(super) zero_point: u8,
    /// Added to the variance.
    pub(super) epsilon: f32,
    /// Output steps in a unit.
    pub(super) per_step: f32,
    /// Finishing.
    pub(super) requant: Requant<'a>,
}

/// (x - mean) / sqrt(variance + epsilon) = (count * q - sum) * factor. Inlined, so that it has the caller's instructions: a
/// function compiled without its extensions would wait for the upper halves of the registers.
#[inline(always)]
pub(super) fn factor(count: usize, (sum, squares): (u32, u64), scale: f32, epsilon: f32) -> f32 {
    let spread = count as u64 * squares - u64::from(sum) * u64::from(sum);
    let n = count as f32;
    let variance = spread as f32 / n / n * (scale * scale);
    1.0 / root(variance + epsilon) * scale / n
}

/// Whether [`run`] takes this normalisation of 8-bit elements.
pub(super) fn supports(op: &Norm<'_>) -> bool {
    matches!(op.kind, NormKind::Layer | NormKind::Grn) && op.gamma.len() <= MAX_CHANNELS
}

/// Vectors until the pattern of a row's channels repeats.
fn period<I: Isa>(channels: usize) -> usize {
    super::period(channels, I::VECTOR)
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes<I: Isa>(op: &Norm<'_>, input: Shape) -> usize {
    match op.kind {
        NormKind::Grn => {
            let sums = period::<I>(input.channels) * I::VECTOR * 8;
            let stages = Arena::size(sums) + Arena::size(input.width * input.channels);
            sums_bytes(input.channels) + stages.max(Arena::size(input.channels * 4)) + 64
        }
        _ => 0,
    }
}

/// Runs `units` of a normalisation that [`supports`] accepts; `false` if the views are not 8-bit.
pub(super) fn run<I: Isa>(
    call: &Call<'_, '_>,
    op: &Norm<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return false };
    if op.kind == NormKind::Layer {
        for y in units {
            let row = row(call, op, op.gamma, (&source, &out), y);
            // SAFETY: the token's existence proves the instructions; a row of both views, with as many channels as gains.
            unsafe { I::layer_norm(&row) };
        }
        return true;
    }
    let Shape { height, channels, .. } = source.shape();
    let (sums, scratch) = take_sums(scratch, channels);
    square_sums::<I>(call, 0..height, sums, scratch);
    respond::<I>(call, op, 0..height, sums, scratch);
    true
}

/// See [`crate::Backend::square_sums`]; for a response normalisation that [`supports`] accepts.
pub(super) fn square_sums<I: Isa>(
    call: &Call<'_, '_>,
    rows: Range<usize>,
    sums: &mut [u64],
    scratch: &mut [u8],
) {
    let Some(source) = call.source::<u8>(0) else { return };
    let Shape { width, channels, .. } = source.shape();
    let mut arena = Arena::new(scratch);
    let bytes = period::<I>(channels) * I::VECTOR * 8;
    let lanes = &mut arena.take(bytes)[..bytes];
    lanes.fill(0);
    let packed = arena.take(width * channels);
    let pixel = source.layout().pixel;
    for y in rows {
        let mut from = source.ptr(y, 0);
        if pixel != channels {
            // SAFETY: the row's pixels; the scratch holds as many.
            unsafe { copy_pixels(from, pixel, packed.as_mut_ptr(), channels, width, channels) };
            from = packed.as_ptr();
        }
        let zero = call.inputs()[0].quant.zero_point;
        // SAFETY: the token's existence proves the instructions; the row has width * channels bytes, the sums `period`
        // vectors of 64-bit numbers.
        unsafe {
            I::add_squares(from, width * channels, period::<I>(channels), zero, lanes.as_mut_ptr().cast());
        }
    }
    let lanes = lanes.as_chunks::<8>().0;
    for (c, sum) in sums.iter_mut().enumerate() {
        let elements = (c..lanes.len()).step_by(channels);
        *sum = elements.map(|e| u64::from_ne_bytes(lanes[I::sum_at(e)])).sum();
    }
}

/// See [`crate::Backend::respond`]; as [`square_sums`].
pub(super) fn respond<I: Isa>(
    call: &Call<'_, '_>,
    op: &Norm<'_>,
    rows: Range<usize>,
    sums: &[u64],
    scratch: &mut [u8],
) {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    let channels = source.shape().channels;
    let scale = call.inputs()[0].quant.scale;
    let norm = |sum: &u64| scale * libm::sqrtf(*sum as f32);
    let mut total = 0.0;
    for sum in sums {
        total += norm(sum);
    }
    let mean = total / channels as f32 + op.epsilon;
    let responses = Arena::new(scratch).take(channels * 4).as_mut_ptr().cast::<f32>();
    for (c, (gamma, sum)) in op.gamma.iter().zip(sums).enumerate() {
        // SAFETY: `channels` numbers were taken, aligned to 64 bytes; `Call` proves that there are as many gains.
        unsafe { responses.add(c).write(norm(sum) / mean * gamma) };
    }
    // SAFETY: they were all written: there are as many gains and, by `Call::expect_sums`, sums as channels.
    let responses = unsafe { core::slice::from_raw_parts(responses, channels) };
    for y in rows {
        let row = row(call, op, responses, (&source, &out), y);
        // SAFETY: the token's existence proves the instructions; a row of both views, with as many channels as responses.
        unsafe { I::response_norm(&row) };
    }
}

fn row<'a>(
    call: &Call<'_, '_>,
    op: &Norm<'a>,
    gain: &'a [f32],
    (source, out): (&Src<'_, u8>, &Dst<'_, u8>),
    y: usize,
) -> NormRow<'a> {
    let quant = call.inputs()[0].quant;
    NormRow {
        from: (source.ptr(y, 0), source.layout().pixel),
        to: (out.ptr(y, 0), out.layout().pixel),
        pixels: out.shape().width,
        gain,
        beta: op.beta,
        scale: quant.scale,
        zero_point: quant.zero_point,
        epsilon: op.epsilon,
        per_step: 1.0 / call.output_quant().scale,
        requant: Requant {
            zero_point: call.output_quant().zero_point,
            finish: Finish { lo: 0, hi: 255, table: None },
        },
    }
}
