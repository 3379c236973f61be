//! 8-bit layer normalisation and global response normalisation. The statistics are exact integers.

use core::ops::Range;

use fusionproxy_format::{Norm, NormKind};

use super::{BYTES, Lanes, Parts, padded, sums_bytes, take_sums};
use crate::{Call, Dst, Shape, Src};

/// Most channels: a sum of squares fits 32 bits, and 255 times their number is exact in f32.
const MAX_CHANNELS: usize = 1 << 14;

/// Pixels whose squares are added up in 32 bits.
const MAX_PIXELS: usize = 1 << 16;

/// Whether [`run`] takes this normalisation of 8-bit elements.
pub(super) fn supports(op: &Norm<'_>) -> bool {
    matches!(op.kind, NormKind::Layer | NormKind::Grn) && op.gamma.len() <= MAX_CHANNELS
}

/// Scratch of [`run`]: gains or responses, and offsets; and the sums that workers share.
pub(super) fn scratch_bytes(op: &Norm<'_>, input: Shape) -> usize {
    let sums = if op.kind == NormKind::Grn { sums_bytes(input.channels) } else { 0 };
    sums + 2 * Parts::size(input.channels.next_multiple_of(BYTES) * size_of::<f32>())
}

/// Runs `units` of a normalisation that [`supports`] accepts; `false` if the views are not 8-bit.
pub(super) fn run<L: Lanes>(
    call: &Call<'_, '_>,
    op: &Norm<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return false };
    if op.kind == NormKind::Layer {
        let mut parts = Parts::new(scratch);
        let [gain, beta] = [op.gamma, op.beta].map(|v| padded(&mut parts, v.iter().copied()));
        for y in units {
            layer_row::<L>(call, op.epsilon, (&source, &out), y, (gain, beta));
        }
        return true;
    }
    let Shape { height, channels, .. } = source.shape();
    let (sums, scratch) = take_sums(scratch, channels);
    square_sums::<L>(call, 0..height, sums);
    respond::<L>(call, 0..height, sums, scratch);
    true
}

/// Normalises row `y`, pixel by pixel.
fn layer_row<L: Lanes>(
    call: &Call<'_, '_>,
    epsilon: f32,
    (source, out): (&Src<'_, u8>, &Dst<'_, u8>),
    y: usize,
    (gain, beta): (&[f32], &[f32]),
) {
    let channels = source.shape().channels;
    let scale = call.inputs()[0].quant.scale;
    let per_step = L::floats([1.0 / call.output_quant().scale; 4]);
    let finish = L::finish(call.output_quant().zero_point);
    let count = channels as u16;
    let vectors = || (0..channels).step_by(BYTES).map(|c| (c, channels - c));
    let (from, to) = (source.ptr(y, 0), out.ptr(y, 0));
    for x in 0..source.shape().width {
        let from = from.wrapping_add(x * source.layout().pixel);
        let to = to.wrapping_add(x * out.layout().pixel);
        let mut powers = [L::none(); 2];
        for (c, n) in vectors() {
            // SAFETY: the channels of a pixel from c on.
            powers = L::add_powers(powers, unsafe { L::load(from.add(c), n) });
        }
        let [sum, squares] = powers.map(|v| L::sums(v).iter().sum::<u32>());
        let sum_lanes = L::floats([sum as f32; 4]);
        let factor = L::floats([factor(channels, (sum, squares), scale, epsilon); 4]);
        let (gains, betas) = (gain.as_chunks::<BYTES>().0, beta.as_chunks::<BYTES>().0);
        for (((c, n), gain), beta) in vectors().zip(gains).zip(betas) {
            // SAFETY: as above; the output is apart from the input or is its own pixels, of which these are not yet written.
            unsafe {
                let v = L::times(L::load(from.add(c), n), count);
                let r = core::array::from_fn(|i| {
                    let standard = L::mul(L::sub(v[i], sum_lanes), factor);
                    L::mul(L::add(L::mul(standard, quarter::<L>(gain, i)), quarter::<L>(beta, i)), per_step)
                });
                L::store(to.add(c), L::quantise(finish, r), n);
            }
        }
    }
}

