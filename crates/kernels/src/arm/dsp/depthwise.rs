//! Depthwise convolution: four elements at a time.

use crate::arm::ops::{multiply_halves, put, uxtb16, uxtb16_odd, word};
use crate::rows::depthwise::DepthwiseRow;

/// Elements computed at once.
const VECTOR: usize = 4;

/// Where a weight lies: `[tap][2 words]`, elements 0 and 2, and 1 and 3.
pub(super) fn place(tap: usize, element: usize) -> usize {
    tap * 8 + element % 2 * 4 + element / 2 * 2
}

/// Filters a row.
///
/// The taps are a loop on purpose: written out, the compiler moves all loads to the front and spills what they loaded.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::depthwise`].
#[inline(never)]
pub(super) unsafe fn depthwise(row: &DepthwiseRow<'_>) {
    let (mut at, mut phase) = (0, 0);
    let tables =
        (row.weights.cast::<u32>(), row.bias.cast::<[i32; VECTOR]>(), row.scale.cast::<[f32; VECTOR]>());
    let (mut weights, mut bias, mut scale) = tables;
    while at < row.len {
        // SAFETY: phase < period, so the tables are inside; at < len, so a vector at `at` ends inside the taps' slack; bytes
        // at..min(at + 4, len) of the output.
        unsafe {
            let [s0, s1, s2, s3] = bias.read();
            let (mut even, mut odd) = ([s0, s2], [s1, s3]);
            for tap in row.taps {
                let x = word(tap.add(at));
                even = multiply_halves(uxtb16(x), weights.read(), even);
                odd = multiply_halves(uxtb16_odd(x), weights.add(1).read(), odd);
                weights = weights.add(2);
            }
            let sums = [even[0], odd[0], even[1], odd[1]];
            let scales = scale.read();
            let q = core::array::from_fn(|i| row.requant.value(sums[i], scales[i]));
            put(row.out.add(at), q, row.len - at);
            (bias, scale) = (bias.add(1), scale.add(1));
        }
        at += VECTOR;
        phase += 1;
        if phase == row.period {
            phase = 0;
            (weights, bias, scale) = tables;
        }
    }
}
