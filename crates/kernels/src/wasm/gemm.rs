//! 8-bit pointwise, dense and grouped convolution: the packed weights times rows of activations, without im2col.
//!
//! In NHWC a row of the window is one run of `kernel_w * channels` bytes. Each output pixel is therefore the product of
//! the packed weights with a few such runs ("taps"), one a kernel row, at a constant distance from its neighbour's. A tile
//! of four pixels times eight outputs has eight accumulators, which leaves the other half of x86-64's and the greater
//! part of AArch64's registers to operands.

use core::arch::wasm32::{
    i16x8_narrow_i32x4, i16x8_shl, i16x8_shr, i32x4_add, i32x4_dot_i16x8, i32x4_splat, u8x16_narrow_i16x8,
    u16x8_shr, u16x8_splat, v128, v128_and, v128_load, v128_load32_splat, v128_store, v128_store64_lane,
};
use core::ops::Range;

use fusionproxy_format::{CHANNEL_BLOCK, Conv, ConvWeights, packed_row};

use super::finish::Finish;
use super::stage::{Parts, Stage, StagePlan};
use crate::{Call, Shape};

/// Most taps of one output pixel.
const MAX_TAPS: usize = 64;

/// Pixels of a tile.
const PIXELS: usize = 4;

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

fn access(conv: &Conv<'_>) -> Option<Access> {
    let (g, w) = (&conv.geometry, &conv.geometry.window);
    let quads = (g.input_channels / g.groups).is_multiple_of(4);
    let [kh, kw] = w.kernel.map(usize::from);
    let (access, taps) = if kh == 1 && kw == 1 && w.pad == [0; 4] && quads {
        (Access::Direct, 1)
    } else if w.dilation[1] == 1 || kw == 1 {
        (Access::Rows, kh)
    } else if quads {
        (Access::Pixels, kh * kw)
    } else {
        return None;
    };
    (taps <= MAX_TAPS).then_some(access)
}

/// Whether [`run`] takes this convolution.
pub(super) fn supports(conv: &Conv<'_>) -> bool {
    matches!(conv.weights, ConvWeights::Int8 { .. }) && !conv.geometry.depthwise() && access(conv).is_some()
}

