//! Everything 8-bit but convolutions, and the operators that move elements.

use std::format;
use std::vec;
use std::vec::Vec;

use fusionproxy_format::{
    Activation, Axis, Binary, BinaryOp, Blend, DType, FixedPoint, Op, Reduce, ReduceKind, Resize, ResizeMode,
    Slice,
};

use super::support::{Random, Tensor, compare};
use crate::Shape;

fn shape(r: &mut Random) -> Shape {
    let c = if r.one_in(2) { r.range(1, 90) } else { r.pick(&[1, 8, 16, 24, 32, 40, 64]) };
    Shape::new(r.range(1, 6), r.range(1, 40), c)
}

#[test]
fn binary() {
    let mut r = Random(11);
    for _ in 0..1500 {
        let s = shape(&mut r);
        let other = match r.range(0, 5) {
            0 => Shape::new(1, 1, s.channels),
            1 => Shape::new(1, 1, 1),
            2 => Shape::new(s.height, s.width, 1),
            3 => Shape::new(1, s.width, s.channels),
            4 => Shape::new(s.height, 1, s.channels),
            _ => s,
        };
        let (a, b) = if r.one_in(3) { (other, s) } else { (s, other) };
        let table = r.table();
        let op = r.pick(&[BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Max]);
        let shift = r.range(0, 20) as u32;
        let factor = |r: &mut Random| (r.unit() * 32767.0) as i32;
        let binary = Binary {
            op,
            fixed: FixedPoint {
                a: factor(&mut r),
                b: factor(&mut r),
                offset: (r.unit() * 4e6) as i32,
                shift,
            },
            scale: r.unit() * r.pick(&[0.01, 1.0, 1e9]),
            activation: Activation::None,
            finish: r.finish(&table),
        };
        let inputs = [Tensor::new(&mut r, DType::U8, a), Tensor::new(&mut r, DType::U8, b)];
        let out = Tensor::new(&mut r, DType::U8, s);
        compare(&mut r, &Op::Binary(binary), &inputs, &out, 0.0, &format!("{binary:?} {a:?} {b:?}"));
    }
}

#[test]
fn tables() {
    let mut r = Random(12);
    for _ in 0..300 {
        let s = shape(&mut r);
        let table = r.table();
        let op = Op::Activation { function: Activation::Sigmoid, table: Some(&table) };
        let x = [Tensor::new(&mut r, DType::U8, s)];
        let out = Tensor::new(&mut r, DType::U8, s);
        compare(&mut r, &op, &x, &out, 0.0, &format!("table {s:?}"));
    }
}

#[test]
fn reductions() {
    let mut r = Random(13);
    for _ in 0..300 {
        let s = shape(&mut r);
        let kind = r.pick(&[ReduceKind::Mean, ReduceKind::Sum, ReduceKind::Max]);
        let axis = r.pick(&[Axis::Space, Axis::Space, Axis::Channel]);
        let op = Op::Reduce(Reduce { kind, axis, scale: r.unit() * 2.0 });
        let to = if axis == Axis::Space { Shape::new(1, 1, s.channels) } else { Shape { channels: 1, ..s } };
        let x = [Tensor::new(&mut r, DType::U8, s)];
        let out = Tensor::new(&mut r, DType::U8, to);
        compare(&mut r, &op, &x, &out, 0.0, &format!("{op:?} {s:?}"));
    }
}

#[test]
fn a_mean_over_more_than_a_counter_holds() {
    let mut r = Random(14);
    let s = Shape::new(3, 9000, 16);
    let op = Op::Reduce(Reduce { kind: ReduceKind::Mean, axis: Axis::Space, scale: 1.3 });
    let x = [Tensor::new(&mut r, DType::U8, s)];
    x[0].bytes().iter().for_each(|b| b.set(255));
    let out = Tensor::new(&mut r, DType::U8, Shape::new(1, 1, 16));
    compare(&mut r, &op, &x, &out, 0.0, "long row");
}

