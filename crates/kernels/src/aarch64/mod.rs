//! AArch64 kernels: NEON, which every AArch64 has, and its dot products of bytes and half-precision arithmetic where the CPU has
//! them.
//!
//! The drivers are those of [`crate::rows`]. What has no kernel here runs the scalar one, which the compiler vectorises.

mod blend;
mod depthwise;
mod dot;
mod elementwise;
mod finish;
mod float;
mod fp16;
mod functions;
mod gemm;
mod lanes;

use core::ops::Range;

use fusionproxy_format::{DType, Op};
use half::f16;

use crate::rows::elementwise::{Product, Sum};
use crate::rows::isa::Isa;
use crate::rows::{self, depthwise::DepthwiseRow, gemm::GemmRow, wide};
use crate::{Backend, Call, Shape, Src, scalar};
pub use fp16::{Fp16, Set};

use dot::{Dot, Mixed, Multiply, Signed};
use float::Single;
use lanes::Vectors;

const EVERY: u32 = u32::MAX;

/// The kernels for every AArch64.
#[derive(Clone, Copy, Debug, Default)]
pub struct Neon;

/// The kernels for CPUs with `sdot` (feature `dotprod`: Cortex-A55, A75, A76 and later, Neoverse).
#[derive(Clone, Copy, Debug)]
pub struct NeonDotprod(());

/// The kernels for CPUs with `usdot` (feature `i8mm`: Cortex-A510, A710 and later, Neoverse V1).
#[derive(Clone, Copy, Debug)]
pub struct NeonI8mm(());

impl NeonDotprod {
    /// The token, on a CPU that has the instructions. Without the feature `std`: if they are part of the target.
    pub fn detect() -> Option<Self> {
        #[cfg(feature = "std")]
        let found = std::arch::is_aarch64_feature_detected!("dotprod");
        #[cfg(not(feature = "std"))]
        let found = cfg!(target_feature = "dotprod");
        found.then_some(Self(()))
    }
}

impl NeonI8mm {
    /// The token, on a CPU that has the instructions. Without the feature `std`: if they are part of the target.
    pub fn detect() -> Option<Self> {
        #[cfg(feature = "std")]
        let found = std::arch::is_aarch64_feature_detected!("i8mm");
        #[cfg(not(feature = "std"))]
        let found = cfg!(target_feature = "i8mm");
        found.then_some(Self(()))
    }
}

/// The kernels of a backend, compiled for a target feature.
macro_rules! isa {
    ($token:ident, $dot:ident, $feature:literal) => {
        impl Isa for $token {
            const OFFSET: i32 = $dot::OFFSET;
            const VECTOR: usize = depthwise::VECTOR;
            const TAPS: usize = depthwise::TAPS;
            const TAP_BYTES: usize = 1;
            const SUMS: usize = 0;

            fn packed_bytes(_: usize, _: usize) -> usize {
                0
            }

            fn pack(_: &[i8], _: usize, _: usize, _: &mut [u8]) {}

            unsafe fn gemm(row: &GemmRow<'_>) {
                #[target_feature(enable = $feature)]
                unsafe fn run(row: &GemmRow<'_>) {
                    // SAFETY: passed on.
                    unsafe { gemm::gemm::<$dot>(row) }
                }
                // SAFETY: passed on.
                unsafe { run(row) }
            }

            fn interleave(four: [[u8; 16]; 4], to: &mut [u8; 64]) {
                elementwise::interleave(four, to);
            }

            fn depthwise_place(tap: usize, element: usize) -> usize {
                depthwise::place(tap, element)
            }

            unsafe fn depthwise(row: &DepthwiseRow<'_>) {
                #[target_feature(enable = $feature)]
                unsafe fn run(row: &DepthwiseRow<'_>) {
                    // SAFETY: passed on.
                    unsafe { depthwise::depthwise::<$dot>(row) }
                }
                // SAFETY: passed on.
                unsafe { run(row) }
            }

            unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum) {
                // SAFETY: passed on.
                unsafe { elementwise::sum(a, b, to, n, op) }
            }

            unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product) {
                // SAFETY: passed on.
                unsafe { elementwise::product(a, b, to, n, op) }
            }

            unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]) {
                // SAFETY: passed on.
                unsafe { elementwise::look_up(at, n, table) }
            }

            unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32) {
                // SAFETY: passed on.
                unsafe { elementwise::add_up(from, n, channels, sums) }
            }
        }
    };
}

isa!(Neon, Multiply, "neon");
isa!(NeonDotprod, Signed, "neon,dotprod");
isa!(NeonI8mm, Mixed, "neon,i8mm");

