//! Activations: functions in float, tables in 8 bits.

use core::f32::consts::FRAC_1_SQRT_2;
use core::ops::Range;

use fusionproxy_format::Activation;

use super::float::Float;
use super::row::{map_pixels, map1};
use crate::Call;

/// sqrt(2 / pi)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// `function` of `x`, as the float kernels compute it.
#[inline]
pub fn activate(function: Activation, x: f32) -> f32 {
    match function {
        Activation::None => x,
        Activation::Clamp { lo, hi } => clamp(x, lo, hi),
        Activation::LeakyRelu { slope } => leaky(x, slope),
        Activation::HardSwish => x * clamp(x / 6.0 + 0.5, 0.0, 1.0),
        Activation::HardSigmoid { alpha, beta } => clamp(alpha * x + beta, 0.0, 1.0),
        Activation::Gelu => 0.5 * x * (1.0 + libm::erff(x * FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            let inner = SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + libm::tanhf(inner))
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => libm::tanhf(x),
        Activation::Abs => x.abs(),
        Activation::Exp => libm::expf(x),
        Activation::Sqrt => libm::sqrtf(x),
        Activation::Affine { alpha, beta } => alpha * x + beta,
    }
}

/// min(max(x, lo), hi); NaN stays NaN.
#[inline(always)]
pub(super) fn clamp(x: f32, lo: f32, hi: f32) -> f32 {
    let x = if x < lo { lo } else { x };
    if x > hi { hi } else { x }
}

/// 1 / (1 + exp(-x))
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

#[inline(always)]
fn leaky(x: f32, slope: f32) -> f32 {
    if x < 0.0 { slope * x } else { x }
}

/// Runs `rows` of a stand-alone activation in 8 bits.
pub(super) fn run_u8(table: Option<&[u8; 256]>, call: &Call<'_, '_>, rows: Range<usize>) {
    // The call's constructor asks for a table.
    if let Some(table) = table {
        map1::<u8, u8>(call, rows, |q| table[usize::from(q)]);
    }
}

/// Runs `rows` of a stand-alone activation in floats.
pub(super) fn run_float<T: Float>(function: Activation, call: &Call<'_, '_>, rows: Range<usize>) {
    match function {
        // The function's match stands outside of the loop where that lets it vectorise.
        Activation::Clamp { lo, hi } => map1(call, rows, |x: T| T::store(clamp(x.load(), lo, hi))),
        _ => map1(call, rows, |x: T| T::store(activate(function, x.load()))),
    }
}

/// Runs `rows` of a leaky ReLU with a table per channel.
pub(super) fn prelu_u8(tables: &[u8], call: &Call<'_, '_>, rows: Range<usize>) {
    let (tables, _) = tables.as_chunks::<256>();
    map_pixels::<u8>(call, rows, |out, lane| {
        out.fill(lane.iter().zip(tables).map(|(q, table)| table[usize::from(q)]));
    });
}

/// Runs `rows` of a leaky ReLU with a slope per channel.
pub(super) fn prelu_float<T: Float>(slope: &[f32], call: &Call<'_, '_>, rows: Range<usize>) {
    map_pixels::<T>(call, rows, |out, lane| {
        out.fill(lane.iter().zip(slope).map(|(x, slope)| T::store(leaky(x.load(), *slope))));
    });
}
