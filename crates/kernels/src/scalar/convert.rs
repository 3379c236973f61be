//! Changes of element type.

use core::ops::Range;

use fusionproxy_format::DType;
use half::f16;

use super::float::Float;
use super::quantise::{Quantiser, dequantise};
use super::row::map1;
use crate::Call;

/// Runs `rows` of a conversion.
pub(super) fn run(call: &Call<'_, '_>, rows: Range<usize>) {
    let from = call.inputs()[0].quant;
    match (call.inputs()[0].data.dtype(), call.output().dtype()) {
        (DType::U8, DType::U8) => {
            let (quantiser, per_step) = quantiser(call);
            map1(call, rows, |q: u8| quantiser.any(dequantise(q, from) * per_step));
        }
        (DType::U8, DType::F16) => map1(call, rows, |q: u8| <f16 as Float>::store(dequantise(q, from))),
        (DType::U8, DType::F32) => map1(call, rows, |q: u8| dequantise(q, from)),
        (DType::F16, DType::U8) => quantise::<f16>(call, rows),
        (DType::F32, DType::U8) => quantise::<f32>(call, rows),
        (DType::F16, DType::F16) => map1(call, rows, |x: f16| x),
        (DType::F16, DType::F32) => map1(call, rows, |x: f16| x.load()),
        (DType::F32, DType::F16) => map1(call, rows, |x: f32| <f16 as Float>::store(x)),
        (DType::F32, DType::F32) => map1(call, rows, |x: f32| x),
    }
}

fn quantise<T: Float>(call: &Call<'_, '_>, rows: Range<usize>) {
    let (quantiser, per_step) = quantiser(call);
    map1(call, rows, |x: T| quantiser.any(x.load() * per_step));
}

/// The end of a conversion to 8 bits, and output steps per real unit.
fn quantiser(call: &Call<'_, '_>) -> (Quantiser<'static>, f32) {
    let quant = call.output_quant();
    (Quantiser::plain(quant), 1.0 / quant.scale)
}
