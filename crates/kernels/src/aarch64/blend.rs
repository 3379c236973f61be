//! Composition of the fused image in floats, for grey images without gaps.

use core::arch::aarch64::{
    float32x4_t, vabsq_f32, vaddq_f32, vbslq_f32, vdivq_f32, vdupq_n_f32, vdupq_n_u32, vfmaq_f32, vmaxq_f32,
    vminq_f32, vmulq_n_f32, vnegq_f32, vsubq_f32,
};
use core::ops::Range;

use fusionproxy_format::Blend;

use super::float::Float;
use super::functions::exp;
use crate::{Call, Lane, Shape, Src};

/// Pixels that are worked on at once.
const BLOCK: usize = 8;

/// 1 / (1 + exp(-x)).
#[inline(always)]
fn sigmoid(x: float32x4_t) -> float32x4_t {
    // SAFETY: instructions of every AArch64.
    unsafe { vdivq_f32(vdupq_n_f32(1.0), vaddq_f32(vdupq_n_f32(1.0), exp(vnegq_f32(x)))) }
}

/// tanh(x) to an absolute error of a few units in the last place of 1.
#[inline(always)]
fn tanh(x: float32x4_t) -> float32x4_t {
    // SAFETY: instructions of every AArch64.
    unsafe {
        let e = exp(vmulq_n_f32(vabsq_f32(x), 2.0));
        let share = vdivq_f32(vdupq_n_f32(2.0), vaddq_f32(e, vdupq_n_f32(1.0)));
        let magnitude = vsubq_f32(vdupq_n_f32(1.0), share);
        vbslq_f32(vdupq_n_u32(1 << 31), x, magnitude)
    }
}

/// Runs rows `units`; `false` if the images are of another type, have more channels or gaps.
pub(super) fn run<T: Float>(call: &Call<'_, '_>, op: &Blend<'_>, units: Range<usize>) -> bool {
    let (Some(visible), Some(infrared), Some(logits), Some(out)) =
        (call.source::<T>(0), call.source::<T>(1), call.source::<T>(2), call.target::<T>())
    else {
        return false;
    };
    let Shape { width, channels, .. } = out.shape();
    if channels != 1 || ![visible, infrared, out.as_src()].iter().all(Src::packed_pixels) {
        return false;
    }
    let block = op.block;
    // Without residuals there is no second plane; what is read of the first one counts nothing.
    let plane = if op.gain == 0.0 { 0 } else { block * block };
    for y in units {
        let (Some(to), Some(visible), Some(infrared)) = (out.row(y), visible.row(y), infrared.row(y)) else {
            return false;
        };
        let first = y % block * block;
        // The logits of the pixel, and which of its columns.
        let (mut pixels, mut column) = ((0..logits.shape().width).map(|x| logits.pixel(y / block, x)), block);
        let mut lane = logits.pixel(y / block, 0);
        for x in (0..width).step_by(BLOCK) {
            let n = (width - x).min(BLOCK);
            let (mut a, mut b) = ([T::default(); BLOCK], [T::default(); BLOCK]);
            for (a, b) in a.iter_mut().zip(&mut b).take(n) {
                if column == block {
                    (lane, column) = (pixels.next().unwrap_or(lane), 0);
                }
                (*a, *b) = (lane.get(first + column), lane.get(plane + first + column));
                column += 1;
            }
            let [v, i] = [visible, infrared].map(|row| first_of(row.slice(x, n)));
            to.slice(x, n).fill_array(mix(op.gain, a, b, v, i));
        }
    }
    true
}

/// The elements of a lane of at most a block, and zeros.
#[inline(always)]
fn first_of<T: Float>(lane: Lane<'_, T>) -> [T; BLOCK] {
    if lane.len() == BLOCK {
        return lane.array(0);
    }
    let mut block = [T::default(); BLOCK];
    block.iter_mut().zip(lane.iter()).for_each(|(to, v)| *to = v);
    block
}

/// clamp(v + sigmoid(a) (i - v) + gain tanh(b), 0, 1)
#[inline(always)]
fn mix<T: Float>(gain: f32, a: [T; BLOCK], b: [T; BLOCK], v: [T; BLOCK], i: [T; BLOCK]) -> [T; BLOCK] {
    let mut out = [T::default(); BLOCK];
    for four in (0..BLOCK).step_by(4) {
        // SAFETY: four numbers of arrays of eight, and instructions of every AArch64.
        unsafe {
            let [a, b, v, i] = [a, b, v, i].map(|array| T::load(array.as_ptr().add(four)));
            let mut mixed = vfmaq_f32(v, sigmoid(a), vsubq_f32(i, v));
            if gain != 0.0 {
                mixed = vaddq_f32(mixed, vmulq_n_f32(tanh(b), gain));
            }
            // NaN stays NaN.
            let inside = vminq_f32(vmaxq_f32(mixed, vdupq_n_f32(0.0)), vdupq_n_f32(1.0));
            T::store(out.as_mut_ptr().add(four), inside);
        }
    }
    out
}
