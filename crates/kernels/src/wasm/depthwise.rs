//! 8-bit depthwise convolution.
//!
//! A staged row is one run of bytes, element (x, c) at `x * pitch + c`. With the columns split by the stride's phase, tap
//! (ky, kx) of output element i of a row is element i of a run that begins at a place that depends on the tap alone, so a
//! vector of outputs needs one unaligned load a tap whatever the stride and the number of channels. The weights repeat
//! with period `pitch`; they are laid out once a call for the `period` vectors after which the pattern meets the vector
//! length again. Two taps are interleaved by byte, widened to 16 bits and multiplied at once.

use core::arch::wasm32::{
    i8x16_shuffle, i32x4_add, i32x4_dot_i16x8, u16x8_extend_high_u8x16, u16x8_extend_low_u8x16, v128,
    v128_load, v128_store,
};
use core::ops::Range;

use fusionproxy_format::{Conv, ConvWeights, padded_channels};

use super::finish::{Finish, pack};
use super::stage::{Parts, Stage, StagePlan, copy_pixels};
use crate::{Call, Shape};

/// Bytes of a vector.
const VECTOR: usize = 16;

/// Most pairs of taps.
const MAX_PAIRS: usize = 64;

/// Most vectors until the channels' pattern repeats; a pixel that takes more is padded to whole vectors.
const MAX_PERIOD: usize = 8;

/// Sizes that follow from the operator and the shapes.
struct Sizes {
    /// Bytes between staged pixels.
    pitch: usize,
    /// Vectors until weights, bias and scale repeat.
    period: usize,
    /// Pairs of taps.
    pairs: usize,
    stage: StagePlan,
    /// One output row, where it cannot be written in place.
    out_row: usize,
}

impl Sizes {
    fn new(conv: &Conv<'_>, output: Shape) -> Self {
        let channels = conv.geometry.output_channels;
        let repeat = |pitch: usize| pitch / gcd(pitch, VECTOR);
        let pitch = if repeat(channels) <= MAX_PERIOD { channels } else { channels.next_multiple_of(VECTOR) };
        let [kh, kw] = conv.geometry.window.kernel.map(usize::from);
        Self {
            pitch,
            period: repeat(pitch),
            pairs: (kh * kw).div_ceil(2),
            stage: StagePlan::new(&conv.geometry.window, output, pitch, true),
            out_row: output.width * pitch,
        }
    }

    /// Bytes of the weights, of bias and of scale.
    fn tables(&self) -> [usize; 3] {
        let elements = self.period * VECTOR;
        [elements * self.pairs * 4, elements * 4, elements * 4]
    }

