//! Float layer and global response normalisation.

use core::ops::Range;

use fusionproxy_format::{Norm, NormKind};

use super::element::Float;
use super::isa::Isa;
use super::runs::{self, Input, Output};
use super::stage::Arena;
use crate::{Call, Shape};

/// Whether [`run`] takes this normalisation.
pub(super) fn supports(op: &Norm<'_>) -> bool {
    matches!(op.kind, NormKind::Layer | NormKind::Grn)
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes(output: Shape) -> usize {
    2 * Arena::size(runs::bytes::<f32>(output)) + 3 * Arena::size(output.channels * 4) + 64
}

/// Runs `units` of a normalisation that [`supports`] accepts; `false` if the views are of another type.
pub(super) fn run<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    op: &Norm<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    let shape = out.shape();
    let channels = shape.channels;
    let mut arena = Arena::new(scratch);
    let mut input = Input::new::<I>(source, shape, arena.take(runs::bytes::<T>(shape)));
    let mut target = Output::new::<I>(out, arena.take(runs::bytes::<T>(shape)));
    let [squares, total, gain] = [(); 3].map(|()| arena.take(channels * 4).as_mut_ptr().cast::<f32>());
    let (gamma, beta) = (op.gamma.as_ptr(), op.beta.as_ptr());
    if op.kind == NormKind::Layer {
        runs::each::<T>(units, shape, |y, x, n| {
            let (from, to) = (input.run(y, x, n).cast::<f32>(), target.run(y, x).cast::<f32>());
            for p in 0..n {
                // SAFETY: the token's existence proves the instructions; n pixels of both runs, as many gains and offsets.
                unsafe {
                    let (from, to) = (from.add(p * channels), to.add(p * channels));
                    I::layer_norm_float(from, to, channels, gamma, beta, op.epsilon);
                }
            }
            target.finish(y, x, n);
        });
        return true;
    }
    // SAFETY: `channels` numbers each; otherwise as above.
    unsafe {
        (0..channels).for_each(|c| total.add(c).write(0.0));
        runs::each::<T>(0..shape.height, shape, |y, x, n| {
            // Short sums keep the rounding error of large images small.
            (0..channels).for_each(|c| squares.add(c).write(0.0));
            I::add_squares_float(input.run(y, x, n).cast(), n, channels, squares);
            (0..channels).for_each(|c| total.add(c).write(total.add(c).read() + squares.add(c).read()));
        });
        let norm = |c: usize| libm::sqrtf(total.add(c).read());
        let mean = (0..channels).map(norm).sum::<f32>() / channels as f32 + op.epsilon;
        for (c, gamma) in op.gamma.iter().enumerate().take(channels) {
            gain.add(c).write(norm(c) / mean * gamma);
        }
        runs::each::<T>(0..shape.height, shape, |y, x, n| {
            let (from, to) = (input.run(y, x, n).cast(), target.run(y, x).cast());
            I::response_norm_float(from, to, n, channels, gain, beta);
            target.finish(y, x, n);
        });
    }
    true
}
