//! Float convolution: pointwise, dense, grouped and depthwise, stored in 16 or 32 bits, computed in 32.
//!
//! The layout of the work is that of the 8-bit drivers. Half-precision inputs become f32 where they are staged, which every
//! half-precision input is; weights become f32 where a tile loads them. Where the CPU multiplies in half precision
//! ([`Isa::HALF_SUMS`]), dense and pointwise convolutions take inputs as they are and add up short runs of products in half
//! precision, and those sums in f32.

use core::ops::Range;

use fusionproxy_format::{Activation, Conv, ConvGeometry};

use super::element::Float;
use super::isa::Isa;
use super::stage::{Arena, Channels, Stage, StagePlan, copy_numbers};
use crate::{Call, Shape};

/// Most taps of a pixel.
const MAX_TAPS: usize = 64;

/// Floats of activations over which blocks of output channels take turns: a part of the L1 cache (16 KiB), out of which the
/// leaf kernel can broadcast two numbers a cycle, as it cannot out of the L2 cache.
const CHUNK: usize = 4 << 10;

/// One row of output pixels times a few blocks of 16 output channels.
pub(super) struct FloatRow<'a> {
    /// Where each run of activations begins for pixel 0: f32 numbers, half-precision ones for [`Isa::gemm_half`].
    pub(super) taps: &'a [*const u8],
    /// Numbers in a run.
    pub(super) depth: usize,
    /// Numbers from one pixel's runs to the next one's.
    pub(super) step: usize,
    /// Pixels in the row.
    pub(super) pixels: usize,
    /// Packed weights of the first block: `taps * depth * 16` elements a block. Depthwise: of the first block's first
    /// tap.
    pub(super) weights: *const u8,
    /// [`Isa::gemm_half`]: elements from one input's weights to the next one's: 16 where they are packed. Where not, blocks stand
    /// side by side.
    pub(super) weight_pitch: usize,
    /// Depthwise: elements from one tap's weights to the next one's.
    pub(super) tap_stride: usize,
    /// Whether a run is interleaved with its right neighbour's. `step` then belongs to two pixels, and at most 8 channels are
    /// computed.
    pub(super) pairs: bool,
    /// Depthwise: taps that stand side by side, pixels that follow one another `stride` columns apart; 1 if not so.
    pub(super) width: usize,
    /// Depthwise: columns between pixels.
    pub(super) stride: usize,
    /// Whether weights and output have 16 bits.
    pub(super) half: bool,
    /// Whether the output has 32 bits nevertheless.
    pub(super) wide_out: bool,
    /// Bias, 16 a block.
    pub(super) bias: *const f32,
    /// [`Isa::gemm_half`]: what the sums are multiplied by.
    pub(super) scale: f32,
    /// First output channel of pixel 0.
    pub(super) out: *mut u8,
    /// Elements between output pixels.
    pub(super) out_pixel: usize,
    /// Output channels to be written: more than 16 * (blocks - 1), at most 16 * blocks.
    pub(super) channels: usize,
    /// Whether the leaf kernel, one of half-precision sums, applies GELU.
    pub(super) gelu: bool,
    /// Clamp.
    pub(super) limits: [f32; 2],
}

/// How the activations reach the leaf kernel.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    /// In place, or as f32 in pixels without gaps.
    Direct,
    /// From staged rows; a run is a kernel row.
    Rows,
    /// From staged rows; a run is one pixel.
    Pixels,
    /// From staged rows that are interleaved with themselves, moved by a stride: with at most 8 outputs, a register of
    /// weights serves two pixels.
    Pairs,
}

fn access<I: Isa, T: Float>(g: &ConvGeometry) -> Option<Access> {
    let w = &g.window;
    let [kh, kw] = w.kernel.map(usize::from);
    // Sums of half-precision numbers are of four inputs instead.
    let pairs =
        I::PAIRS && !(I::HALF_SUMS && !T::SAME && (kw * g.input_channels / g.groups).is_multiple_of(4));
    let access = if kh == 1 && kw == 1 && w.pad == [0; 4] && !g.depthwise() {
        Access::Direct
    } else if (w.dilation[1] == 1 || kw == 1) && !g.depthwise() && g.output_channels / g.groups <= 8 && pairs
    {
        Access::Pairs
    } else if (w.dilation[1] == 1 || kw == 1) && !g.depthwise() {
        Access::Rows
    } else {
        Access::Pixels
    };
    let taps = if access == Access::Pixels { kh * kw } else { kh };
    (taps <= MAX_TAPS).then_some(access)
}

/// Whether the convolution is one of [`Isa::gemm_half`] or [`Isa::depthwise_half`].
fn half_sums<I: Isa, T: Float>(g: &ConvGeometry) -> bool {
    let inputs = g.input_channels / g.groups;
    let depth = match access::<I, T>(g) {
        // A lane a channel: there are no pairs.
        Some(_) if g.depthwise() => 0,
        Some(Access::Direct | Access::Pixels) => inputs,
        Some(Access::Rows) => inputs * usize::from(g.window.kernel[1]),
        _ => return false,
    };
    I::HALF_SUMS && !T::SAME && depth.is_multiple_of(2)
}

