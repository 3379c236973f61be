//! Changes of element type.

use core::ops::Range;

use fusionproxy_format::DType;
use half::f16;

use super::float::Float;
use super::linked_type;
use super::quantise::{Quantiser, dequantise};
use super::row::map1;
use crate::Call;

/// Runs `rows` of a conversion between types in `SET`.
pub(super) fn run<const SET: u32>(call: &Call<'_, '_>, rows: Range<usize>) {
    match call.inputs()[0].data.dtype() {
        DType::U8 if linked_type(SET, DType::U8) => from_u8::<SET>(call, rows),
        DType::F16 if linked_type(SET, DType::F16) => from_float::<f16, SET>(call, rows),
        DType::F32 if linked_type(SET, DType::F32) => from_float::<f32, SET>(call, rows),
        _ => {}
    }
}

fn from_u8<const SET: u32>(call: &Call<'_, '_>, rows: Range<usize>) {
    let from = call.inputs()[0].quant;
    match call.output().dtype() {
        DType::U8 if linked_type(SET, DType::U8) => {
            let (quantiser, per_step) = quantiser(call);
            map1(call, rows, |q: u8| quantiser.any(dequantise(q, from) * per_step));
        }
        DType::F16 if linked_type(SET, DType::F16) => {
            map1(call, rows, |q: u8| <f16 as Float>::store(dequantise(q, from)));
        }
        DType::F32 if linked_type(SET, DType::F32) => map1(call, rows, |q: u8| dequantise(q, from)),
        _ => {}
    }
}

fn from_float<T: Float, const SET: u32>(call: &Call<'_, '_>, rows: Range<usize>) {
    match call.output().dtype() {
        DType::U8 if linked_type(SET, DType::U8) => {
            let (quantiser, per_step) = quantiser(call);
            map1(call, rows, |x: T| quantiser.any(x.load() * per_step));
        }
        DType::F16 if linked_type(SET, DType::F16) => {
            map1(call, rows, |x: T| <f16 as Float>::store(x.load()));
        }
        DType::F32 if linked_type(SET, DType::F32) => map1(call, rows, |x: T| x.load()),
        _ => {}
    }
}

/// The end of a conversion to 8 bits, and output steps per real unit.
fn quantiser(call: &Call<'_, '_>) -> (Quantiser<'static>, f32) {
    let quant = call.output_quant();
    (Quantiser::plain(quant), 1.0 / quant.scale)
}