/// (x - mean) / sqrt(variance + epsilon) = (count * q - sum) * factor.
fn factor(count: usize, (sum, squares): (u32, u32), scale: f32, epsilon: f32) -> f32 {
    let spread = count as u64 * u64::from(squares) - u64::from(sum) * u64::from(sum);
    let n = count as f32;
    let variance = spread as f32 / n / n * (scale * scale);
    1.0 / libm::sqrtf(variance + epsilon) * scale / n
}

/// Four of sixteen numbers.
#[inline(always)]
fn quarter<L: Lanes>(v: &[f32; BYTES], i: usize) -> L::Floats {
    L::floats(v.as_chunks::<4>().0[i])
}

/// See [`crate::Backend::square_sums`]; for a response normalisation that [`supports`] accepts.
pub(crate) fn square_sums<L: Lanes>(call: &Call<'_, '_>, rows: Range<usize>, sums: &mut [u64]) {
    let Some(source) = call.source::<u8>(0) else { return };
    let Shape { width, channels, .. } = source.shape();
    let zero = call.inputs()[0].quant.zero_point;
    sums.fill(0);
    for y in rows {
        let from = source.ptr(y, 0);
        // Channels outside, so that their sums stay in registers.
        for (to, c) in sums.chunks_mut(BYTES).zip((0..channels).step_by(BYTES)) {
            for x in (0..width).step_by(MAX_PIXELS) {
                let mut four = [L::none(); 4];
                for x in x..width.min(x + MAX_PIXELS) {
                    // SAFETY: the channels of a pixel from c on.
                    let v = unsafe { L::load(from.add(x * source.layout().pixel + c), channels - c) };
                    four = L::add_squares(four, v, zero);
                }
                for (to, sum) in to.iter_mut().zip(four.map(L::sums).as_flattened()) {
                    *to += u64::from(*sum);
                }
            }
        }
    }
}

/// See [`crate::Backend::respond`]; as [`square_sums`].
pub(crate) fn respond<L: Lanes>(call: &Call<'_, '_>, rows: Range<usize>, sums: &[u64], scratch: &mut [u8]) {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    let fusionproxy_format::Op::Norm(op) = call.op() else { return };
    let Shape { width, channels, .. } = source.shape();
    let quant = call.inputs()[0].quant;
    let norm = |sum: &u64| quant.scale * libm::sqrtf(*sum as f32);
    let mut total = 0.0;
    for sum in sums {
        total += norm(sum);
    }
    let mean = total / channels as f32 + op.epsilon;
    let mut parts = Parts::new(scratch);
    let responses =
        padded(&mut parts, op.gamma.iter().zip(sums).map(|(gamma, sum)| norm(sum) / mean * gamma));
    let beta = padded(&mut parts, op.beta.iter().copied());

    let [scale, per_step] = [quant.scale, 1.0 / call.output_quant().scale].map(|v| L::floats([v; 4]));
    let finish = L::finish(call.output_quant().zero_point);
    let vectors = responses.as_chunks::<BYTES>().0.iter().zip(beta.as_chunks::<BYTES>().0);
    for y in rows {
        let (from, to) = (source.ptr(y, 0), out.ptr(y, 0));
        for ((response, beta), c) in vectors.clone().zip((0..channels).step_by(BYTES)) {
            let [response, beta] = [response, beta].map(|v| [0, 1, 2, 3].map(|i| quarter::<L>(v, i)));
            let n = channels - c;
            for x in 0..width {
                // SAFETY: the channels of a pixel from c on; the output is apart from the input or is its own pixels.
                unsafe {
                    let v = L::load(from.add(x * source.layout().pixel + c), n);
                    let v = L::less(v, quant.zero_point).map(|v| L::mul(v, scale));
                    let r = core::array::from_fn(|i| {
                        L::mul(L::add(L::add(L::mul(v[i], response[i]), beta[i]), v[i]), per_step)
                    });
                    L::store(to.add(x * out.layout().pixel + c), L::quantise(finish, r), n);
                }
            }
        }
    }
}
