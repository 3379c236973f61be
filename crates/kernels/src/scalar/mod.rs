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

use fusionproxy_format::{Conv, DType, NormKind, Op, OpKind};
use half::f16;

pub use activation::activate;
pub(crate) use norm::sums_bytes;
pub use norm::{respond, square_sums};
pub use reduce::{finish_sums, sum_rows};

use crate::{Call, Shape};

/// Bit of an element type in a set of kernels; the bits below are those of the operators.
const fn type_bit(dtype: DType) -> u32 {
    1 << (29 + dtype as u32)
}

/// The parameter of [`crate::Scalar`] that links the kernels of `kinds` for elements of `types`.
pub const fn kernel_set(kinds: &[OpKind], types: &[DType]) -> u32 {
    let (mut set, mut i) = (0, 0);
    while i < kinds.len() {
        set |= 1 << kinds[i] as u32;
        i += 1;
    }
    i = 0;
    while i < types.len() {
        set |= type_bit(types[i]);
        i += 1;
    }
    set
}

/// Whether `kind` is in `set`.
pub(crate) const fn linked(set: u32, kind: OpKind) -> bool {
    set & (1 << kind as u32) != 0
}

/// Whether `dtype` is in `set`.
const fn linked_type(set: u32, dtype: DType) -> bool {
    set & type_bit(dtype) != 0
}

/// Calls the kernel for the element type of `$call`, if it is in `$set`.
macro_rules! by_type {
    ($set:ident, $call:ident, $eight:expr, $half:expr, $single:expr) => {
        match $call.output().dtype() {
            DType::U8 if linked_type($set, DType::U8) => $eight,
            DType::F16 if linked_type($set, DType::F16) => $half,
            DType::F32 if linked_type($set, DType::F32) => $single,
            _ => {}
        }
    };
    ($set:ident, $call:ident, $family:ident($($arg:expr),*)) => {
        by_type!(
            $set,
            $call,
            $family::run_u8($($arg),*),
            $family::run_float::<f16>($($arg),*),
            $family::run_float::<f32>($($arg),*)
        )
    };
}

/// Runs `units` of `call` with the kernels in `SET` ([`kernel_set`]); a call outside the set does nothing.
pub(crate) fn run<const SET: u32>(call: &Call<'_, '_>, units: Range<usize>, _scratch: &mut [u8]) {
    // Each arm's condition is a constant, so that the kernels outside the set are not linked.
    match call.op() {
        Op::Conv(c) if linked(SET, OpKind::Conv) => convolution::<SET, false>(c, call, units),
        Op::ConvTranspose(c) if linked(SET, OpKind::ConvTranspose) => {
            convolution::<SET, true>(c, call, units);
        }
        Op::Binary(b) if linked(SET, OpKind::Binary) => by_type!(SET, call, binary(b, call, units)),
        Op::Activation { function, table } if linked(SET, OpKind::Activation) => by_type!(
            SET,
            call,
            activation::run_u8(*table, call, units),
            activation::run_float::<f16>(*function, call, units),
            activation::run_float::<f32>(*function, call, units)
        ),
        Op::PRelu { slope, tables } if linked(SET, OpKind::PRelu) => by_type!(
            SET,
            call,
            activation::prelu_u8(tables, call, units),
            activation::prelu_float::<f16>(slope, call, units),
            activation::prelu_float::<f32>(slope, call, units)
        ),
        Op::Pool(p) if linked(SET, OpKind::Pool) => by_type!(SET, call, pool(p, call, units)),
        Op::Reduce(r) if linked(SET, OpKind::Reduce) => by_type!(SET, call, reduce(r, call, units)),
        Op::Resize(r) if linked(SET, OpKind::Resize) => by_type!(SET, call, resize(r, call, units)),
        Op::Norm(n) if linked(SET, OpKind::Norm) => by_type!(SET, call, norm(n, call, units)),
        Op::Softmax(s) if linked(SET, OpKind::Softmax) => by_type!(SET, call, softmax(s, call, units)),
        Op::Matmul(m) if linked(SET, OpKind::Matmul) => by_type!(SET, call, matmul(m, call, units)),
        Op::Blend(b) if linked(SET, OpKind::Blend) => by_type!(SET, call, blend(b, call, units)),
        Op::Convert(_) if linked(SET, OpKind::Convert) => convert::run::<SET>(call, units),
        Op::Concat | Op::Slice(_) | Op::Pad(_) | Op::PixelShuffle { .. } | Op::Transpose(_) | Op::Reshape => {
            by_type!(
                SET,
                call,
                rearrange::run_u8::<SET>(call, units),
                rearrange::run_float::<f16, SET>(call, units),
                rearrange::run_float::<f32, SET>(call, units)
            );
        }
        _ => {}
    }
}

fn convolution<const SET: u32, const TRANSPOSED: bool>(
    c: &Conv<'_>,
    call: &Call<'_, '_>,
    units: Range<usize>,
) {
    by_type!(
        SET,
        call,
        conv::run_u8::<TRANSPOSED>(c, call, units),
        conv::run_float::<f16, TRANSPOSED>(c, call, units),
        conv::run_float::<f32, TRANSPOSED>(c, call, units)
    );
}

/// Scratch that a scalar kernel needs: none, but for the sums that workers share.
pub(crate) fn scratch_bytes(op: &Op<'_>, dtype: DType, input: Shape, _: Shape) -> usize {
    match op {
        Op::Norm(n) if n.kind == NormKind::Grn && dtype == DType::U8 => sums_bytes(input.channels),
        _ => 0,
    }
}
