//! Networks for tests, written with the format's own builder.

use fusionproxy_format::{
    Activation, Artifact, Axis, Binary, BinaryOp, Blend, Builder, Conv, ConvGeometry, ConvWeights, Convert,
    DType, Extent, Finish, FixedPoint, Op, Pool, PoolKind, Precision, Quant, Reduce, ReduceKind, Resize,
    ResizeMode, Slice, Tensor, TensorId, Window, packed_weights_len,
};
use half::f16;
use zerocopy::IntoBytes;

/// What the builder was told of a tensor.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) height: Extent,
    pub(crate) width: Extent,
    pub(crate) channels: usize,
    pub(crate) quant: Quant,
}

/// A network under construction. Every tensor of features has the same type and quantisation.
pub(crate) struct Net {
    builder: Builder,
    pub(crate) shapes: Vec<Shape>,
    dtype: DType,
    random: u64,
    pub(crate) visible: TensorId,
    pub(crate) infrared: TensorId,
    ops: usize,
}

const FULL: Extent = Extent { mul: 1, div: 1, add: 0 };
const PIXEL: Quant = Quant { scale: 1.0 / 255.0, zero_point: 0 };
const FEATURE: Quant = Quant { scale: 0.03, zero_point: 100 };
const FINISH: Finish<'_> = Finish { lo: 0, hi: 255, table: None };

impl Net {
    pub(crate) fn new(dtype: DType) -> Self {
        let mut net = Self {
            builder: Builder::new(),
            shapes: Vec::new(),
            dtype,
            random: 0x9e37_79b9_7f4a_7c15,
            visible: 0,
            infrared: 0,
            ops: 0,
        };
        let plane = Shape { height: FULL, width: FULL, channels: 1, quant: PIXEL };
        net.visible = net.tensor("vis", plane);
        net.infrared = net.tensor("ir", plane);
        net
    }

    /// Uniform in -1…1.
    pub(crate) fn random(&mut self) -> f32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    fn tensor(&mut self, name: &str, shape: Shape) -> TensorId {
        let Shape { height, width, channels, quant } = shape;
        self.shapes.push(shape);
        let dtype = self.dtype;
        self.builder.tensor(&Tensor { name, dtype, height, width, channels, quant, data: None }).unwrap()
    }

    pub(crate) fn shape(&self, id: TensorId) -> Shape {
        self.shapes[usize::from(id)]
    }

    fn op(&mut self, op: &Op<'_>, inputs: &[TensorId], shape: Shape) -> TensorId {
        let name = format!("{}_{}", op.kind().name(), self.ops);
        self.ops += 1;
        let output = self.tensor(&name, shape);
        self.builder.op(&name, op, inputs, output).unwrap();
        output
    }

