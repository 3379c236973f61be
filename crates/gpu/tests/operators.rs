//! Operators and their forms: networks that the scalar kernels and a Vulkan device compute.
#![cfg(feature = "native")]

mod support;

use fusionproxy_format::{
    Activation, Axis, Binary, BinaryOp, ConvGeometry, Convert, DType, Extent, Finish, FixedPoint, Matmul,
    Norm, NormKind, Op, Pad, PadMode, Pool, PoolKind, Quant, Reduce, ReduceKind, Resize, ResizeMode, Slice,
    Softmax, TensorId, Transpose, Window,
};
use fusionproxy_gpu::native::Device;
use fusionproxy_gpu::{Options, Source};
use support::net::{FEATURE, FULL, Net, PLAIN, Shape};
use support::{device, fuse_on_cpu, fuse_on_gpu, grey_street};

/// Runs the network that `build` makes, in all element types. `build` gets features of 8 and of 5 channels and returns what
/// the result is to depend on.
fn agrees(slack: u8, build: impl Fn(&mut Net, TensorId, TensorId) -> Vec<TensorId>) {
    let Some(device) = device() else { return };
    for (dtype, slack) in [(DType::U8, slack), (DType::F32, 1), (DType::F16, 2)] {
        agrees_in(&device, dtype, slack, &build);
    }
}

fn agrees_in(
    device: &Device,
    dtype: DType,
    slack: u8,
    build: &impl Fn(&mut Net, TensorId, TensorId) -> Vec<TensorId>,
) {
    let (h, w) = (20, 28);
    let (visible, infrared) = grey_street((h, w));
    let mut net = Net::new(dtype);
    let x = net.same(net.visible, 8, 3);
    let y = net.same(net.infrared, 5, 3);
    let results = build(&mut net, x, y);
    let bytes = net.finish(&results);
    let artifact = bytes.artifact();
    let options =
        Options { visible: Source::Grey, capabilities: device.capabilities(), ..Options::new(h, w) };
    let got = fuse_on_gpu(device, &artifact, options, &visible, &infrared);
    let expected = fuse_on_cpu(&artifact, &visible, &infrared, (h, w));
    let mut steps = [0; 256];
    for (got, expected) in got.as_chunks::<4>().0.iter().zip(expected.as_chunks::<3>().0) {
        for (a, b) in got.iter().zip(expected) {
            steps[usize::from(a.abs_diff(*b))] += 1;
        }
    }
    assert!(steps[usize::from(slack) + 1..].iter().all(|n| *n == 0), "{dtype:?}: differences {steps:?}");
    let grey = expected.iter().filter(|v| (1..=254).contains(*v)).count();
    assert!(grey > expected.len() / 20, "{dtype:?}: the picture shows nothing");
}

fn window(kernel: [u8; 2], stride: [u8; 2], dilation: [u8; 2], pad: [u8; 4]) -> Window {
    Window { kernel, stride, dilation, pad }
}

/// Half of the frame.
const HALF: Extent = Extent { mul: 1, div: 2, add: 0 };

fn geometry(window: Window, groups: usize, input_channels: usize, output_channels: usize) -> ConvGeometry {
    ConvGeometry { window, groups, input_channels, output_channels }
}

#[test]
fn convolutions_of_every_geometry() {
    let table: [u8; 256] = core::array::from_fn(|q| 255 - (q as u8) / 2);
    agrees(0, |net, x, y| {
        let none = Activation::None;
        let relu = Activation::Clamp { lo: 0.0, hi: 1.5 };
        let unit = window([1, 1], [1, 1], [1, 1], [0; 4]);
        let dilated = window([3, 3], [1, 1], [2, 2], [2; 4]);
        let a = net.conv(x, geometry(dilated, 2, 8, 12), false, none, None, [FULL, FULL]);
        let strided = window([3, 5], [2, 2], [1, 1], [1, 2, 0, 1]);
        let b = net.conv(y, geometry(strided, 1, 5, 70), false, relu, Some(&table), [HALF, HALF]);
        let b = net.conv(b, geometry(unit, 1, 70, 6), false, none, None, [HALF, HALF]);
        let up = window([4, 4], [2, 2], [1, 1], [1; 4]);
        let c = net.conv(b, geometry(up, 1, 6, 9), true, none, None, [FULL, FULL]);
        let depthwise = window([5, 3], [1, 1], [1, 1], [2, 1, 2, 1]);
        let d = net.conv(x, geometry(depthwise, 8, 8, 8), false, relu, None, [FULL, FULL]);
        let d = net.conv(d, geometry(unit, 1, 8, 4), false, none, Some(&table), [FULL, FULL]);
        let up = window([2, 2], [2, 2], [1, 1], [0; 4]);
        let e = net.conv(b, geometry(up, 6, 6, 6), true, none, None, [FULL, FULL]);
        vec![a, c, d, e]
    });
}