macro_rules! backend {
    ($token:ident, $name:literal) => {
        // SAFETY: each kernel, and each scalar one, writes the elements of its units, or rows, alone.
        unsafe impl Backend for $token {
            fn name(&self) -> &'static str {
                $name
            }

            fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
                call.expect_units(&units, scratch);
                if !run::<Self>(call, units.clone(), scratch) {
                    scalar::run::<EVERY>(call, units, scratch);
                }
            }

            fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
                rows::scratch_bytes::<Self>(op, dtype, input, output)
                    .max(wide::scratch_bytes(op, dtype, input))
                    .max(float::scratch_bytes(op, dtype, output))
            }

            fn sum_rows(&self, image: &Src<'_, u8>, rows: Range<usize>, sums: &mut [i32], _: &mut [u8]) {
                rows::reduce::sum_rows::<Self>(image, rows, sums);
            }

            fn square_sums(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &mut [u64], _: &mut [u8]) {
                call.expect_sums(sums);
                wide::square_sums::<Vectors>(call, rows, sums);
            }

            fn respond(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &[u64], scratch: &mut [u8]) {
                call.expect_sums(sums);
                wide::respond::<Vectors>(call, rows, sums, scratch);
            }

            fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str {
                match op {
                    Op::Conv(_) if float::supports(op) => concat!($name, "-float"),
                    Op::Activation { function, .. }
                        if dtype != DType::U8 && functions::supports(*function) =>
                    {
                        concat!($name, "-activation")
                    }
                    Op::Blend(_) if dtype != DType::U8 => concat!($name, "-blend"),
                    _ => match rows::kernel(op, dtype) {
                        Some(rows::Kernel::Gemm) => concat!($name, "-gemm"),
                        Some(rows::Kernel::Depthwise) => concat!($name, "-depthwise"),
                        Some(rows::Kernel::Binary) => concat!($name, "-binary"),
                        Some(rows::Kernel::Table) => concat!($name, "-table"),
                        Some(rows::Kernel::Reduce) => concat!($name, "-reduce"),
                        Some(rows::Kernel::Matmul) => concat!($name, "-matmul"),
                        Some(rows::Kernel::Softmax) => concat!($name, "-softmax"),
                        Some(rows::Kernel::Blend) => concat!($name, "-blend"),
                        Some(rows::Kernel::Copy) => concat!($name, "-copy"),
                        None => match wide::kernel(op, dtype) {
                            Some(wide::Kernel::Norm) => concat!($name, "-norm"),
                            None => "scalar",
                        },
                    },
                }
            }
        }
    };
}

backend!(Neon, "aarch64-neon");
backend!(NeonDotprod, "aarch64-dotprod");
backend!(NeonI8mm, "aarch64-i8mm");

/// Runs `units`, if there is a kernel for them; then gives `true`.
fn run<I: Isa>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    match (call.op(), call.output().dtype()) {
        // SAFETY: instructions of every AArch64.
        (Op::Conv(c), DType::F16) => unsafe { float::run::<f16, Single>(call, c, units, scratch) },
        // SAFETY: likewise.
        (Op::Conv(c), DType::F32) => unsafe { float::run::<f32, Single>(call, c, units, scratch) },
        (Op::Blend(b), DType::F16) => blend::run::<f16>(call, b, units),
        (Op::Blend(b), DType::F32) => blend::run::<f32>(call, b, units),
        (Op::Activation { function, .. }, DType::F16) => functions::run::<f16>(call, *function, units),
        (Op::Activation { function, .. }, DType::F32) => functions::run::<f32>(call, *function, units),
        _ => {
            wide::run::<Vectors>(call, units.clone(), scratch) || rows::run::<I>(EVERY, call, units, scratch)
        }
    }
}

/// Every backend that this CPU can run, best first.
pub fn backends() -> impl Iterator<Item = &'static dyn Backend> {
    // The tokens have no contents, so that references to constants serve every CPU that made one.
    macro_rules! with_and_without_fp16 {
        ($token:expr, $found:expr) => {
            [
                $found.and_then(Fp16::detect).map(|_| &const { Fp16::joined($token) } as &dyn Backend),
                $found.map(|_| &$token as &dyn Backend),
            ]
        };
    }
    let i8mm = with_and_without_fp16!(NeonI8mm(()), NeonI8mm::detect());
    let dotprod = with_and_without_fp16!(NeonDotprod(()), NeonDotprod::detect());
    let neon = with_and_without_fp16!(Neon, Some(Neon));
    [i8mm, dotprod, neon].into_iter().flatten().flatten()
}
