//! Kernels for CPUs that multiply in half precision (feature `fp16`: Cortex-A55, A75, A76 and later, Neoverse): those of
//! another set, but for half-precision convolutions, matrix products and sums.

mod binary;
mod conv;
mod matmul;
mod registers;

use core::ops::Range;

use fusionproxy_format::{DType, Op};

use super::{Neon, NeonDotprod, NeonI8mm, float};
use crate::{Backend, Call, Shape, Src};
use conv::HalfSums;

/// The kernels of `B`, and arithmetic in half precision. A value exists only on a CPU that has the
/// instructions of both.
#[derive(Clone, Copy, Debug)]
pub struct Fp16<B>(B);

/// A set that [`Fp16`] can be joined to.
pub trait Set: Backend + Copy {
    /// [`Backend::name`] of both.
    const WITH_FP16: &'static str;
}

impl Set for Neon {
    const WITH_FP16: &'static str = "aarch64-fp16";
}

impl Set for NeonDotprod {
    const WITH_FP16: &'static str = "aarch64-dotprod-fp16";
}

impl Set for NeonI8mm {
    const WITH_FP16: &'static str = "aarch64-i8mm-fp16";
}

impl<B: Set> Fp16<B> {
    /// Both, on a CPU that has the instructions. Without the feature `std`: if they are part of the target.
    pub fn detect(set: B) -> Option<Self> {
        #[cfg(feature = "std")]
        let found = std::arch::is_aarch64_feature_detected!("fp16");
        #[cfg(not(feature = "std"))]
        let found = cfg!(target_feature = "fp16");
        found.then_some(Self(set))
    }
}

impl<B> Fp16<B> {
    /// With the feature, of which the caller has made sure.
    pub(super) const fn joined(set: B) -> Self {
        Self(set)
    }
}

// SAFETY: each kernel, and each of the other set's, writes the elements of its units alone.
unsafe impl<B: Set> Backend for Fp16<B> {
    fn name(&self) -> &'static str {
        B::WITH_FP16
    }

    fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
        call.expect_units(&units, scratch);
        let done = match (call.op(), call.output().dtype()) {
            // SAFETY: the token's existence proves the instructions.
            (Op::Conv(c), DType::F16) => unsafe {
                float::run::<_, HalfSums>(call, c, units.clone(), scratch)
            },
            // SAFETY: likewise.
            (Op::Matmul(m), DType::F16) => unsafe { matmul::run(call, m, units.clone()) },
            // SAFETY: likewise.
            (Op::Binary(b), DType::F16) => unsafe { binary::run(call, b, units.clone()) },
            _ => false,
        };
        if !done {
            self.0.run(call, units, scratch);
        }
    }

    fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
        self.0.scratch_bytes(op, dtype, input, output)
    }

    fn sum_rows(&self, image: &Src<'_, u8>, rows: Range<usize>, sums: &mut [i32], scratch: &mut [u8]) {
        self.0.sum_rows(image, rows, sums, scratch);
    }

    fn square_sums(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &mut [u64], scratch: &mut [u8]) {
        self.0.square_sums(call, rows, sums, scratch);
    }

    fn respond(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &[u64], scratch: &mut [u8]) {
        self.0.respond(call, rows, sums, scratch);
    }

    fn half_sums(&self) -> bool {
        true
    }

    fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str {
        match op {
            Op::Conv(_) if dtype == DType::F16 && float::supports(op) => "aarch64-fp16-conv",
            Op::Binary(b) if dtype == DType::F16 && binary::supports(b) => "aarch64-fp16-binary",
            Op::Matmul(_) if dtype == DType::F16 => "aarch64-fp16-matmul",
            _ => self.0.kernel(op, dtype),
        }
    }
}
