//! One or more artifacts for every operator, with what their records must hold.
#![allow(dead_code, reason = "each test program uses its part")]

use fusionproxy_format::{
    Activation, Artifact, Axis, Binary, BinaryOp, Blend, Builder, Conv, ConvGeometry, ConvWeights, Convert,
    DType, Extent, Finish, FixedPoint, Matmul, Norm, NormKind, Op, OpKind, Pad, PadMode, Pool, PoolKind,
    Precision, Quant, Reduce, ReduceKind, Resize, ResizeMode, Slice, Softmax, Tensor, TensorId, Transpose,
    Window, packed_weights_len,
};
use half::f16;
use zerocopy::{Immutable, IntoBytes};

/// What a field of a record holds.
pub(crate) enum Expected {
    /// These bytes.
    Value(Vec<u8>),
    /// The offset of these bytes.
    Data(Vec<u8>),
    /// Something that does not matter for this element type.
    Any,
}

/// An artifact whose last operator is the one under test.
pub(crate) struct Case {
    pub(crate) op: OpKind,
    pub(crate) bytes: Aligned,
    pub(crate) expected: Vec<(&'static str, Expected)>,
    /// The operator as it was built, as `Debug` shows it.
    pub(crate) debug: String,
}

/// Bytes from a multiple of 64.
pub(crate) struct Aligned {
    words: Vec<[u64; 8]>,
    len: usize,
}

impl Aligned {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut copy = Self { words: vec![[0; 8]; bytes.len().div_ceil(64) + 1], len: bytes.len() };
        copy.get_mut().copy_from_slice(bytes);
        copy
    }

    fn start(&self) -> usize {
        let address = self.words.as_ptr().addr();
        address.next_multiple_of(64) - address
    }

    pub(crate) fn get(&self) -> &[u8] {
        &self.words.as_slice().as_bytes()[self.start()..][..self.len]
    }

    pub(crate) fn get_mut(&mut self) -> &mut [u8] {
        let (start, len) = (self.start(), self.len);
        &mut self.words.as_mut_slice().as_mut_bytes()[start..][..len]
    }
}

impl Clone for Aligned {
    // A copy of the words would lie at another distance from a multiple of 64.
    fn clone(&self) -> Self {
        Self::new(self.get())
    }
}

const FULL: Extent = Extent { mul: 1, div: 1, add: 0 };
const QUANT: Quant = Quant { scale: 0.25, zero_point: 3 };

/// Height, width, channels.
type Shape = [u32; 3];

fn tensor(b: &mut Builder, name: &str, dtype: DType, shape: Option<Shape>, constant: bool) -> TensorId {
    let (height, width, channels) = match shape {
        Some([h, w, c]) => (Extent::absolute(h), Extent::absolute(w), c as usize),
        None => (FULL, FULL, 1),
    };
    let len = shape.map_or(0, |s| s.iter().product::<u32>()) as usize * dtype.bytes();
    let data = vec![0u8; len];
    let data = constant.then_some(data.as_slice());
    b.tensor(&Tensor { name, dtype, height, width, channels, quant: QUANT, data }).unwrap()
}

/// A network that fuses by copying the visible image, and runs `op` on constants behind that.
pub(crate) fn network(op: &Op<'_>, inputs: &[(DType, Shape)], output: (DType, Shape)) -> Aligned {
    let mut b = Builder::new();
    let io = ["vis", "ir", "fused"].map(|name| tensor(&mut b, name, DType::F32, None, false));
    let inputs: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(i, (dtype, shape))| tensor(&mut b, &format!("input {i}"), *dtype, Some(*shape), true))
        .collect();
    let output = tensor(&mut b, "output", output.0, Some(output.1), false);
    b.op("copy", &Op::Reshape, &[io[0]], io[2]).unwrap();
    b.op("tested", op, &inputs, output).unwrap();
    Aligned::new(&b.finish_artifact("net", Precision::Mixed, io, 2, None, 7).unwrap())
}

