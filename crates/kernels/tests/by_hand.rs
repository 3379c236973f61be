//! Scalar operators on inputs small enough to compute by hand, and at their extremes.

mod support;

use fusionproxy_format::{
    Activation, Axis, BinaryOp, ConvGeometry, Convert, DType, FixedPoint, Matmul, NormKind, Op, Pad, PadMode,
    Pool, PoolKind, Quant, Reduce, ReduceKind, Resize, ResizeMode, Slice, Transpose, Window,
};
use fusionproxy_kernels::{Call, CallError, Layout, Scalar, Shape};
use support::owned::{pack_float, pack_int8, slots};
use support::{Case, OwnedFinish, OwnedOp, OwnedWeights, Tensor};

/// Step 1, zero at 0.
const UNIT: Quant = Quant { scale: 1.0, zero_point: 0 };

fn quant(scale: f32, zero_point: u8) -> Quant {
    Quant { scale, zero_point }
}

/// The elements of the output, which has the element type of the first input.
fn run(op: OwnedOp, inputs: Vec<Tensor>, output: Shape, output_quant: Quant) -> Vec<f64> {
    let output_dtype = inputs[0].dtype;
    run_as(op, inputs, output_dtype, output, output_quant)
}

fn run_as(op: OwnedOp, inputs: Vec<Tensor>, dtype: DType, output: Shape, output_quant: Quant) -> Vec<f64> {
    let output = Layout::dense(output);
    let case = Case { op, inputs, output_dtype: dtype, output, output_quant, output_offset: 0 };
    case.run(&Scalar::ALL).into_iter().map(|bits| support::tensor::value(dtype, bits)).collect()
}

fn row(values: &[f64], q: Quant) -> Tensor {
    Tensor::of(DType::U8, Shape::new(1, values.len(), 1), q, values)
}

fn floats(values: &[f64]) -> Tensor {
    Tensor::of(DType::F32, Shape::new(1, values.len(), 1), UNIT, values)
}

fn window(kernel: u8, stride: u8, pad: u8) -> Window {
    Window { kernel: [1, kernel], stride: [1, stride], dilation: [1, 1], pad: [0, pad, 0, pad] }
}

fn conv(
    transposed: bool,
    window: Window,
    weights: &[f64],
    bias: f64,
    scale: f32,
    finish: OwnedFinish,
) -> OwnedOp {
    let geometry = ConvGeometry { window, groups: 1, input_channels: 1, output_channels: 1 };
    let packed = OwnedWeights::Int8 {
        weights: pack_int8(&geometry, weights),
        bias: slots(&geometry, |_| bias as i32),
        scale: slots(&geometry, |_| scale),
    };
    let (plain, bias, scale) = (weights.to_vec(), vec![bias], vec![scale]);
    OwnedOp::Conv { transposed, geometry, plain, bias, scale, packed, activation: Activation::None, finish }
}

#[test]
fn convolution_pads_with_the_zero_point_and_rounds_ties_to_even() {
    let x = || row(&[12.0, 14.0, 9.0], quant(1.0, 10));
    // The bias carries -10 * (1 + 2 + 3); in real numbers the input is 2, 4, -1.
    let op = |scale, finish| conv(false, window(3, 1, 1), &[1.0, 2.0, 3.0], -60.0, scale, finish);
    let shape = Shape::new(1, 3, 1);
    // 2*2 + 3*4 = 16, 1*2 + 2*4 + 3*-1 = 7, 1*4 + 2*-1 = 2.
    assert_eq!(run(op(1.0, OwnedFinish::NONE), vec![x()], shape, quant(1.0, 100)), [116.0, 107.0, 102.0]);
    // 8, 3.5, 1: the tie goes to 4. And at 0.25: 4, 1.75, 0.5, whose tie goes to 0.
    assert_eq!(run(op(0.5, OwnedFinish::NONE), vec![x()], shape, quant(1.0, 0)), [8.0, 4.0, 1.0]);
    assert_eq!(run(op(0.25, OwnedFinish::NONE), vec![x()], shape, quant(1.0, 0)), [4.0, 2.0, 0.0]);
    let table = Box::new(core::array::from_fn(|i| 2 * (i as u8 % 128)));
    let finish = OwnedFinish { lo: 3, hi: 10, table: Some(table) };
    assert_eq!(run(op(1.0, finish), vec![x()], shape, UNIT), [20.0, 14.0, 6.0]);
}

