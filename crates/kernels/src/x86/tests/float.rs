//! Float operators.

use std::format;
use std::vec::Vec;

use fusionproxy_format::{
    Activation, Axis, Binary, BinaryOp, Blend, Conv, ConvGeometry, ConvWeights, Convert, DType, Finish,
    FixedPoint, Op, Reduce, ReduceKind, Window, packed_weights_len,
};
use half::f16;

use super::support::{Random, Tensor, compare};
use crate::Shape;

const NONE: Finish<'_> = Finish { lo: 0, hi: 255, table: None };

fn activation(r: &mut Random) -> Activation {
    r.pick(&[
        Activation::None,
        Activation::Clamp { lo: 0.0, hi: f32::INFINITY },
        Activation::Clamp { lo: 0.0, hi: 6.0 },
        Activation::LeakyRelu { slope: 0.1 },
        Activation::HardSwish,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Abs,
        Activation::Affine { alpha: 2.0, beta: -0.5 },
    ])
}

fn tolerance(dtype: DType) -> f32 {
    match dtype {
        DType::U8 => 0.0,
        DType::F16 => 2e-3,
        DType::F32 => 3e-5,
    }
}

#[test]
fn convolutions() {
    let mut r = Random(31);
    for _ in 0..800 {
        let dtype = r.pick(&[DType::F16, DType::F32]);
        let k = r.pick(&[1, 1, 2, 3, 3, 5]);
        let window = Window {
            kernel: [k; 2],
            stride: [r.range(1, 3) as u8; 2],
            dilation: if r.one_in(6) { [2, 2] } else { [1, 1] },
            pad: if r.one_in(3) { [0; 4] } else { [k / 2; 4] },
        };
        let depthwise = r.one_in(2);
        let (groups, ci, co) = if depthwise {
            let c = r.range(2, 70);
            (c, c, c)
        } else if r.one_in(4) {
            // A step between pixels that is longer than the slack of a staged row.
            (1, r.range(60, 300), r.range(2, 9))
        } else {
            let groups = r.pick(&[1, 1, 2, 3]);
            (groups, groups * r.range(1, 20), groups * r.range(2, 80))
        };
        let g = ConvGeometry { window, groups, input_channels: ci, output_channels: co };
        let (h, w) = (r.range(1, 8), r.range(1, 30));
        convolution(&mut r, dtype, &g, (h, w), 0.3);
    }
}

/// More inputs than a part of the cache has room for: one tile of pixels is worked on at a time. Weights are smaller, so that
/// sums are not larger.
#[test]
fn pointwise_of_very_many_channels() {
    let mut r = Random(36);
    let window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 4] };
    for (input_channels, output_channels) in [(5000, 33), (5001, 16), (20_000, 17), (32_768, 3)] {
        for dtype in [DType::F16, DType::F32] {
            let g = ConvGeometry { window, groups: 1, input_channels, output_channels };
            convolution(&mut r, dtype, &g, (2, 7), 20.0 / input_channels as f32);
        }
    }
}

/// Compares a convolution of `h` x `w` pixels with weights of up to `span`.
fn convolution(r: &mut Random, dtype: DType, g: &ConvGeometry, (h, w): (usize, usize), span: f32) {
    let (Some(oh), Some(ow)) = (g.window.output(h, 0), g.window.output(w, 1)) else { return };
    let x = [Tensor::new(r, dtype, Shape::new(h, w, g.input_channels))];
    let y = Tensor::new(r, dtype, Shape::new(oh, ow, g.output_channels));
    let len = packed_weights_len(g, false);
    let floats: Vec<f32> = (0..len).map(|_| r.unit() * span).collect();
    let halves: Vec<f16> = floats.iter().map(|w| f16::from_f32(*w)).collect();
    let bias: Vec<f32> = (0..g.channel_slots()).map(|_| r.unit()).collect();
    let weights = if dtype == DType::F16 {
        ConvWeights::F16 { weights: &halves, bias: &bias }
    } else {
        ConvWeights::F32 { weights: &floats, bias: &bias }
    };
    let op = Op::Conv(Conv { geometry: *g, weights, activation: activation(r), finish: NONE });
    compare(r, &op, &x, &y, tolerance(dtype), &format!("{dtype:?} {g:?} on {h}x{w}"));
}

