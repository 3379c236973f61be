//! 8-bit pointwise, dense and grouped convolution: packed weights times rows of activations, without im2col.
//!
//! In NHWC a row of the window is one run of `kernel_w * channels` bytes. Each output pixel is therefore the product of
//! the weights with a few such runs ("taps"), one a kernel row, at a constant distance from its neighbour's.

use core::ops::Range;

use fusionproxy_format::{CHANNEL_BLOCK, Conv, ConvWeights, packed_row};

use super::isa::{Isa, look_up_pixels};
use super::requant::Requant;
use super::stage::{Parts, Stage, StagePlan};
use crate::{Call, Shape};

/// Most taps of one output pixel.
const MAX_TAPS: usize = 64;

/// One row of output pixels times a block of up to 16 channels.
#[derive(Clone, Copy)]
pub(crate) struct GemmRow<'a> {
    /// Where each run of activations begins for pixel 0.
    pub(crate) taps: &'a [*const u8],
    /// Groups of 4 bytes in a run; that many can be read at each tap of every pixel.
    pub(crate) quads: usize,
    /// Bytes from one pixel's runs to the next one's.
    pub(crate) step: usize,
    /// Pixels in the row.
    pub(crate) pixels: usize,
    /// Weights of the block: as [`Isa::pack`] laid them out, or the artifact's.
    pub(crate) weights: *const u8,
    /// Bias of the block, 16, with the share of [`Isa::OFFSET`].
    pub(crate) bias: *const i32,
    /// What every output of a pixel has in addition, one number a pixel; a convolution has none.
    pub(crate) row_bias: Option<*const i32>,
    /// Scale of the block, 16.
    pub(crate) scale: *const f32,
    /// First output channel of pixel 0; nothing overlaps the output.
    pub(crate) out: *mut u8,
    /// Bytes between output pixels.
    pub(crate) out_pixel: usize,
    /// Output channels to be written, 1..=16.
    pub(crate) channels: usize,
    /// Finishing.
    pub(crate) requant: Requant,
    /// [`Isa::SUMS`] a pixel.
    pub(crate) sums: *mut i32,
}

/// How the activations reach the leaf kernel.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    /// In place.
    Direct,
    /// From staged rows; a run is a kernel row.
    Rows,
    /// From staged rows; a run is one pixel (dilated windows).
    Pixels,
}

/// Access, taps of a pixel, and groups of 4 bytes in a run.
fn access(conv: &Conv<'_>) -> Option<(Access, usize, usize)> {
    let (g, w) = (&conv.geometry, &conv.geometry.window);
    let inputs = g.input_channels / g.groups;
    let [kh, kw] = w.kernel.map(usize::from);
    let row = packed_row(kw, inputs) / 4;
    let (access, taps, quads) = if kh == 1 && kw == 1 && w.pad == [0; 4] && inputs.is_multiple_of(4) {
        (Access::Direct, 1, row)
    } else if w.dilation[1] == 1 || kw == 1 {
        (Access::Rows, kh, row)
    } else if inputs.is_multiple_of(4) {
        (Access::Pixels, kh * kw, inputs / 4)
    } else {
        return None;
    };
    (taps <= MAX_TAPS).then_some((access, taps, quads))
}

/// Whether [`run`] takes this convolution.
pub(crate) fn supports(conv: &Conv<'_>) -> bool {
    matches!(conv.weights, ConvWeights::Int8 { .. }) && !conv.geometry.depthwise() && access(conv).is_some()
}

fn plan(conv: &Conv<'_>, output: Shape) -> StagePlan {
    let g = &conv.geometry;
    StagePlan::new(&g.window, output, g.input_channels / g.groups, false)
}

/// Scratch of [`run`].
pub(crate) fn scratch_bytes<I: Isa>(conv: &Conv<'_>, output: Shape) -> usize {
    let Some((access, taps, quads)) = access(conv) else { return 0 };
    let slots = conv.geometry.channel_slots();
    let stage = if access == Access::Direct { 0 } else { plan(conv, output).bytes() };
    [
        slots / CHANNEL_BLOCK * I::packed_bytes(taps, quads),
        if I::OFFSET == 0 { 0 } else { slots * size_of::<i32>() },
        I::SUMS * output.width * size_of::<i32>(),
        stage,
    ]
    .map(Parts::size)
    .iter()
    .sum()
}

