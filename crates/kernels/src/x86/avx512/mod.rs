//! AVX-512 with VNNI and VBMI: Ice Lake, Zen 4 and later.

mod copy;
mod depthwise;
mod elementwise;
mod finish;
mod float;
mod functions;
mod gemm;
mod norm;
mod planes;
mod softmax;
mod tiles;

use fusionproxy_format::{Activation, BinaryOp, Quant};

use super::blend::BlendRow;
use super::depthwise::DepthwiseRow;
use super::depthwise_planes::PlaneRow;
use super::elementwise::{Product, Sum};
use super::float::FloatRow;
use super::float_elementwise::{FloatBlend, FloatUpsample};
use super::gemm::GemmRow;
use super::isa::Isa;
use super::norm::NormRow;
use super::requant::Requant;
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

impl Isa for Avx512Vnni {
    const VECTOR: usize = 64;
    const BLOCKS: usize = 4;
    const FLOAT_BLOCKS: usize = 2;
    const PAIRS: bool = true;
    const PLANES: &'static [(u8, u8)] = planes::WINDOWS;

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

    unsafe fn softmax_float(v: *mut f32, n: usize) {
        // SAFETY: the caller keeps the contract of `Isa::softmax_float`.
        unsafe { functions::softmax_float(v, n) }
    }

    unsafe fn layer_norm_float(
        from: *const f32,
        to: *mut f32,
        n: usize,
        gamma: *const f32,
        beta: *const f32,
        epsilon: f32,
    ) {
        // SAFETY: the caller keeps the contract of `Isa::layer_norm_float`.
        unsafe { functions::layer_norm_float(from, to, n, gamma, beta, epsilon) }
    }

    unsafe fn add_squares_float(from: *const f32, pixels: usize, channels: usize, acc: *mut f32) {
        // SAFETY: the caller keeps the contract of `Isa::add_squares_float`.
        unsafe { functions::add_squares_float(from, pixels, channels, acc) }
    }

    unsafe fn response_norm_float(
        from: *const f32,
        to: *mut f32,
        pixels: usize,
        channels: usize,
        gain: *const f32,
        beta: *const f32,
    ) {
        // SAFETY: the caller keeps the contract of `Isa::response_norm_float`.
        unsafe { functions::response_norm_float(from, to, pixels, channels, gain, beta) }
    }

    unsafe fn gemm_float(row: &FloatRow<'_>, blocks: usize) {
        // SAFETY: the caller keeps the contract of `Isa::gemm_float`.
        unsafe { float::gemm(row, blocks) }
    }

    unsafe fn depthwise_float(row: &FloatRow<'_>) {
        // SAFETY: the caller keeps the contract of `Isa::depthwise_float`.
        unsafe { float::depthwise(row) }
    }

    unsafe fn widen(
        from: *const u8,
        from_pitch: usize,
        to: *mut u8,
        to_pitch: usize,
        pixels: usize,
        len: usize,
    ) {
        // SAFETY: the caller keeps the contract of `Isa::widen`.
        unsafe { float::widen(from, from_pitch, to, to_pitch, pixels, len) }
    }

    unsafe fn narrow(
        from: *const u8,
        from_pitch: usize,
        to: *mut u8,
        to_pitch: usize,
        pixels: usize,
        len: usize,
    ) {
        // SAFETY: the caller keeps the contract of `Isa::narrow`.
        unsafe { float::narrow(from, from_pitch, to, to_pitch, pixels, len) }
    }

    unsafe fn activate(v: *mut f32, n: usize, function: Activation) {
        // SAFETY: the caller keeps the contract of `Isa::activate`.
        unsafe { functions::activate(v, n, function) }
    }

    unsafe fn binary(op: BinaryOp, a: *const f32, b: *const f32, to: *mut f32, n: usize) {
        // SAFETY: the caller keeps the contract of `Isa::binary`.
        unsafe { functions::binary(op, a, b, to, n) }
    }

    unsafe fn fold_pixels(from: *const f32, pixels: usize, channels: usize, max: bool, acc: *mut f32) {
        // SAFETY: the caller keeps the contract of `Isa::fold_pixels`.
        unsafe { functions::fold_pixels(from, pixels, channels, max, acc) }
    }

    unsafe fn blend_float(row: &FloatBlend) {
        // SAFETY: the caller keeps the contract of `Isa::blend_float`.
        unsafe { functions::blend(row) }
    }

    unsafe fn upsample_float(row: &FloatUpsample) {
        // SAFETY: the caller keeps the contract of `Isa::upsample_float`.
        unsafe { functions::upsample(row) }
    }

    unsafe fn quantise(from: *const f32, to: *mut u8, n: usize, per_step: f32, requant: &Requant<'_>) {
        // SAFETY: the caller keeps the contract of `Isa::quantise`.
        unsafe { functions::quantise(from, to, n, per_step, requant) }
    }

    unsafe fn dequantise(from: *const u8, to: *mut f32, n: usize, quant: Quant) {
        // SAFETY: the caller keeps the contract of `Isa::dequantise`.
        unsafe { functions::dequantise(from, to, n, quant) }
    }

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
