//! x86-64 kernels.
//!
//! Drivers (`gemm`, `depthwise`, …) split an operator into rows and stage what the window needs; they are written once.
//! Leaf kernels compute a row with the instructions of one set (`isa::Isa`). What has no SIMD kernel runs the scalar one.
//! `notes.md` says what was measured, and what was learned from it.

mod avx2;
mod avx512;
mod blend;
mod compiled;
mod depthwise;
mod depthwise_planes;
mod element;
mod elementwise;
mod float;
mod float_elementwise;
mod float_matmul;
mod float_norm;
mod functions;
mod gemm;
mod heads;
mod interleave;
mod isa;
mod lines;
mod matmul;
mod moves;
mod norm;
mod portable;
mod reduce;
mod requant;
mod runs;
mod softmax;
mod stage;
#[cfg(test)]
mod tests;
mod transpose;
mod upsample;

use core::ops::Range;

use fusionproxy_format::{DType, Op, ResizeMode};
use half::f16;

pub use avx2::{Avx2, AvxVnni};
pub use avx512::{Avx512Fp16, Avx512Vnni};

use crate::{Backend, Call, Shape, Src, scalar};

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
    if moves::supports(call.op()) && moves::run(call, units.clone()) {
        return true;
    }
    match call.output().dtype() {
        DType::U8 => run_u8::<I>(call, units, scratch),
        DType::F16 => run_float::<I, f16>(call, units, scratch),
        DType::F32 => run_float::<I, f32>(call, units, scratch),
    }
}

fn run_u8<I: isa::Isa>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    match call.op() {
        Op::Conv(c) if depthwise_planes::supports::<I>(c) => {
            depthwise_planes::run::<I>(call, c, units, scratch)
        }
        Op::Conv(c) if depthwise::supports(c) => depthwise::run::<I>(call, c, units, scratch),
        Op::Conv(c) if gemm::supports::<I>(c) => gemm::run::<I>(call, c, units, scratch),
        Op::Binary(b) if elementwise::supports(b) => elementwise::binary::<I>(call, b, units, scratch),
        Op::Activation { table: Some(t), .. } => elementwise::table::<I>(call, t, units, scratch),
        Op::Reduce(r) if reduce::supports(r) => reduce::run::<I>(call, r, units, scratch),
        Op::Norm(n) if norm::supports(n) => norm::run::<I>(call, n, units, scratch),
        Op::Matmul(m) if matmul::supports(m, input_shape(call)) => matmul::run::<I>(call, m, units, scratch),
        Op::Softmax(s) => softmax::run::<I>(call, s, units, scratch),
        Op::Blend(b) if blend::supports(b) => blend::run::<I>(call, b, units),
        Op::Resize(r) if upsample::supports(r, input_shape(call), call.output_shape()) => {
            upsample::run::<I>(call, units, scratch)
        }
        Op::Convert(_) => float_elementwise::convert::<I>(call, units, scratch),
        _ => false,
    }
}

fn run_float<I: isa::Isa, T: element::Float>(
    call: &Call<'_, '_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    use float_elementwise as elementwise;
    match call.op() {
        Op::Conv(c) if float::supports::<I, T>(c) => float::run::<I, T>(call, c, units, scratch),
        Op::Binary(b) => elementwise::binary::<I, T>(call, b, units, scratch),
        Op::Activation { function, .. } => elementwise::activation::<I, T>(call, *function, units, scratch),
        Op::Reduce(r) if elementwise::supports_reduce(r) => {
            elementwise::reduce::<I, T>(call, r, units, scratch)
        }
        Op::Norm(n) if float_norm::supports(n) => float_norm::run::<I, T>(call, n, units, scratch),
        Op::Matmul(m) => float_matmul::run::<I, T>(call, m, units, scratch),
        Op::Softmax(s) => softmax::run_float::<I, T>(call, s, units, scratch),
        Op::Blend(b) => elementwise::blend::<I, T>(call, b, units, scratch),
        Op::Resize(r) if upsample::supports(r, input_shape(call), call.output_shape()) => {
            elementwise::upsample::<I, T>(call, units, scratch)
        }
        Op::Convert(_) => elementwise::convert::<I>(call, units, scratch),
        _ => false,
    }
}

