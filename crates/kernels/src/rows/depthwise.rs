//! 8-bit depthwise convolution.
//!
//! A staged row is one run of bytes, element (x, c) at `x * pitch + c`. With the columns split by the stride's phase, tap
//! (ky, kx) of output element i of a row is element i of a run that begins at a place that depends on the tap alone, so a
//! vector of outputs needs one unaligned load a tap whatever the stride and the number of channels. The weights repeat
//! with period `pitch`; they are laid out once a call for the `period` vectors after which the pattern meets the vector
//! length again.

use core::ops::Range;

use fusionproxy_format::{Conv, ConvWeights, padded_channels};

use super::isa::{Isa, look_up_pixels};
use super::requant::Requant;
use super::stage::{Parts, Stage, StagePlan, copy_pixels};
use crate::{Call, Shape};

/// Most taps.
const MAX_TAPS: usize = 128;

/// Most vectors until the channels' pattern repeats; a pixel that takes more is padded to whole vectors.
const MAX_PERIOD: usize = 8;

/// One row of outputs as a run of bytes.
pub(crate) struct DepthwiseRow<'a> {
    /// Where each tap's run begins, a multiple of [`Isa::TAPS`]; a vector can be read past its `len` bytes.
    pub(crate) taps: &'a [*const u8],
    /// If not 0, every [`Isa::TAPS`] taps are a column of the window, this many bytes after the column before it, as two
    /// pixels of output are.
    #[cfg_attr(
        not(all(target_arch = "wasm32", target_feature = "relaxed-simd")),
        expect(dead_code, reason = "elsewhere taps are not interleaved by four on the way")
    )]
    pub(crate) slide: usize,
    /// `[period]` tables of [`Isa::depthwise_place`].
    pub(crate) weights: *const u8,
    /// `[period][Isa::VECTOR]`, with the share of [`Isa::DEPTHWISE_OFFSET`].
    pub(crate) bias: *const i32,
    /// `[period][Isa::VECTOR]`
    pub(crate) scale: *const f32,
    /// Vectors until weights, bias and scale repeat.
    pub(crate) period: usize,
    /// Bytes of output.
    pub(crate) len: usize,
    /// Output; nothing overlaps it.
    pub(crate) out: *mut u8,
    /// Finishing.
    pub(crate) requant: Requant,
}

/// Sizes that follow from the operator and the shapes.
struct Sizes {
    /// Bytes between staged pixels.
    pitch: usize,
    /// Vectors until weights, bias and scale repeat.
    period: usize,
    /// Taps, padded.
    taps: usize,
    /// Taps of a column of the window, padded if that costs no more than padding all of them, and whether it is.
    column: usize,
    slides: bool,
    stage: StagePlan,
    /// Bytes of one output row, gaps of the pitch included.
    row: usize,
}

impl Sizes {
    fn new<I: Isa>(conv: &Conv<'_>, output: Shape) -> Self {
        let channels = conv.geometry.output_channels;
        let repeat = |pitch: usize| pitch / gcd(pitch, I::VECTOR);
        let pitch =
            if repeat(channels) <= MAX_PERIOD { channels } else { channels.next_multiple_of(I::VECTOR) };
        let w = &conv.geometry.window;
        let [kh, kw] = w.kernel.map(usize::from);
        let taps = (kh * kw).next_multiple_of(I::TAPS);
        let padded = kh.next_multiple_of(I::TAPS);
        let slides = padded * kw == taps && w.stride[1] == 1 && w.dilation[1] == 1;
        Self {
            pitch,
            period: repeat(pitch),
            taps,
            column: if slides { padded } else { kh },
            slides,
            stage: StagePlan::new(&conv.geometry.window, output, pitch, true),
            row: output.width * pitch,
        }
    }

    /// Where a tap of the window stands among the taps.
    fn place(&self, ky: usize, kx: usize) -> usize {
        kx * self.column + ky
    }

