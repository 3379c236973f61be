//! AVX2 with FMA and F16C (Haswell, Zen and later), with and without AVX-VNNI (Alder Lake, Zen 5 and later).

mod finish;
mod float;
mod int8;

use super::blend::BlendRow;
use super::compiled;
use super::depthwise::DepthwiseRow;
use super::depthwise_planes::PlaneRow;
use super::elementwise::{Product, Sum};
use super::float::FloatRow;
use super::gemm::GemmRow;
use super::isa::Isa;
use super::norm::NormRow;
use super::stage::copy_pixels;
use super::upsample::{self, UpsampleRow};
use super::{lines, portable};

/// AVX2, FMA, F16C and AVX-VNNI. A value exists only on a CPU that has them.
#[derive(Clone, Copy, Debug)]
pub struct AvxVnni(());

/// AVX2, FMA and F16C. A value exists only on a CPU that has them.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

#[cfg(any(test, feature = "std"))]
impl Avx2 {
    /// The backend, if the CPU has the instructions.
    pub fn detect() -> Option<Self> {
        (std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("fma")
            && std::is_x86_feature_detected!("f16c"))
        .then_some(Self(()))
    }
}

#[cfg(any(test, feature = "std"))]
impl AvxVnni {
    /// The backend, if the CPU has the instructions.
    pub fn detect() -> Option<Self> {
        (Avx2::detect().is_some() && std::is_x86_feature_detected!("avxvnni")).then_some(Self(()))
    }
}

macro_rules! isa {
    ($token:ident, $int8:ident) => {
        impl Isa for $token {
            const VECTOR: usize = 32;
            const BLOCKS: usize = 1;
            const FLOAT_BLOCKS: usize = 1;
            const PAIRS: bool = false;
            const PLANES: &'static [(u8, u8)] = &[];
            const HALF_SUMS: bool = false;

            unsafe fn gemm(row: &GemmRow<'_>, _: usize) {
                // SAFETY: the caller keeps the contract of `Isa::gemm`; there is one block.
                unsafe { int8::$int8::gemm(row) }
            }

            unsafe fn depthwise(row: &DepthwiseRow<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::depthwise`.
                unsafe { int8::$int8::depthwise(row) }
            }

            unsafe fn depthwise_plane(_: &PlaneRow<'_>, _: usize, _: usize) {
                unreachable!("PLANES is empty");
            }

            unsafe fn copy(
                from: *const u8,
                from_pitch: usize,
                to: *mut u8,
                to_pitch: usize,
                pixels: usize,
                len: usize,
            ) {
                // SAFETY: the caller keeps the contract of `copy_pixels`.
                unsafe { copy_pixels(from, from_pitch, to, to_pitch, pixels, len) }
            }

            unsafe fn pair(_: *const u8, _: *const u8, _: *mut u8, _: usize) {
                unreachable!("PAIRS is not set");
            }

            fn sum_at(e: usize) -> usize {
                e
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn softmax(from: *const u8, to: *mut u8, n: usize, exp: &[u16; 256], shares: *mut u32) {
                // SAFETY: the caller keeps the contract of `Isa::softmax`.
                unsafe { lines::softmax(from, to, n, exp, shares) }
            }

            unsafe fn gemm_float(row: &FloatRow<'_>, _: usize) {
                // SAFETY: the caller keeps the contract of `Isa::gemm_float`.
                unsafe { float::gemm(row) }
            }

            unsafe fn gemm_half(_: &FloatRow<'_>, _: usize) {
                unreachable!("HALF_SUMS is not set");
            }

            unsafe fn depthwise_half(_: &FloatRow<'_>) {
                unreachable!("HALF_SUMS is not set");
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::sum`.
                unsafe { portable::sum(a, b, to, n, op) }
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::product`.
                unsafe { portable::product(a, b, to, n, op) }
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn table(from: *const u8, to: *mut u8, n: usize, table: &[u8; 256]) {
                // SAFETY: the caller keeps the contract of `Isa::table`.
                unsafe { portable::table(from, to, n, table) }
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn add_up(row: *const u8, n: usize, period: usize, sums: *mut i32) {
                // SAFETY: the caller keeps the contract of `Isa::add_up`.
                unsafe { portable::add_up::<32>(row, n, period, sums) }
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn add_squares(row: *const u8, n: usize, period: usize, zero: u8, sums: *mut u64) {
                // SAFETY: the caller keeps the contract of `Isa::add_squares`.
                unsafe { portable::add_squares::<32>(row, n, period, zero, sums) }
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn layer_norm(row: &NormRow<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::layer_norm`.
                unsafe { portable::layer_norm(row) }
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn response_norm(row: &NormRow<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::response_norm`.
                unsafe { portable::response_norm(row) }
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn blend(row: &BlendRow<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::blend`.
                unsafe { portable::blend(row) }
            }

            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn upsample(row: &UpsampleRow) {
                // SAFETY: the caller keeps the contract of `Isa::upsample`.
                unsafe { upsample::body(row) }
            }

            compiled::methods!("avx2,fma,f16c");
        }
    };
}

isa!(AvxVnni, vnni);
isa!(Avx2, plain);