fn input_shape(call: &Call<'_, '_>) -> Shape {
    call.inputs()[0].data.layout().shape
}

fn run<I: isa::Isa>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
    call.expect_units(&units, scratch);
    if !run_simd::<I>(call, units.clone(), scratch) {
        scalar::run::<EVERY>(call, units, scratch);
    }
}

fn scratch_bytes<I: isa::Isa>(op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
    let own = match dtype {
        DType::U8 => scratch_u8::<I>(op, input, output),
        DType::F16 => scratch_float::<I, f16>(op, input, output),
        DType::F32 => scratch_float::<I, f32>(op, input, output),
    };
    own.max(scalar::scratch_bytes(op, dtype, input, output))
}

fn scratch_u8<I: isa::Isa>(op: &Op<'_>, input: Shape, output: Shape) -> usize {
    match op {
        Op::Conv(c) if depthwise_planes::supports::<I>(c) => depthwise_planes::scratch_bytes(c, output),
        Op::Conv(c) if depthwise::supports(c) => depthwise::scratch_bytes::<I>(c, output),
        Op::Conv(c) if gemm::supports::<I>(c) => gemm::scratch_bytes::<I>(c, output),
        Op::Binary(_) | Op::Activation { .. } => elementwise::scratch_bytes(output),
        Op::Reduce(r) if reduce::supports(r) => reduce::scratch_bytes::<I>(input),
        Op::Norm(n) if norm::supports(n) => norm::scratch_bytes::<I>(n, input),
        Op::Softmax(s) => softmax::scratch_bytes(s, output),
        Op::Matmul(m) if matmul::supports(m, input) => matmul::scratch_bytes(m, input, output),
        Op::Resize(r) if upsample::supports(r, input, output) => upsample::scratch_bytes(input),
        Op::Convert(_) => float_elementwise::convert_scratch(output),
        _ => 0,
    }
}

fn scratch_float<I: isa::Isa, T: element::Float>(op: &Op<'_>, input: Shape, output: Shape) -> usize {
    match op {
        Op::Conv(c) if float::supports::<I, T>(c) => float::scratch_bytes::<I, T>(c, output),
        Op::Binary(_) | Op::Activation { .. } => float_elementwise::scratch_bytes(output),
        Op::Reduce(r) if float_elementwise::supports_reduce(r) => float_elementwise::reduce_scratch(input),
        Op::Norm(n) if float_norm::supports(n) => float_norm::scratch_bytes(output),
        Op::Matmul(m) => float_matmul::scratch_bytes::<I, T>(m, input, output),
        Op::Softmax(_) => softmax::float_scratch(output),
        Op::Blend(_) => float_elementwise::blend_scratch(output),
        Op::Resize(r) if upsample::supports(r, input, output) => float_elementwise::upsample_scratch(input),
        Op::Convert(_) => float_elementwise::convert_scratch(output),
        _ => 0,
    }
}

