//! 8-bit composition of the fused image.
//!
//! The tables are read one entry at a time, which no instruction does faster; the mixing, for luma without gaps between
//! pixels, is a loop over arrays of sixteen that the compiler turns into vectors. (From the scalar kernel's closures it makes
//! 110 KB of code.)

use core::ops::Range;

use fusionproxy_format::Blend;

use crate::Call;

/// Pixels that are mixed at once.
const STEP: usize = 16;

/// Runs rows `rows` of a composition in 8 bits.
pub(crate) fn run(op: &Blend<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    let (Some(visible), Some(infrared), Some(logits), Some(dst)) =
        (call.source::<u8>(0), call.source::<u8>(1), call.source::<u8>(2), call.target::<u8>())
    else {
        return;
    };
    // The call's constructor asks for the tables.
    let Some(weight) = op.weight else { return };
    let (block, width, channels) = (op.block, dst.shape().width, dst.shape().channels);
    let residual = op.residual.filter(|_| op.gain != 0.0);
    for y in rows {
        let first = y % block * block;
        let (mut bx, mut dx) = (0, 0);
        let mut lane = logits.pixel(y / block, 0);
        let mut terms = || {
            if dx == block {
                (bx, dx) = (bx + 1, 0);
                lane = logits.pixel(y / block, bx);
            }
            let w = weight[usize::from(lane.get(first + dx))];
            let r = residual.map_or(0, |r| r[usize::from(lane.get(block * block + first + dx))]);
            dx += 1;
            (w, r)
        };
        let packed = dst.row(y).zip(visible.row(y)).zip(infrared.row(y)).filter(|_| channels == 1);
        let mut x = 0;
        if let Some(((out, v), i)) = packed {
            while x + STEP <= width {
                let (mut w, mut r) = ([0; STEP], [0; STEP]);
                for (w, r) in w.iter_mut().zip(&mut r) {
                    (*w, *r) = terms();
                }
                let (v, i) = (v.array::<STEP>(x), i.array::<STEP>(x));
                out.slice(x, STEP).fill_array::<STEP>(core::array::from_fn(|k| mix(v[k], i[k], w[k], r[k])));
                x += STEP;
            }
        }
        for x in x..width {
            let (w, r) = terms();
            let i = infrared.get(y, x, 0);
            for c in 0..channels {
                dst.set(y, x, c, mix(visible.get(y, x, c), i, w, r));
            }
        }
    }
}

/// clamp((visible * 2^15 + (infrared - visible) * weight + residual + 2^14) >> 15)
#[inline(always)]
fn mix(visible: u8, infrared: u8, weight: i32, residual: i32) -> u8 {
    let (v, i) = (i32::from(visible), i32::from(infrared));
    ((v * 32_768 + (i - v) * weight + residual + 16_384) >> 15).clamp(0, 255) as u8
}