fn plan(conv: &Conv<'_>, output: Shape) -> StagePlan {
    let g = &conv.geometry;
    StagePlan::new(&g.window, output, g.input_channels / g.groups, false)
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes(conv: &Conv<'_>, output: Shape) -> usize {
    match access(conv) {
        Some(Access::Rows | Access::Pixels) => Parts::size(plan(conv, output).bytes()),
        Some(Access::Direct) | None => 0,
    }
}

/// Runs rows `units` of a convolution that [`supports`] accepts.
pub(super) fn run(call: &Call<'_, '_>, conv: &Conv<'_>, units: Range<usize>, scratch: &mut [u8]) {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    let ConvWeights::Int8 { weights, bias, scale } = conv.weights else { return };
    let Some(access) = access(conv) else { return };
    let (g, w) = (&conv.geometry, &conv.geometry.window);
    let (inputs, outputs) = (g.input_channels / g.groups, g.output_channels / g.groups);
    let [kh, kw] = w.kernel.map(usize::from);
    let [sy, sx] = w.stride.map(usize::from);
    let [dy, dx] = w.dilation.map(usize::from);
    let (width, out_pixel) = (out.shape().width, out.layout().pixel);
    let finish = Finish::new(call.output_quant(), &conv.finish);
    let row_bytes = packed_row(kw, inputs);
    let quads = if access == Access::Pixels { inputs / 4 } else { row_bytes / 4 };
    let blocks = outputs.div_ceil(CHANNEL_BLOCK);

    // Computes output row `y`, all channels of a group.
    let line = |group: usize, y: usize, taps: &[*const u8], step: usize| {
        for block in 0..blocks {
            let slot = (group * blocks + block) * CHANNEL_BLOCK;
            let first = block * CHANNEL_BLOCK;
            let row = Row {
                taps,
                quads,
                step,
                pixels: width,
                weights: weights[slot * kh * row_bytes..][..CHANNEL_BLOCK * kh * row_bytes].as_ptr(),
                bias: bias[slot..][..CHANNEL_BLOCK].as_ptr(),
                scale: scale[slot..][..CHANNEL_BLOCK].as_ptr(),
                out: out.ptr(y, 0).wrapping_add(group * outputs + first),
                out_pixel,
                channels: (outputs - first).min(CHANNEL_BLOCK),
                finish,
            };
            // SAFETY: a run of `quads` * 4 bytes at each tap for every pixel lies inside the view (direct: a pixel's
            // channels, a multiple of 4) or inside a staged row with its slack. The block's weights, bias and scale were
            // just sliced. The output's row has `width` pixels with these channels.
            unsafe { row.run() };
        }
        if let Some(table) = conv.finish.table {
            for x in 0..width {
                let lane = out.pixel(y, x).slice(group * outputs, outputs);
                lane.map(lane.as_lane(), |q: u8| table[usize::from(q)]);
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
    let mut parts = Parts::new(scratch);
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

/// One row of output pixels times a block of up to 16 channels.
struct Row<'a> {
    /// Where each run of activations begins for pixel 0.
    taps: &'a [*const u8],
    /// Groups of 4 bytes in a run.
    quads: usize,
    /// Bytes from one pixel's runs to the next one's.
    step: usize,
    /// Pixels in the row.
    pixels: usize,
    /// Packed weights of the block.
    weights: *const i8,
    /// Bias of the block.
    bias: *const i32,
    /// Scale of the block.
    scale: *const f32,
    /// First output channel of pixel 0.
    out: *mut u8,
    /// Bytes between output pixels.
    out_pixel: usize,
    /// Output channels to be written, at most 16.
    channels: usize,
    /// Finishing.
    finish: Finish,
}

impl Row<'_> {
    /// # Safety
    /// For every pixel, each tap has `quads * 4` readable bytes; weights, bias and scale cover a block; `channels` bytes
    /// of every output pixel may be written; nothing overlaps the output.
    unsafe fn run(&self) {
        for half in 0..self.channels.div_ceil(8) {
            let n = self.pixels;
            // SAFETY: every tile covers pixels inside 0..n, and half a block inside the block.
            unsafe {
                let mut x = 0;
                while x + PIXELS <= n {
                    self.tile::<PIXELS>(x, half);
                    x += PIXELS;
                }
                if x < n && n >= PIXELS {
                    // Some pixels twice is less than the rest one by one.
                    self.tile::<PIXELS>(n - PIXELS, half);
                } else {
                    while x < n {
                        self.tile::<1>(x, half);
                        x += 1;
                    }
                }
            }
        }
    }

    /// Computes channels `8 * half..` of pixels `x..x + P`.
    ///
    /// # Safety
    /// As [`Self::run`]; the pixels and the channels are the row's.
    #[inline(always)]
    unsafe fn tile<const P: usize>(&self, x: usize, half: usize) {
        let even = u16x8_splat(0x00ff);
        // SAFETY: bias, scale and weights cover 16 channels, of which these are 8; the pixels have `quads` * 4 bytes at
        // each tap and `channels` bytes of output.
        unsafe {
            let bias = self.bias.add(8 * half).cast::<v128>();
            let mut acc = [[v128_load(bias), v128_load(bias.add(1))]; P];
            let mut weights = self.weights.add(32 * half).cast::<v128>();
            for tap in self.taps {
                let mut from = tap.add(x * self.step);
                for _ in 0..self.quads {
                    let w = [v128_load(weights), v128_load(weights.add(1))];
                    // Inputs 0 and 2, and 1 and 3, of four outputs each.
                    let w02 = w.map(|w| i16x8_shr(i16x8_shl(w, 8), 8));
                    let w13 = w.map(|w| i16x8_shr(w, 8));
                    for (p, acc) in acc.iter_mut().enumerate() {
                        let v = v128_load32_splat(from.add(p * self.step).cast());
                        let (v02, v13) = (v128_and(v, even), u16x8_shr(v, 8));
                        for i in 0..2 {
                            acc[i] = i32x4_add(acc[i], i32x4_dot_i16x8(v02, w02[i]));
                            acc[i] = i32x4_add(acc[i], i32x4_dot_i16x8(v13, w13[i]));
                        }
                    }
                    from = from.add(4);
                    weights = weights.add(4);
                }
            }
            let scale = self.scale.add(8 * half).cast::<v128>();
            let scale = [v128_load(scale), v128_load(scale.add(1))];
            let channels = self.channels - 8 * half;
            let out = self.out.add(x * self.out_pixel + 8 * half);
            for p in (0..P).step_by(2) {
                let narrow = |p: usize| {
                    if p >= P {
                        return i32x4_splat(0);
                    }
                    let [a, b] = acc[p];
                    i16x8_narrow_i32x4(self.finish.apply(a, scale[0]), self.finish.apply(b, scale[1]))
                };
                let v = u8x16_narrow_i16x8(narrow(p), narrow(p + 1));
                let to = out.add(p * self.out_pixel);
                if channels >= 8 {
                    v128_store64_lane::<0>(v, to.cast());
                    if p + 1 < P {
                        v128_store64_lane::<1>(v, to.add(self.out_pixel).cast());
                    }
                } else {
                    let mut bytes = [0u8; 16];
                    v128_store(bytes.as_mut_ptr().cast(), v);
                    core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, channels);
                    if p + 1 < P {
                        core::ptr::copy_nonoverlapping(
                            bytes.as_ptr().add(8),
                            to.add(self.out_pixel),
                            channels,
                        );
                    }
                }
            }
        }
    }
}
