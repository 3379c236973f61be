//! 8-bit depthwise convolution.
//!
//! A staged row is one run of bytes, element (x, c) at `x * pitch + c`. With the columns split by the stride's phase, tap
//! (ky, kx) of output element i of a row is element i of a run that begins at a place that depends on the tap alone, so a
//! vector of outputs needs one unaligned load a tap whatever the stride and the number of channels. The
//! weights repeat with period `pitch`; they are laid out once a call for the `period` vectors after which the pattern
//! meets the vector length again. Four taps are interleaved by byte and multiplied at once.

use core::ops::Range;

use fusionproxy_format::{Conv, ConvWeights, padded_channels};

use super::interleave::Bytes;
use super::isa::Isa;
use super::requant::Requant;
use super::stage::{Arena, Channels, Stage, StagePlan, copy_pixels};
use crate::{AnyDst, AnySrc, Call, Shape};

/// Most taps, rounded up to a multiple of 4.
pub(super) const MAX_TAPS: usize = 128;

/// Most vectors until the channels' pattern repeats; a pixel that takes more is padded to whole vectors.
const MAX_PERIOD: usize = 16;

/// One row of outputs as a run of bytes.
pub(super) struct DepthwiseRow<'a> {
    /// Where each tap's run begins; a multiple of 4, the ones too many with weights of zero.
    pub(super) taps: &'a [*const u8],
    /// `[period][taps / 4][4 quarters j][vector / 16 lanes l][4 elements e][4 taps]`: element 16 l + 4 j + e of the
    /// vector, the order that two levels of byte unpacking give.
    pub(super) weights: *const i8,
    /// `[period][4 quarters][lanes][4]`, the elements as for the weights.
    pub(super) bias: *const i32,
    /// As `bias`.
    pub(super) scale: *const f32,
    /// Vectors until weights, bias and scale repeat.
    pub(super) period: usize,
    /// Bytes of output.
    pub(super) len: usize,
    /// Output.
    pub(super) out: *mut u8,
    /// Finishing.
    pub(super) requant: Requant<'a>,
}

/// Sizes that follow from the operator and the shapes.
struct Sizes {
    /// Bytes between staged pixels.
    pitch: usize,
    period: usize,
    /// Multiple of 4.
    taps: usize,
    stage: StagePlan,
    /// One output row, where it cannot be written in place.
    out_row: usize,
}

impl Sizes {
    fn new<I: Isa>(conv: &Conv<'_>, output: Shape) -> Self {
        let channels = conv.geometry.output_channels;
        let repeat = |pitch: usize| super::period(pitch, I::VECTOR);
        let pitch =
            if repeat(channels) <= MAX_PERIOD { channels } else { channels.next_multiple_of(I::VECTOR) };
        let [kh, kw] = conv.geometry.window.kernel.map(usize::from);
        Self {
            pitch,
            period: repeat(pitch),
            taps: (kh * kw).next_multiple_of(4),
            stage: StagePlan::new(&conv.geometry.window, output, pitch, true),
            out_row: output.width * pitch,
        }
    }

    /// Bytes of interleaved weights, of the spread-out weights that they are made of, of bias and of scale.
    fn tables<I: Isa>(&self) -> [usize; 4] {
        let elements = self.period * I::VECTOR;
        [elements * self.taps, elements * self.taps, elements * 4, elements * 4]
    }

    fn scratch<I: Isa>(&self) -> usize {
        let tables: usize = self.tables::<I>().iter().map(|b| Arena::size(*b)).sum();
        tables + Arena::size(self.stage.bytes()) + Arena::size(self.out_row) + 64
    }
}