#[test]
fn element_wise() {
    let mut r = Random(32);
    for _ in 0..800 {
        let dtype = r.pick(&[DType::F16, DType::F32]);
        let s = Shape::new(r.range(1, 5), r.range(1, 40), r.range(1, 70));
        let function = activation(&mut r);
        let y = Tensor::new(&mut r, dtype, s);
        if r.one_in(3) {
            let x = [Tensor::new(&mut r, dtype, s)];
            let op = Op::Activation { function, table: None };
            compare(&mut r, &op, &x, &y, tolerance(dtype), &format!("{dtype:?} {function:?} {s:?}"));
            continue;
        }
        let other = match r.range(0, 4) {
            0 => Shape::new(1, 1, s.channels),
            1 => Shape::new(1, 1, 1),
            2 => Shape::new(s.height, s.width, 1),
            3 => Shape::new(s.height, 1, s.channels),
            _ => s,
        };
        let op = Op::Binary(Binary {
            op: r.pick(&[BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Min, BinaryOp::Max]),
            fixed: FixedPoint { a: 0, b: 0, offset: 0, shift: 0 },
            scale: 1.0,
            activation: function,
            finish: NONE,
        });
        let (a, b) = if r.one_in(3) { (other, s) } else { (s, other) };
        let x = [Tensor::new(&mut r, dtype, a), Tensor::new(&mut r, dtype, b)];
        compare(&mut r, &op, &x, &y, tolerance(dtype), &format!("{dtype:?} {op:?} {a:?} {b:?}"));
    }
}

#[test]
fn reductions() {
    let mut r = Random(33);
    for _ in 0..200 {
        let dtype = r.pick(&[DType::F16, DType::F32]);
        let s = Shape::new(r.range(1, 5), r.range(1, 40), r.range(1, 150));
        let kind = r.pick(&[ReduceKind::Mean, ReduceKind::Max, ReduceKind::Sum]);
        let op = Op::Reduce(Reduce { kind, axis: Axis::Space, scale: 1.0 });
        let x = [Tensor::new(&mut r, dtype, s)];
        let y = Tensor::new(&mut r, dtype, Shape::new(1, 1, s.channels));
        compare(&mut r, &op, &x, &y, tolerance(dtype), &format!("{dtype:?} {kind:?} {s:?}"));
    }
}

#[test]
fn blends() {
    let mut r = Random(34);
    for _ in 0..200 {
        let dtype = r.pick(&[DType::F16, DType::F32]);
        let block = r.pick(&[1, 2, 2, 3]);
        let gain = r.pick(&[0.0, 0.25]);
        let (h, w) = (r.range(1, 4), r.range(1, 50));
        let grey = Shape::new(h * block, w * block, 1);
        let image = Shape { channels: r.pick(&[1, 1, 3]), ..grey };
        let planes = if gain == 0.0 { 1 } else { 2 };
        let op = Op::Blend(Blend { block, gain, weight: None, residual: None });
        let x =
            [image, grey, Shape::new(h, w, planes * block * block)].map(|s| Tensor::new(&mut r, dtype, s));
        let y = Tensor::new(&mut r, dtype, image);
        compare(&mut r, &op, &x, &y, tolerance(dtype), &format!("{dtype:?} blend {block} {gain}"));
    }
}

#[test]
fn conversions() {
    let mut r = Random(35);
    for _ in 0..300 {
        let types = [DType::U8, DType::F16, DType::F32];
        let (from, to) = (r.pick(&types), r.pick(&types));
        let s = Shape::new(r.range(1, 5), r.range(1, 40), r.range(1, 70));
        let x = [Tensor::new(&mut r, from, s)];
        let y = Tensor::new(&mut r, to, s);
        compare(&mut r, &Op::Convert(Convert), &x, &y, tolerance(to), &format!("{from:?} to {to:?} {s:?}"));
    }
}