    fn scratch(&self) -> usize {
        let tables: usize = self.tables().iter().map(|b| Parts::size(*b)).sum();
        tables + Parts::size(self.stage.bytes()) + Parts::size(self.out_row)
    }
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether [`run`] takes this convolution.
pub(super) fn supports(conv: &Conv<'_>) -> bool {
    let [kh, kw] = conv.geometry.window.kernel.map(usize::from);
    matches!(conv.weights, ConvWeights::Int8 { .. }) && conv.geometry.depthwise() && kh * kw <= 2 * MAX_PAIRS
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes(conv: &Conv<'_>, output: Shape) -> usize {
    Sizes::new(conv, output).scratch()
}

/// Runs rows `units` of a convolution that [`supports`] accepts.
pub(super) fn run(call: &Call<'_, '_>, conv: &Conv<'_>, units: Range<usize>, scratch: &mut [u8]) {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    let ConvWeights::Int8 { weights, bias, scale } = conv.weights else { return };
    let w = &conv.geometry.window;
    let channels = conv.geometry.output_channels;
    let [kh, kw] = w.kernel.map(usize::from);
    let sizes = Sizes::new(conv, out.shape());
    let mut parts = Parts::new(scratch);
    let [weight_bytes, bias_bytes, scale_bytes] = sizes.tables();
    let weight_table = parts.take(weight_bytes);
    let tap_weights = padded_channels(channels);
    for pair in 0..sizes.pairs {
        let of = |tap: usize, c: usize| i16::from(weights.get(tap * tap_weights + c).copied().unwrap_or(0));
        lay_out(&sizes, channels, weight_table, (sizes.pairs, pair), |c| {
            let (a, b) = (of(2 * pair, c), if 2 * pair + 1 < kh * kw { of(2 * pair + 1, c) } else { 0 });
            let ([a0, a1], [b0, b1]) = (a.to_le_bytes(), b.to_le_bytes());
            [a0, a1, b0, b1]
        });
    }
    let bias_table = parts.take(bias_bytes);
    lay_out(&sizes, channels, bias_table, (1, 0), |c| bias[c].to_le_bytes());
    let scale_table = parts.take(scale_bytes);
    lay_out(&sizes, channels, scale_table, (1, 0), |c| scale[c].to_le_bytes());

    let border = call.inputs()[0].quant.zero_point;
    let memory = parts.take(sizes.stage.bytes());
    let mut stage = Stage::new(sizes.stage, memory, source, (0, channels), w.pad[1], border);
    let out_row = parts.take(sizes.out_row);
    let in_place = out.as_src().packed_pixels() && sizes.pitch == channels;
    let (width, out_pixel) = (out.shape().width, out.layout().pixel);
    let finish = Finish::new(call.output_quant(), &conv.finish);
    for y in units {
        let mut taps = [core::ptr::null(); 2 * MAX_PAIRS];
        for ky in 0..kh {
            let line = y * usize::from(w.stride[0]) + ky * usize::from(w.dilation[0]);
            let row = stage.row(line as isize - isize::from(w.pad[0]));
            for kx in 0..kw {
                taps[ky * kw + kx] = row.wrapping_add(sizes.stage.column(kx * usize::from(w.dilation[1])));
            }
        }
        // A last tap without a partner gets one with weights of zero.
        let first = taps[0];
        taps[(kh * kw).min(2 * MAX_PAIRS - 1)..][..kh * kw % 2].fill(first);
        let row = Row {
            taps: &taps[..2 * sizes.pairs],
            weights: weight_table.as_ptr().cast(),
            bias: bias_table.as_ptr().cast(),
            scale: scale_table.as_ptr().cast(),
            period: sizes.period,
            len: width * sizes.pitch,
            out: if in_place { out.ptr(y, 0) } else { out_row.as_mut_ptr() },
            finish,
        };
        // SAFETY: a tap's run of width * pitch bytes lies in its phase of a staged row: column kx * dilation +
        // (width - 1) * stride is the last column at most; the slack follows. The tables were just laid out. The output
        // row is the view's, without gaps, or the scratch's.
        unsafe {
            match sizes.pairs {
                5 => row.run::<5>(),
                13 => row.run::<13>(),
                _ => row.run::<0>(),
            }
        }
        if !in_place {
            // SAFETY: `width` pixels of `channels` bytes in a scratch row and in the output's row y.
            unsafe {
                copy_pixels((out_row.as_ptr(), sizes.pitch), (out.ptr(y, 0), out_pixel), width, channels);
            }
        }
        if let Some(table) = conv.finish.table {
            for x in 0..width {
                let lane = out.pixel(y, x);
                lane.map(lane.as_lane(), |q: u8| table[usize::from(q)]);
            }
        }
    }
}

/// Writes four bytes of each element of the pattern: `[period][parts][16]`, of which part `part`.
fn lay_out(
    sizes: &Sizes,
    channels: usize,
    table: &mut [u8],
    (parts, part): (usize, usize),
    value: impl Fn(usize) -> [u8; 4],
) {
    for element in 0..sizes.period * VECTOR {
        let channel = element % sizes.pitch;
        let at = ((element / VECTOR * parts + part) * VECTOR + element % VECTOR) * 4;
        table[at..at + 4].copy_from_slice(&if channel < channels { value(channel) } else { [0; 4] });
    }
}

/// One row of outputs as a run of bytes.
struct Row<'a> {
    /// Where each tap's run begins; an even number of them.
    taps: &'a [*const u8],
    /// `[period][pairs][16][2]`
    weights: *const v128,
    /// `[period][16]`
    bias: *const v128,
    /// `[period][16]`
    scale: *const v128,
    /// Vectors until weights, bias and scale repeat.
    period: usize,
    /// Bytes of output.
    len: usize,
    /// Output.
    out: *mut u8,
    /// Finishing.
    finish: Finish,
}

impl Row<'_> {
    /// `PAIRS` pairs of taps, or as many as there are if it is 0.
    ///
    /// # Safety
    /// Each tap has `len` readable bytes and 15 more; the tables have the layouts of [`Row`]; `len` bytes of output may be
    /// written and overlap nothing.
    unsafe fn run<const PAIRS: usize>(&self) {
        let pairs = if PAIRS == 0 { self.taps.len() / 2 } else { PAIRS };
        let taps = self.taps.as_ptr();
        let (mut at, mut phase) = (0, 0);
        while at < self.len {
            // SAFETY: phase < period, so the tables are inside; at < len, so a vector at `at` ends inside the taps' slack.
            let v = unsafe {
                let load4 = |from: *const v128| [0, 1, 2, 3].map(|i| v128_load(from.add(i)));
                let mut acc = load4(self.bias.add(4 * phase));
                let mut weights = self.weights.add(4 * pairs * phase);
                for pair in 0..pairs {
                    let a = v128_load((*taps.add(2 * pair)).add(at).cast());
                    let b = v128_load((*taps.add(2 * pair + 1)).add(at).cast());
                    let low = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b);
                    let high =
                        i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(a, b);
                    let quarters = [
                        u16x8_extend_low_u8x16(low),
                        u16x8_extend_high_u8x16(low),
                        u16x8_extend_low_u8x16(high),
                        u16x8_extend_high_u8x16(high),
                    ];
                    let w = load4(weights);
                    for i in 0..4 {
                        acc[i] = i32x4_add(acc[i], i32x4_dot_i16x8(quarters[i], w[i]));
                    }
                    weights = weights.add(4);
                }
                let scale = load4(self.scale.add(4 * phase));
                pack(core::array::from_fn(|i| self.finish.apply(acc[i], scale[i])))
            };
            // SAFETY: bytes at..min(at + 16, len) of the output.
            unsafe {
                if at + VECTOR <= self.len {
                    v128_store(self.out.add(at).cast(), v);
                } else {
                    let mut bytes = [0u8; VECTOR];
                    v128_store(bytes.as_mut_ptr().cast(), v);
                    core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.out.add(at), self.len - at);
                }
            }
            at += VECTOR;
            phase += 1;
            if phase == self.period {
                phase = 0;
            }
        }
    }
}
