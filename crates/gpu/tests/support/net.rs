//! Small networks around the operators under test.

use fusionproxy_format::{
    Activation, Artifact, Builder, Conv, ConvGeometry, ConvWeights, DType, Extent, Finish, Op, Precision,
    Quant, Resize, ResizeMode, Tensor, TensorId, Window, packed_row, packed_weights_len,
};
use half::f16;

/// What the builder was told of a tensor.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) height: Extent,
    pub(crate) width: Extent,
    pub(crate) channels: usize,
    pub(crate) quant: Quant,
}

/// The frame's own size.
pub(crate) const FULL: Extent = Extent { mul: 1, div: 1, add: 0 };
/// Quantisation of features.
pub(crate) const FEATURE: Quant = Quant { scale: 0.02, zero_point: 100 };
/// No clamp, no table.
pub(crate) const PLAIN: Finish<'_> = Finish { lo: 0, hi: 255, table: None };

const PIXEL: Quant = Quant { scale: 1.0 / 255.0, zero_point: 0 };

/// A network under construction, all of one element type.
pub(crate) struct Net {
    builder: Builder,
    shapes: Vec<Shape>,
    pub(crate) dtype: DType,
    random: u64,
    pub(crate) visible: TensorId,
    pub(crate) infrared: TensorId,
}

impl Net {
    pub(crate) fn new(dtype: DType) -> Self {
        let mut net =
            Self { builder: Builder::new(), shapes: Vec::new(), dtype, random: 7, visible: 0, infrared: 1 };
        let plane = Shape { height: FULL, width: FULL, channels: 1, quant: PIXEL };
        net.visible = net.tensor("vis", plane, None);
        net.infrared = net.tensor("ir", plane, None);
        net
    }

    /// Uniform in -1…1.
    pub(crate) fn random(&mut self) -> f32 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    pub(crate) fn shape(&self, id: TensorId) -> Shape {
        self.shapes[usize::from(id)]
    }

    fn tensor(&mut self, name: &str, shape: Shape, data: Option<&[u8]>) -> TensorId {
        let Shape { height, width, channels, quant } = shape;
        self.shapes.push(shape);
        let dtype = self.dtype;
        self.builder
            .tensor(&Tensor { name, dtype, height, width, channels, quant, data })
            .expect("few tensors")
    }

    /// A constant of `height` x `width` x `channels` random numbers.
    pub(crate) fn constant(&mut self, [height, width, channels]: [u32; 3]) -> TensorId {
        let values: Vec<f32> = (0..height * width * channels).map(|_| self.random()).collect();
        let bytes: Vec<u8> = match self.dtype {
            DType::U8 => values.iter().map(|v| (v / FEATURE.scale + 100.0) as u8).collect(),
            DType::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            DType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        let (height, width) = (Extent::absolute(height), Extent::absolute(width));
        let shape = Shape { height, width, channels: channels as usize, quant: FEATURE };
        self.tensor("constant", shape, Some(&bytes))
    }

    /// Any operator.
    pub(crate) fn op(&mut self, op: &Op<'_>, inputs: &[TensorId], shape: Shape) -> TensorId {
        let name = format!("{}_{}", op.kind().name(), self.shapes.len());
        let output = self.tensor(&name, shape, None);
        self.builder.op(&name, op, inputs, output).expect("few operators");
        output
    }

    /// A convolution with random weights of the given geometry.
    pub(crate) fn conv(
        &mut self,
        x: TensorId,
        geometry: ConvGeometry,
        transposed: bool,
        activation: Activation,
        table: Option<&[u8; 256]>,
        [height, width]: [Extent; 2],
    ) -> TensorId {
        let eight_bit = self.dtype == DType::U8;
        let [kh, kw] = geometry.window.kernel.map(usize::from);
        let inputs = geometry.input_channels / geometry.groups;
        let len = packed_weights_len(&geometry, eight_bit);
        let gain = 1.5 / ((inputs * kh * kw) as f32).sqrt();
        let float: Vec<f32> = (0..len).map(|_| self.random() * gain).collect();
        // A kernel row's padding is zero.
        let row = packed_row(kw, inputs);
        let padding = |i: usize| !geometry.depthwise() && i / 64 % (row / 4) * 4 + i % 4 >= kw * inputs;
        let bytes: Vec<i8> = float
            .iter()
            .enumerate()
            .map(|(i, v)| if padding(i) { 0 } else { (v / gain * 127.0) as i8 })
            .collect();
        let halves: Vec<f16> = float.iter().map(|v| f16::from_f32(*v)).collect();
        let slots = geometry.channel_slots();
        let bias: Vec<f32> = (0..slots).map(|_| self.random() * 0.2).collect();
        let from = self.shape(x).quant;
        let step = gain / 127.0;
        let integers: Vec<i32> = (0..slots)
            .map(|slot| {
                let weights: i32 = bytes
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| slot_of(&geometry, *i, row) == slot)
                    .map(|(_, w)| i32::from(*w))
                    .sum();
                (bias[slot] / (from.scale * step)) as i32 - i32::from(from.zero_point) * weights
            })
            .collect();
        let scale: Vec<f32> = (0..slots).map(|_| from.scale * step / FEATURE.scale).collect();
        let weights = match self.dtype {
            DType::U8 => ConvWeights::Int8 { weights: &bytes, bias: &integers, scale: &scale },
            DType::F16 => ConvWeights::F16 { weights: &halves, bias: &bias },
            DType::F32 => ConvWeights::F32 { weights: &float, bias: &bias },
        };
        let conv = Conv { geometry, weights, activation, finish: Finish { table, ..PLAIN } };
        let op = if transposed { Op::ConvTranspose(conv) } else { Op::Conv(conv) };
        let shape = Shape { height, width, channels: geometry.output_channels, quant: FEATURE };
        self.op(&op, &[x], shape)
    }

