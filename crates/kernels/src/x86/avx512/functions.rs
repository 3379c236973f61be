//! The bodies of [`crate::x86::functions`], compiled for these instructions.

use core::arch::x86_64::{_mm_cvtss_f32, _mm_set_ss, _mm_sqrt_ss};

use fusionproxy_format::{Activation, BinaryOp, Quant};

use crate::x86::float_elementwise::{FloatBlend, FloatUpsample};
use crate::x86::requant::Requant;
use crate::x86::{functions, lines};

/// See [`crate::x86::isa::Isa::activate`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
pub(super) unsafe fn activate(v: *mut f32, n: usize, function: Activation) {
    // SAFETY: passed on.
    unsafe { functions::activate(v, n, function) }
}

/// See [`crate::x86::isa::Isa::binary`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
pub(super) unsafe fn binary(op: BinaryOp, a: *const f32, b: *const f32, to: *mut f32, n: usize) {
    // SAFETY: passed on.
    unsafe { functions::binary(op, a, b, to, n) }
}

/// See [`crate::x86::isa::Isa::fold_pixels`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
pub(super) unsafe fn fold_pixels(from: *const f32, pixels: usize, channels: usize, max: bool, acc: *mut f32) {
    // SAFETY: passed on.
    unsafe { functions::fold_pixels(from, pixels, channels, max, acc) }
}

/// See [`crate::x86::isa::Isa::blend_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
pub(super) unsafe fn blend(row: &FloatBlend) {
    // SAFETY: passed on.
    unsafe { functions::blend(row) }
}

/// See [`crate::x86::isa::Isa::upsample_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
pub(super) unsafe fn upsample(row: &FloatUpsample) {
    // SAFETY: passed on.
    unsafe { functions::upsample(row) }
}

/// See [`crate::x86::isa::Isa::quantise`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
pub(super) unsafe fn quantise(from: *const f32, to: *mut u8, n: usize, per_step: f32, requant: &Requant<'_>) {
    // SAFETY: passed on.
    unsafe { functions::quantise(from, to, n, per_step, requant) }
}

/// See [`crate::x86::isa::Isa::dequantise`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
pub(super) unsafe fn dequantise(from: *const u8, to: *mut f32, n: usize, quant: Quant) {
    // SAFETY: passed on.
    unsafe { functions::dequantise(from, to, n, quant) }
}

/// See [`crate::x86::isa::Isa::softmax_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
pub(super) unsafe fn softmax_float(v: *mut f32, n: usize) {
    // SAFETY: passed on.
    unsafe { lines::softmax_float(v, n) }
}

/// See [`crate::x86::isa::Isa::layer_norm_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
pub(super) unsafe fn add_squares_float(from: *const f32, pixels: usize, channels: usize, acc: *mut f32) {
    // SAFETY: passed on.
    unsafe { lines::add_squares(from, pixels, channels, acc) }
}

/// See [`crate::x86::isa::Isa::response_norm_float`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
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