#[test]
fn element_wise_operators_and_their_broadcasts() {
    let table: [u8; 256] = core::array::from_fn(|q| (q as u8).wrapping_mul(3) / 2);
    agrees(1, |net, x, y| {
        let s = net.shape(x);
        let x5 = net.same(x, 5, 1);
        let one = net.same(y, 1, 1);
        let constant = net.constant([1, 1, 8]);
        let image = net.constant([20, 28, 5]);
        let fixed = FixedPoint { a: 700, b: -500, offset: 1024 * 80, shift: 10 };
        let mut binary =
            |op: BinaryOp, a: TensorId, b: TensorId, finish: Finish<'_>, activation: Activation| {
                let shape = net.shape(a);
                let binary = Binary { op, fixed, scale: FEATURE.scale, activation, finish };
                net.op(&Op::Binary(binary), &[a, b], shape)
            };
        let none = Activation::None;
        let results = vec![
            binary(BinaryOp::Add, x, constant, PLAIN, none),
            binary(BinaryOp::Mul, x, one, PLAIN, none),
            binary(BinaryOp::Min, x5, y, PLAIN, none),
            binary(BinaryOp::Max, x5, image, PLAIN, none),
        ];
        let clamped = Finish { lo: 90, hi: 200, table: Some(&table) };
        let tabled = net.dtype == DType::U8;
        let sub = Binary {
            op: if tabled { BinaryOp::Sub } else { BinaryOp::Add },
            fixed,
            scale: 1.0,
            activation: Activation::Sigmoid,
            finish: clamped,
        };
        let sub = net.op(&Op::Binary(sub), &[x, x], s);
        let function = Activation::Silu;
        let active = net.op(&Op::Activation { function, table: Some(&table) }, &[sub], s);
        let slope: Vec<f32> = (0..5).map(|i| 0.1 * i as f32).collect();
        let tables: Vec<u8> = (0..5 * 256).map(|i| ((i % 256) * (i / 256 + 2) / 6) as u8).collect();
        let shape = net.shape(y);
        let prelu = net.op(&Op::PRelu { slope: &slope, tables: &tables }, &[y], shape);
        [results, vec![active, prelu]].concat()
    });
}

