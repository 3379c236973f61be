//! Drivers over vectors of sixteen bytes and of four floats ([`Lanes`]), for instruction sets that have both.
//!
//! What they compute in floats is the specification's sequence of operations, none of them fused.

mod lanes;
mod norm;

use core::ops::Range;

use fusionproxy_format::{DType, Op};

use super::stage::Parts;
use crate::parallel::take_sums;
use crate::scalar::sums_bytes;
use crate::{Call, Shape};
pub(crate) use lanes::Lanes;
pub(crate) use norm::{respond, square_sums};

/// Bytes of a vector.
const BYTES: usize = 16;

/// A family of kernels, for reports.
#[derive(Clone, Copy)]
pub(crate) enum Kernel {
    Norm,
}

/// Which of the drivers takes `op`.
pub(crate) fn kernel(op: &Op<'_>, dtype: DType) -> Option<Kernel> {
    match op {
        _ if dtype != DType::U8 => None,
        Op::Norm(n) if norm::supports(n) => Some(Kernel::Norm),
        _ => None,
    }
}

/// Scratch of [`run`], [`square_sums`] and [`respond`].
pub(crate) fn scratch_bytes(op: &Op<'_>, dtype: DType, input: Shape) -> usize {
    match (kernel(op, dtype), op) {
        (Some(Kernel::Norm), Op::Norm(n)) => norm::scratch_bytes(n, input),
        _ => 0,
    }
}

/// Runs `units` if there is a driver for them; then gives `true`.
pub(crate) fn run<L: Lanes>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    match (kernel(call.op(), call.output().dtype()), call.op()) {
        (Some(Kernel::Norm), Op::Norm(op)) => norm::run::<L>(call, op, units, scratch),
        _ => false,
    }
}

/// `values` in a part of the scratch, and zeros to the end of the last vector.
fn padded<'s>(parts: &mut Parts<'s>, values: impl ExactSizeIterator<Item = f32>) -> &'s [f32] {
    let len = values.len().next_multiple_of(BYTES);
    // SAFETY: any bytes are numbers; parts are aligned to 64 bytes.
    let (_, to, _) = unsafe { parts.take(len * size_of::<f32>()).align_to_mut::<f32>() };
    to.fill(0.0);
    to.iter_mut().zip(values).for_each(|(to, v)| *to = v);
    to
}
