//! WebAssembly kernels with 128-bit SIMD.
//!
//! A WebAssembly module that contains SIMD instructions is refused as a whole by an engine without them, so that there is
//! nothing to detect at run time: the module exists if and only if the target feature `simd128` is on. With the target
//! feature `relaxed-simd` as well, sums of products take one instruction instead of five, where the engine makes it exact:
//! ask [`exact`] before the first frame. Operators without kernels here run the scalar ones, which the compiler vectorises.

mod colour;
mod depthwise;
mod dot;
mod elementwise;
mod finish;
mod gemm;
mod lanes;

use core::ops::Range;

use fusionproxy_format::{BinaryOp, ConvWeights, DType, Op, OpKind};

use crate::rows::depthwise::DepthwiseRow;
use crate::rows::elementwise::{Product, Sum};
use crate::rows::gemm::GemmRow;
use crate::rows::isa::Isa;
use crate::rows::{self, Kernel, wide};
use crate::scalar::{kernel_set, linked};
use crate::{Backend, Call, Shape, Src, scalar};

use lanes::Vectors;

pub use colour::{compose_rgba, luma_rgba};
pub use dot::exact;

/// The leaf kernels.
struct Leaves;

impl Isa for Leaves {
    const OFFSET: i32 = 0;
    const VECTOR: usize = depthwise::VECTOR;
    const TAPS: usize = depthwise::TAPS;
    const TAP_BYTES: usize = depthwise::TAP_BYTES;
    const SUMS: usize = 0;

    fn packed_bytes(_: usize, _: usize) -> usize {
        0
    }

    fn pack(_: &[i8], _: usize, _: usize, _: &mut [u8]) {}

    unsafe fn gemm(row: &GemmRow<'_>) {
        // SAFETY: the caller's promise, here and below.
        unsafe { gemm::run(row) }
    }

    fn interleave(four: [[u8; 16]; 4], to: &mut [u8; 64]) {
        elementwise::interleave(four, to);
    }

    fn depthwise_place(tap: usize, element: usize) -> usize {
        depthwise::place(tap, element)
    }

    unsafe fn depthwise(row: &DepthwiseRow<'_>) {
        // SAFETY: see `gemm`.
        unsafe { depthwise::run(row) }
    }

    unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum) {
        // SAFETY: see `gemm`.
        unsafe { elementwise::sum((a, n), (b, n), (to, n), (1, n), op) }
    }

    unsafe fn sum_pixels(
        a: (*const u8, usize),
        b: (*const u8, usize),
        to: (*mut u8, usize),
        (pixels, channels): (usize, usize),
        op: &Sum,
    ) {
        // SAFETY: see `gemm`.
        unsafe { elementwise::sum(a, b, to, (pixels, channels), op) }
    }

    unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product) {
        // SAFETY: see `gemm`.
        unsafe { elementwise::product(a, b, to, n, op) }
    }

    unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]) {
        // SAFETY: see `gemm`.
        unsafe { elementwise::look_up(at, n, table) }
    }

    unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32) {
        // SAFETY: see `gemm`.
        unsafe { elementwise::add_up(from, n, channels, sums) }
    }
}

/// The kernels for `simd128`, or `relaxed-simd`. Bytes are those of [`crate::Scalar`] for 8-bit calls; floats run the scalar
/// kernels. `SET` names the scalar kernels that are linked, as for [`crate::Scalar`]; those for attention and normalisation are
/// linked with them, all others always.
#[derive(Clone, Copy, Debug, Default)]
pub struct Simd128<const SET: u32 = { u32::MAX }>;

/// Operators whose kernels are always linked.
const LIGHT: u32 = !kernel_set(&[OpKind::Matmul, OpKind::Softmax, OpKind::Norm], &[]);