    /// A convolution with random weights and a ReLU. `down` halves the size.
    pub(crate) fn conv(&mut self, x: TensorId, channels: usize, kernel: u8, down: bool) -> TensorId {
        let from = self.shape(x);
        let step = if down { 2 } else { 1 };
        let half = |e: Extent| Extent { div: e.div * u16::from(step), ..e };
        let pad = kernel / 2;
        let window = Window {
            kernel: [kernel; 2],
            stride: [step; 2],
            dilation: [1; 2],
            pad: [pad, pad, if down { 0 } else { pad }, if down { 0 } else { pad }],
        };
        let geometry =
            ConvGeometry { window, groups: 1, input_channels: from.channels, output_channels: channels };
        let shape = Shape { height: half(from.height), width: half(from.width), channels, quant: FEATURE };
        let slots = geometry.channel_slots();
        let len = packed_weights_len(&geometry, self.dtype == DType::U8);
        let float: Vec<f32> = (0..len).map(|_| self.random() * 0.4).collect();
        let bias: Vec<f32> = (0..slots).map(|_| self.random() * 0.1).collect();
        let activation = Activation::Clamp { lo: 0.0, hi: f32::INFINITY };
        let finish = Finish { lo: FEATURE.zero_point, ..FINISH };
        let halves: Vec<f16> = float.iter().map(|v| f16::from_f32(*v)).collect();
        // [block][kernel row][row / 4][16][4], a row padded with zeros to a multiple of 4.
        let row = usize::from(kernel) * from.channels;
        let in_row = |i: usize| i / 64 % row.div_ceil(4) * 4 + i % 4;
        let byte = |(i, v): (usize, &f32)| if in_row(i) < row { (v * 300.0) as i8 } else { 0 };
        let bytes: Vec<i8> = float.iter().enumerate().map(byte).collect();
        let (bias_int, scale): (Vec<i32>, Vec<f32>) =
            bias.iter().map(|b| ((b * 5e4) as i32, 0.4 / 300.0)).unzip();
        let weights = match self.dtype {
            DType::U8 => ConvWeights::Int8 { weights: &bytes, bias: &bias_int, scale: &scale },
            DType::F16 => ConvWeights::F16 { weights: &halves, bias: &bias },
            DType::F32 => ConvWeights::F32 { weights: &float, bias: &bias },
        };
        self.op(&Op::Conv(Conv { geometry, weights, activation, finish }), &[x], shape)
    }

    /// x -> x * 0.9 + 0.1
    pub(crate) fn affine(&mut self, x: TensorId) -> TensorId {
        let table: [u8; 256] = std::array::from_fn(|q| (q as f32 * 0.9 + 12.0) as u8);
        let function = Activation::Affine { alpha: 0.9, beta: 0.1 };
        let shape = Shape { quant: FEATURE, ..self.shape(x) };
        self.op(&Op::Activation { function, table: Some(&table) }, &[x], shape)
    }

    /// a + b, broadcast to the shape of `a`.
    pub(crate) fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let offset = 1024 - 100 * 1024;
        let fixed = FixedPoint { a: 1024, b: 1024, offset, shift: 10 };
        let binary =
            Binary { op: BinaryOp::Add, fixed, scale: 1.0, activation: Activation::None, finish: FINISH };
        let shape = Shape { quant: FEATURE, ..self.shape(a) };
        self.op(&Op::Binary(binary), &[a, b], shape)
    }

    pub(crate) fn concat(&mut self, parts: &[TensorId]) -> TensorId {
        let channels = parts.iter().map(|p| self.shape(*p).channels).sum();
        let shape = Shape { channels, ..self.shape(parts[0]) };
        self.op(&Op::Concat, parts, shape)
    }

    pub(crate) fn slice(&mut self, x: TensorId, channel: usize, channels: usize) -> TensorId {
        let shape = Shape { channels, ..self.shape(x) };
        self.op(&Op::Slice(Slice { start: [0, 0, channel] }), &[x], shape)
    }

    /// Twice as high, half as wide.
    pub(crate) fn reshape(&mut self, x: TensorId) -> TensorId {
        let s = self.shape(x);
        let height = Extent { mul: s.height.mul * 2, ..s.height };
        let width = Extent { div: s.width.div * 2, ..s.width };
        self.op(&Op::Reshape, &[x], Shape { height, width, ..s })
    }

    pub(crate) fn pool(&mut self, x: TensorId) -> TensorId {
        let window = Window { kernel: [3; 2], stride: [1; 2], dilation: [1; 2], pad: [1; 4] };
        let pool = Pool { kind: PoolKind::Max, window, count_include_pad: false };
        let shape = self.shape(x);
        self.op(&Op::Pool(pool), &[x], shape)
    }

    /// Mean over height and width.
    pub(crate) fn mean(&mut self, x: TensorId) -> TensorId {
        let reduce = Reduce { kind: ReduceKind::Mean, axis: Axis::Space, scale: 1.0 };
        let one = Extent::absolute(1);
        let channels = self.shape(x).channels;
        self.op(&Op::Reduce(reduce), &[x], Shape { height: one, width: one, channels, quant: FEATURE })
    }

    /// Twice the size.
    pub(crate) fn up(&mut self, x: TensorId) -> TensorId {
        let s = self.shape(x);
        let double = |e: Extent| Extent { div: e.div / 2, ..e };
        let shape = Shape { height: double(s.height), width: double(s.width), ..s };
        self.op(&Op::Resize(Resize { mode: ResizeMode::NearestFloor }), &[x], shape)
    }

    /// To another element type, which all later tensors have.
    pub(crate) fn convert(&mut self, x: TensorId, dtype: DType) -> TensorId {
        self.dtype = dtype;
        let shape = Shape { quant: FEATURE, ..self.shape(x) };
        self.op(&Op::Convert(Convert), &[x], shape)
    }

    /// The fused image out of logits at 1 / `block` of the frame with 2 block² channels.
    pub(crate) fn blend(&mut self, logits: TensorId, block: usize) -> TensorId {
        let real = |q: usize| f64::from(FEATURE.scale) * (q as f64 - f64::from(FEATURE.zero_point));
        let weight: [i32; 256] = std::array::from_fn(|q| (32768.0 / (1.0 + (-real(q)).exp())) as i32);
        let residual: [i32; 256] = std::array::from_fn(|q| (32768.0 * 255.0 * 0.25 * real(q).tanh()) as i32);
        let blend = Blend { block, gain: 0.25, weight: Some(&weight), residual: Some(&residual) };
        let plane = Shape { height: FULL, width: FULL, channels: 1, quant: PIXEL };
        let (visible, infrared) = (self.visible, self.infrared);
        self.op(&Op::Blend(blend), &[visible, infrared, logits], plane)
    }

    pub(crate) fn finish(self, fused: TensorId, stride: u16, pinned: Option<(u32, u32)>) -> Bytes {
        let io = [self.visible, self.infrared, fused];
        Bytes::copy_of(
            &self.builder.finish_artifact("test", Precision::Mixed, io, stride, pinned, 0).unwrap(),
        )
    }
}

