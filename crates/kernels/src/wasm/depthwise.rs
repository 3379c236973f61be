//! A row of outputs of an 8-bit depthwise convolution, sixteen at a time. Taps are interleaved by byte, so that the products
//! of an element with several taps are added up by one instruction.

use core::arch::wasm32::{v128, v128_load};

use super::finish::{Finish, store_first};
use crate::rows::depthwise::DepthwiseRow;

pub(super) use taps::{TAP_BYTES, TAPS};

/// Elements computed at once.
pub(super) const VECTOR: usize = 16;

/// Offset of the weight of a tap for an element of a vector: `[taps / TAPS][VECTOR][TAPS]`.
pub(super) const fn place(tap: usize, element: usize) -> usize {
    ((tap / TAPS * VECTOR + element) * TAPS + tap % TAPS) * TAP_BYTES
}

/// Filters a row.
///
/// # Safety
/// The row is as [`DepthwiseRow`] says.
pub(super) unsafe fn run(row: &DepthwiseRow<'_>) {
    // SAFETY: the caller's promise. 9 and 25 taps, padded, are unrolled.
    unsafe {
        #[cfg(target_feature = "relaxed-simd")]
        if row.slide != 0 && row.slide.is_multiple_of(slide::CHANNELS) && row.taps.len() == 3 * TAPS {
            return slide::run(row);
        }
        match row.taps.len().div_ceil(TAPS) {
            n if n == 9usize.div_ceil(TAPS) => body::<{ 9usize.div_ceil(TAPS) }>(row),
            n if n == 25usize.div_ceil(TAPS) => body::<{ 25usize.div_ceil(TAPS) }>(row),
            _ => body::<0>(row),
        }
    }
}

/// `GROUPS` groups of taps, or as many as there are if it is 0.
///
/// # Safety
/// As [`run`].
unsafe fn body<const GROUPS: usize>(row: &DepthwiseRow<'_>) {
    let groups = if GROUPS == 0 { row.taps.len() / TAPS } else { GROUPS };
    let finish = Finish::new(row.requant);
    let (bias, scale) = (row.bias.cast::<v128>(), row.scale.cast::<v128>());
    let (mut at, mut phase) = (0, 0);
    while at < row.len {
        // SAFETY: phase < period, so the tables are inside; at < len, so a vector at `at` ends inside the taps' slack.
        unsafe {
            let load4 = |from: *const v128| [0, 1, 2, 3].map(|i| v128_load(from.add(i)));
            let mut acc = load4(bias.add(4 * phase));
            let mut weights = row.weights.cast::<v128>().add(4 * groups * phase);
            for group in 0..groups {
                let from = row.taps.as_ptr().add(group * TAPS);
                let run = |tap: usize| v128_load((*from.add(tap)).add(at).cast());
                taps::add(&mut acc, run, load4(weights));
                weights = weights.add(4);
            }
            let scale = load4(scale.add(4 * phase));
            let v = finish.pack(core::array::from_fn(|i| finish.apply(acc[i], scale[i])));
            store_first(row.out.add(at), v, row.len - at);
        }
        at += VECTOR;
        phase += 1;
        if phase == row.period {
            phase = 0;
        }
    }
}

/// Four taps of one byte.
#[cfg(target_feature = "relaxed-simd")]
mod taps {
    use core::arch::wasm32::{i8x16_shuffle, i16x8_shuffle, v128};

    use crate::wasm::dot::{activations, mac, weights};

    pub(crate) const TAPS: usize = 4;
    pub(crate) const TAP_BYTES: usize = 1;

    #[inline(always)]
    pub(super) fn add(acc: &mut [v128; 4], run: impl Fn(usize) -> v128, w: [v128; 4]) {
        let [a, b, c, d] = [0, 1, 2, 3].map(run);
        let low = |a, b| i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b);
        let high = |a, b| i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(a, b);
        let halves = [(low(a, b), low(c, d)), (high(a, b), high(c, d))];
        for (i, (ab, cd)) in halves.into_iter().enumerate() {
            let quads = [
                i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(ab, cd),
                i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(ab, cd),
            ];
            for (j, quad) in quads.into_iter().enumerate() {
                let k = 2 * i + j;
                acc[k] = mac(acc[k], activations(quad), weights(w[k]));
            }
        }
    }
}

/// A window of three columns that slides over the pixels of eight channels: a column's bytes are interleaved once and
/// meet three outputs, which is a third of the shuffles and of the loads.
#[cfg(target_feature = "relaxed-simd")]
mod slide {
    use core::arch::wasm32::{
        i8x16_shuffle, i16x8_shuffle, v128, v128_load, v128_load64_zero, v128_store64_lane,
    };

