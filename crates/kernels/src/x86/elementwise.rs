//! 8-bit sums, products and tables.

use core::ops::Range;

use fusionproxy_format::{Binary, BinaryOp, Finish, FixedPoint};

use super::isa::Isa;
use super::requant::Requant;
use super::runs::{self, Input, Output};
use super::stage::Arena;
use crate::{Call, Shape};

/// a * qa + b * qb + offset, shifted, of two runs.
pub(super) struct Sum<'a> {
    /// Multipliers, offset and shift.
    pub(super) fixed: FixedPoint,
    /// Clamp and table.
    pub(super) finish: Finish<'a>,
}

/// (qa - zero a) * (qb - zero b) * scale of two runs.
pub(super) struct Product<'a> {
    /// Zero points of the inputs.
    pub(super) zeros: [u8; 2],
    /// Scale.
    pub(super) scale: f32,
    /// Finishing.
    pub(super) requant: Requant<'a>,
}

/// Scratch of [`binary`] and [`table`].
pub(super) fn scratch_bytes(output: Shape) -> usize {
    3 * Arena::size(runs::bytes::<u8>(output)) + 64
}

/// Whether [`binary`] takes this operation on 8-bit elements.
pub(super) fn supports(op: &Binary<'_>) -> bool {
    matches!(op.op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul)
}

/// Runs an operation that [`supports`] accepts; `false` if the views are not 8-bit, or the product's scale is so large that
/// the conversion to integers could overflow.
pub(super) fn binary<I: Isa>(
    call: &Call<'_, '_>,
    op: &Binary<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(a), Some(b), Some(out)) = (call.source::<u8>(0), call.source::<u8>(1), call.target::<u8>())
    else {
        return false;
    };
    let sum = Sum { fixed: op.fixed, finish: op.finish };
    let product = Product {
        zeros: [call.inputs()[0].quant.zero_point, call.inputs()[1].quant.zero_point],
        scale: op.scale,
        requant: Requant { zero_point: call.output_quant().zero_point, finish: op.finish },
    };
    if op.op == BinaryOp::Mul && !super::requant::fits(2, &[], &[op.scale]) {
        return false;
    }
    let shape = out.shape();
    let mut arena = Arena::new(scratch);
    let mut part = || arena.take(runs::bytes::<u8>(shape));
    let mut a = Input::new::<I>(a, shape, part());
    let mut b = Input::new::<I>(b, shape, part());
    let mut target = Output::new::<I>(out, part());
    runs::each::<u8>(units, shape, |y, x, n| {
        let (a, b, to) = (a.run(y, x, n), b.run(y, x, n), target.run(y, x));
        // SAFETY: the token's existence proves the instructions; each run has n * channels bytes; the output is scratch
        // or, in place, an input's own elements.
        unsafe {
            if op.op == BinaryOp::Mul {
                I::product(a, b, to, n * shape.channels, &product);
            } else {
                I::sum(a, b, to, n * shape.channels, &sum);
            }
        }
        target.finish(y, x, n);
    });
    true
}

/// Runs a table; `false` if the views are not 8-bit.
pub(super) fn table<I: Isa>(
    call: &Call<'_, '_>,
    table: &[u8; 256],
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(a), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return false };
    let shape = out.shape();
    let mut arena = Arena::new(scratch);
    let mut part = || arena.take(runs::bytes::<u8>(shape));
    let (mut a, mut target) = (Input::new::<I>(a, shape, part()), Output::new::<I>(out, part()));
    runs::each::<u8>(units, shape, |y, x, n| {
        // SAFETY: as in `binary`.
        unsafe { I::table(a.run(y, x, n), target.run(y, x), n * shape.channels, table) };
        target.finish(y, x, n);
    });
    true
}
