//! The scalar kernels. They *are* the specification of the arithmetic: every other backend is tested against them.

use core::ops::Range;

use fusionproxy_format::{DType, Op, OpKind};

use crate::{Call, Shape};

/// Whether `kind` is in the set `operators`.
const fn linked(operators: u32, kind: OpKind) -> bool {
    operators >> (kind as u32) & 1 == 1
}

/// Runs `units` of `call` with the kernels in `OPERATORS`; a kind outside the set is not linked and does nothing.
pub(crate) fn run<const OPERATORS: u32>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
    let _ = (units, scratch, linked(OPERATORS, call.op().kind()));
}

/// See [`crate::Backend::scratch_bytes`].
pub(crate) fn scratch_bytes(op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
    let _ = (op, dtype, input, output);
    0
}