    use super::{Finish, TAPS, VECTOR};
    use crate::rows::depthwise::DepthwiseRow;
    use crate::wasm::dot::{activations, mac, weights};

    /// Channels at a time: the window and its weights stay in registers.
    pub(super) const CHANNELS: usize = VECTOR / 2;

    /// Filters a row.
    ///
    /// # Safety
    /// The row is as [`DepthwiseRow`] says, slides by whole [`CHANNELS`], and has three columns of taps.
    pub(super) unsafe fn run(row: &DepthwiseRow<'_>) {
        // SAFETY: the channels are below the pitch.
        unsafe { (0..row.slide).step_by(CHANNELS).for_each(|channel| channels(row, channel)) }
    }

    /// Channels `channel..channel + 8` of all pixels.
    ///
    /// # Safety
    /// As [`run`]; the channels exist.
    unsafe fn channels(row: &DepthwiseRow<'_>, channel: usize) {
        let finish = Finish::new(row.requant);
        let pixels = row.len / row.slide;
        // SAFETY: the tables begin with the channels in order, 16 a vector; a tap has `pixels` pixels, and the taps
        // of the second and third column begin one and two pixels after those of the first.
        unsafe {
            let two = |from: *const v128| [v128_load(from), v128_load(from.add(1))];
            let (vector, half) = (channel / VECTOR, channel % VECTOR / 4);
            let table = row.weights.cast::<v128>().add(vector * 3 * TAPS + half);
            let w = [0, 4, 8].map(|column| two(table.add(column)).map(weights));
            let bias = two(row.bias.add(channel).cast());
            let scale = two(row.scale.add(channel).cast());
            let rows: [*const u8; TAPS] =
                core::array::from_fn(|ky| (*row.taps.as_ptr().add(ky)).add(channel));
            let column = |x: usize| {
                let [a, b, c, d] = rows.map(|from| v128_load64_zero(from.add(x * row.slide).cast()));
                let pair =
                    |a, b| i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b);
                let (ab, cd) = (pair(a, b), pair(c, d));
                [
                    activations(i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(ab, cd)),
                    activations(i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(ab, cd)),
                ]
            };
            let output = |window: [[v128; 2]; 3]| -> [v128; 2] {
                core::array::from_fn(|i| {
                    let sum = window.iter().zip(&w).fold(bias[i], |sum, (v, w)| mac(sum, v[i], w[i]));
                    finish.apply(sum, scale[i])
                })
            };
            let out = row.out.add(channel);
            let (mut first, mut second) = (column(0), column(1));
            let mut x = 0;
            while x + 2 <= pixels {
                let (third, fourth) = (column(x + 2), column(x + 3));
                let ([a, b], [c, d]) = (output([first, second, third]), output([second, third, fourth]));
                let v = finish.pack([a, b, c, d]);
                v128_store64_lane::<0>(v, out.add(x * row.slide).cast());
                v128_store64_lane::<1>(v, out.add((x + 1) * row.slide).cast());
                (first, second) = (third, fourth);
                x += 2;
            }
            // A row of odd width ends with one pixel.
            if x < pixels {
                let [a, b] = output([first, second, column(x + 2)]);
                v128_store64_lane::<0>(finish.pack([a, b, a, b]), out.add(x * row.slide).cast());
            }
        }
    }
}

/// Two taps of 16 bits.
#[cfg(not(target_feature = "relaxed-simd"))]
mod taps {
    use core::arch::wasm32::{
        i8x16_shuffle, i32x4_add, i32x4_dot_i16x8, u16x8_extend_high_u8x16, u16x8_extend_low_u8x16, v128,
    };

    pub(crate) const TAPS: usize = 2;
    pub(crate) const TAP_BYTES: usize = 2;

    #[inline(always)]
    pub(super) fn add(acc: &mut [v128; 4], run: impl Fn(usize) -> v128, w: [v128; 4]) {
        let [a, b] = [0, 1].map(run);
        let low = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b);
        let high = i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(a, b);
        let quarters = [
            u16x8_extend_low_u8x16(low),
            u16x8_extend_high_u8x16(low),
            u16x8_extend_low_u8x16(high),
            u16x8_extend_high_u8x16(high),
        ];
        for i in 0..4 {
            acc[i] = i32x4_add(acc[i], i32x4_dot_i16x8(quarters[i], w[i]));
        }
    }
}