/// Runs rows `units` of a convolution that [`supports`] accepts.
pub(crate) fn run<I: Isa>(call: &Call<'_, '_>, conv: &Conv<'_>, units: Range<usize>, scratch: &mut [u8]) {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    let ConvWeights::Int8 { weights, bias, scale } = conv.weights else { return };
    let Some((access, taps_of_pixel, quads)) = access(conv) else { return };
    let (g, w) = (&conv.geometry, &conv.geometry.window);
    let (inputs, outputs) = (g.input_channels / g.groups, g.output_channels / g.groups);
    let [kh, kw] = w.kernel.map(usize::from);
    let [sy, sx] = w.stride.map(usize::from);
    let [dy, dx] = w.dilation.map(usize::from);
    let (width, out_pixel) = (out.shape().width, out.layout().pixel);
    let requant = Requant::new(call.output_quant(), &conv.finish);
    let blocks = outputs.div_ceil(CHANNEL_BLOCK);
    let slots = g.channel_slots();
    let block_len = CHANNEL_BLOCK * kh * packed_row(kw, inputs);

    let mut parts = Parts::new(scratch);
    let packed_bytes = I::packed_bytes(taps_of_pixel, quads);
    let packed = parts.take(slots / CHANNEL_BLOCK * packed_bytes);
    if packed_bytes > 0 {
        for (weights, to) in weights.chunks_exact(block_len).zip(packed.chunks_exact_mut(packed_bytes)) {
            I::pack(weights, taps_of_pixel, quads, to);
        }
    }
    let shifted = parts.take(if I::OFFSET == 0 { 0 } else { slots * size_of::<i32>() });
    if I::OFFSET != 0 {
        shift_bias(I::OFFSET, bias, weights, block_len, shifted);
    }
    let sums = parts.take(I::SUMS * width * size_of::<i32>()).as_mut_ptr().cast();

    // Computes output row `y`, all channels of a group.
    let line = |group: usize, y: usize, taps: &[*const u8], step: usize| {
        for block in 0..blocks {
            let index = group * blocks + block;
            let (slot, first) = (index * CHANNEL_BLOCK, block * CHANNEL_BLOCK);
            let row = GemmRow {
                taps,
                quads,
                step,
                pixels: width,
                weights: if packed_bytes > 0 {
                    packed[index * packed_bytes..].as_ptr()
                } else {
                    weights[index * block_len..][..block_len].as_ptr().cast()
                },
                bias: if I::OFFSET == 0 {
                    bias[slot..][..CHANNEL_BLOCK].as_ptr()
                } else {
                    shifted[slot * size_of::<i32>()..].as_ptr().cast()
                },
                row_bias: None,
                scale: scale[slot..][..CHANNEL_BLOCK].as_ptr(),
                out: out.ptr(y, 0).wrapping_add(group * outputs + first),
                out_pixel,
                channels: (outputs - first).min(CHANNEL_BLOCK),
                requant,
                sums,
            };
            // SAFETY: the token's existence proves the instructions. A run of `quads` * 4 bytes at each tap for every pixel
            // lies inside the view (direct: a pixel's channels, a multiple of 4) or inside a staged row with its slack. The
            // block's weights, bias and scale were just sliced. The output's row has `width` pixels with these channels.
            unsafe { I::gemm(&row) };
        }
        if let Some(table) = conv.finish.table {
            // SAFETY: the group's channels of the row that was just written.
            unsafe {
                look_up_pixels::<I>(out.ptr(y, 0).add(group * outputs), out_pixel, width, outputs, table);
            }
        }
    };

    if access == Access::Direct {
        for y in units {
            let start = source.ptr(y * sy, 0);
            for group in 0..g.groups {
                line(group, y, &[start.wrapping_add(group * inputs)], sx * source.layout().pixel);
            }
        }
        return;
    }
    let border = call.inputs()[0].quant.zero_point;
    let plan = plan(conv, out.shape());
    let memory = parts.take(plan.bytes());
    for group in 0..g.groups {
        let mut stage = Stage::new(plan, memory, source, (group * inputs, inputs), w.pad[1], border);
        for y in units.clone() {
            let (mut taps, mut n) = ([core::ptr::null(); MAX_TAPS], 0);
            for ky in 0..kh {
                let row = stage.row((y * sy + ky * dy) as isize - isize::from(w.pad[0]));
                for kx in 0..if access == Access::Pixels { kw } else { 1 } {
                    taps[n] = row.wrapping_add(plan.column(kx * dx));
                    n += 1;
                }
            }
            line(group, y, &taps[..n], sx * inputs);
        }
    }
}

/// Groups of four weights whose pairs of bytes add up within 16 bits.
const MAX_PAIRED: usize = 0xffff / (2 * 255);

/// Writes bias + offset * the sum of the weights of each output.
fn shift_bias(offset: i32, bias: &[i32], weights: &[i8], block_len: usize, to: &mut [u8]) {
    let blocks = weights.chunks_exact(block_len).zip(bias.as_chunks::<CHANNEL_BLOCK>().0);
    for ((weights, bias), to) in blocks.zip(to.as_chunks_mut::<{ 4 * CHANNEL_BLOCK }>().0) {
        let mut sums = [0; CHANNEL_BLOCK];
        for quads in weights.as_chunks::<{ 4 * CHANNEL_BLOCK }>().0.chunks(MAX_PAIRED) {
            // Each weight as a byte that is 128 larger, two sums of 16 bits in a word.
            let mut pairs = [0u32; CHANNEL_BLOCK];
            for quad in quads {
                for (pair, w) in pairs.iter_mut().zip(quad.as_chunks::<4>().0) {
                    let w = u32::from_ne_bytes(w.map(i8::cast_unsigned)) ^ 0x8080_8080;
                    *pair += (w & 0x00ff_00ff) + (w >> 8 & 0x00ff_00ff);
                }
            }
            let excess = 128 * 4 * quads.len() as i32;
            for (sum, pair) in sums.iter_mut().zip(pairs) {
                *sum += (pair & 0xffff) as i32 + (pair >> 16) as i32 - excess;
            }
        }
        for ((to, bias), sum) in to.as_chunks_mut::<4>().0.iter_mut().zip(bias).zip(sums) {
            *to = (bias + offset * sum).to_ne_bytes();
        }
    }
}