#[test]
fn transposed_convolution_scatters() {
    // Real input 2, -1, zero point 10, stride 2: 2, 4, 6 from column 0 and -1, -2, -3 from column 2.
    let op = conv(true, window(3, 2, 0), &[1.0, 2.0, 3.0], -60.0, 1.0, OwnedFinish::NONE);
    let out = run(op, vec![row(&[12.0, 9.0], quant(1.0, 10))], Shape::new(1, 5, 1), quant(1.0, 50));
    assert_eq!(out, [52.0, 54.0, 55.0, 48.0, 47.0]);
}

#[test]
fn sums_at_their_bounds_do_not_overflow() {
    let terms = if cfg!(miri) { 1 << 8 } else { 1 << 15 };
    for (w, x, bias, expected) in [
        (127.0, 255.0, 1_073_741_824.0, 255.0),
        (-128.0, 255.0, -1_073_741_824.0, 0.0),
        (-128.0, 255.0, 1_073_741_824.0, 255.0),
        (127.0, 0.0, -1_073_741_824.0, 0.0),
    ] {
        for zero_point in [0, 255] {
            let window = Window { kernel: [1, 1], ..window(1, 1, 0) };
            let geometry = ConvGeometry { window, groups: 1, input_channels: terms, output_channels: 1 };
            let weights = vec![w; terms];
            let packed = OwnedWeights::Int8 {
                weights: pack_int8(&geometry, &weights),
                bias: slots(&geometry, |_| bias as i32),
                scale: slots(&geometry, |_| f32::MAX),
            };
            let op = OwnedOp::Conv {
                transposed: false,
                geometry,
                plain: weights,
                bias: vec![bias],
                scale: vec![f32::MAX],
                packed,
                activation: Activation::None,
                finish: OwnedFinish::NONE,
            };
            let input =
                Tensor::of(DType::U8, Shape::new(1, 1, terms), quant(1.0, zero_point), &vec![x; terms]);
            assert_eq!(run(op, vec![input], Shape::new(1, 1, 1), quant(1.0, 7)), [expected]);
        }
    }
}

#[test]
fn groups_and_depthwise_keep_channels_apart() {
    for (groups, expected) in [(1, [21.0, 43.0]), (2, [1.0, 4.0])] {
        let window = window(1, 1, 0);
        let geometry = ConvGeometry { window, groups, input_channels: 2, output_channels: 2 };
        // [output][input of the group]
        let plain = if groups == 1 { vec![1.0, 2.0, 3.0, 4.0] } else { vec![1.0, 0.4] };
        let op = OwnedOp::Conv {
            transposed: false,
            geometry,
            bias: vec![0.0; 2],
            scale: vec![],
            packed: OwnedWeights::F32 {
                weights: pack_float(&geometry, &plain, |v| v as f32),
                bias: slots(&geometry, |_| 0.0),
            },
            plain,
            activation: Activation::None,
            finish: OwnedFinish::NONE,
        };
        let input = Tensor::of(DType::F32, Shape::new(1, 1, 2), UNIT, &[1.0, 10.0]);
        assert_eq!(run(op, vec![input], Shape::new(1, 1, 2), UNIT), expected);
    }
}

fn binary(op: BinaryOp, fixed: FixedPoint, scale: f32) -> OwnedOp {
    OwnedOp::Binary { op, fixed, scale, activation: Activation::None, finish: OwnedFinish::NONE }
}

#[test]
fn binary_operations() {
    let out = Shape::new(1, 4, 1);
    // a - 2 b: multipliers 4 and -8 in units of 1/4, zero point 30, rounding 2.
    let fixed = FixedPoint { a: 4, b: -8, offset: 30 * 4 + 2, shift: 2 };
    let (a, b) = (row(&[0.0, 10.0, 200.0, 255.0], UNIT), row(&[0.0, 3.0, 9.0, 0.0], UNIT));
    assert_eq!(
        run(binary(BinaryOp::Sub, fixed, 1.0), vec![a, b], out, quant(1.0, 30)),
        [30.0, 34.0, 212.0, 255.0]
    );
    let none = FixedPoint { a: 0, b: 0, offset: 0, shift: 0 };
    let pair = || {
        let q = quant(0.5, 100);
        vec![row(&[102.0, 96.0, 100.0, 104.0], q), row(&[101.0, 100.0, 100.0, 96.0], q)]
    };
    // Real: 1, -2, 0, 2 and 0.5, 0, 0, -2.
    let of = |op| run(binary(op, none, 0.25 / 0.125), pair(), out, quant(0.125, 50));
    assert_eq!(of(BinaryOp::Mul), [54.0, 50.0, 50.0, 18.0]);
    assert_eq!(of(BinaryOp::Min), [54.0, 34.0, 50.0, 34.0]);
    assert_eq!(of(BinaryOp::Max), [58.0, 50.0, 50.0, 66.0]);
    // 2, -inf, NaN (the zero point), -1.
    assert_eq!(of(BinaryOp::Div), [66.0, 0.0, 50.0, 42.0]);
}

