//! WebAssembly kernels with 128-bit SIMD.
//!
//! A WebAssembly module that contains SIMD instructions is refused as a whole by an engine without them, so that there is
//! nothing to detect at run time: the module exists if and only if the target feature `simd128` is on. Convolutions and
//! the composition have kernels of their own; every other operator runs the scalar one, which the compiler vectorises.
//!
//! The hottest instruction is `i32x4.dot_i16x8_s`. Bytes become its 16-bit operands by a mask and a shift: of a vector of
//! bytes, the even ones are `v & 0x00ff` and the odd ones `v >> 8`, and a sum of products may be taken over the even and
//! the odd ones apart, as long as activations and weights are split alike.

mod blend;
mod depthwise;
mod finish;
mod gemm;
mod stage;

use core::ops::Range;

use fusionproxy_format::{DType, Op};

use crate::{Backend, Call, Shape, scalar};

/// The kernels for `simd128`. Bytes are those of [`crate::Scalar`] for 8-bit calls; floats run the scalar kernels. `SET`
/// names the scalar kernels that are linked, as for [`crate::Scalar`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Simd128<const SET: u32 = { u32::MAX }>;

impl<const SET: u32> Backend for Simd128<SET> {
    fn name(&self) -> &'static str {
        "wasm32-simd128"
    }

    fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
        match call.op() {
            Op::Conv(c) if depthwise::supports(c) => depthwise::run(call, c, units, scratch),
            Op::Conv(c) if gemm::supports(c) => gemm::run(call, c, units, scratch),
            Op::Blend(b) if call.output().dtype() == DType::U8 => blend::run(b, call, units),
            _ => scalar::run::<SET>(call, units, scratch),
        }
    }

    fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
        match op {
            Op::Conv(c) if depthwise::supports(c) => depthwise::scratch_bytes(c, output),
            Op::Conv(c) if gemm::supports(c) => gemm::scratch_bytes(c, output),
            _ => scalar::scratch_bytes(op, dtype, input, output),
        }
    }

    fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str {
        match op {
            Op::Conv(c) if depthwise::supports(c) => "wasm32-simd128-depthwise",
            Op::Conv(c) if gemm::supports(c) => "wasm32-simd128-gemm",
            Op::Blend(_) if dtype == DType::U8 => "wasm32-simd128-blend",
            _ => "scalar",
        }
    }
}

/// Every backend of this architecture but the scalar one, best first.
pub fn backends() -> impl Iterator<Item = &'static dyn Backend> {
    core::iter::once(&Simd128::<{ u32::MAX }> as &dyn Backend)
}
