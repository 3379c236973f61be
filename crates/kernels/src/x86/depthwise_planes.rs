//! 8-bit depthwise convolution of the common windows, channels in planes of 16.
//!
//! In a plane, four neighbouring columns of 16 channels are one vector; one byte permutation turns it into four taps a
//! channel. Each such vector serves every output whose window overlaps it, with the weights shifted to where they stand
//! inside the four columns. A 3x3 window of stride 1 takes 6 permutations and 12 products for four outputs of 16 channels,
//! against 24 and 12 for the general kernel.

use core::ops::Range;

use fusionproxy_format::{Conv, ConvWeights, padded_channels};

use super::interleave::Bytes;
use super::isa::Isa;
use super::requant::Requant;
use super::stage::{Arena, Channels, Stage, StagePlan};
use crate::{AnyDst, AnySrc, Call, Shape};

/// Most rows of a kernel.
const MAX_ROWS: usize = 7;

/// One row of outputs of one plane.
pub(super) struct PlaneRow<'a> {
    /// The input row under each kernel row, at the window's first column for output 0.
    pub(super) rows: &'a [*const u8],
    /// `[kernel row][shift][16 channels][4 columns]`, 64 bytes each: entry `shift` of `kernel width + 3` has, in column t,
    /// the weight of tap t + shift - 3, or 0. With 8 channels, they are there twice.
    pub(super) weights: *const i8,
    /// 16 values (8 of them twice where the plane has 8 channels).
    pub(super) bias: *const i32,
    /// As `bias`.
    pub(super) scale: *const f32,
    /// Outputs.
    pub(super) pixels: usize,
    /// First channel of output 0.
    pub(super) out: *mut u8,
    /// Bytes between output pixels.
    pub(super) out_pixel: usize,
    /// Channels of the plane.
    pub(super) channels: usize,
    /// Bytes of a column: 16 or 8.
    pub(super) pitch: usize,
    /// Finishing.
    pub(super) requant: Requant<'a>,
}

/// Bytes of a plane's weights, bias and scale.
const fn table(kernel: [usize; 2]) -> usize {
    kernel[0] * (kernel[1] + 3) * 64 + 128
}

/// Whether [`run`] takes this convolution.
pub(super) fn supports<I: Isa>(conv: &Conv<'_>) -> bool {
    let w = &conv.geometry.window;
    matches!(conv.weights, ConvWeights::Int8 { .. })
        && conv.geometry.depthwise()
        && w.dilation == [1, 1]
        && usize::from(w.kernel[0]) <= MAX_ROWS
        && I::PLANES.contains(&(w.kernel[1], w.stride[1]))
}

/// Channels that are worked on together, for all rows: their staged rows then stay in the L1 cache, and a pixel of the
/// output is one cache line.
const GROUP: usize = 64;

/// Scratch of [`run`].
pub(super) fn scratch_bytes(conv: &Conv<'_>, output: Shape) -> usize {
    let g = &conv.geometry;
    let channels = g.output_channels.min(GROUP);
    let stage = StagePlan::planes(&g.window, output, channels).bytes();
    let tables = table(g.window.kernel.map(usize::from)) * channels.div_ceil(16);
    Arena::size(stage) + Arena::size(tables) + 64
}

