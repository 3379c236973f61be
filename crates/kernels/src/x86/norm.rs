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
            Arena::size(sums)
                + Arena::size(input.width * input.channels)
                + Arena::size(input.channels * 4)
                + 64
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
    let Shape { height, width, channels } = source.shape();
    let quant = call.inputs()[0].quant;
    let mut arena = Arena::new(scratch);
    let bytes = period::<I>(channels) * I::VECTOR * 8;
    let sums = &mut arena.take(bytes)[..bytes];
    sums.fill(0);
    let packed = arena.take(width * channels);
    let pixel = source.layout().pixel;
    for y in 0..height {
        let mut from = source.ptr(y, 0);
        if pixel != channels {
            // SAFETY: the row's pixels; the scratch holds as many.
            unsafe { copy_pixels(from, pixel, packed.as_mut_ptr(), channels, width, channels) };
            from = packed.as_ptr();
        }
        // SAFETY: the token's existence proves the instructions; the row has width * channels bytes, the sums `period`
        // vectors of 64-bit numbers.
        unsafe {
            let sums = sums.as_mut_ptr().cast();
            I::add_squares(from, width * channels, period::<I>(channels), quant.zero_point, sums);
        }
    }
    let sums = sums.as_chunks::<8>().0;
    let norm = |c: usize| {
        let elements = (c..sums.len()).step_by(channels);
        let sum: u64 = elements.map(|e| u64::from_ne_bytes(sums[I::sum_at(e)])).sum();
        quant.scale * libm::sqrtf(sum as f32)
    };
    let mut total = 0.0;
    for c in 0..channels {
        total += norm(c);
    }
    let mean = total / channels as f32 + op.epsilon;
    let responses = arena.take(channels * 4).as_mut_ptr().cast::<f32>();
    for (c, gamma) in op.gamma.iter().enumerate() {
        // SAFETY: `channels` numbers were taken, aligned to 64 bytes.
        unsafe { responses.add(c).write(norm(c) / mean * gamma) };
    }
    // SAFETY: they were all written.
    let responses = unsafe { core::slice::from_raw_parts(responses, channels) };
    for y in 0..height {
        let row = row(call, op, responses, (&source, &out), y);
        // SAFETY: the token's existence proves the instructions; a row of both views, with as many channels as responses.
        unsafe { I::response_norm(&row) };
    }
    true
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