#[test]
fn broadcasting_repeats_dimensions_of_one() {
    let of = |h, w, c, values: &[f64]| Tensor::of(DType::F32, Shape::new(h, w, c), UNIT, values);
    let none = FixedPoint { a: 0, b: 0, offset: 0, shift: 0 };
    let inputs = vec![of(1, 2, 2, &[1.0, 2.0, 3.0, 4.0]), of(2, 1, 1, &[10.0, 20.0])];
    let out = run(binary(BinaryOp::Add, none, 1.0), inputs, Shape::new(2, 2, 2), UNIT);
    assert_eq!(out, [11.0, 12.0, 13.0, 14.0, 21.0, 22.0, 23.0, 24.0]);
}

#[test]
fn pooling() {
    let pool = |kind, count_include_pad| {
        OwnedOp::Plain(Op::Pool(Pool { kind, window: window(3, 1, 1), count_include_pad }))
    };
    let x = || row(&[11.0, 14.0, 2.0], quant(1.0, 10));
    let of = |kind, pad| run(pool(kind, pad), vec![x()], Shape::new(1, 3, 1), quant(1.0, 10));
    assert_eq!(of(PoolKind::Max, false), [14.0, 14.0, 14.0]);
    // 25 / 2 = 12.5 rounds up, 27 / 3, 16 / 2.
    assert_eq!(of(PoolKind::Average, false), [13.0, 9.0, 8.0]);
    // The padding counts as 10: 35 / 3, 27 / 3, 26 / 3.
    assert_eq!(of(PoolKind::Average, true), [12.0, 9.0, 9.0]);
}

#[test]
fn reductions() {
    let x = || Tensor::of(DType::U8, Shape::new(1, 2, 2), quant(0.5, 10), &[12.0, 0.0, 13.0, 5.0]);
    let of = |kind, axis, shape| {
        let op = OwnedOp::Plain(Op::Reduce(Reduce { kind, axis, scale: 1.0 }));
        run(op, vec![x()], shape, quant(0.5, 10))
    };
    let (space, channel) = (Shape::new(1, 1, 2), Shape::new(1, 2, 1));
    // (2 + 3) / 2 = 2.5 rounds to 2; (-10 - 5) / 2 = -7.5 rounds to -8.
    assert_eq!(of(ReduceKind::Mean, Axis::Space, space), [12.0, 2.0]);
    assert_eq!(of(ReduceKind::Sum, Axis::Space, space), [15.0, 0.0]);
    assert_eq!(of(ReduceKind::Max, Axis::Space, space), [13.0, 5.0]);
    assert_eq!(of(ReduceKind::Mean, Axis::Channel, channel), [6.0, 9.0]);
    assert_eq!(of(ReduceKind::Max, Axis::Channel, channel), [12.0, 13.0]);
}