/// Runs `units` of a convolution that [`supports`] accepts. Gives `false` without having done anything if it does not
/// fit after all ([`super::requant::fits`]).
pub(super) fn run<I: Isa>(
    call: &Call<'_, '_>,
    conv: &Conv<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (AnySrc::U8(source), AnyDst::U8(out)) = (call.inputs()[0].data, call.output()) else { return false };
    let ConvWeights::Int8 { weights, bias, scale } = conv.weights else { return false };
    let w = &conv.geometry.window;
    let channels = conv.geometry.output_channels;
    let kernel @ [kh, kw] = w.kernel.map(usize::from);
    if !super::requant::fits(kh * kw, bias, scale) {
        return false;
    }
    let mut arena = Arena::new(scratch);
    let tables = arena.take(table(kernel) * channels.min(GROUP).div_ceil(16));
    let memory = arena.take(StagePlan::planes(w, out.shape(), channels.min(GROUP)).bytes());
    let border = call.inputs()[0].quant.zero_point;
    for first in (0..channels).step_by(GROUP) {
        let count = (channels - first).min(GROUP);
        let plan = StagePlan::planes(w, out.shape(), count);
        let planes = count.div_ceil(16);
        for (plane, table) in tables.chunks_exact_mut(table(kernel)).take(planes).enumerate() {
            lay_out(kernel, weights, bias, scale, channels, first + plane * 16, plan.plane(plane).1, table);
        }
        let part = Channels { source, first, count };
        // SAFETY: channels of the source; a plane's pitch is at least its number of channels.
        let mut stage = unsafe { Stage::new::<I>(plan, memory, part, w.pad[1], border, I::copy) };
        for y in units.clone() {
            let mut rows = [core::ptr::null(); MAX_ROWS];
            for (ky, row) in rows.iter_mut().enumerate().take(kh) {
                *row = stage.row((y * usize::from(w.stride[0]) + ky) as isize - isize::from(w.pad[0]));
            }
            for plane in 0..planes {
                let (offset, pitch) = plan.plane(plane);
                let table = &tables[plane * table(kernel)..][..table(kernel)];
                let (weights, values) = table.split_at(kh * (kw + 3) * 64);
                let row = PlaneRow {
                    rows: &rows.map(|r| r.wrapping_add(offset))[..kh],
                    weights: weights.as_ptr().cast(),
                    bias: values.as_ptr().cast(),
                    scale: values[64..].as_ptr().cast(),
                    pixels: out.shape().width,
                    out: out.ptr(y, 0).wrapping_add(first + plane * 16),
                    out_pixel: out.layout().pixel,
                    channels: (count - plane * 16).min(16),
                    pitch,
                    requant: Requant { zero_point: call.output_quant().zero_point, finish: conv.finish },
                };
                // SAFETY: the token's existence proves the instructions. Each row has (pixels - 1) * stride + kernel
                // columns, and the slack behind the last plane. The table was just laid out. The plane's channels of
                // `pixels` output pixels lie in the view.
                unsafe { I::depthwise_plane(&row, kw, usize::from(w.stride[1])) };
            }
        }
    }
    true
}

/// Writes one plane's weights, bias and scale.
#[expect(clippy::too_many_arguments, reason = "the arrays of an operator and where in them the plane is")]
fn lay_out(
    [kh, kw]: [usize; 2],
    weights: &[i8],
    bias: &[i32],
    scale: &[f32],
    channels: usize,
    first: usize,
    pitch: usize,
    table: &mut [u8],
) {
    let padded = padded_channels(channels);
    let (to, values) = table.split_at_mut(kh * (kw + 3) * 64);
    for (at, to) in to.chunks_exact_mut(64).enumerate() {
        let (ky, shift) = (at / (kw + 3), at % (kw + 3));
        let column = |t: usize| {
            let tap = (t + shift).wrapping_sub(3);
            if tap >= kw {
                return Bytes::zero();
            }
            let column = Bytes::of(&weights[(ky * kw + tap) * padded + first..]);
            if pitch == 8 { column.low_twice() } else { column }
        };
        let quarters = Bytes::interleave([column(0), column(1), column(2), column(3)]);
        for (q, to) in quarters.into_iter().zip(to.chunks_exact_mut(16)) {
            q.store(to);
        }
    }
    // The channel that stands at each of 16 places; `pitch` is 8 or 16.
    let mask = pitch - 1;
    for i in 0..16 {
        values[i * 4..][..4].copy_from_slice(&bias[first + (i & mask)].to_ne_bytes());
        values[64 + i * 4..][..4].copy_from_slice(&scale[first + (i & mask)].to_ne_bytes());
    }
}