    /// A square convolution that keeps the size.
    pub(crate) fn same(&mut self, x: TensorId, channels: usize, kernel: u8) -> TensorId {
        let Shape { height, width, channels: inputs, .. } = self.shape(x);
        let pad = kernel / 2;
        let window = Window { kernel: [kernel; 2], stride: [1; 2], dilation: [1; 2], pad: [pad; 4] };
        let geometry = ConvGeometry { window, groups: 1, input_channels: inputs, output_channels: channels };
        self.conv(x, geometry, false, Activation::None, None, [height, width])
    }

    /// Ends the network in an RGB image that depends on all `results`.
    pub(crate) fn finish(mut self, results: &[TensorId]) -> Bytes {
        let parts: Vec<TensorId> = results
            .iter()
            .map(|id| {
                let s = self.shape(*id);
                let full = Shape { height: FULL, width: FULL, ..s };
                let resize = Op::Resize(Resize { mode: ResizeMode::NearestFloor });
                let same = (s.height, s.width) == (FULL, FULL);
                if same { *id } else { self.op(&resize, &[*id], full) }
            })
            .collect();
        let channels = parts.iter().map(|p| self.shape(*p).channels).sum();
        let quant = self.shape(parts[0]).quant;
        let joined = self.op(&Op::Concat, &parts, Shape { height: FULL, width: FULL, channels, quant });
        let image = self.same(joined, 3, 1);
        let io = [self.visible, self.infrared, image];
        let bytes = self.builder.finish_artifact("test", Precision::Mixed, io, 4, None, 0);
        Bytes::copy_of(&bytes.expect("a small network"))
    }
}

/// The per-channel entry that a packed weight belongs to.
fn slot_of(g: &ConvGeometry, i: usize, row: usize) -> usize {
    if g.depthwise() {
        return i % g.channel_slots();
    }
    let block = usize::from(g.window.kernel[0]) * row * 16;
    i / block * 16 + i % 64 / 4
}

/// Bytes from a multiple of 64.
pub(crate) struct Bytes {
    memory: Vec<u8>,
    len: usize,
}

impl Bytes {
    fn copy_of(bytes: &[u8]) -> Self {
        let mut memory = vec![0; bytes.len() + 63];
        let start = memory.as_ptr().align_offset(64);
        memory[start..][..bytes.len()].copy_from_slice(bytes);
        Self { memory, len: bytes.len() }
    }

    pub(crate) fn artifact(&self) -> Artifact<'_> {
        let start = self.memory.as_ptr().align_offset(64);
        Artifact::new(&self.memory[start..][..self.len]).expect("a sound artifact")
    }
}