fn case(
    op: Op<'_>,
    inputs: &[(DType, Shape)],
    output: (DType, Shape),
    expected: Vec<(&'static str, Expected)>,
) -> Case {
    Case { op: op.kind(), bytes: network(&op, inputs, output), expected, debug: format!("{op:?}") }
}

fn value<T: IntoBytes + Immutable + Copy>(v: T) -> Expected {
    Expected::Value(v.as_bytes().to_vec())
}

fn data<T: IntoBytes + Immutable>(v: &[T]) -> Expected {
    Expected::Data(v.as_bytes().to_vec())
}

const NONE: u32 = u32::MAX;

/// Every activation, in order of its discriminant.
pub(crate) fn activations() -> [Activation; 14] {
    [
        Activation::None,
        Activation::Clamp { lo: -1.5, hi: 4.0 },
        Activation::LeakyRelu { slope: 0.125 },
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
        Activation::Affine { alpha: 2.0, beta: -3.0 },
    ]
}

/// The two parameters of an activation.
fn parameters(a: Activation) -> (f32, f32) {
    match a {
        Activation::Clamp { lo, hi } => (lo, hi),
        Activation::LeakyRelu { slope } => (slope, 0.0),
        Activation::HardSigmoid { alpha, beta } | Activation::Affine { alpha, beta } => (alpha, beta),
        _ => (0.0, 0.0),
    }
}

/// A float activation operator.
pub(crate) fn activation(function: Activation) -> Case {
    let (alpha, beta) = parameters(function);
    let expected = vec![("table", value(NONE)), ("alpha", value(alpha)), ("beta", value(beta))];
    let x = (DType::F32, [2, 3, 4]);
    case(Op::Activation { function, table: None }, &[x], x, expected)
}

fn window_fields(w: &Window) -> Vec<(&'static str, Expected)> {
    let names =
        ["kernel_height", "kernel_width", "stride_down", "stride_across", "dilation_down", "dilation_across"];
    let values = [w.kernel, w.stride, w.dilation].concat();
    let pads = ["pad_top", "pad_left", "pad_bottom", "pad_right"];
    names.into_iter().chain(pads).zip(values.into_iter().chain(w.pad)).map(|(n, v)| (n, value(v))).collect()
}

const WINDOW: Window = Window { kernel: [3, 5], stride: [2, 1], dilation: [1, 2], pad: [1, 4, 0, 3] };

fn convs() -> Vec<Case> {
    let table: [u8; 256] = core::array::from_fn(|i| 255 - i as u8);
    let act = Activation::LeakyRelu { slope: 0.1 };
    let mut cases = Vec::new();
    for (dtype, groups, channels) in [
        (DType::U8, 2, [6u32, 4u32]),
        (DType::F16, 1, [3, 20]),
        (DType::F32, 1, [3, 2]),
        (DType::U8, 5, [5, 5]),
    ] {
        let [input_channels, output_channels] = channels.map(|c| c as usize);
        let geometry = ConvGeometry { window: WINDOW, groups, input_channels, output_channels };
        let len = packed_weights_len(&geometry, dtype == DType::U8);
        let slots = geometry.channel_slots();
        // Of the 8-bit rows of 15 inputs, each fourth weight of the last 16 groups of four is padding.
        let dense = dtype == DType::U8 && !geometry.depthwise();
        let padding = |i: usize| dense && i % 256 >= 192 && i % 4 == 3;
        let bytes: Vec<i8> = (0..len).map(|i| if padding(i) { 0 } else { i as i8 }).collect();
        let floats: Vec<f32> = (0..len).map(|i| i as f32 * 0.5).collect();
        let halves: Vec<f16> = floats.iter().map(|v| f16::from_f32(*v)).collect();
        let biases: Vec<i32> = (0..slots as i32).map(|i| i - 4).collect();
        let bias: Vec<f32> = (0..slots).map(|i| i as f32 - 4.0).collect();
        let scale: Vec<f32> = (0..slots).map(|i| i as f32 * 0.01).collect();
        let eight = dtype == DType::U8;
        let (weights, stored, stored_bias) = match dtype {
            DType::U8 => {
                let weights = ConvWeights::Int8 { weights: &bytes, bias: &biases, scale: &scale };
                (weights, data(&bytes), data(&biases))
            }
            DType::F16 => (ConvWeights::F16 { weights: &halves, bias: &bias }, data(&halves), data(&bias)),
            DType::F32 => (ConvWeights::F32 { weights: &floats, bias: &bias }, data(&floats), data(&bias)),
        };
        let finish = Finish { lo: 3, hi: 200, table: eight.then_some(&table) };
        let conv = Conv { geometry, weights, activation: act, finish };
        let mut expected = window_fields(&WINDOW);
        expected.extend([
            ("groups", value(groups as u32)),
            ("weights", stored),
            ("bias", stored_bias),
            ("scale", if eight { data(&scale) } else { value(0u32) }),
            ("table", if eight { data(&table) } else { value(NONE) }),
            ("lo", value(3u8)),
            ("hi", value(200u8)),
            ("alpha", value(0.1f32)),
            ("beta", value(0f32)),
        ]);
        let (x, y) = ((dtype, [8, 9, channels[0]]), (dtype, [4, 8, channels[1]]));
        let transposed = dtype == DType::F32;
        let op = if transposed { Op::ConvTranspose(conv) } else { Op::Conv(conv) };
        cases.push(case(op, &[x], y, expected));
    }
    cases
}

fn element_wise() -> Vec<Case> {
    let table: [u8; 256] = core::array::from_fn(|i| i as u8 ^ 85);
    let (x8, x16) = ((DType::U8, [2, 3, 4]), (DType::F16, [2, 3, 4]));
    let fixed = FixedPoint { a: -300, b: 32_767, offset: -70_000, shift: 24 };
    let binary = Binary {
        op: BinaryOp::Max,
        fixed,
        scale: 1.5,
        activation: Activation::Clamp { lo: 0.0, hi: 6.0 },
        finish: Finish { lo: 1, hi: 9, table: None },
    };
    let mut cases = vec![
        case(
            Op::Binary(binary),
            &[x8, (DType::U8, [1, 1, 4])],
            x8,
            vec![
                ("op", value(BinaryOp::Max as u8)),
                ("a", value(-300i32)),
                ("b", value(32_767i32)),
                ("offset", value(-70_000i32)),
                ("shift", value(24u32)),
                ("scale", value(1.5f32)),
                ("table", value(NONE)),
                ("lo", value(1u8)),
                ("hi", value(9u8)),
                ("alpha", value(0f32)),
                ("beta", value(6f32)),
            ],
        ),
        case(
            Op::Activation { function: Activation::Silu, table: Some(&table) },
            &[x8],
            x8,
            vec![("table", data(&table)), ("alpha", value(0f32)), ("beta", value(0f32))],
        ),
    ];
    cases.extend(activations().map(activation));
    let slope = [0.5f32, -1.0, 0.0, 2.0];
    let tables: Vec<u8> = (0..4 * 256).map(|i| (i * 7) as u8).collect();
    cases.push(case(
        Op::PRelu { slope: &slope, tables: &[] },
        &[x16],
        x16,
        vec![("slope", data(&slope)), ("tables", Expected::Any)],
    ));
    cases.push(case(
        Op::PRelu { slope: &[], tables: &tables },
        &[x8],
        x8,
        vec![("slope", Expected::Any), ("tables", data(&tables))],
    ));
    let convert = case(Op::Convert(Convert), &[x8], x16, vec![]);
    cases.push(convert);
    cases
}

fn spatial() -> Vec<Case> {
    let (x, f) = ((DType::U8, [8, 6, 4]), (DType::F32, [8, 6, 4]));
    let mut cases = Vec::new();
    for (kind, window, count_include_pad) in [
        (PoolKind::Max, WINDOW, false),
        (PoolKind::Average, Window { dilation: [1, 1], pad: [1, 2, 0, 3], ..WINDOW }, true),
    ] {
        let mut expected = window_fields(&window);
        expected
            .extend([("kind", value(kind as u8)), ("count_include_pad", value(u8::from(count_include_pad)))]);
        let pool = Pool { kind, window, count_include_pad };
        cases.push(case(Op::Pool(pool), &[x], (DType::U8, [4, 6, 4]), expected));
    }
    for mode in ResizeMode::ALL {
        let up = (DType::U8, [16, 12, 4]);
        cases.push(case(Op::Resize(Resize { mode: *mode }), &[x], up, vec![("mode", value(*mode as u8))]));
    }
    for mode in PadMode::ALL {
        let pad = Pad { mode: *mode, before: [3, 2], value: 0.5, quantised: 9 };
        cases.push(case(
            Op::Pad(pad),
            &[f],
            (DType::F32, [12, 10, 4]),
            vec![
                ("mode", value(*mode as u8)),
                ("quantised", value(9u8)),
                ("top", value(3u32)),
                ("left", value(2u32)),
                ("value", value(0.5f32)),
            ],
        ));
    }
    let start = [1usize, 2, 3];
    cases.push(case(
        Op::Slice(Slice { start }),
        &[x],
        (DType::U8, [7, 4, 1]),
        vec![("row", value(1u32)), ("column", value(2u32)), ("channel", value(3u32))],
    ));
    cases.push(case(Op::Concat, &[x, x, x], (DType::U8, [8, 6, 12]), vec![]));
    cases.push(case(Op::Reshape, &[x], (DType::U8, [4, 12, 4]), vec![]));
    for channel_major in [false, true] {
        let shuffle = Op::PixelShuffle { block: 2, channel_major };
        cases.push(case(
            shuffle,
            &[x],
            (DType::U8, [16, 12, 1]),
            vec![("block", value(2u32)), ("channel_major", value(u32::from(channel_major)))],
        ));
    }
    cases.push(case(
        Op::Transpose(Transpose { order: [2, 0, 1] }),
        &[x],
        (DType::U8, [4, 8, 6]),
        vec![("height_from", value(2u8)), ("width_from", value(0u8)), ("channels_from", value(1u8))],
    ));
    cases
}

fn statistics() -> Vec<Case> {
    let (x, f) = ((DType::U8, [8, 6, 4]), (DType::F32, [8, 6, 4]));
    let mut cases = Vec::new();
    for kind in ReduceKind::ALL {
        for (axis, shape) in [(Axis::Space, [1, 1, 4]), (Axis::Channel, [8, 6, 1])] {
            let reduce = Reduce { kind: *kind, axis, scale: 0.75 };
            cases.push(case(
                Op::Reduce(reduce),
                &[x],
                (DType::U8, shape),
                vec![("kind", value(*kind as u8)), ("axis", value(axis as u8)), ("scale", value(0.75f32))],
            ));
        }
    }
    let (gamma, beta) = ([1f32, 2.0, 3.0, 4.0], [-1f32, 0.0, 1.0, 2.0]);
    for kind in NormKind::ALL {
        let norm = Norm { kind: *kind, epsilon: 1e-6, gamma: &gamma, beta: &beta };
        cases.push(case(
            Op::Norm(norm),
            &[f],
            f,
            vec![
                ("kind", value(*kind as u8)),
                ("epsilon", value(1e-6f32)),
                ("gamma", data(&gamma)),
                ("beta", data(&beta)),
            ],
        ));
    }
    let exp: [u16; 256] = core::array::from_fn(|d| (65_535.0 * (-(d as f64) / 16.0).exp()) as u16);
    cases.push(case(
        Op::Softmax(Softmax { axis: Axis::Width, exp: Some(&exp) }),
        &[x],
        x,
        vec![("axis", value(Axis::Width as u8)), ("exp", data(&exp))],
    ));
    cases.push(case(
        Op::Softmax(Softmax { axis: Axis::Channel, exp: None }),
        &[f],
        f,
        vec![("axis", value(Axis::Channel as u8)), ("exp", value(NONE))],
    ));
    let scores = (DType::F32, [48, 48, 2]);
    for (transpose_b, inputs, output) in [(true, [f, f], scores), (false, [scores, f], f)] {
        cases.push(case(
            Op::Matmul(Matmul { transpose_b, heads: 2, scale: 0.5 }),
            &inputs,
            output,
            vec![
                ("heads", value(2u32)),
                ("transpose_b", value(u32::from(transpose_b))),
                ("scale", value(0.5f32)),
            ],
        ));
    }
    cases
}

fn blends() -> Vec<Case> {
    let weight: [i32; 256] = core::array::from_fn(|q| q as i32 * 128);
    let residual: [i32; 256] = core::array::from_fn(|q| (q as i32 - 128) * 1000);
    let with = Blend { block: 2, gain: 0.25, weight: Some(&weight), residual: Some(&residual) };
    let without = Blend { block: 1, gain: 0.0, weight: None, residual: None };
    let image = |dtype, channels| (dtype, [8, 6, channels]);
    let u8s = [image(DType::U8, 3), image(DType::U8, 1), (DType::U8, [4, 3, 8])];
    let f32s = [image(DType::F32, 1); 3];
    vec![
        case(
            Op::Blend(with),
            &u8s,
            u8s[0],
            vec![
                ("block", value(2u32)),
                ("gain", value(0.25f32)),
                ("weight", data(&weight)),
                ("residual", data(&residual)),
            ],
        ),
        case(
            Op::Blend(without),
            &f32s,
            f32s[0],
            vec![
                ("block", value(1u32)),
                ("gain", value(0f32)),
                ("weight", value(NONE)),
                ("residual", value(NONE)),
            ],
        ),
    ]
}

/// At least one case for every operator.
pub(crate) fn cases() -> Vec<Case> {
    [convs(), element_wise(), spatial(), statistics(), blends()].into_iter().flatten().collect()
}

/// The checked artifact of a case.
pub(crate) fn artifact(bytes: &Aligned) -> Artifact<'_> {
    Artifact::new(bytes.get()).unwrap_or_else(|e| panic!("{e}"))
}
