//! Float convolution: pointwise, dense, grouped and depthwise, stored in 16 or 32 bits, computed in 32.
//!
//! The layout of the work is that of the 8-bit drivers. Half-precision inputs become f32 where they are staged, which every
//! half-precision input is; weights become f32 where a tile loads them.

use core::ops::Range;

use fusionproxy_format::{Activation, Conv, ConvGeometry};

use super::element::Float;
use super::isa::Isa;
use super::stage::{Arena, Channels, Stage, StagePlan};
use crate::{Call, Shape};

/// Most taps of a pixel.
const MAX_TAPS: usize = 64;

/// Floats of activations over which blocks of output channels take turns (128 KiB).
const CHUNK: usize = 32 << 10;

/// One row of output pixels times a few blocks of 16 output channels.
pub(super) struct FloatRow<'a> {
    /// Where each run of activations begins for pixel 0.
    pub(super) taps: &'a [*const f32],
    /// Numbers in a run.
    pub(super) depth: usize,
    /// Numbers from one pixel's runs to the next one's.
    pub(super) step: usize,
    /// Pixels in the row.
    pub(super) pixels: usize,
    /// Packed weights of the first block: `taps * depth * 16` elements a block. Depthwise: of the first block's first
    /// tap.
    pub(super) weights: *const u8,
    /// Depthwise: elements from one tap's weights to the next one's.
    pub(super) tap_stride: usize,
    /// Whether weights and output have 16 bits.
    pub(super) half: bool,
    /// Whether the output has 32 bits nevertheless.
    pub(super) wide_out: bool,
    /// Bias, 16 a block.
    pub(super) bias: *const f32,
    /// First output channel of pixel 0.
    pub(super) out: *mut u8,
    /// Elements between output pixels.
    pub(super) out_pixel: usize,
    /// Output channels to be written: more than 16 * (blocks - 1), at most 16 * blocks.
    pub(super) channels: usize,
    /// Clamp.
    pub(super) limits: [f32; 2],
}

/// How the activations reach the leaf kernel.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    /// In place.
    Direct,
    /// From staged rows; a run is a kernel row.
    Rows,
    /// From staged rows; a run is one pixel.
    Pixels,
}

fn access<T: Float>(g: &ConvGeometry) -> Option<Access> {
    let w = &g.window;
    let [kh, kw] = w.kernel.map(usize::from);
    let access = if T::SAME && kh == 1 && kw == 1 && w.pad == [0; 4] && !g.depthwise() {
        Access::Direct
    } else if (w.dilation[1] == 1 || kw == 1) && !g.depthwise() {
        Access::Rows
    } else {
        Access::Pixels
    };
    let taps = if access == Access::Pixels { kh * kw } else { kh };
    (taps <= MAX_TAPS).then_some(access)
}

/// Whether [`run`] takes this convolution.
pub(super) fn supports<T: Float>(conv: &Conv<'_>) -> bool {
    T::weights(&conv.weights).is_some() && access::<T>(&conv.geometry).is_some()
}

/// Whether the leaf kernel can apply an activation.
fn limits(activation: Activation) -> Option<[f32; 2]> {
    match activation {
        Activation::None => Some([f32::NEG_INFINITY, f32::INFINITY]),
        Activation::Clamp { lo, hi } => Some([lo, hi]),
        _ => None,
    }
}

