//! Matrix products of tokens, and softmax.

use std::format;

use fusionproxy_format::{Axis, DType, Matmul, Op, Softmax};

use super::support::{Random, Tensor, compare};
use crate::Shape;

fn tolerance(dtype: DType) -> f32 {
    match dtype {
        DType::U8 => 0.0,
        DType::F16 => 2e-3,
        DType::F32 => 1e-4,
    }
}

#[test]
fn products() {
    let mut r = Random(41);
    for _ in 0..500 {
        let dtype = r.pick(&[DType::U8, DType::U8, DType::F16, DType::F32]);
        let heads = r.pick(&[1, 2, 3, 4, 8, 8, 8]);
        let depth = r.pick(&[1, 3, 4, 8, 16, 20, 32, 48]);
        let (queries, keys) = ((r.range(1, 9), r.range(1, 9)), (r.range(1, 9), r.range(1, 12)));
        let tokens = |(h, w), depth| Shape::new(h, w, depth * heads);
        let key_count = keys.0 * keys.1;
        let scores = Shape::new(queries.0 * queries.1, key_count, heads);
        let scale = r.unit().abs() * if r.one_in(3) { 0.1 } else { 0.002 };
        let op = Op::Matmul(Matmul { transpose_b: true, heads, scale });
        let x = [tokens(queries, depth), tokens(keys, depth)].map(|s| Tensor::new(&mut r, dtype, s));
        let out = Tensor::new(&mut r, dtype, scores);
        compare(&mut r, &op, &x, &out, tolerance(dtype), &format!("{op:?} {dtype:?} {depth} of {scores:?}"));
        let op = Op::Matmul(Matmul { transpose_b: false, heads, scale });
        let to = r.pick(&[queries, (queries.0 * queries.1, 1)]);
        let x = [scores, tokens(keys, depth)].map(|s| Tensor::new(&mut r, dtype, s));
        let out = Tensor::new(&mut r, dtype, tokens(to, depth));
        compare(&mut r, &op, &x, &out, tolerance(dtype), &format!("{op:?} {dtype:?} {depth} of {scores:?}"));
    }
}

#[test]
fn softmax() {
    let mut r = Random(42);
    for _ in 0..400 {
        let dtype = r.pick(&[DType::U8, DType::U8, DType::F16, DType::F32]);
        let channels = r.pick(&[1, 2, 3, 5, 8, 8, 16, 40, 70]);
        let s = Shape::new(r.range(1, 5), r.range(1, 70), channels);
        let axis = r.pick(&[Axis::Width, Axis::Width, Axis::Channel]);
        let step = r.pick(&[0.0, 0.02, 0.2]);
        let exp = core::array::from_fn(|d| (65535.0 * (-(d as f32) * step).exp()) as u16);
        let op = Op::Softmax(Softmax { axis, exp: Some(&exp) });
        let x = [Tensor::new(&mut r, dtype, s)];
        let out = Tensor::new(&mut r, dtype, s);
        compare(&mut r, &op, &x, &out, tolerance(dtype), &format!("{axis:?} {dtype:?} {s:?} {step}"));
    }
}
