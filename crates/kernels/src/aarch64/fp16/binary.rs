//! Sums and products of half-precision numbers: the bits of an operation in f32 that is rounded once more, since f32 has more
//! than twice as many digits.

use core::arch::aarch64::{float16x8_t, vaddq_f16, vmulq_f16, vreinterpretq_u16_f16, vst1q_u16, vsubq_f16};
use core::ops::Range;

use fusionproxy_format::{Activation, Binary, BinaryOp};
use half::f16;

use super::registers::{clamp, load, splat};
use crate::{Call, Dst, Lane, LaneMut, Src};

/// Numbers of a register.
const VECTOR: usize = 8;

/// Whether [`run`] takes this operation, of tensors of one shape.
pub(super) fn supports(op: &Binary<'_>) -> bool {
    matches!(op.op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul)
        && matches!(op.activation, Activation::None | Activation::Clamp { .. })
}

/// Runs rows `units`; `false` if the operation is not one that [`supports`] accepts or the shapes differ.
///
/// # Safety
/// The CPU has the instructions.
#[target_feature(enable = "neon,fp16")]
pub(super) unsafe fn run(call: &Call<'_, '_>, op: &Binary<'_>, units: Range<usize>) -> bool {
    let (Some(a), Some(b), Some(out)) = (call.source::<f16>(0), call.source::<f16>(1), call.target::<f16>())
    else {
        return false;
    };
    if !supports(op) || a.shape() != out.shape() || b.shape() != out.shape() {
        return false;
    }
    // Rounding keeps the order: rounded bounds of rounded results are the same numbers.
    let [lo, hi] = match op.activation {
        Activation::Clamp { lo, hi } => [lo, hi],
        _ => [f32::NEG_INFINITY, f32::INFINITY],
    }
    .map(|bound| splat(f16::from_f32(bound)));
    let inside = |v| clamp(v, lo, hi);
    match op.op {
        BinaryOp::Add => rows(a, b, out, units, |a, b| inside(vaddq_f16(a, b))),
        BinaryOp::Sub => rows(a, b, out, units, |a, b| inside(vsubq_f16(a, b))),
        _ => rows(a, b, out, units, |a, b| inside(vmulq_f16(a, b))),
    }
    true
}

/// Writes `f` of each pair of elements of rows `units`.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn rows(
    a: Src<'_, f16>,
    b: Src<'_, f16>,
    out: Dst<'_, f16>,
    units: Range<usize>,
    f: impl Fn(float16x8_t, float16x8_t) -> float16x8_t,
) {
    for y in units {
        if let (Some(a), Some(b), Some(out)) = (a.row(y), b.row(y), out.row(y)) {
            lane(a, b, out, &f);
        } else {
            for x in 0..out.shape().width {
                lane(a.pixel(y, x), b.pixel(y, x), out.pixel(y, x), &f);
            }
        }
    }
}

/// Writes `f` of each pair of elements of two lanes, either of which may be the output.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn lane(
    a: Lane<'_, f16>,
    b: Lane<'_, f16>,
    out: LaneMut<'_, f16>,
    f: impl Fn(float16x8_t, float16x8_t) -> float16x8_t,
) {
    let of = |a: [f16; VECTOR], b: [f16; VECTOR]| {
        let mut values = [f16::ZERO; VECTOR];
        // SAFETY: arrays of eight.
        unsafe {
            let bits = vreinterpretq_u16_f16(f(load(a.as_ptr()), load(b.as_ptr())));
            vst1q_u16(values.as_mut_ptr().cast(), bits);
        }
        values
    };
    let n = out.len().min(a.len()).min(b.len());
    let mut at = 0;
    while at + VECTOR <= n {
        out.slice(at, VECTOR).fill_array(of(a.array(at), b.array(at)));
        at += VECTOR;
    }
    if at < n {
        let mut rest = [[f16::ZERO; VECTOR]; 2];
        for (to, from) in rest.iter_mut().zip([a, b]) {
            to.iter_mut().zip(from.slice(at, n - at).iter()).for_each(|(to, v)| *to = v);
        }
        out.slice(at, n - at).fill_array(of(rest[0], rest[1]));
    }
}
