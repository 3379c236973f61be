//! Element-wise operations of two tensors, with broadcasting.

use core::ops::Range;

use super::activation::activate;
use super::float::Float;
use super::quantise::{Quantiser, dequantise};
use super::row::map2;
use crate::Call;
use fusionproxy_format::{Activation, Binary, BinaryOp};

/// Runs `rows` of a binary operation, in 8 bits.
pub(super) fn run_u8(op: &Binary<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    let [a, b] = [call.inputs()[0].quant, call.inputs()[1].quant];
    let quantiser = Quantiser::new(call.output_quant(), &op.finish);
    match op.op {
        BinaryOp::Add | BinaryOp::Sub => {
            let (f, lo, hi) = (op.fixed, i32::from(op.finish.lo), i32::from(op.finish.hi));
            let sum = |a: u8, b: u8| {
                // The artifact's reader bounds |255 a| + |255 b| + |offset| by 32 bits.
                let v = (f.a * i32::from(a) + f.b * i32::from(b) + f.offset) >> f.shift;
                v.min(hi).max(lo) as u8
            };
            match op.finish.table {
                None => map2(call, rows, sum),
                Some(table) => map2(call, rows, |a, b| table[usize::from(sum(a, b))]),
            }
        }
        BinaryOp::Mul => {
            let [za, zb] = [a, b].map(|q| i32::from(q.zero_point));
            map2(call, rows, |a: u8, b: u8| {
                quantiser.sum((i32::from(a) - za) * (i32::from(b) - zb), op.scale)
            });
        }
        BinaryOp::Div | BinaryOp::Min | BinaryOp::Max => {
            let per_step = 1.0 / call.output_quant().scale;
            map2(call, rows, |x: u8, y: u8| {
                quantiser.any(apply(op.op, dequantise(x, a), dequantise(y, b)) * per_step)
            });
        }
    }
}

/// The operation on real numbers.
#[inline(always)]
fn apply(op: BinaryOp, a: f32, b: f32) -> f32 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Min => {
            if b < a {
                b
            } else {
                a
            }
        }
        BinaryOp::Max => {
            if b > a {
                b
            } else {
                a
            }
        }
    }
}

/// Runs `rows` of a binary operation, in floats.
pub(super) fn run_float<T: Float>(op: &Binary<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    match (op.op, op.activation) {
        // Residuals and gates get loops of their own, which vectorise; the rest shares one to stay small.
        (BinaryOp::Add, Activation::None) => map2(call, rows, |a: T, b: T| T::store(a.load() + b.load())),
        (BinaryOp::Mul, Activation::None) => map2(call, rows, |a: T, b: T| T::store(a.load() * b.load())),
        _ => {
            map2(call, rows, |a: T, b: T| {
                T::store(activate(op.activation, apply(op.op, a.load(), b.load())))
            });
        }
    }
}