#[test]
fn resizing_follows_onnx() {
    // Expected values: the reference evaluator of onnx 1.23.2, Resize 19 in the modes' words, on 0, 100, 200.
    let of = |mode, width| {
        let op = OwnedOp::Plain(Op::Resize(Resize { mode }));
        run(op, vec![row(&[0.0, 100.0, 200.0], UNIT)], Shape::new(1, width, 1), UNIT)
    };
    assert_eq!(of(ResizeMode::NearestFloor, 6), [0.0, 0.0, 100.0, 100.0, 200.0, 200.0]);
    assert_eq!(of(ResizeMode::NearestFloor, 2), [0.0, 100.0]);
    assert_eq!(of(ResizeMode::NearestHalfPixel, 2), [0.0, 200.0]);
    assert_eq!(of(ResizeMode::NearestHalfPixel, 6), [0.0, 0.0, 100.0, 100.0, 200.0, 200.0]);
    assert_eq!(of(ResizeMode::NearestHalfPixel, 5), [0.0, 0.0, 100.0, 200.0, 200.0]);
    assert_eq!(of(ResizeMode::NearestHalfPixel, 4), [0.0, 100.0, 100.0, 200.0]);
    assert_eq!(of(ResizeMode::BilinearHalfPixel, 5), [0.0, 40.0, 100.0, 160.0, 200.0]);
    assert_eq!(of(ResizeMode::BilinearHalfPixel, 6), [0.0, 25.0, 75.0, 125.0, 175.0, 200.0]);
    assert_eq!(of(ResizeMode::BilinearHalfPixel, 2), [25.0, 175.0]);
    assert_eq!(of(ResizeMode::BilinearAlignCorners, 5), [0.0, 50.0, 100.0, 150.0, 200.0]);
    assert_eq!(of(ResizeMode::BilinearAlignCorners, 1), [0.0]);
    assert_eq!(of(ResizeMode::BilinearAsymmetric, 6), [0.0, 50.0, 100.0, 150.0, 200.0, 200.0]);
}

#[test]
fn the_largest_resize_stays_in_32_bits() {
    let side = if cfg!(miri) { 1 << 6 } else { 1 << 15 };
    let op = OwnedOp::Plain(Op::Resize(Resize { mode: ResizeMode::BilinearHalfPixel }));
    let ramp: Vec<f64> = (0..side).map(|i| f64::from(i as u8)).collect();
    let out = run(op, vec![row(&ramp, UNIT)], Shape::new(1, side, 1), UNIT);
    assert_eq!(out, ramp);
}

