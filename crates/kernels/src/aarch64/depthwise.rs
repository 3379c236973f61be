//! The leaf kernel of depthwise convolutions: four taps of 16 elements are interleaved into the order in which a dot
//! product sums them.

use core::arch::aarch64::{
    vld1q_f32, vld1q_s8, vld1q_s32, vld1q_u8, vreinterpretq_u8_u16, vreinterpretq_u16_u8, vst1q_u8,
    vzip1q_u8, vzip1q_u16, vzip2q_u8, vzip2q_u16,
};

use super::dot::Dot;
use super::finish::Finish;
use super::gemm::store;
use crate::rows::depthwise::DepthwiseRow;

/// Elements of a vector.
pub(super) const VECTOR: usize = 16;

/// Taps of a dot product.
pub(super) const TAPS: usize = 4;

/// Where a weight lies: `[tap / 4][element][tap % 4]`.
pub(super) fn place(tap: usize, element: usize) -> usize {
    tap / TAPS * (TAPS * VECTOR) + element * TAPS + tap % TAPS
}

/// Filters a row.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::depthwise`].
#[inline(always)]
pub(super) unsafe fn depthwise<D: Dot>(row: &DepthwiseRow<'_>) {
    // SAFETY: passed on. The arms are the groups of taps of 3x3 and 5x5 windows.
    unsafe {
        match row.taps.len() / TAPS {
            3 => filter::<D, 3>(row),
            7 => filter::<D, 7>(row),
            _ => filter::<D, 0>(row),
        }
    }
}

/// Filters a row of `GROUPS` groups of taps, or as many as there are if it is 0.
///
/// # Safety
/// As for [`depthwise`].
#[inline(always)]
unsafe fn filter<D: Dot, const GROUPS: usize>(row: &DepthwiseRow<'_>) {
    let groups = if GROUPS == 0 { row.taps.len() / TAPS } else { GROUPS };
    let finish = Finish::new(row.requant);
    let taps = row.taps.as_ptr();
    let (mut at, mut phase) = (0, 0);
    while at < row.len {
        // SAFETY: phase < period, so the tables are inside; at < len, so a vector at `at` ends inside the taps' slack; bytes
        // at..min(at + 16, len) of the output.
        unsafe {
            let mut sums = [D::start(0); 4];
            let mut weights = row.weights.cast::<i8>().add(phase * groups * TAPS * VECTOR);
            for group in 0..groups {
                let x: [_; TAPS] =
                    core::array::from_fn(|t| D::activations(vld1q_u8((*taps.add(group * TAPS + t)).add(at))));
                let halves = |z| vreinterpretq_u16_u8(z);
                let low = [halves(vzip1q_u8(x[0], x[1])), halves(vzip1q_u8(x[2], x[3]))];
                let high = [halves(vzip2q_u8(x[0], x[1])), halves(vzip2q_u8(x[2], x[3]))];
                let quads = [
                    vzip1q_u16(low[0], low[1]),
                    vzip2q_u16(low[0], low[1]),
                    vzip1q_u16(high[0], high[1]),
                    vzip2q_u16(high[0], high[1]),
                ];
                for (i, quad) in quads.into_iter().enumerate() {
                    let w = vld1q_s8(weights.add(16 * i));
                    sums[i] = D::by_element(sums[i], w, vreinterpretq_u8_u16(quad));
                }
                weights = weights.add(TAPS * VECTOR);
            }
            let (bias, scale) = (row.bias.add(phase * VECTOR), row.scale.add(phase * VECTOR));
            let whole = core::array::from_fn(|i| D::end(sums[i], vld1q_s32(bias.add(4 * i))));
            let q = finish.apply(whole, core::array::from_fn(|i| vld1q_f32(scale.add(4 * i))));
            if at + VECTOR <= row.len {
                vst1q_u8(row.out.add(at), q);
            } else {
                store(row.out.add(at), q, row.len - at);
            }
        }
        at += VECTOR;
        phase += 1;
        if phase == row.period {
            phase = 0;
        }
    }
}