/// Channels of a group that are staged together: all, for depthwise windows.
fn staged(g: &ConvGeometry) -> usize {
    if g.depthwise() { g.input_channels } else { g.input_channels / g.groups }
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes(conv: &Conv<'_>, output: Shape) -> usize {
    let g = &conv.geometry;
    let plan = StagePlan::new(&g.window, output, staged(g) * 4, false);
    let row = output.width * output.channels * 4;
    Arena::size(plan.bytes()) + Arena::size(row) + 64
}

/// Runs `units` of a float convolution that [`supports`] accepts; `false` if the views are of another type.
pub(super) fn run<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    conv: &Conv<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    let (Some((weights, bias)), Some(access)) = (T::weights(&conv.weights), access::<T>(&conv.geometry))
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
    let row_len = width * out.shape().channels;
    // Blocks of a group; a depthwise convolution is one group here.
    let (groups, outputs) = if depthwise { (1, g.output_channels) } else { (g.groups, outputs) };
    let blocks = outputs.div_ceil(16);
    let block_len = kh * kw * inputs * 16;
    let fused = limits(conv.activation);
    let size = size_of::<T>();

    let plan = StagePlan::new(w, out.shape(), staged(g) * 4, false);
    let mut arena = Arena::new(scratch);
    let memory = arena.take(plan.bytes());
    let row_buffer = arena.take(row_len * 4).as_mut_ptr().cast::<f32>();

    // Computes one row of output pixels from `taps` for some blocks of a group.
    let leaf =
        |group: usize, parts: Range<usize>, taps: &[*const f32], step, pixels, (y, x): (usize, usize)| {
            let first = parts.start;
            let slot = (group * blocks + first) * 16;
            let channel = group * outputs + first * 16;
            let at = if depthwise { &weights[first * 16..] } else { &weights[slot * block_len / 16..] };
            let (to, pitch) = if fused.is_some() {
                (out.ptr(y, x).wrapping_add(channel).cast(), out.layout().pixel)
            } else {
                let channels = out.shape().channels;
                (row_buffer.wrapping_add(x * channels + channel).cast(), channels)
            };
            let row = FloatRow {
                taps,
                depth: match access {
                    Access::Rows => kw * inputs,
                    Access::Direct | Access::Pixels => inputs,
                },
                step,
                pixels,
                weights: at.as_ptr().cast(),
                tap_stride: blocks * 16,
                half: !T::SAME,
                wide_out: fused.is_none(),
                bias: bias[slot..].as_ptr(),
                out: to,
                out_pixel: pitch,
                channels: (outputs - first * 16).min(parts.len() * 16),
                limits: fused.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]),
            };
            // SAFETY: the token's existence proves the instructions. A run of `depth` numbers at each tap for every pixel lies
            // inside the view or a staged row (depthwise: 16 numbers, the row's slack included). Weights and bias have the
            // lengths of `packed_weights_len` and `channel_slots`, which the artifact proves. Output: `pixels` pixels of
            // the view or of the row buffer.
            unsafe {
                if depthwise {
                    I::depthwise_float(&row);
                } else {
                    I::gemm_float(&row, parts.len());
                }
            }
        };
    // The activation of a finished row, and its way to the output.
    let finish = |y: usize| {
        if fused.is_none() {
            let channels = out.shape().channels;
            // SAFETY: the leaf kernels wrote the whole row; the output row has as many pixels.
            unsafe {
                I::activate(row_buffer, row_len, conv.activation);
                let to = (out.ptr(y, 0).cast(), out.layout().pixel * size);
                T::store::<I>()(row_buffer.cast(), channels * 4, to.0, to.1, width, channels);
            }
        }
    };
    let most = if depthwise { 1 } else { I::BLOCKS };
    let tiles = blocks.div_ceil(most);
    let tile = |i: usize| blocks * i / tiles..blocks * (i + 1) / tiles;

    if access == Access::Direct {
        let step = sx * source.layout().pixel;
        let part = (CHUNK / inputs).next_multiple_of(96).min(width);
        for y in units {
            for x in (0..width).step_by(part) {
                for group in 0..groups {
                    for t in 0..tiles {
                        let tap = source.ptr(y * sy, 0).wrapping_add(group * inputs + x * step).cast();
                        leaf(group, tile(t), &[tap], step, part.min(width - x), (y, x));
                    }
                }
            }
            finish(y);
        }
        return true;
    }
    let copy = T::load::<I>();
    let count = staged(g);
    // With several groups each row is staged anew for each.
    for y in units.clone() {
        if groups == 1 && y > units.start {
            break;
        }
        let rows = if groups == 1 { units.clone() } else { y..y + 1 };
        for group in 0..groups {
            let channels = Channels { source, first: group * inputs, count };
            // SAFETY: the group's channels are inside the pixel, and the pitch is 4 bytes for each.
            let mut stage = unsafe { Stage::new::<I>(plan, memory, channels, w.pad[1], 0, copy) };
            for y in rows.clone() {
                let mut taps = [core::ptr::null(); MAX_TAPS];
                let mut n = 0;
                for ky in 0..kh {
                    let row = stage.row((y * sy + ky * dy) as isize - isize::from(w.pad[0]));
                    for kx in 0..if access == Access::Pixels { kw } else { 1 } {
                        taps[n] = row.wrapping_add(plan.column(kx * dx)).cast::<f32>();
                        n += 1;
                    }
                }
                for t in 0..tiles {
                    let parts = tile(t);
                    let mut taps = taps;
                    if depthwise {
                        taps[..n].iter_mut().for_each(|p| *p = p.wrapping_add(parts.start * 16));
                    }
                    leaf(group, parts, &taps[..n], sx * count, width, (y, 0));
                }
                if group + 1 == groups {
                    finish(y);
                }
            }
        }
    }
    true
}