    /// Bytes of weights, bias, scale, staged rows, and an output row.
    fn parts<I: Isa>(&self) -> [usize; 5] {
        let elements = self.period * I::VECTOR;
        let weights = elements * self.taps * I::TAP_BYTES;
        [weights, elements * 4, elements * 4, self.stage.bytes(), self.row]
    }
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether [`run`] takes this convolution.
pub(crate) fn supports(conv: &Conv<'_>) -> bool {
    let [kh, kw] = conv.geometry.window.kernel.map(usize::from);
    matches!(conv.weights, ConvWeights::Int8 { .. }) && conv.geometry.depthwise() && kh * kw <= MAX_TAPS
}

/// Scratch of [`run`].
pub(crate) fn scratch_bytes<I: Isa>(conv: &Conv<'_>, output: Shape) -> usize {
    Sizes::new::<I>(conv, output).parts::<I>().map(Parts::size).iter().sum()
}

/// Runs rows `units` of a convolution that [`supports`] accepts.
pub(crate) fn run<I: Isa>(call: &Call<'_, '_>, conv: &Conv<'_>, units: Range<usize>, scratch: &mut [u8]) {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return };
    let ConvWeights::Int8 { weights, bias, scale } = conv.weights else { return };
    let w = &conv.geometry.window;
    let channels = conv.geometry.output_channels;
    let [kh, kw] = w.kernel.map(usize::from);
    let sizes = Sizes::new::<I>(conv, out.shape());
    let mut parts = Parts::new(scratch);
    let [weight_table, bias_table, scale_table, memory, row] =
        sizes.parts::<I>().map(|bytes| parts.take(bytes));
    let tap_weights = padded_channels(channels);
    // Zeros for taps and channels that do not exist.
    weight_table.fill(0);
    let vector_bytes = sizes.taps * I::VECTOR * I::TAP_BYTES;
    for (vector, table) in weight_table.chunks_exact_mut(vector_bytes).take(sizes.period).enumerate() {
        let mut lane = 0;
        while lane < I::VECTOR {
            // A run of channels that lie side by side in the vector.
            let element = vector * I::VECTOR + lane;
            let channel = element % sizes.pitch;
            let n = (I::VECTOR - lane).min(sizes.pitch - channel);
            let real = n.min(channels.saturating_sub(channel));
            for (ky, kx) in (0..kh * kw).map(|tap| (tap / kw, tap % kw)) {
                let own = &weights[(ky * kw + kx) * tap_weights + channel..][..real];
                I::depthwise_lay_out(sizes.place(ky, kx), lane, own, table);
            }
            for i in 0..n {
                let (mut sum, mut unit) = (0, 0.0);
                if i < real {
                    (sum, unit) = (bias[channel + i], scale[channel + i]);
                    if I::DEPTHWISE_OFFSET != 0 {
                        let taps =
                            (0..kh * kw).map(|tap| i32::from(weights[tap * tap_weights + channel + i]));
                        sum += I::DEPTHWISE_OFFSET * taps.sum::<i32>();
                    }
                }
                bias_table[(element + i) * 4..][..4].copy_from_slice(&sum.to_ne_bytes());
                scale_table[(element + i) * 4..][..4].copy_from_slice(&unit.to_ne_bytes());
            }
            lane += n;
        }
    }

    let border = call.inputs()[0].quant.zero_point;
    let mut stage = Stage::new(sizes.stage, memory, source, (0, channels), w.pad[1], border);
    let in_place = out.as_src().packed_pixels() && sizes.pitch == channels;
    let (width, out_pixel) = (out.shape().width, out.layout().pixel);
    let requant = Requant::new(call.output_quant(), &conv.finish);
    for y in units {
        let line = |ky| (y * usize::from(w.stride[0]) + ky * usize::from(w.dilation[0])) as isize;
        let mut row_of = |ky| stage.row(line(ky) - isize::from(w.pad[0]));
        // Taps that do not exist read something and have weights of zero.
        let mut taps = [row_of(0); MAX_TAPS];
        for ky in 0..kh {
            let row = row_of(ky);
            for kx in 0..kw {
                let column = sizes.stage.column(kx * usize::from(w.dilation[1]));
                taps[sizes.place(ky, kx)] = row.wrapping_add(column);
            }
        }
        let line = DepthwiseRow {
            taps: &taps[..sizes.taps],
            slide: if sizes.slides { sizes.pitch } else { 0 },
            weights: weight_table.as_ptr(),
            bias: bias_table.as_ptr().cast(),
            scale: scale_table.as_ptr().cast(),
            period: sizes.period,
            len: sizes.row,
            out: if in_place { out.ptr(y, 0) } else { row.as_mut_ptr() },
            requant,
        };
        // SAFETY: the token's existence proves the instructions. A tap's run of width * pitch bytes lies in its phase of a
        // staged row: column kx * dilation + (width - 1) * stride is the last column at most; the slack follows. The tables
        // were just laid out. The output row is the view's, without gaps, or the scratch's.
        unsafe { I::depthwise(&line) };
        if !in_place {
            // SAFETY: `width` pixels of `channels` bytes in a scratch row and in the output's row y.
            unsafe { copy_pixels((row.as_ptr(), sizes.pitch), (out.ptr(y, 0), out_pixel), width, channels) };
        }
        if let Some(table) = conv.finish.table {
            // SAFETY: the row that was just written.
            unsafe { look_up_pixels::<I>(out.ptr(y, 0), out_pixel, width, channels, table) };
        }
    }
}
