//! Composition of the fused image.

use core::ops::Range;

use super::activation::{clamp, sigmoid};
use super::float::Float;
use crate::{Call, Element};
use fusionproxy_format::Blend;

/// Runs `rows` of the composition, in 8 bits.
pub(super) fn run_u8(op: &Blend<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    // The call's constructor asks for the tables.
    let Some(weight) = op.weight else { return };
    let mix = |weight: i32, residual: i32, visible: u8, infrared: u8| {
        let (v, i) = (i32::from(visible), i32::from(infrared));
        // |sum| <= 2^24 + 2^24: the artifact's reader bounds weight by 2^15 and residual by 2^24.
        ((v * 32_768 + (i - v) * weight + residual + 16_384) >> 15).clamp(0, 255) as u8
    };
    match op.residual {
        Some(residual) if op.gain != 0.0 => compose::<u8, _>(
            op,
            call,
            rows,
            true,
            |a, b| (weight[usize::from(a)], residual[usize::from(b)]),
            |(w, r), v, i| mix(w, r, v, i),
        ),
        _ => {
            compose::<u8, _>(op, call, rows, false, |a, _| weight[usize::from(a)], |w, v, i| mix(w, 0, v, i));
        }
    }
}

/// Runs `rows` of the composition, in floats.
pub(super) fn run_float<T: Float>(op: &Blend<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    let residual = op.gain != 0.0;
    let terms =
        |a: T, b: T| (sigmoid(a.load()), if residual { op.gain * libm::tanhf(b.load()) } else { 0.0 });
    compose(op, call, rows, residual, terms, |(w, r), v: T, i: T| {
        let v = v.load();
        T::store(clamp(v + w * (i.load() - v) + r, 0.0, 1.0))
    });
}

/// Writes `mix(terms(a, b), visible, infrared)` for each element of `rows`; without a `residual` plane, b is a again.
#[inline(always)]
fn compose<T: Element, W: Copy>(
    op: &Blend<'_>,
    call: &Call<'_, '_>,
    rows: Range<usize>,
    residual: bool,
    terms: impl Fn(T, T) -> W,
    mix: impl Fn(W, T, T) -> T,
) {
    let (Some(visible), Some(infrared), Some(logits), Some(dst)) =
        (call.source::<T>(0), call.source::<T>(1), call.source::<T>(2), call.target::<T>())
    else {
        return;
    };
    let block = op.block;
    let plane_b = if residual { block * block } else { 0 };
    let grey = dst.shape().channels == 1;
    for y in rows {
        let first = y % block * block;
        let packed = dst.row(y).zip(visible.row(y)).zip(infrared.row(y)).filter(|_| grey);
        for bx in 0..logits.shape().width {
            let lane = logits.pixel(y / block, bx);
            let (a, b) = (lane.slice(first, block), lane.slice(plane_b + first, block));
            if let Some(((out, v), i)) = packed {
                let [v, i] = [v, i].map(|lane| lane.slice(bx * block, block).iter());
                let pixels = a.iter().zip(b.iter()).zip(v.zip(i));
                out.slice(bx * block, block).fill(pixels.map(|((a, b), (v, i))| mix(terms(a, b), v, i)));
                continue;
            }
            for (dx, (a, b)) in a.iter().zip(b.iter()).enumerate() {
                let x = bx * block + dx;
                let terms = terms(a, b);
                let infrared = infrared.pixel(y, x).get(0);
                dst.pixel(y, x).map(visible.pixel(y, x), |v| mix(terms, v, infrared));
            }
        }
    }
}
