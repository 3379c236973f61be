//! What backends of several architectures share.
//!
//! A driver splits an operator into rows, stages what its window needs, and hands each row to a leaf kernel of an
//! instruction set ([`isa::Isa`]). Drivers are written once and have no instructions of their own.

pub(crate) mod blend;
pub(crate) mod depthwise;
pub(crate) mod elementwise;
pub(crate) mod gemm;
mod heads;
pub(crate) mod isa;
pub(crate) mod matmul;
pub(crate) mod moves;
pub(crate) mod reduce;
pub(crate) mod requant;
pub(crate) mod softmax;
pub(crate) mod stage;
#[cfg(any(target_arch = "aarch64", all(target_arch = "wasm32", target_feature = "simd128")))]
pub(crate) mod wide;

use core::ops::Range;

use fusionproxy_format::{DType, Op, OpKind};

use crate::scalar::linked;
use crate::{Call, Shape};
use isa::Isa;

/// A family of kernels, for reports.
#[derive(Clone, Copy)]
pub(crate) enum Kernel {
    Gemm,
    Depthwise,
    Binary,
    Table,
    Reduce,
    Matmul,
    Softmax,
    Blend,
    Copy,
}

/// Which of the drivers takes `op`, for some shapes at least.
pub(crate) fn kernel(op: &Op<'_>, dtype: DType) -> Option<Kernel> {
    if dtype != DType::U8 {
        return None;
    }
    match op {
        Op::Conv(c) if depthwise::supports(c) => Some(Kernel::Depthwise),
        Op::Conv(c) if gemm::supports(c) => Some(Kernel::Gemm),
        Op::Binary(b) if elementwise::supports(b) => Some(Kernel::Binary),
        Op::Activation { table: Some(_), .. } => Some(Kernel::Table),
        Op::Reduce(r) if reduce::supports(r) => Some(Kernel::Reduce),
        Op::Matmul(_) => Some(Kernel::Matmul),
        Op::Softmax(_) => Some(Kernel::Softmax),
        Op::Blend(_) => Some(Kernel::Blend),
        _ if moves::supports(op) => Some(Kernel::Copy),
        _ => None,
    }
}

/// Runs `units` if there is a kernel for them among those of the operators in `set` ([`crate::scalar::kernel_set`]); then gives
/// `true`.
// Where the set is a constant, so is each arm's condition: the drivers outside of it are not linked.
#[inline(always)]
pub(crate) fn run<I: Isa>(set: u32, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let Some(kernel) = kernel(call.op(), call.output().dtype()) else { return false };
    match (kernel, call.op()) {
        (Kernel::Gemm, Op::Conv(c)) if linked(set, OpKind::Conv) => gemm::run::<I>(call, c, units, scratch),
        (Kernel::Depthwise, Op::Conv(c)) if linked(set, OpKind::Conv) => {
            depthwise::run::<I>(call, c, units, scratch);
        }
        (Kernel::Binary, Op::Binary(b)) if linked(set, OpKind::Binary) => {
            return elementwise::binary::<I>(call, b, units, scratch);
        }
        (Kernel::Table, Op::Activation { table: Some(t), .. }) if linked(set, OpKind::Activation) => {
            return elementwise::table::<I>(call, t, units);
        }
        (Kernel::Reduce, Op::Reduce(r)) if linked(set, OpKind::Reduce) => {
            return reduce::run::<I>(call, r, units, scratch);
        }
        (Kernel::Matmul, Op::Matmul(m)) if linked(set, OpKind::Matmul) => {
            return matmul::run::<I>(call, m, units, scratch);
        }
        (Kernel::Softmax, Op::Softmax(s)) if linked(set, OpKind::Softmax) => {
            return softmax::run(call, s, units, scratch);
        }
        (Kernel::Blend, Op::Blend(b)) if linked(set, OpKind::Blend) => blend::run(b, call, units),
        (Kernel::Copy, op) if linked(set, op.kind()) => return moves::run(call, units),
        _ => return false,
    }
    true
}

/// Scratch of [`run`].
pub(crate) fn scratch_bytes<I: Isa>(op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
    match (kernel(op, dtype), op) {
        (Some(Kernel::Gemm), Op::Conv(c)) => gemm::scratch_bytes::<I>(c, output),
        (Some(Kernel::Depthwise), Op::Conv(c)) => depthwise::scratch_bytes::<I>(c, output),
        (Some(Kernel::Binary), _) => elementwise::scratch_bytes(output),
        (Some(Kernel::Matmul), Op::Matmul(m)) => matmul::scratch_bytes::<I>(m, input, output),
        (Some(Kernel::Softmax), Op::Softmax(s)) => softmax::scratch_bytes(s, output),
        (Some(Kernel::Reduce), _) => reduce::scratch_bytes(input),
        _ => 0,
    }
}
