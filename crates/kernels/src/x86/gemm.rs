//! 8-bit pointwise, dense and grouped convolution: the packed weights times rows of activations, without im2col.
//!
//! In NHWC a row of the window is one run of `kernel_w * channels` bytes. Each output pixel is therefore the product of
//! the packed weights with a few such runs ("taps"), one a kernel row, at a constant distance from its neighbour's. The
//! leaf kernels of an instruction set compute a tile of some pixels times some blocks of 16 channels in registers.

use core::ops::Range;

use fusionproxy_format::{Conv, ConvWeights, packed_row};

use super::isa::Isa;
use super::requant::Requant;
use super::stage::{Arena, Channels, Stage, StagePlan, copy_pixels};
use crate::{AnyDst, AnySrc, Call, Shape};

/// Most taps of one output pixel.
pub(super) const MAX_TAPS: usize = 64;

/// Bytes of activations over which the blocks of output channels take turns: half of the smallest L1 cache that
/// matters (32 KiB), so that what is broadcast is near; weights are read once for at least 96 pixels.
const CHUNK: usize = 16 << 10;

/// One row of output pixels times a few blocks of 16 output channels.
pub(super) struct GemmRow<'a> {
    /// Where each run of activations begins for pixel 0.
    pub(super) taps: &'a [*const u8],
    /// Groups of 4 bytes in a run.
    pub(super) quads: usize,
    /// Bytes from one pixel's runs to the next one's.
    pub(super) step: usize,
    /// Pixels in the row.
    pub(super) pixels: usize,
    /// Packed weights of the first block; `taps.len() * quads * 64` bytes a block.
    pub(super) weights: *const i8,
    /// Bias, 16 a block.
    pub(super) bias: *const i32,
    /// Added to the sums of each pixel; null if there is nothing to add. Not with `pairs`.
    pub(super) row_bias: *const i32,
    /// Scale, 16 a block.
    pub(super) scale: *const f32,
    /// Whether a run is interleaved with its right neighbour's, 4 bytes of each in turn. `step` then belongs to two pixels,
    /// and at most 8 channels are computed. Such runs need an even number of pixels, or twice as many bytes of slack.
    pub(super) pairs: bool,
    /// First output channel of pixel 0.
    pub(super) out: *mut u8,
    /// Bytes between output pixels.
    pub(super) out_pixel: usize,
    /// Output channels to be written: more than 16 * (blocks - 1), at most 16 * blocks.
    pub(super) channels: usize,
    /// Finishing.
    pub(super) requant: Requant<'a>,
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
    /// From staged rows that are interleaved with themselves, moved by a stride: with at most 8 outputs, a register of
    /// weights serves two pixels.
    Pairs,
}

fn access<I: Isa>(conv: &Conv<'_>) -> Option<Access> {
    let (g, w) = (&conv.geometry, &conv.geometry.window);
    let channels = g.input_channels / g.groups;
    let [kh, kw] = w.kernel.map(usize::from);
    let access = if kh == 1 && kw == 1 && w.pad == [0; 4] && channels.is_multiple_of(4) {
        Access::Direct
    } else if (w.dilation[1] == 1 || kw == 1)
        && channels.is_multiple_of(4)
        && g.output_channels / g.groups <= 8
        && I::PAIRS
    {
        Access::Pairs
    } else if w.dilation[1] == 1 || kw == 1 {
        Access::Rows
    } else if channels.is_multiple_of(4) {
        Access::Pixels
    } else {
        return None;
    };
    let taps = if access == Access::Pixels { kh * kw } else { kh };
    (taps <= MAX_TAPS).then_some(access)
}

/// Whether [`run`] takes this convolution.
pub(super) fn supports<I: Isa>(conv: &Conv<'_>) -> bool {
    matches!(conv.weights, ConvWeights::Int8 { .. })
        && !conv.geometry.depthwise()
        && access::<I>(conv).is_some()
}

