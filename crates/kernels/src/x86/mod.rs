//! x86-64 kernels.
//!
//! Drivers ([`gemm`], [`depthwise`], …) split an operator into rows and stage what the window needs; they are written once.
//! Leaf kernels compute a row with the instructions of one set ([`isa::Isa`]). What has no SIMD kernel runs the scalar one.
//! `notes.md` says why each kernel is as it is, with measurements.

mod avx512;
mod depthwise;
mod depthwise_planes;
mod gemm;
mod isa;
mod requant;
mod stage;
#[cfg(test)]
mod tests;
mod transpose;

use core::ops::Range;

use fusionproxy_format::{DType, Op};

pub use avx512::Avx512Vnni;

use crate::{Backend, Call, Shape, scalar};

const EVERY: u32 = u32::MAX;

fn run<I: isa::Isa>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
    let done = match call.op() {
        Op::Conv(c) if depthwise_planes::supports::<I>(c) => {
            depthwise_planes::run::<I>(call, c, units.clone(), scratch)
        }
        Op::Conv(c) if depthwise::supports(c) => depthwise::run::<I>(call, c, units.clone(), scratch),
        Op::Conv(c) if gemm::supports::<I>(c) => gemm::run::<I>(call, c, units.clone(), scratch),
        _ => false,
    };
    if !done {
        scalar::run::<EVERY>(call, units, scratch);
    }
}

fn scratch_bytes<I: isa::Isa>(op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
    let own = match op {
        Op::Conv(c) if depthwise_planes::supports::<I>(c) => depthwise_planes::scratch_bytes(c, output),
        Op::Conv(c) if depthwise::supports(c) => depthwise::scratch_bytes::<I>(c, output),
        Op::Conv(c) if gemm::supports::<I>(c) => gemm::scratch_bytes::<I>(c, output),
        _ => 0,
    };
    own.max(scalar::scratch_bytes(op, dtype, input, output))
}

macro_rules! backend {
    ($token:ident, $name:literal) => {
        impl Backend for $token {
            fn name(&self) -> &'static str {
                $name
            }

            fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
                run::<Self>(call, units, scratch);
            }

            fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
                scratch_bytes::<Self>(op, dtype, input, output)
            }

            fn kernel(&self, op: &Op<'_>, _: DType) -> &'static str {
                match op {
                    Op::Conv(c) if depthwise_planes::supports::<Self>(c) => {
                        concat!($name, "-depthwise-planes")
                    }
                    Op::Conv(c) if depthwise::supports(c) => concat!($name, "-depthwise"),
                    Op::Conv(c) if gemm::supports::<Self>(c) => concat!($name, "-gemm"),
                    _ => "scalar",
                }
            }
        }
    };
}

backend!(Avx512Vnni, "x86_64-avx512vnni");

/// Every backend that this CPU can run, best first.
#[cfg(any(test, feature = "std"))]
pub fn backends() -> impl Iterator<Item = &'static dyn Backend> {
    use std::sync::OnceLock;
    static AVX512: OnceLock<Option<Avx512Vnni>> = OnceLock::new();
    AVX512.get_or_init(Avx512Vnni::detect).as_ref().map(|b| b as &dyn Backend).into_iter()
}