/// The kernel that takes `op`, for some shapes at least.
fn kernel(op: &Op<'_>, dtype: DType) -> Option<Kernel> {
    let bounded = match op {
        Op::Conv(c) => {
            let g = &c.geometry;
            let [kh, kw] = g.window.kernel.map(usize::from);
            let terms = kh * kw * (g.input_channels / g.groups);
            matches!(c.weights, ConvWeights::Int8 { bias, scale, .. } if finish::fits(terms, bias, scale))
        }
        Op::Binary(b) => b.op != BinaryOp::Mul || finish::fits(1, &[], &[b.scale]),
        _ => true,
    };
    rows::kernel(op, dtype).filter(|_| bounded)
}

/// Whether the results of a matrix product, whose terms are counted by the shapes, stay where rounding works.
fn bounded(call: &Call<'_, '_>) -> bool {
    let Op::Matmul(m) = call.op() else { return true };
    let input = call.inputs()[0].data.layout().shape;
    let terms = if m.transpose_b { input.channels / m.heads } else { input.width };
    finish::fits(terms, &[], &[m.scale])
}

// SAFETY: each kernel, and each scalar one, writes the elements of its units, or rows, alone.
unsafe impl<const SET: u32> Backend for Simd128<SET> {
    fn name(&self) -> &'static str {
        if cfg!(target_feature = "relaxed-simd") { "wasm32-relaxed-simd" } else { "wasm32-simd128" }
    }

    fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
        call.expect_units(&units, scratch);
        let fits = || kernel(call.op(), call.output().dtype()).is_some() && bounded(call);
        let taken = linked(SET, OpKind::Norm) && wide::run::<Vectors>(call, units.clone(), scratch)
            || fits() && rows::run::<Leaves>(SET | LIGHT, call, units.clone(), scratch);
        if !taken {
            scalar::run::<SET>(call, units, scratch);
        }
    }

    fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
        // A driver may leave a call to the scalar kernel after all.
        let own = kernel(op, dtype).map_or(0, |_| rows::scratch_bytes::<Leaves>(op, dtype, input, output));
        own.max(wide::scratch_bytes(op, dtype, input)).max(scalar::scratch_bytes(op, dtype, input, output))
    }

    fn sum_rows(&self, image: &Src<'_, u8>, rows: Range<usize>, sums: &mut [i32], _: &mut [u8]) {
        rows::reduce::sum_rows::<Leaves>(image, rows, sums);
    }

    fn square_sums(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &mut [u64], _: &mut [u8]) {
        call.expect_sums(sums);
        if linked(SET, OpKind::Norm) {
            wide::square_sums::<Vectors>(call, rows, sums);
        }
    }

    fn respond(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &[u64], scratch: &mut [u8]) {
        call.expect_sums(sums);
        if linked(SET, OpKind::Norm) {
            wide::respond::<Vectors>(call, rows, sums, scratch);
        }
    }

    fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str {
        let relaxed = cfg!(target_feature = "relaxed-simd");
        match kernel(op, dtype) {
            Some(Kernel::Depthwise) if relaxed => "wasm32-relaxed-simd-depthwise",
            Some(Kernel::Depthwise) => "wasm32-simd128-depthwise",
            Some(Kernel::Gemm) if relaxed => "wasm32-relaxed-simd-gemm",
            Some(Kernel::Gemm) => "wasm32-simd128-gemm",
            Some(Kernel::Binary) => "wasm32-simd128-binary",
            Some(Kernel::Table) => "wasm32-table",
            Some(Kernel::Reduce) => "wasm32-simd128-reduce",
            Some(Kernel::Matmul) if relaxed => "wasm32-relaxed-simd-matmul",
            Some(Kernel::Matmul) => "wasm32-simd128-matmul",
            Some(Kernel::Softmax) => "wasm32-simd128-softmax",
            Some(Kernel::Blend) => "wasm32-simd128-blend",
            Some(Kernel::Copy) => "wasm32-copy",
            None => match wide::kernel(op, dtype) {
                Some(wide::Kernel::Norm) => "wasm32-simd128-norm",
                None => "scalar",
            },
        }
    }
}

/// Every backend of this architecture but the scalar one, best first.
pub fn backends() -> impl Iterator<Item = &'static dyn Backend> {
    core::iter::once(&Simd128::<{ u32::MAX }> as &dyn Backend)
}