/// Bytes between staged pixels.
fn plan(conv: &Conv<'_>, output: Shape, access: Access) -> StagePlan {
    let g = &conv.geometry;
    let pitch = g.input_channels / g.groups;
    let plan = StagePlan::new(&g.window, output, pitch, false);
    if access == Access::Pairs { plan.paired(usize::from(g.window.stride[1]) * pitch) } else { plan }
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes<I: Isa>(conv: &Conv<'_>, output: Shape) -> usize {
    match access::<I>(conv) {
        Some(access @ (Access::Rows | Access::Pixels | Access::Pairs)) => {
            Arena::size(plan(conv, output, access).bytes()) + 64
        }
        Some(Access::Direct) | None => 0,
    }
}

/// Runs `units` of an 8-bit convolution that [`supports`] accepts. Gives `false` without having done anything if it
/// does not fit after all ([`super::requant::fits`]).
pub(super) fn run<I: Isa>(
    call: &Call<'_, '_>,
    conv: &Conv<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (AnySrc::U8(source), AnyDst::U8(out)) = (call.inputs()[0].data, call.output()) else { return false };
    let ConvWeights::Int8 { weights, bias, scale } = conv.weights else { return false };
    let Some(access) = access::<I>(conv) else { return false };
    let (g, w) = (&conv.geometry, &conv.geometry.window);
    let (inputs, outputs) = (g.input_channels / g.groups, g.output_channels / g.groups);
    let [kh, kw] = w.kernel.map(usize::from);
    let [sy, sx] = w.stride.map(usize::from);
    let [dy, dx] = w.dilation.map(usize::from);
    if !super::requant::fits(kh * kw * inputs, bias, scale) {
        return false;
    }
    let width = out.shape().width;
    let requant = Requant { zero_point: call.output_quant().zero_point, finish: conv.finish };
    let border = call.inputs()[0].quant.zero_point;
    let row_bytes = packed_row(kw, inputs);
    let blocks = outputs.div_ceil(16);
    let block_bytes = kh * row_bytes;

    // Computes one row of output pixels from `taps` for every channel of a group, or a part of them.
    let leaf = |group: usize, parts: Range<usize>, taps: &[*const u8], step, pixels, at: *mut u8| {
        let first = parts.start;
        let slot = (group * blocks + first) * 16;
        let row = GemmRow {
            taps,
            quads: if access == Access::Pixels { inputs / 4 } else { row_bytes / 4 },
            step,
            pixels,
            pairs: access == Access::Pairs,
            weights: weights[slot * block_bytes..].as_ptr(),
            bias: bias[slot..].as_ptr(),
            row_bias: core::ptr::null(),
            scale: scale[slot..].as_ptr(),
            out: at.wrapping_add(group * outputs + first * 16),
            out_pixel: out.layout().pixel,
            channels: (outputs - first * 16).min(parts.len() * 16),
            requant,
        };
        // SAFETY: the token's existence proves the instructions. Taps: a run of `quads` * 4 bytes at each tap for every
        // pixel lies inside the view (direct: a pixel's channels, a multiple of 4) or inside a staged row with its
        // slack. Weights, bias and scale have the lengths of `packed_weights_len` and `channel_slots`, which
        // the artifact proves, so blocks `parts` are inside. Output: `pixels` pixels of the view.
        unsafe { I::gemm(&row, parts.len()) };
    };
    // Blocks in as few tiles as possible, of even size.
    let tiles = blocks.div_ceil(I::BLOCKS);
    let tile = |i: usize| blocks * i / tiles..blocks * (i + 1) / tiles;

    match access {
        Access::Direct => {
            let (from, to) = (source.layout(), out.layout());
            let whole = sy == 1
                && sx == 1
                && from.row == from.pixel * width
                && to.row == to.pixel * width
                && from.ring >= from.shape.height
                && to.ring >= to.shape.height;
            // Rows that follow one another are one long row.
            let (lines, pixels) = if whole { (1, width * units.len()) } else { (units.len(), width) };
            if whole {
                source.expect_rows(&units);
            }
            let step = sx * from.pixel;
            // Lines or, of a long line, pixels whose activations stay in the cache: a tile at least.
            let part_pixels = (CHUNK / inputs).max(1).next_multiple_of(96).min(pixels);
            let part_lines = (CHUNK / (inputs * width)).clamp(1, lines);
            for group in 0..g.groups {
                for top in (0..lines).step_by(part_lines) {
                    for left in (0..pixels).step_by(part_pixels) {
                        let count = part_pixels.min(pixels - left);
                        for t in 0..tiles {
                            for line in top..(top + part_lines).min(lines) {
                                let y = units.start + line;
                                let tap = source.ptr(y * sy, 0).wrapping_add(group * inputs + left * step);
                                let at = out.ptr(y, 0).wrapping_add(left * to.pixel);
                                leaf(group, tile(t), &[tap], step, count, at);
                            }
                        }
                    }
                }
            }
        }
        Access::Rows | Access::Pixels | Access::Pairs => {
            let plan = plan(conv, out.shape(), access);
            let pair = if access == Access::Pairs { 4 } else { 1 };
            let mut arena = Arena::new(scratch);
            let memory = arena.take(plan.bytes());
            for group in 0..g.groups {
                let channels = Channels { source, first: group * inputs, count: inputs };
                // SAFETY: the group's channels are inside the pixel, and the pitch is their number.
                let mut stage =
                    unsafe { Stage::new::<I>(plan, memory, channels, w.pad[1], border, copy_pixels) };
                for y in units.clone() {
                    let mut taps = [core::ptr::null(); MAX_TAPS];
                    let mut n = 0;
                    for ky in 0..kh {
                        let row = stage.row((y * sy + ky * dy) as isize - isize::from(w.pad[0]));
                        for kx in 0..if access == Access::Pixels { kw } else { 1 } {
                            taps[n] = row.wrapping_add(plan.column(kx * dx));
                            n += 1;
                        }
                    }
                    for t in 0..tiles {
                        leaf(group, tile(t), &taps[..n], sx * inputs * pair, width, out.ptr(y, 0));
                    }
                }
            }
        }
    }
    true
}