macro_rules! backend {
    ($token:ident, $name:literal) => {
        // SAFETY: each kernel, and each scalar one, writes the elements of its units, or rows, alone.
        unsafe impl Backend for $token {
            fn name(&self) -> &'static str {
                $name
            }

            fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
                run::<Self>(call, units, scratch);
            }

            fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
                scratch_bytes::<Self>(op, dtype, input, output)
            }

            fn sum_rows(
                &self,
                image: &Src<'_, u8>,
                rows: Range<usize>,
                sums: &mut [i32],
                scratch: &mut [u8],
            ) {
                reduce::sum_rows::<Self>(image, rows, sums, scratch);
            }

            fn square_sums(
                &self,
                call: &Call<'_, '_>,
                rows: Range<usize>,
                sums: &mut [u64],
                scratch: &mut [u8],
            ) {
                call.expect_sums(sums);
                match call.op() {
                    Op::Norm(n) if norm::supports(n) => norm::square_sums::<Self>(call, rows, sums, scratch),
                    _ => scalar::square_sums(call, rows, sums),
                }
            }

            fn respond(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &[u64], scratch: &mut [u8]) {
                call.expect_sums(sums);
                match call.op() {
                    Op::Norm(n) if norm::supports(n) => norm::respond::<Self>(call, n, rows, sums, scratch),
                    _ => scalar::respond(call, rows, sums),
                }
            }

            fn half_sums(&self) -> bool {
                <Self as isa::Isa>::HALF_SUMS
            }

            fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str {
                let eight_bit = dtype == DType::U8;
                match op {
                    Op::Conv(c) if depthwise_planes::supports::<Self>(c) => {
                        concat!($name, "-depthwise-planes")
                    }
                    Op::Conv(c) if depthwise::supports(c) => concat!($name, "-depthwise"),
                    Op::Conv(c) if gemm::supports::<Self>(c) => concat!($name, "-gemm"),
                    Op::Conv(c) if float::supports::<Self, f16>(c) || float::supports::<Self, f32>(c) => {
                        concat!($name, "-float")
                    }
                    Op::Binary(b) if !eight_bit || elementwise::supports(b) => concat!($name, "-binary"),
                    Op::Activation { .. } if eight_bit => concat!($name, "-table"),
                    Op::Activation { .. } => concat!($name, "-activation"),
                    Op::Reduce(r) if eight_bit && reduce::supports(r) => concat!($name, "-reduce"),
                    Op::Reduce(r) if !eight_bit && float_elementwise::supports_reduce(r) => {
                        concat!($name, "-reduce")
                    }
                    Op::Norm(n) if norm::supports(n) => concat!($name, "-norm"),
                    Op::Softmax(_) => concat!($name, "-softmax"),
                    Op::Matmul(_) => concat!($name, "-matmul"),
                    Op::Blend(b) if !eight_bit || blend::supports(b) => concat!($name, "-blend"),
                    Op::Resize(r) if r.mode == ResizeMode::BilinearHalfPixel => concat!($name, "-resize"),
                    Op::Convert(_) => concat!($name, "-convert"),
                    op if moves::supports(op) => concat!($name, "-copy"),
                    _ => "scalar",
                }
            }
        }
    };
}

backend!(Avx512Fp16, "x86_64-avx512fp16");
backend!(Avx512Vnni, "x86_64-avx512vnni");
backend!(AvxVnni, "x86_64-avxvnni");
backend!(Avx2, "x86_64-avx2");

/// Every backend that this CPU can run, best first.
#[cfg(any(test, feature = "std"))]
pub fn backends() -> impl Iterator<Item = &'static dyn Backend> {
    use std::sync::OnceLock;
    static AVX512_FP16: OnceLock<Option<Avx512Fp16>> = OnceLock::new();
    static AVX512_VNNI: OnceLock<Option<Avx512Vnni>> = OnceLock::new();
    static AVX_VNNI: OnceLock<Option<AvxVnni>> = OnceLock::new();
    static AVX2: OnceLock<Option<Avx2>> = OnceLock::new();
    let backends = [
        AVX512_FP16.get_or_init(Avx512Fp16::detect).as_ref().map(|b| b as &dyn Backend),
        AVX512_VNNI.get_or_init(Avx512Vnni::detect).as_ref().map(|b| b as &dyn Backend),
        AVX_VNNI.get_or_init(AvxVnni::detect).as_ref().map(|b| b as &dyn Backend),
        AVX2.get_or_init(Avx2::detect).as_ref().map(|b| b as &dyn Backend),
    ];
    backends.into_iter().flatten()
}
