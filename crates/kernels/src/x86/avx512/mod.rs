//! AVX-512 with VNNI and VBMI (Ice Lake, Zen 4 and later), with and without half-precision arithmetic (Sapphire Rapids and
//! later).

mod copy;
mod depthwise;
mod elementwise;
mod finish;
mod float;
mod gelu;
mod gemm;
mod half_sums;
mod norm;
mod planes;
mod softmax;
mod tiles;

use super::blend::BlendRow;
use super::compiled;
use super::depthwise::DepthwiseRow;
use super::depthwise_planes::PlaneRow;
use super::elementwise::{Product, Sum};
use super::float::FloatRow;
use super::gemm::GemmRow;
use super::isa::Isa;
use super::norm::NormRow;
use super::upsample::UpsampleRow;

/// AVX-512 F, BW, VL, DQ, VNNI and VBMI. A value exists only on a CPU that has them.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Vnni(());

impl Avx512Vnni {
    /// The backend, if the CPU has the instructions.
    #[cfg(any(test, feature = "std"))]
    pub fn detect() -> Option<Self> {
        (std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512vnni")
            && std::is_x86_feature_detected!("avx512vbmi")
            && std::is_x86_feature_detected!("f16c")
            && std::is_x86_feature_detected!("fma"))
        .then_some(Self(()))
    }
}

/// [`Avx512Vnni`] and AVX-512 FP16. A value exists only on a CPU that has them.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Fp16(());

impl Avx512Fp16 {
    /// The backend, if the CPU has the instructions.
    #[cfg(any(test, feature = "std"))]
    pub fn detect() -> Option<Self> {
        (Avx512Vnni::detect().is_some() && std::is_x86_feature_detected!("avx512fp16")).then_some(Self(()))
    }
}

macro_rules! isa {
    ($token:ident, $half_sums:literal) => {
        impl Isa for $token {
            const VECTOR: usize = 64;
            const BLOCKS: usize = 4;
            const FLOAT_BLOCKS: usize = 2;
            const PAIRS: bool = true;
            const PLANES: &'static [(u8, u8)] = planes::WINDOWS;
            const HALF_SUMS: bool = $half_sums;

            unsafe fn gemm(row: &GemmRow<'_>, blocks: usize) {
                // SAFETY: the caller keeps the contract of `Isa::gemm`.
                unsafe { gemm::run(row, blocks) }
            }

            unsafe fn depthwise(row: &DepthwiseRow<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::depthwise`.
                unsafe { depthwise::run(row) }
            }

            unsafe fn depthwise_plane(row: &PlaneRow<'_>, width: usize, stride: usize) {
                // SAFETY: the caller keeps the contract of `Isa::depthwise_plane`.
                unsafe { planes::run(row, width, stride) }
            }

            unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::sum`.
                unsafe { elementwise::sum(a, b, to, n, op) }
            }

            unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::product`.
                unsafe { elementwise::product(a, b, to, n, op) }
            }

            unsafe fn table(from: *const u8, to: *mut u8, n: usize, table: &[u8; 256]) {
                // SAFETY: the caller keeps the contract of `Isa::table`.
                unsafe { elementwise::table(from, to, n, table) }
            }

            unsafe fn add_up(row: *const u8, n: usize, period: usize, sums: *mut i32) {
                // SAFETY: the caller keeps the contract of `Isa::add_up`.
                unsafe { elementwise::add_up(row, n, period, sums) }
            }

            unsafe fn blend(row: &BlendRow<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::blend`.
                unsafe { elementwise::blend(row) }
            }

            unsafe fn upsample(row: &UpsampleRow) {
                // SAFETY: the caller keeps the contract of `Isa::upsample`.
                unsafe { elementwise::upsample(row) }
            }

            unsafe fn add_squares(row: *const u8, n: usize, period: usize, zero: u8, sums: *mut u64) {
                // SAFETY: the caller keeps the contract of `Isa::add_squares`.
                unsafe { norm::add_squares(row, n, period, zero, sums) }
            }

            fn sum_at(e: usize) -> usize {
                norm::sum_at(e)
            }

            unsafe fn layer_norm(row: &NormRow<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::layer_norm`.
                unsafe { norm::layer_norm(row) }
            }

            unsafe fn response_norm(row: &NormRow<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::response_norm`.
                unsafe { norm::response_norm(row) }
            }

            unsafe fn softmax(from: *const u8, to: *mut u8, n: usize, exp: &[u16; 256], shares: *mut u32) {
                // SAFETY: the caller keeps the contract of `Isa::softmax`.
                unsafe { softmax::run(from, to, n, exp, shares) }
            }

            unsafe fn gemm_float(row: &FloatRow<'_>, blocks: usize) {
                // SAFETY: the caller keeps the contract of `Isa::gemm_float`.
                unsafe { float::gemm(row, blocks) }
            }

            unsafe fn gemm_half(row: &FloatRow<'_>, blocks: usize) {
                // SAFETY: the caller keeps the contract of `Isa::gemm_half`, which is that of the instructions, too.
                unsafe { half_sums::gemm(row, blocks) }
            }

            unsafe fn depthwise_half(row: &FloatRow<'_>) {
                // SAFETY: the caller keeps the contract of `Isa::depthwise_half`, which is that of the instructions, too.
                unsafe { half_sums::depthwise(row) }
            }

            compiled::methods!("avx512f,avx512bw,avx512vl,avx512dq,fma");

            unsafe fn copy(
                from: *const u8,
                from_pitch: usize,
                to: *mut u8,
                to_pitch: usize,
                pixels: usize,
                len: usize,
            ) {
                // SAFETY: the caller keeps the contract of `Isa::copy`.
                unsafe { copy::copy(from, from_pitch, to, to_pitch, pixels, len) }
            }

            unsafe fn pair(a: *const u8, b: *const u8, to: *mut u8, n: usize) {
                // SAFETY: the caller keeps the contract of `Isa::pair`.
                unsafe { copy::pair(a, b, to, n) }
            }
        }
    };
}

isa!(Avx512Vnni, false);
isa!(Avx512Fp16, true);
