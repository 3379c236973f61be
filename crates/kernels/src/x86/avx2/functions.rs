//! The bodies of [`crate::x86::portable`] and [`crate::x86::functions`], compiled for these instructions.

use core::arch::x86_64::{_mm_cvtss_f32, _mm_set_ss, _mm_sqrt_ss};

use fusionproxy_format::{Activation, BinaryOp, Quant};

use crate::x86::blend::BlendRow;
use crate::x86::elementwise::{Product, Sum};
use crate::x86::float_elementwise::{FloatBlend, FloatUpsample};
use crate::x86::norm::NormRow;
use crate::x86::requant::Requant;
use crate::x86::upsample::{self, UpsampleRow};
use crate::x86::{functions, lines, portable};

/// See [`crate::x86::isa::Isa::sum`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum<'_>) {
    // SAFETY: passed on.
    unsafe { portable::sum(a, b, to, n, op) }
}

/// See [`crate::x86::isa::Isa::product`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product<'_>) {
    // SAFETY: passed on.
    unsafe { portable::product(a, b, to, n, op) }
}

/// See [`crate::x86::isa::Isa::table`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn table(from: *const u8, to: *mut u8, n: usize, table: &[u8; 256]) {
    // SAFETY: passed on.
    unsafe { portable::table(from, to, n, table) }
}

/// See [`crate::x86::isa::Isa::add_up`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_up(row: *const u8, n: usize, period: usize, sums: *mut i32) {
    // SAFETY: passed on.
    unsafe { portable::add_up::<32>(row, n, period, sums) }
}

/// See [`crate::x86::isa::Isa::add_squares`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_squares(row: *const u8, n: usize, period: usize, zero: u8, sums: *mut u64) {
    // SAFETY: passed on.
    unsafe { portable::add_squares::<32>(row, n, period, zero, sums) }
}

/// See [`crate::x86::isa::Isa::layer_norm`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn layer_norm(row: &NormRow<'_>) {
    // SAFETY: passed on.
    unsafe {
        portable::layer_norm(row, |v| _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))));
    }
}

/// See [`crate::x86::isa::Isa::response_norm`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn response_norm(row: &NormRow<'_>) {
    // SAFETY: passed on.
    unsafe { portable::response_norm(row) }
}

/// See [`crate::x86::isa::Isa::blend`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn blend(row: &BlendRow<'_>) {
    // SAFETY: passed on.
    unsafe { portable::blend(row) }
}

/// See [`crate::x86::isa::Isa::upsample`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn upsample(row: &UpsampleRow) {
    // SAFETY: passed on.
    unsafe { upsample::body(row) }
}

/// See [`crate::x86::isa::Isa::activate`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn activate(v: *mut f32, n: usize, function: Activation) {
    // SAFETY: passed on.
    unsafe { functions::activate(v, n, function) }
}

/// See [`crate::x86::isa::Isa::binary`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn binary(op: BinaryOp, a: *const f32, b: *const f32, to: *mut f32, n: usize) {
    // SAFETY: passed on.
    unsafe { functions::binary(op, a, b, to, n) }
}

/// See [`crate::x86::isa::Isa::fold_pixels`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn fold_pixels(from: *const f32, pixels: usize, channels: usize, max: bool, acc: *mut f32) {
    // SAFETY: passed on.
    unsafe { functions::fold_pixels(from, pixels, channels, max, acc) }
}

/// See [`crate::x86::isa::Isa::blend_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn blend_float(row: &FloatBlend) {
    // SAFETY: passed on.
    unsafe { functions::blend(row) }
}

/// See [`crate::x86::isa::Isa::upsample_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn upsample_float(row: &FloatUpsample) {
    // SAFETY: passed on.
    unsafe { functions::upsample(row) }
}

/// See [`crate::x86::isa::Isa::quantise`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn quantise(from: *const f32, to: *mut u8, n: usize, per_step: f32, requant: &Requant<'_>) {
    // SAFETY: passed on.
    unsafe { functions::quantise(from, to, n, per_step, requant) }
}

/// See [`crate::x86::isa::Isa::dequantise`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn dequantise(from: *const u8, to: *mut f32, n: usize, quant: Quant) {
    // SAFETY: passed on.
    unsafe { functions::dequantise(from, to, n, quant) }
}

/// See [`crate::x86::isa::Isa::softmax`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn softmax(from: *const u8, to: *mut u8, n: usize, exp: &[u16; 256], shares: *mut u32) {
    // SAFETY: passed on.
    unsafe { lines::softmax(from, to, n, exp, shares) }
}

/// See [`crate::x86::isa::Isa::softmax_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn softmax_float(v: *mut f32, n: usize) {
    // SAFETY: passed on.
    unsafe { lines::softmax_float(v, n) }
}

/// See [`crate::x86::isa::Isa::layer_norm_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn layer_norm_float(
    from: *const f32,
    to: *mut f32,
    n: usize,
    gamma: *const f32,
    beta: *const f32,
    epsilon: f32,
) {
    // SAFETY: passed on.
    unsafe {
        lines::layer_norm(from, to, n, gamma, beta, epsilon, |v| _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))));
    }
}

/// See [`crate::x86::isa::Isa::add_squares_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_squares_float(from: *const f32, pixels: usize, channels: usize, acc: *mut f32) {
    // SAFETY: passed on.
    unsafe { lines::add_squares(from, pixels, channels, acc) }
}

/// See [`crate::x86::isa::Isa::response_norm_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn response_norm_float(
    from: *const f32,
    to: *mut f32,
    pixels: usize,
    channels: usize,
    gain: *const f32,
    beta: *const f32,
) {
    // SAFETY: passed on.
    unsafe { lines::response_norm(from, to, pixels, channels, gain, beta) }
}