/// Whether [`run`] takes this convolution.
pub(super) fn supports(conv: &Conv<'_>) -> bool {
    let [kh, kw] = conv.geometry.window.kernel.map(usize::from);
    matches!(conv.weights, ConvWeights::Int8 { .. }) && conv.geometry.depthwise() && kh * kw <= MAX_TAPS
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes<I: Isa>(conv: &Conv<'_>, output: Shape) -> usize {
    Sizes::new::<I>(conv, output).scratch::<I>()
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
    let [kh, kw] = w.kernel.map(usize::from);
    let [dy, dx] = w.dilation.map(usize::from);
    if !super::requant::fits(kh * kw, bias, scale) {
        return false;
    }
    let sizes = Sizes::new::<I>(conv, out.shape());
    let mut arena = Arena::new(scratch);
    let [packed, spread, bias_bytes, scale_bytes] = sizes.tables::<I>();
    let packed = arena.take(packed);
    interleave::<I>(&sizes, weights, channels, kh * kw, arena.take(spread), packed);
    let bias_table = arena.take(bias_bytes);
    permute::<I, 4>(&sizes, channels, bias_table, |c| bias[c].to_ne_bytes());
    let scale_table = arena.take(scale_bytes);
    permute::<I, 4>(&sizes, channels, scale_table, |c| scale[c].to_ne_bytes());

    let border = call.inputs()[0].quant.zero_point;
    let all = Channels { source, first: 0, count: channels };
    // SAFETY: all channels of the source, and a pitch of at least as many bytes.
    let mut stage = unsafe {
        Stage::new::<I>(sizes.stage, arena.take(sizes.stage.bytes()), all, w.pad[1], border, I::copy)
    };
    let out_row = arena.take(sizes.out_row);
    let in_place = out.as_src().packed_pixels() && sizes.pitch == channels;
    let width = out.shape().width;
    for y in units {
        let mut taps = [core::ptr::null(); MAX_TAPS];
        for ky in 0..kh {
            let row = stage.row((y * usize::from(w.stride[0]) + ky * dy) as isize - isize::from(w.pad[0]));
            for kx in 0..kw {
                taps[ky * kw + kx] = row.wrapping_add(sizes.stage.column(kx * dx));
            }
        }
        let idle = taps[0];
        taps[kh * kw..sizes.taps].fill(idle);
        let row = DepthwiseRow {
            taps: &taps[..sizes.taps],
            weights: packed.as_ptr().cast(),
            bias: bias_table.as_ptr().cast(),
            scale: scale_table.as_ptr().cast(),
            period: sizes.period,
            len: width * sizes.pitch,
            out: if in_place { out.ptr(y, 0) } else { out_row.as_mut_ptr() },
            requant: Requant { zero_point: call.output_quant().zero_point, finish: conv.finish },
        };
        // SAFETY: the token's existence proves the instructions. A tap's run of width * pitch bytes lies in its phase
        // of a staged row: column kx * dx + (width - 1) * stride is the last column at most; the slack follows.
        // The tables were just laid out. The output row is the view's, without gaps, or the scratch's.
        unsafe { I::depthwise(&row) };
        if !in_place {
            // SAFETY: `width` pixels of `channels` bytes in a scratch row and in the output's row y.
            unsafe {
                copy_pixels(
                    out_row.as_ptr(),
                    sizes.pitch,
                    out.ptr(y, 0),
                    out.layout().pixel,
                    width,
                    channels,
                );
            }
        }
    }
    true
}

/// Lays the weights `[tap][padded channels]` out as [`DepthwiseRow::weights`].
fn interleave<I: Isa>(
    sizes: &Sizes,
    weights: &[i8],
    channels: usize,
    taps: usize,
    spread: &mut [u8],
    packed: &mut [u8],
) {
    let elements = sizes.period * I::VECTOR;
    // Each tap's weights, repeated over the period.
    for (tap, to) in spread.chunks_exact_mut(elements).take(sizes.taps).enumerate() {
        if tap >= taps {
            to.fill(0);
            continue;
        }
        let from = &weights[tap * padded_channels(channels)..][..channels];
        for pixel in to.chunks_mut(sizes.pitch) {
            let (filled, rest) = pixel.split_at_mut(channels.min(pixel.len()));
            for (t, f) in filled.iter_mut().zip(from) {
                *t = f.cast_unsigned();
            }
            rest.fill(0);
        }
    }
    let lanes = I::VECTOR / 16;
    for vector in 0..sizes.period {
        for group in 0..sizes.taps / 4 {
            let to = &mut packed[(vector * sizes.taps / 4 + group) * 4 * I::VECTOR..][..4 * I::VECTOR];
            for lane in 0..lanes {
                let at = vector * I::VECTOR + lane * 16;
                let quarters = Bytes::interleave(
                    [0, 1, 2, 3].map(|tap| Bytes::of(&spread[(group * 4 + tap) * elements + at..])),
                );
                for (j, q) in quarters.into_iter().enumerate() {
                    q.store(&mut to[(j * lanes + lane) * 16..]);
                }
            }
        }
    }
}

/// Lays per-channel values out as [`DepthwiseRow::bias`].
fn permute<I: Isa, const N: usize>(
    sizes: &Sizes,
    channels: usize,
    table: &mut [u8],
    value: impl Fn(usize) -> [u8; N],
) {
    let mut channel = 0;
    for vector in table[..sizes.period * I::VECTOR * N].chunks_exact_mut(I::VECTOR * N) {
        for element in 0..I::VECTOR {
            let (lane, j, e) = (element / 16, element % 16 / 4, element % 4);
            let at = j * I::VECTOR / 4 + lane * 4 + e;
            vector[at * N..][..N].copy_from_slice(&if channel < channels { value(channel) } else { [0; N] });
            channel += 1;
            if channel == sizes.pitch {
                channel = 0;
            }
        }
    }
}