/// Whether a pointwise convolution reads its input where it is.
fn in_place<I: Isa, T: Float>(g: &ConvGeometry) -> bool {
    T::SAME || half_sums::<I, T>(g)
}

/// Bytes of a number as the leaf kernel reads it.
fn lane<I: Isa, T: Float>(g: &ConvGeometry) -> usize {
    if half_sums::<I, T>(g) { 2 } else { 4 }
}

/// Whether [`run`] takes this convolution.
pub(super) fn supports<I: Isa, T: Float>(conv: &Conv<'_>) -> bool {
    T::weights(&conv.weights).is_some() && access::<I, T>(&conv.geometry).is_some()
}

/// The clamp with which the leaf kernel applies an activation, if it can.
fn limits<I: Isa, T: Float>(conv: &Conv<'_>) -> Option<[f32; 2]> {
    match conv.activation {
        Activation::None => Some([f32::NEG_INFINITY, f32::INFINITY]),
        Activation::Gelu if half_sums::<I, T>(&conv.geometry) => Some([f32::NEG_INFINITY, f32::INFINITY]),
        Activation::Clamp { lo, hi } => Some([lo, hi]),
        _ => None,
    }
}

/// Channels of a group that are staged together: all, for depthwise windows.
fn staged(g: &ConvGeometry) -> usize {
    if g.depthwise() { g.input_channels } else { g.input_channels / g.groups }
}

/// Pixels of a pointwise convolution that are worked on together: whole tiles of 12 pixels and two blocks, or 16 and one; one
/// tile at least.
fn part<I: Isa, T: Float>(g: &ConvGeometry, output: Shape) -> usize {
    let tile = if g.output_channels / g.groups > 16 { 12 } else { 16 };
    let pixels = 4 * CHUNK / lane::<I, T>(g) / g.input_channels;
    pixels.max(1).next_multiple_of(tile).min(output.height * output.width)
}

/// Most blocks of 16 output channels that the leaf kernel computes at once.
fn tile_blocks<I: Isa, T: Float>(g: &ConvGeometry) -> usize {
    if g.depthwise() && !half_sums::<I, T>(g) { 1 } else { I::FLOAT_BLOCKS }
}

