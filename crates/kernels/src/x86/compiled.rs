//! What all instruction sets of x86 have in common: float bodies that are written once, in plain Rust, and compiled for
//! each.

/// The methods of [`crate::x86::isa::Isa`] whose bodies are those of `functions` and `lines`, compiled with the instructions of
/// `$features`, and those that call the float kernels of the set, as `float`.
macro_rules! methods {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn softmax_float(v: *mut f32, n: usize) {
            // SAFETY: the caller keeps the contract of `Isa::softmax_float`.
            unsafe { $crate::x86::lines::softmax_float(v, n) }
        }

        #[target_feature(enable = $features)]
        unsafe fn layer_norm_float(
            from: *const f32,
            to: *mut f32,
            n: usize,
            gamma: *const f32,
            beta: *const f32,
            epsilon: f32,
        ) {
            // SAFETY: the caller keeps the contract of `Isa::layer_norm_float`.
            unsafe { $crate::x86::lines::layer_norm(from, to, n, gamma, beta, epsilon) }
        }

        #[target_feature(enable = $features)]
        unsafe fn add_squares_float(from: *const f32, pixels: usize, channels: usize, acc: *mut f32) {
            // SAFETY: the caller keeps the contract of `Isa::add_squares_float`.
            unsafe { $crate::x86::lines::add_squares(from, pixels, channels, acc) }
        }

        #[target_feature(enable = $features)]
        unsafe fn response_norm_float(
            from: *const f32,
            to: *mut f32,
            pixels: usize,
            channels: usize,
            gain: *const f32,
            beta: *const f32,
        ) {
            // SAFETY: the caller keeps the contract of `Isa::response_norm_float`.
            unsafe { $crate::x86::lines::response_norm(from, to, pixels, channels, gain, beta) }
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

        #[target_feature(enable = $features)]
        unsafe fn activate(v: *mut f32, n: usize, function: ::fusionproxy_format::Activation) {
            // SAFETY: the caller keeps the contract of `Isa::activate`.
            unsafe { $crate::x86::functions::activate(v, n, function) }
        }

        #[target_feature(enable = $features)]
        unsafe fn binary(
            op: ::fusionproxy_format::BinaryOp,
            a: *const f32,
            b: *const f32,
            to: *mut f32,
            n: usize,
        ) {
            // SAFETY: the caller keeps the contract of `Isa::binary`.
            unsafe { $crate::x86::functions::binary(op, a, b, to, n) }
        }

        #[target_feature(enable = $features)]
        unsafe fn fold_pixels(from: *const f32, pixels: usize, channels: usize, max: bool, acc: *mut f32) {
            // SAFETY: the caller keeps the contract of `Isa::fold_pixels`.
            unsafe { $crate::x86::functions::fold_pixels(from, pixels, channels, max, acc) }
        }

        #[target_feature(enable = $features)]
        unsafe fn blend_float(row: &$crate::x86::float_elementwise::FloatBlend) {
            // SAFETY: the caller keeps the contract of `Isa::blend_float`.
            unsafe { $crate::x86::functions::blend(row) }
        }

        #[target_feature(enable = $features)]
        unsafe fn upsample_float(row: &$crate::x86::float_elementwise::FloatUpsample) {
            // SAFETY: the caller keeps the contract of `Isa::upsample_float`.
            unsafe { $crate::x86::functions::upsample(row) }
        }

        #[target_feature(enable = $features)]
        unsafe fn quantise(
            from: *const f32,
            to: *mut u8,
            n: usize,
            per_step: f32,
            requant: &$crate::x86::requant::Requant<'_>,
        ) {
            // SAFETY: the caller keeps the contract of `Isa::quantise`.
            unsafe { $crate::x86::functions::quantise(from, to, n, per_step, requant) }
        }

        #[target_feature(enable = $features)]
        unsafe fn dequantise(from: *const u8, to: *mut f32, n: usize, quant: ::fusionproxy_format::Quant) {
            // SAFETY: the caller keeps the contract of `Isa::dequantise`.
            unsafe { $crate::x86::functions::dequantise(from, to, n, quant) }
        }
    };
}

pub(super) use methods;