#[test]
fn every_activation_in_float() {
    let Some(device) = device() else { return };
    let functions = [
        Activation::Clamp { lo: f32::NEG_INFINITY, hi: 0.7 },
        Activation::LeakyRelu { slope: 0.2 },
        Activation::HardSwish,
        Activation::HardSigmoid { alpha: 0.3, beta: 0.4 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Abs,
        Activation::Exp,
        Activation::Affine { alpha: -0.5, beta: 0.3 },
    ];
    for functions in functions.chunks(4) {
        agrees_in(&device, DType::F32, 1, &|net, x, _| {
            let s = net.shape(x);
            let active = |f: &Activation| net.op(&Op::Activation { function: *f, table: None }, &[x], s);
            functions.iter().map(active).collect()
        });
    }
}

#[test]
fn rearrangements() {
    agrees(0, |net, x, y| {
        let s = net.shape(x);
        let joined = net.op(&Op::Concat, &[y, x], Shape { channels: 13, ..s });
        let odd = net.op(&Op::Slice(Slice { start: [0, 0, 3] }), &[joined], Shape { channels: 7, ..s });
        let (height, width) = (Extent { add: -3, ..FULL }, Extent { add: -5, ..FULL });
        let cut =
            net.op(&Op::Slice(Slice { start: [1, 4, 4] }), &[x], Shape { height, width, channels: 4, ..s });
        let mut padded = |mode: PadMode| {
            let pad = Pad { mode, before: [2, 3], value: 0.4, quantised: 130 };
            net.op(&Op::Pad(pad), &[cut], Shape { channels: 4, ..s })
        };
        let pads = [PadMode::Constant, PadMode::Reflect, PadMode::Edge].map(&mut padded);
        let half = Shape { height: HALF, width: HALF, channels: 12, ..s };
        let stride = window([2, 2], [2, 2], [1, 1], [0; 4]);
        let none = Activation::None;
        let small = net.conv(x, geometry(stride, 1, 8, 12), false, none, None, [HALF, HALF]);
        let mut shuffled = |channel_major: bool| {
            let shape = Shape { height: FULL, width: FULL, channels: 3, ..half };
            net.op(&Op::PixelShuffle { block: 2, channel_major }, &[small], shape)
        };
        let shuffles = [true, false].map(&mut shuffled);
        let double = Extent { mul: 2, div: 1, add: 0 };
        let folded = net.op(&Op::Reshape, &[x], Shape { height: double, channels: 4, ..s });
        // The frame has 20 rows.
        let transposed = Shape { height: Extent::absolute(8), width: FULL, channels: 20, quant: s.quant };
        let across = net.op(&Op::Transpose(Transpose { order: [2, 1, 0] }), &[x], transposed);
        [vec![odd, folded, across], pads.to_vec(), shuffles.to_vec()].concat()
    });
}

#[test]
fn resampling_pooling_and_reductions() {
    agrees(0, |net, x, y| {
        let s = net.shape(x);
        let none = Activation::None;
        let stride = window([2, 2], [2, 2], [1, 1], [0; 4]);
        let small = net.conv(x, geometry(stride, 1, 8, 8), false, none, None, [HALF, HALF]);
        let mut results: Vec<TensorId> = ResizeMode::ALL
            .iter()
            .map(|mode| net.op(&Op::Resize(Resize { mode: *mode }), &[small], s))
            .collect();
        let down = Extent { mul: 3, div: 4, add: 0 };
        for mode in [ResizeMode::NearestHalfPixel, ResizeMode::NearestFloor, ResizeMode::BilinearHalfPixel] {
            results.push(net.op(
                &Op::Resize(Resize { mode }),
                &[x],
                Shape { height: down, width: down, ..s },
            ));
        }
        let w = window([3, 3], [1, 1], [1, 1], [1; 4]);
        for (kind, count_include_pad) in
            [(PoolKind::Max, false), (PoolKind::Average, false), (PoolKind::Average, true)]
        {
            let pool = Pool { kind, window: w, count_include_pad };
            results.push(net.op(&Op::Pool(pool), &[y], net.shape(y)));
        }
        let one = Extent::absolute(1);
        for kind in [ReduceKind::Mean, ReduceKind::Max] {
            let space = Reduce { kind, axis: Axis::Space, scale: 1.0 };
            results.push(net.op(&Op::Reduce(space), &[x], Shape { height: one, width: one, ..s }));
            let channels = Reduce { kind, axis: Axis::Channel, scale: 1.0 };
            let from = net.shape(y);
            results.push(net.op(&Op::Reduce(channels), &[y], Shape { channels: 1, ..from }));
        }
        results
    });
}

#[test]
fn normalisation() {
    agrees(1, |net, x, y| {
        let gamma: Vec<f32> = (0..8).map(|i| 0.6 + 0.1 * i as f32).collect();
        let beta: Vec<f32> = (0..8).map(|i| 0.3 - 0.1 * i as f32).collect();
        let mut results = Vec::new();
        for kind in NormKind::ALL {
            for id in [x, y] {
                let shape = net.shape(id);
                let channels = shape.channels;
                let norm =
                    Norm { kind: *kind, epsilon: 1e-3, gamma: &gamma[..channels], beta: &beta[..channels] };
                results.push(net.op(&Op::Norm(norm), &[id], shape));
            }
        }
        results
    });
}

#[test]
fn attention() {
    agrees(1, |net, x, _| {
        let step = window([4, 4], [4, 4], [1, 1], [0; 4]);
        let quarter = Extent { mul: 1, div: 4, add: 0 };
        let none = Activation::None;
        // 35 tokens of 8 channels, two heads.
        let mut tokens = || net.conv(x, geometry(step, 1, 8, 8), false, none, None, [quarter, quarter]);
        let [queries, keys, values] = core::array::from_fn(|_| tokens());
        let s = net.shape(queries);
        let count = Extent::absolute(35);
        let scores =
            Matmul { transpose_b: true, heads: 2, scale: if net.dtype == DType::U8 { 0.01 } else { 0.5 } };
        let map = Shape { height: count, width: count, channels: 2, ..s };
        let scores = net.op(&Op::Matmul(scores), &[queries, keys], map);
        let exp: [u16; 256] =
            core::array::from_fn(|d| (65_535.0 * (-(d as f32) * FEATURE.scale).exp()).round() as u16);
        let unit = Quant { scale: 1.0 / 255.0, zero_point: 0 };
        let softmax = Softmax { axis: Axis::Width, exp: Some(&exp) };
        let weights = net.op(&Op::Softmax(softmax), &[scores], Shape { quant: unit, ..map });
        let apply = Matmul {
            transpose_b: false,
            heads: 2,
            scale: if net.dtype == DType::U8 { 1.0 / 255.0 } else { 1.0 },
        };
        let attended = net.op(&Op::Matmul(apply), &[weights, values], s);
        let softmax = Softmax { axis: Axis::Channel, exp: Some(&exp) };
        let soft = net.op(&Op::Softmax(softmax), &[attended], Shape { quant: unit, ..s });
        let convert = net.op(&Op::Convert(Convert), &[soft], s);
        vec![attended, convert]
    });
}
