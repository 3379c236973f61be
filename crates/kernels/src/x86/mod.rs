//! x86-64 kernels.
//!
//! Drivers ([`gemm`], [`depthwise`], …) split an operator into rows and stage what the window needs; they are written once.
//! Leaf kernels compute a row with the instructions of one set ([`isa::Isa`]). What has no SIMD kernel runs the scalar one.
//! `notes.md` says why each kernel is as it is, with measurements.

mod avx512;
mod blend;
mod depthwise;
mod depthwise_planes;
mod elementwise;
mod gemm;
mod isa;
mod moves;
mod norm;
mod reduce;
mod requant;
mod stage;
#[cfg(test)]
mod tests;
mod transpose;
mod upsample;

use core::ops::Range;

use fusionproxy_format::{DType, Op, ResizeMode};

pub use avx512::Avx512Vnni;

use crate::{Backend, Call, Shape, scalar};

const EVERY: u32 = u32::MAX;

/// Vectors of `vector` bytes after which pixels of `channels` bytes begin with a vector again.
const fn period(channels: usize, vector: usize) -> usize {
    const fn gcd(a: usize, b: usize) -> usize {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    channels / gcd(channels, vector)
}

/// Runs `units`, if there is a kernel for them; then gives `true`.
fn run_simd<I: isa::Isa>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let eight_bit = call.output().dtype() == DType::U8;
    match call.op() {
        Op::Conv(c) if depthwise_planes::supports::<I>(c) => {
            depthwise_planes::run::<I>(call, c, units, scratch)
        }
        Op::Conv(c) if depthwise::supports(c) => depthwise::run::<I>(call, c, units, scratch),
        Op::Conv(c) if gemm::supports::<I>(c) => gemm::run::<I>(call, c, units, scratch),
        Op::Binary(b) if eight_bit && elementwise::supports(b) => {
            elementwise::binary::<I>(call, b, units, scratch)
        }
        Op::Activation { table: Some(t), .. } if eight_bit => {
            elementwise::table::<I>(call, t, units, scratch)
        }
        Op::Reduce(r) if eight_bit && reduce::supports(r) => reduce::run::<I>(call, r, units, scratch),
        Op::Norm(n) if eight_bit && norm::supports(n) => norm::run::<I>(call, n, units, scratch),
        Op::Blend(b) if eight_bit && blend::supports(b) => blend::run::<I>(call, b, units),
        Op::Resize(r)
            if eight_bit
                && upsample::supports(r, call.inputs()[0].data.layout().shape, call.output_shape()) =>
        {
            upsample::run::<I>(call, units, scratch)
        }
        op if moves::supports(op) => moves::run(call, units),
        _ => false,
    }
}

fn run<I: isa::Isa>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
    if !run_simd::<I>(call, units.clone(), scratch) {
        scalar::run::<EVERY>(call, units, scratch);
    }
}

fn scratch_bytes<I: isa::Isa>(op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
    let eight_bit = dtype == DType::U8;
    let own = match op {
        Op::Conv(c) if depthwise_planes::supports::<I>(c) => depthwise_planes::scratch_bytes(c, output),
        Op::Conv(c) if depthwise::supports(c) => depthwise::scratch_bytes::<I>(c, output),
        Op::Conv(c) if gemm::supports::<I>(c) => gemm::scratch_bytes::<I>(c, output),
        Op::Binary(_) | Op::Activation { .. } if eight_bit => elementwise::scratch_bytes(output),
        Op::Reduce(r) if eight_bit && reduce::supports(r) => reduce::scratch_bytes::<I>(input),
        Op::Norm(n) if eight_bit && norm::supports(n) => norm::scratch_bytes::<I>(n, input),
        Op::Resize(r) if eight_bit && upsample::supports(r, input, output) => upsample::scratch_bytes(input),
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

            fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str {
                let eight_bit = dtype == DType::U8;
                match op {
                    Op::Conv(c) if depthwise_planes::supports::<Self>(c) => {
                        concat!($name, "-depthwise-planes")
                    }
                    Op::Conv(c) if depthwise::supports(c) => concat!($name, "-depthwise"),
                    Op::Conv(c) if gemm::supports::<Self>(c) => concat!($name, "-gemm"),
                    Op::Binary(b) if eight_bit && elementwise::supports(b) => concat!($name, "-binary"),
                    Op::Activation { .. } if eight_bit => concat!($name, "-table"),
                    Op::Reduce(r) if eight_bit && reduce::supports(r) => concat!($name, "-reduce"),
                    Op::Norm(n) if eight_bit && norm::supports(n) => concat!($name, "-norm"),
                    Op::Blend(b) if eight_bit && blend::supports(b) => concat!($name, "-blend"),
                    Op::Resize(r) if r.mode == ResizeMode::BilinearHalfPixel && eight_bit => {
                        concat!($name, "-resize")
                    }
                    op if moves::supports(op) => concat!($name, "-copy"),
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