#[test]
fn elements_move() {
    let of = |shape: Shape| {
        let values: Vec<f64> = (0..shape.elements()).map(|i| i as f64).collect();
        Tensor::of(DType::U8, shape, UNIT, &values)
    };
    let moved = |op, from: Shape, to: Shape| run(OwnedOp::Plain(op), vec![of(from)], to, UNIT);
    let shuffle = |channel_major| {
        moved(Op::PixelShuffle { block: 2, channel_major }, Shape::new(1, 1, 8), Shape::new(2, 2, 2))
    };
    assert_eq!(shuffle(true), [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
    assert_eq!(shuffle(false), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let order = [2, 0, 1];
    assert_eq!(
        moved(Op::Transpose(Transpose { order }), Shape::new(1, 2, 3), Shape::new(3, 1, 2)),
        [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    );
    assert_eq!(
        moved(Op::Slice(Slice { start: [1, 0, 1] }), Shape::new(2, 2, 2), Shape::new(1, 2, 1)),
        [5.0, 7.0]
    );
    let pad = |mode| {
        let pad = Pad { mode, before: [0, 2], value: 0.0, quantised: 9 };
        moved(Op::Pad(pad), Shape::new(1, 3, 1), Shape::new(1, 6, 1))
    };
    assert_eq!(pad(PadMode::Constant), [9.0, 9.0, 0.0, 1.0, 2.0, 9.0]);
    assert_eq!(pad(PadMode::Edge), [0.0, 0.0, 0.0, 1.0, 2.0, 2.0]);
    assert_eq!(pad(PadMode::Reflect), [2.0, 1.0, 0.0, 1.0, 2.0, 1.0]);
    assert_eq!(moved(Op::Reshape, Shape::new(1, 2, 3), Shape::new(3, 1, 2)), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn normalisation() {
    let norm = |kind, epsilon| OwnedOp::Norm { kind, epsilon, gamma: vec![2.0], beta: vec![1.0] };
    let shape = Shape::new(1, 2, 1);
    let of = |kind, values: &[f64]| {
        run(norm(kind, 0.0), vec![row(values, quant(0.5, 10))], shape, quant(0.5, 100))
    };
    // Standardised: -1 and 1, so -1 and 3 in real numbers.
    assert_eq!(of(NormKind::Instance, &[20.0, 30.0]), [98.0, 106.0]);
    // No variance and no epsilon: 0 / 0 gives the zero point.
    assert_eq!(of(NormKind::Instance, &[20.0, 20.0]), [100.0, 100.0]);
    assert_eq!(of(NormKind::Layer, &[20.0, 30.0]), [100.0, 100.0]);
    // One channel is its own mean: y = 2 x + 1 + x; real x is 1 and -2.
    assert_eq!(of(NormKind::Grn, &[12.0, 6.0]), [108.0, 90.0]);
    assert_eq!(of(NormKind::Grn, &[10.0, 10.0]), [100.0, 100.0]);
}

#[cfg(feature = "std")]
#[test]
fn workers_share_a_response() {
    let pool = fusionproxy_kernels::Pool::new(2).expect("threads");
    let op = OwnedOp::Norm { kind: NormKind::Grn, epsilon: 0.0, gamma: vec![2.0], beta: vec![1.0] };
    // Rows of different workers, then more workers than rows. The numbers are those of `normalisation`.
    for (height, values, want) in [(2, &[12.0, 6.0][..], &[108, 90][..]), (1, &[12.0], &[108])] {
        let input = Tensor::of(DType::U8, Shape::new(height, 1, 1), quant(0.5, 10), values);
        let output = Layout::dense(Shape::new(height, 1, 1));
        let case = Case {
            op: op.clone(),
            inputs: vec![input],
            output_dtype: DType::U8,
            output,
            output_quant: quant(0.5, 100),
            output_offset: 0,
        };
        assert_eq!(case.run_shared(&Scalar::ALL, &pool), want);
    }
}

#[test]
fn softmax_shares_sum_to_one() {
    let ln2 = core::f64::consts::LN_2;
    let exp = Box::new(core::array::from_fn(|d| (65_535.0 * (-(d as f64) * ln2).exp()).round() as u16));
    let op = || OwnedOp::Softmax { axis: Axis::Width, exp: Some(exp.clone()) };
    let (q, out) = (quant(ln2 as f32, 0), quant(1.0 / 255.0, 0));
    // 255 * 32768 / 131071 = 63.75, twice, and 255 * 65535 / 131071, which is just less than 127.5.
    assert_eq!(run(op(), vec![row(&[7.0, 7.0, 8.0], q)], Shape::new(1, 3, 1), out), [64.0, 64.0, 127.0]);
    assert_eq!(run(op(), vec![row(&[0.0, 255.0], q)], Shape::new(1, 2, 1), out), [0.0, 255.0]);
}

#[test]
fn matrix_products() {
    let of = |shape: Shape, values: &[f64]| Tensor::of(DType::U8, shape, quant(1.0, 1), values);
    // Two heads of depth 1; queries 2, 3 | 4, 5 and keys 1, 2 in real numbers.
    let tokens = of(Shape::new(2, 1, 2), &[3.0, 4.0, 5.0, 6.0]);
    let keys = || of(Shape::new(1, 1, 2), &[2.0, 3.0]);
    let matmul = |transpose_b| OwnedOp::Plain(Op::Matmul(Matmul { transpose_b, heads: 2, scale: 0.5 }));
    let scores = run(matmul(true), vec![tokens, keys()], Shape::new(2, 1, 2), quant(1.0, 10));
    // Products 2, 6, 4, 10, halved.
    assert_eq!(scores, [11.0, 13.0, 12.0, 15.0]);
    let weights = of(Shape::new(2, 1, 2), &[5.0, 7.0, 1.0, 0.0]);
    let applied = run(matmul(false), vec![weights, keys()], Shape::new(2, 1, 2), quant(1.0, 10));
    // Weights 4, 6 | 0, -1 times 1, 2, halved.
    assert_eq!(applied, [12.0, 16.0, 10.0, 9.0]);
}

#[test]
fn conversions() {
    let convert = || OwnedOp::Plain(Op::Convert(Convert));
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.25, -0.75, 1e30];
    let out = run_as(convert(), vec![floats(&special)], DType::U8, Shape::new(1, 6, 1), quant(0.5, 100));
    // 0.5 and -1.5 steps: ties to even.
    assert_eq!(out, [100.0, 255.0, 0.0, 100.0, 98.0, 255.0]);
    let out =
        run_as(convert(), vec![row(&[0.0, 110.0], quant(0.5, 100))], DType::F16, Shape::new(1, 2, 1), UNIT);
    assert_eq!(out, [-50.0, 5.0]);
    let out = run_as(
        convert(),
        vec![row(&[0.0, 110.0], quant(0.5, 100))],
        DType::U8,
        Shape::new(1, 2, 1),
        quant(2.0, 30),
    );
    // -25 and 2.5 steps.
    assert_eq!(out, [5.0, 32.0]);
}

#[test]
fn blending() {
    let at = |q: usize, zero: i32, high: i32| if q == 0 { zero } else { high };
    let op = |gain| OwnedOp::Blend {
        block: 1,
        gain,
        weight: Some(Box::new(core::array::from_fn(|q| at(q, 8_192, 32_768)))),
        residual: Some(Box::new(core::array::from_fn(|q| at(q, 16_384, -(1 << 24))))),
    };
    let shape = Shape::new(1, 2, 1);
    let images = || vec![row(&[100.0, 40.0], UNIT), row(&[200.0, 80.0], UNIT)];
    let logits = |values: &[f64], planes| Tensor::of(DType::U8, Shape::new(1, 2, planes), UNIT, values);
    // A quarter of the way, and all of it.
    let mut inputs = images();
    inputs.push(logits(&[0.0, 1.0], 1));
    assert_eq!(run(op(0.0), inputs, shape, UNIT), [125.0, 80.0]);
    // Half a level more rounds up; 512 levels less is black.
    let mut inputs = images();
    inputs.push(logits(&[0.0, 0.0, 1.0, 1.0], 2));
    assert_eq!(run(op(1.0), inputs, shape, UNIT), [126.0, 0.0]);
}

#[test]
fn float_functions_at_their_extremes() {
    let functions = [
        Activation::Clamp { lo: -1.0, hi: 1.0 },
        Activation::LeakyRelu { slope: 0.1 },
        Activation::HardSwish,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Abs,
        Activation::Exp,
        Activation::Sqrt,
        Activation::Affine { alpha: 2.0, beta: 1.0 },
    ];
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3e38, -3e38, 1e-40, -0.0];
    for function in functions {
        let op = OwnedOp::Activation { function, table: None };
        let out = run(op, vec![floats(&special)], Shape::new(1, 7, 1), UNIT);
        assert!(out[0].is_nan(), "{function:?} of NaN is {}", out[0]);
    }
    let of = |function, x: f64| {
        run(OwnedOp::Activation { function, table: None }, vec![floats(&[x])], Shape::new(1, 1, 1), UNIT)[0]
    };
    assert_eq!(of(Activation::Sigmoid, -1e4), 0.0);
    assert_eq!(of(Activation::Sigmoid, 1e4), 1.0);
    assert_eq!(of(Activation::Silu, -1e4), 0.0);
    assert_eq!(of(Activation::Gelu, 1e4), 1e4);
    assert_eq!(of(Activation::Clamp { lo: -1.0, hi: 1.0 }, f64::NEG_INFINITY), -1.0);
    let out = run(
        OwnedOp::Softmax { axis: Axis::Width, exp: None },
        vec![floats(&[3e38, -3e38, f64::NEG_INFINITY])],
        Shape::new(1, 3, 1),
        UNIT,
    );
    assert_eq!(out, [1.0, 0.0, 0.0]);
}

#[test]
fn calls_refuse_incomplete_parameters() {
    let x = Tensor::of(DType::U8, Shape::new(1, 3, 1), UNIT, &[0.0; 3]);
    let out = Tensor::of(DType::U8, Shape::new(1, 3, 1), UNIT, &[0.0; 3]);
    let refused = |op: Op<'_>| {
        let operands = [x.operand()];
        matches!(Call::new(op, &operands, out.dst(), UNIT), Err(CallError::Parameters(_)))
    };
    let mut short = conv(false, window(3, 1, 1), &[1.0; 3], 0.0, 1.0, OwnedFinish::NONE);
    assert!(!refused(short.op()));
    if let OwnedOp::Conv { packed: OwnedWeights::Int8 { weights, .. }, .. } = &mut short {
        weights.pop();
    }
    assert!(refused(short.op()));
    assert!(refused(OwnedOp::Activation { function: Activation::None, table: None }.op()));
    assert!(refused(OwnedOp::PRelu { slope: vec![], tables: vec![0; 255] }.op()));
    assert!(refused(OwnedOp::Norm { kind: NormKind::Layer, epsilon: 0.0, gamma: vec![], beta: vec![] }.op()));
    assert!(refused(OwnedOp::Softmax { axis: Axis::Width, exp: None }.op()));
    assert!(refused(Op::Transpose(Transpose { order: [0, 0, 1] })));
    let window = Window { stride: [0, 1], ..window(3, 1, 1) };
    assert!(refused(Op::Pool(Pool { kind: PoolKind::Max, window, count_include_pad: false })));
}