#[test]
fn blends() {
    let mut r = Random(15);
    for _ in 0..300 {
        let block = r.pick(&[1, 2, 2, 2, 4]);
        let gain = if r.one_in(4) { 0.0 } else { 0.25 };
        let (h, w) = (r.range(1, 4), r.range(1, 50));
        let weight: [i32; 256] = core::array::from_fn(|_| r.range(0, 32768) as i32);
        let limit = if r.one_in(2) { 1 << 24 } else { 2_000_000 };
        let residual: [i32; 256] = core::array::from_fn(|_| (r.unit() * limit as f32) as i32);
        let op = Op::Blend(Blend {
            block,
            gain,
            weight: Some(&weight),
            residual: (gain != 0.0).then_some(&residual),
        });
        let grey = Shape::new(h * block, w * block, 1);
        let image = Shape { channels: r.pick(&[1, 1, 1, 3]), ..grey };
        let planes = if gain == 0.0 { 1 } else { 2 };
        let x = [image, grey, Shape::new(h, w, planes * block * block)]
            .map(|s| Tensor::new(&mut r, DType::U8, s));
        let out = Tensor::new(&mut r, DType::U8, image);
        compare(&mut r, &op, &x, &out, 0.0, &format!("blend {block} {gain} {image:?}"));
    }
}

#[test]
fn resizes() {
    let mut r = Random(16);
    for _ in 0..600 {
        let s = shape(&mut r);
        let dtype = r.pick(&[DType::U8, DType::U8, DType::F16, DType::F32]);
        let mode = r.pick(ResizeMode::ALL);
        let f = r.pick(&[[2, 2], [2, 2], [1, 2], [3, 2], [4, 4]]);
        let to = if r.one_in(3) {
            Shape { height: r.range(1, 9), width: r.range(1, 50), ..s }
        } else {
            Shape { height: s.height * f[0], width: s.width * f[1], ..s }
        };
        let op = Op::Resize(Resize { mode });
        let x = [Tensor::new(&mut r, dtype, s)];
        let out = Tensor::new(&mut r, dtype, to);
        compare(&mut r, &op, &x, &out, 1e-3, &format!("{mode:?} {s:?} {to:?}"));
    }
}

#[test]
fn moves() {
    let mut r = Random(17);
    for _ in 0..600 {
        let s = shape(&mut r);
        let dtype = r.pick(&[DType::U8, DType::U8, DType::F16, DType::F32]);
        match r.range(0, 3) {
            0 => {
                let n = r.range(1, 4);
                let x: Vec<Tensor> = (0..n)
                    .map(|_| {
                        let c = r.range(1, 40);
                        Tensor::new(&mut r, dtype, Shape { channels: c, ..s })
                    })
                    .collect();
                let channels = x.iter().map(|t| t.layout.shape.channels).sum();
                let out = Tensor::new(&mut r, dtype, Shape { channels, ..s });
                compare(&mut r, &Op::Concat, &x, &out, 0.0, "concat");
            }
            1 => {
                let start = [r.range(0, 3), r.range(0, 3), r.range(0, 5)];
                let from = Shape::new(
                    s.height + start[0] + 1,
                    s.width + start[1],
                    s.channels + start[2] + r.range(0, 3),
                );
                let x = vec![Tensor::new(&mut r, dtype, from)];
                let out = Tensor::new(&mut r, dtype, s);
                compare(&mut r, &Op::Slice(Slice { start }), &x, &out, 0.0, "slice");
            }
            2 => {
                let (block, channels) = (r.range(1, 4), r.pick(&[1, 1, 3, 8]));
                let from = Shape { channels: channels * block * block, ..s };
                let x = vec![Tensor::new(&mut r, dtype, from)];
                let to = Shape::new(s.height * block, s.width * block, channels);
                let out = Tensor::new(&mut r, dtype, to);
                let op = Op::PixelShuffle { block, channel_major: r.one_in(2) };
                compare(&mut r, &op, &x, &out, 0.0, &format!("{op:?} {from:?}"));
            }
            _ => {
                let x = vec![Tensor::new(&mut r, dtype, s)];
                let out = Tensor::new(&mut r, dtype, Shape::new(s.width, s.channels, s.height));
                compare(&mut r, &Op::Reshape, &x, &out, 0.0, "reshape");
            }
        }
    }
}
