//! What all instruction sets of x86 have in common: float bodies that are written once, in plain Rust, and compiled for
//! each.

use core::arch::x86_64::{_mm_cvtss_f32, _mm_set_ss, _mm_sqrt_ss};

/// Functions that run the bodies of `functions` and `lines` with the instructions of `$features`.
macro_rules! bodies {
    ($features:literal) => {
        /// See [`crate::x86::isa::Isa::activate`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn activate(v: *mut f32, n: usize, function: ::fusionproxy_format::Activation) {
            // SAFETY: passed on.
            unsafe { $crate::x86::functions::activate(v, n, function) }
        }

        /// See [`crate::x86::isa::Isa::binary`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn binary(
            op: ::fusionproxy_format::BinaryOp,
            a: *const f32,
            b: *const f32,
            to: *mut f32,
            n: usize,
        ) {
            // SAFETY: passed on.
            unsafe { $crate::x86::functions::binary(op, a, b, to, n) }
        }

        /// See [`crate::x86::isa::Isa::fold_pixels`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn fold_pixels(
            from: *const f32,
            pixels: usize,
            channels: usize,
            max: bool,
            acc: *mut f32,
        ) {
            // SAFETY: passed on.
            unsafe { $crate::x86::functions::fold_pixels(from, pixels, channels, max, acc) }
        }

        /// See [`crate::x86::isa::Isa::blend_float`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn blend_float(row: &$crate::x86::float_elementwise::FloatBlend) {
            // SAFETY: passed on.
            unsafe { $crate::x86::functions::blend(row) }
        }

        /// See [`crate::x86::isa::Isa::upsample_float`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn upsample_float(row: &$crate::x86::float_elementwise::FloatUpsample) {
            // SAFETY: passed on.
            unsafe { $crate::x86::functions::upsample(row) }
        }

        /// See [`crate::x86::isa::Isa::quantise`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn quantise(
            from: *const f32,
            to: *mut u8,
            n: usize,
            per_step: f32,
            requant: &$crate::x86::requant::Requant<'_>,
        ) {
            // SAFETY: passed on.
            unsafe { $crate::x86::functions::quantise(from, to, n, per_step, requant) }
        }

        /// See [`crate::x86::isa::Isa::dequantise`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn dequantise(
            from: *const u8,
            to: *mut f32,
            n: usize,
            quant: ::fusionproxy_format::Quant,
        ) {
            // SAFETY: passed on.
            unsafe { $crate::x86::functions::dequantise(from, to, n, quant) }
        }

        /// See [`crate::x86::isa::Isa::softmax_float`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn softmax_float(v: *mut f32, n: usize) {
            // SAFETY: passed on.
            unsafe { $crate::x86::lines::softmax_float(v, n) }
        }

        /// See [`crate::x86::isa::Isa::layer_norm_float`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
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
                $crate::x86::lines::layer_norm(
                    from,
                    to,
                    n,
                    gamma,
                    beta,
                    epsilon,
                    $crate::x86::compiled::root,
                );
            }
        }

        /// See [`crate::x86::isa::Isa::add_squares_float`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn add_squares_float(
            from: *const f32,
            pixels: usize,
            channels: usize,
            acc: *mut f32,
        ) {
            // SAFETY: passed on.
            unsafe { $crate::x86::lines::add_squares(from, pixels, channels, acc) }
        }

        /// See [`crate::x86::isa::Isa::response_norm_float`].
        ///
        /// # Safety
        /// As there.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn response_norm_float(
            from: *const f32,
            to: *mut f32,
            pixels: usize,
            channels: usize,
            gain: *const f32,
            beta: *const f32,
        ) {
            // SAFETY: passed on.
            unsafe { $crate::x86::lines::response_norm(from, to, pixels, channels, gain, beta) }
        }
    };
}

/// The methods of [`crate::x86::isa::Isa`] that call these, as `functions`, and the float kernels of the set, as `float`.
macro_rules! methods {
    () => {
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

        unsafe fn depthwise_float(row: &$crate::x86::float::FloatRow<'_>) {
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

        unsafe fn activate(v: *mut f32, n: usize, function: ::fusionproxy_format::Activation) {
            // SAFETY: the caller keeps the contract of `Isa::activate`.
            unsafe { functions::activate(v, n, function) }
        }

        unsafe fn binary(
            op: ::fusionproxy_format::BinaryOp,
            a: *const f32,
            b: *const f32,
            to: *mut f32,
            n: usize,
        ) {
            // SAFETY: the caller keeps the contract of `Isa::binary`.
            unsafe { functions::binary(op, a, b, to, n) }
        }

        unsafe fn fold_pixels(from: *const f32, pixels: usize, channels: usize, max: bool, acc: *mut f32) {
            // SAFETY: the caller keeps the contract of `Isa::fold_pixels`.
            unsafe { functions::fold_pixels(from, pixels, channels, max, acc) }
        }

        unsafe fn blend_float(row: &$crate::x86::float_elementwise::FloatBlend) {
            // SAFETY: the caller keeps the contract of `Isa::blend_float`.
            unsafe { functions::blend_float(row) }
        }

        unsafe fn upsample_float(row: &$crate::x86::float_elementwise::FloatUpsample) {
            // SAFETY: the caller keeps the contract of `Isa::upsample_float`.
            unsafe { functions::upsample_float(row) }
        }

        unsafe fn quantise(
            from: *const f32,
            to: *mut u8,
            n: usize,
            per_step: f32,
            requant: &$crate::x86::requant::Requant<'_>,
        ) {
            // SAFETY: the caller keeps the contract of `Isa::quantise`.
            unsafe { functions::quantise(from, to, n, per_step, requant) }
        }

        unsafe fn dequantise(from: *const u8, to: *mut f32, n: usize, quant: ::fusionproxy_format::Quant) {
            // SAFETY: the caller keeps the contract of `Isa::dequantise`.
            unsafe { functions::dequantise(from, to, n, quant) }
        }
    };
}

/// The square root of `v`, by the instruction that all of these CPUs have: without the standard library, `f32` has none.
#[inline(always)]
pub(super) fn root(v: f32) -> f32 {
    // SAFETY: SSE is part of x86-64.
    unsafe { _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))) }
}

pub(super) use {bodies, methods};