/// Bytes from a multiple of 64: an artifact, or an arena.
pub(crate) struct Bytes {
    words: Vec<[u64; 8]>,
    len: usize,
}

impl Bytes {
    pub(crate) fn zeroed(len: usize) -> Self {
        Self { words: vec![[0; 8]; len.div_ceil(64) + 1], len }
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
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

    pub(crate) fn artifact(&self) -> Artifact<'_> {
        Artifact::new(self.get()).unwrap()
    }
}

/// A small U-Net with everything that an ultra-light student has: two encoders, gated fusion, skips, a blend.
pub(crate) fn student(dtype: DType) -> Bytes {
    student_of(dtype, None)
}

/// The same, pinned to a frame size (height, width) or not.
pub(crate) fn student_of(dtype: DType, fixed: Option<(u32, u32)>) -> Bytes {
    let mut net = Net::new(dtype);
    let mut scales = Vec::new();
    let (mut v, mut i) = (net.visible, net.infrared);
    for channels in [8, 12] {
        v = net.conv(v, channels, 3, true);
        i = net.conv(i, channels, 3, true);
        let both = net.concat(&[v, i]);
        let mixed = net.conv(both, channels, 1, false);
        let mean = net.mean(both);
        let gate = net.conv(mean, channels, 1, false);
        let gated = net.add(mixed, gate);
        let sum = net.add(v, i);
        scales.push(net.add(sum, gated));
    }
    let deep = scales.pop().unwrap();
    let narrow = net.conv(deep, 8, 1, false);
    let up = net.up(narrow);
    let joined = net.concat(&[up, scales.pop().unwrap()]);
    let mixed = net.conv(joined, 8, 3, false);
    let logits = net.conv(mixed, 8, 3, false);
    let logits = net.affine(logits);
    let fused = net.blend(logits, 2);
    net.finish(fused, 4, fixed)
}
