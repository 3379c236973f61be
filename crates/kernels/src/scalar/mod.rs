//! The scalar kernels. They *are* the specification of the arithmetic: every other backend is tested against them.

mod activation;
mod binary;
mod blend;
mod conv;
mod convert;
mod depthwise;
mod float;
mod matmul;
mod norm;
mod pool;
mod quantise;
mod rearrange;
mod reduce;
mod resize;
mod row;
mod softmax;
mod window;

use core::ops::Range;

use fusionproxy_format::{DType, Op, OpKind};

pub use activation::activate;

use crate::{Call, Shape};

/// Whether `kind` is in the set `operators`.
const fn linked(operators: u32, kind: OpKind) -> bool {
    operators >> (kind as u32) & 1 == 1
}

/// Runs `units` of `call` with the kernels in `OPERATORS`; a kind outside the set is not linked and does nothing.
pub(crate) fn run<const OPERATORS: u32>(call: &Call<'_, '_>, units: Range<usize>, _scratch: &mut [u8]) {
    // Each arm's condition is a constant, so that the kernels of other kinds are not even compiled in.
    match call.op() {
        Op::Conv(c) if linked(OPERATORS, OpKind::Conv) => conv::run::<false>(c, call, units),
        Op::ConvTranspose(c) if linked(OPERATORS, OpKind::ConvTranspose) => conv::run::<true>(c, call, units),
        Op::Binary(b) if linked(OPERATORS, OpKind::Binary) => binary::run(b, call, units),
        Op::Activation { function, table } if linked(OPERATORS, OpKind::Activation) => {
            activation::run(*function, *table, call, units);
        }
        Op::PRelu { slope, tables } if linked(OPERATORS, OpKind::PRelu) => {
            activation::prelu(slope, tables, call, units);
        }
        Op::Reduce(r) if linked(OPERATORS, OpKind::Reduce) => reduce::run(r, call, units),
        Op::Resize(r) if linked(OPERATORS, OpKind::Resize) => resize::run(r, call, units),
        Op::Concat | Op::Slice(_) | Op::Pad(_) | Op::PixelShuffle { .. } | Op::Transpose(_) | Op::Reshape => {
            rearrange::run::<OPERATORS>(call, units);
        }
        Op::Pool(p) if linked(OPERATORS, OpKind::Pool) => pool::run(p, call, units),
        Op::Norm(n) if linked(OPERATORS, OpKind::Norm) => norm::run(n, call, units),
        Op::Softmax(s) if linked(OPERATORS, OpKind::Softmax) => softmax::run(s, call, units),
        Op::Matmul(m) if linked(OPERATORS, OpKind::Matmul) => matmul::run(m, call, units),
        Op::Convert(_) if linked(OPERATORS, OpKind::Convert) => convert::run(call, units),
        Op::Blend(b) if linked(OPERATORS, OpKind::Blend) => blend::run(b, call, units),
        _ => {}
    }
}

/// Scratch that a scalar kernel needs: none.
pub(crate) fn scratch_bytes(_: &Op<'_>, _: DType, _: Shape, _: Shape) -> usize {
    0
}