fn plan<I: Isa, T: Float>(g: &ConvGeometry, output: Shape) -> StagePlan {
    let pitch = staged(g) * lane::<I, T>(g);
    let plan = StagePlan::new(&g.window, output, pitch, false);
    if access::<I, T>(g) == Some(Access::Pairs) {
        plan.paired(usize::from(g.window.stride[1]) * pitch)
    } else {
        plan
    }
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes<I: Isa, T: Float>(conv: &Conv<'_>, output: Shape) -> usize {
    let g = &conv.geometry;
    let part = part::<I, T>(g, output);
    let (rows, pixels) = match access::<I, T>(g) {
        Some(Access::Direct) if in_place::<I, T>(g) => (0, part),
        Some(Access::Direct) => (part * g.input_channels * 4, part),
        _ => (plan::<I, T>(g, output).bytes(), output.width),
    };
    let waiting = if limits::<I, T>(conv).is_none() { pixels * tile_blocks::<I, T>(g) * 64 } else { 0 };
    Arena::size(rows) + Arena::size(waiting) + 64
}

/// Runs `units` of a float convolution that [`supports`] accepts; `false` if the views are of another type.
pub(super) fn run<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    conv: &Conv<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    let (Some((weights, bias)), Some(access)) = (T::weights(&conv.weights), access::<I, T>(&conv.geometry))
    else {
        return false;
    };
    let (g, w) = (&conv.geometry, &conv.geometry.window);
    let depthwise = g.depthwise();
    let (inputs, outputs) = (g.input_channels / g.groups, g.output_channels / g.groups);
    let [kh, kw] = w.kernel.map(usize::from);
    let [sy, sx] = w.stride.map(usize::from);
    let [dy, dx] = w.dilation.map(usize::from);
    let width = out.shape().width;
    // Blocks of a group; a depthwise convolution is one group here.
    let (groups, outputs) = if depthwise { (1, g.output_channels) } else { (g.groups, outputs) };
    let blocks = outputs.div_ceil(16);
    let block_len = kh * kw * inputs * 16;
    let fused = limits::<I, T>(conv);
    let size = size_of::<T>();

    let mut arena = Arena::new(scratch);
    let (sums, lane) = (half_sums::<I, T>(g), lane::<I, T>(g));
    let plan = plan::<I, T>(g, out.shape());
    let part = part::<I, T>(g, out.shape());
    let (rows, waiting) = match access {
        Access::Direct if in_place::<I, T>(g) => (0, part),
        Access::Direct => (part * g.input_channels * 4, part),
        _ => (plan.bytes(), width),
    };
    let memory = arena.take(rows);
    let waiting = if fused.is_none() { waiting * tile_blocks::<I, T>(g) * 64 } else { 0 };
    let waiting = arena.take(waiting).as_mut_ptr().cast::<f32>();
    // Numbers of a pixel's runs, of which a pair of pixels has two, interleaved.
    let pair = if access == Access::Pairs { 4 } else { 1 };

    // Computes one row of output pixels from `taps` for some blocks of a group. Where the leaf kernel cannot apply the
    // activation, these few channels wait in the L1 cache for it.
    let leaf = |group: usize, parts: Range<usize>, taps: &[*const u8], step, pixels, to: *mut T| {
        let first = parts.start;
        let slot = (group * blocks + first) * 16;
        let channel = group * outputs + first * 16;
        let at = if depthwise { &weights[first * 16..] } else { &weights[slot * block_len / 16..] };
        let channels = (outputs - first * 16).min(parts.len() * 16);
        let to: *mut T = to.wrapping_add(channel);
        let (target, pitch) =
            if fused.is_some() { (to.cast(), out.layout().pixel) } else { (waiting.cast(), channels) };
        let row = FloatRow {
            taps,
            depth: match access {
                Access::Rows | Access::Pairs => kw * inputs,
                Access::Direct | Access::Pixels => inputs,
            },
            step,
            pixels,
            weights: at.as_ptr().cast(),
            weight_pitch: 16,
            tap_stride: blocks * 16,
            pairs: access == Access::Pairs,
            width: if dx == 1 { kw } else { 1 },
            stride: sx,
            half: !T::SAME,
            wide_out: fused.is_none(),
            bias: bias[slot..].as_ptr(),
            scale: 1.0,
            out: target,
            out_pixel: pitch,
            channels,
            gelu: sums && conv.activation == Activation::Gelu,
            limits: fused.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]),
        };
        // SAFETY: the token's existence proves the instructions. A run of `depth` numbers at each tap for every pixel lies
        // inside the view or a staged row (depthwise: those of the blocks, the row's slack included). Weights and bias have the
        // lengths of `packed_weights_len` and `channel_slots`, which the artifact proves. Output: these channels of `pixels`
        // pixels of the view, or of the row buffer, from where they go to the view.
        unsafe {
            match (depthwise, sums) {
                (false, false) => I::gemm_float(&row, parts.len()),
                (false, true) => I::gemm_half(&row, parts.len()),
                (true, false) => I::depthwise_float(&row),
                (true, true) => I::depthwise_half(&row),
            }
            if fused.is_none() {
                I::activate(waiting, pixels * channels, conv.activation);
                let pitch = out.layout().pixel * size;
                T::store::<I>()(waiting.cast(), channels * 4, to.cast(), pitch, pixels, channels);
            }
        }
    };
    let tiles = blocks.div_ceil(tile_blocks::<I, T>(g));
    let tile = |i: usize| blocks * i / tiles..blocks * (i + 1) / tiles;
    let copy = if sums { copy_numbers::<2> } else { T::load::<I>() };

    if access == Access::Direct {
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
        let pitch = sx * from.pixel;
        for y in units.start..units.start + lines {
            for x in (0..pixels).step_by(part) {
                let n = part.min(pixels - x);
                let first = source.ptr(y * sy, 0).wrapping_add(x * pitch);
                let at = out.ptr(y, 0).wrapping_add(x * to.pixel);
                let (mut start, mut step) = (first.cast::<u8>(), pitch);
                if !in_place::<I, T>(g) {
                    (start, step) = (memory.as_ptr(), g.input_channels);
                    // SAFETY: n pixels of the view; the scratch holds as many.
                    unsafe { copy(first.cast(), pitch * size, memory.as_mut_ptr(), step * 4, n, step) };
                }
                for (group, t) in (0..groups).flat_map(|g| (0..tiles).map(move |t| (g, t))) {
                    leaf(group, tile(t), &[start.wrapping_add(group * inputs * lane)], step, n, at);
                }
            }
        }
        return true;
    }
    let count = staged(g);
    // With several groups each row is staged anew for each.
    for y in units.clone() {
        if groups == 1 && y > units.start {
            break;
        }
        let rows = if groups == 1 { units.clone() } else { y..y + 1 };
        for group in 0..groups {
            let channels = Channels { source, first: group * inputs, count };
            // SAFETY: the group's channels are inside the pixel, and the pitch is `lane` bytes for each.
            let mut stage = unsafe { Stage::new::<I>(plan, memory, channels, w.pad[1], 0, copy) };
            for y in rows.clone() {
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
                    let parts = tile(t);
                    let mut taps = taps;
                    if depthwise {
                        taps[..n].iter_mut().for_each(|p| *p = p.wrapping_add(parts.start * 16 * lane));
                    }
                    leaf(group, parts, &taps[..n], sx * count * pair, width, out.ptr(y, 0));
                }
            }
        }
    }
    true
}
