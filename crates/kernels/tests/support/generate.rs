//! Random cases.

use fusionproxy_format::{
    Activation, Axis, BinaryOp, ConvGeometry, Convert, DType, FixedPoint, Matmul, NormKind, Op, OpKind, Pad,
    PadMode, Pool, PoolKind, Quant, Reduce, ReduceKind, Resize, ResizeMode, Slice, Transpose, Window,
};
use fusionproxy_kernels::{Layout, Shape};
use half::f16;

use super::owned::{pack_float, pack_int8, slots};
use super::{Case, OwnedFinish, OwnedOp, OwnedWeights, Rng, Tensor};

/// Numbers of channels around the widths of vectors and blocks.
const CHANNELS: [usize; 16] = [1, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 24, 31, 32, 48];

impl Case {
    /// The case that follows from `seed`, with heights and widths up to about `size`.
    pub fn random(kind: OpKind, dtype: DType, size: usize, seed: u64) -> Self {
        Generator { rng: Rng::new(seed), dtype, size }.case(kind)
    }
}

struct Generator {
    rng: Rng,
    dtype: DType,
    size: usize,
}

impl Generator {
    fn case(&mut self, kind: OpKind) -> Case {
        match kind {
            OpKind::Conv => self.conv(false),
            OpKind::ConvTranspose => self.conv(true),
            OpKind::Binary => self.binary(),
            OpKind::Activation => self.activation(),
            OpKind::PRelu => self.prelu(),
            OpKind::Pool => self.pool(),
            OpKind::Reduce => self.reduce(),
            OpKind::Resize => self.resize(),
            OpKind::Concat => self.concat(),
            OpKind::Slice => self.slice(),
            OpKind::Pad => self.pad(),
            OpKind::PixelShuffle => self.pixel_shuffle(),
            OpKind::Norm => self.norm(),
            OpKind::Softmax => self.softmax(),
            OpKind::Matmul => self.matmul(),
            OpKind::Transpose => self.transpose(),
            OpKind::Reshape => self.reshape(),
            OpKind::Convert => self.convert(),
            OpKind::Blend => self.blend(),
        }
    }

    fn channels(&mut self) -> usize {
        let channels = self.rng.pick(&CHANNELS);
        if cfg!(miri) { channels.min(18) } else { channels }
    }

    fn extent(&mut self) -> usize {
        let wide = if self.rng.one_in(4) && !cfg!(miri) { 3 } else { 1 };
        self.rng.size(1..=self.size * wide)
    }

    fn shape(&mut self) -> Shape {
        Shape::new(self.extent(), self.extent(), self.channels())
    }

    fn quant(&mut self) -> Quant {
        let zero_point = if self.rng.one_in(4) { self.rng.pick(&[0, 128, 255]) } else { self.rng.byte() };
        Quant { scale: self.rng.float(0.002, 0.1), zero_point }
    }

    /// Random strides, dense half of the time.
    fn layout(&mut self, shape: Shape) -> Layout {
        let mut layout = Layout::dense(shape);
        if self.rng.one_in(2) {
            layout.pixel += self.rng.size(0..=9);
            layout.row = layout.pixel * shape.width + self.rng.size(0..=5);
        }
        layout
    }

    fn tensor(&mut self, dtype: DType, shape: Shape, quant: Quant) -> Tensor {
        let layout = self.layout(shape);
        let tensor = Tensor::new(dtype, layout, quant, self.rng.size(0..=3));
        tensor.randomise(&mut self.rng);
        tensor
    }

    fn input(&mut self, shape: Shape) -> Tensor {
        let quant = self.quant();
        self.tensor(self.dtype, shape, quant)
    }

    fn finished(&mut self, op: OwnedOp, inputs: Vec<Tensor>, output: Shape, output_quant: Quant) -> Case {
        Case {
            op,
            inputs,
            output_dtype: self.dtype,
            output: self.layout(output),
            output_quant,
            output_offset: self.rng.size(0..=3),
        }
    }

    /// A case of an operator that shares its input's quantisation.
    fn sharing(&mut self, op: OwnedOp, input: Tensor, output: Shape) -> Case {
        let quant = input.quant;
        self.finished(op, vec![input], output, quant)
    }

    fn table(&mut self) -> Box<[u8; 256]> {
        Box::new(core::array::from_fn(|_| self.rng.byte()))
    }

    fn finish(&mut self) -> OwnedFinish {
        let (a, b) = (self.rng.byte(), self.rng.byte());
        let (lo, hi) = if self.rng.one_in(2) { (0, 255) } else { (a.min(b), a.max(b)) };
        OwnedFinish { lo, hi, table: self.rng.one_in(3).then(|| self.table()) }
    }

    fn function(&mut self) -> Activation {
        let (a, b) = (self.rng.float(-1.0, 1.0), self.rng.float(-1.0, 1.0));
        match self.rng.size(0..=14) {
            0..=2 => Activation::None,
            3 => Activation::Clamp { lo: 0.0, hi: f32::INFINITY },
            4 => Activation::Clamp { lo: a.min(b), hi: a.max(b) },
            5 => Activation::LeakyRelu { slope: a },
            6 => Activation::HardSwish,
            7 => Activation::HardSigmoid { alpha: a, beta: b },
            8 => Activation::Gelu,
            9 => Activation::GeluTanh,
            10 => Activation::Silu,
            11 => Activation::Sigmoid,
            12 => Activation::Tanh,
            13 => Activation::Abs,
            _ => Activation::Affine { alpha: a, beta: b },
        }
    }

    /// What networks have, half of the time; anything else.
    fn window(&mut self, dilated: bool) -> Window {
        if self.rng.one_in(2) {
            let sizes: &[u8] = if cfg!(miri) { &[1, 3] } else { &[1, 3, 3, 5, 7] };
            let (size, stride) = (self.rng.pick(sizes), self.rng.pick(&[1u8, 1, 2]));
            return Window { kernel: [size; 2], stride: [stride; 2], dilation: [1; 2], pad: [size / 2; 4] };
        }
        let sizes: &[u8] = if cfg!(miri) { &[1, 2] } else { &[1, 2, 3, 3, 3, 4, 5] };
        let kernel = [(); 2].map(|()| self.rng.pick(sizes));
        let square = self.rng.one_in(2);
        let kernel = if square { [kernel[0]; 2] } else { kernel };
        let stride = [(); 2].map(|()| self.rng.pick(&[1u8, 1, 2, 3]));
        let dilation = [(); 2].map(|()| if dilated { self.rng.pick(&[1u8, 1, 1, 2, 3]) } else { 1 });
        let pad = core::array::from_fn(|i| {
            let reach = (kernel[i % 2] - 1) * dilation[i % 2];
            self.rng.size(0..=usize::from(reach)) as u8
        });
        Window { kernel, stride, dilation, pad }
    }

    /// An extent that the window fits into.
    fn extent_for(&mut self, w: &Window, axis: usize) -> usize {
        self.extent() + usize::from(w.kernel[axis] - 1) * usize::from(w.dilation[axis])
    }

    fn conv(&mut self, transposed: bool) -> Case {
        let window = self.window(true);
        let geometry = match self.rng.size(0..=5) {
            0 | 1 => {
                let c = self.channels();
                ConvGeometry { window, groups: c, input_channels: c, output_channels: c }
            }
            2 => {
                let groups = self.rng.size(2..=3);
                let (i, o) = (self.rng.size(1..=9), self.rng.size(1..=18));
                ConvGeometry { window, groups, input_channels: groups * i, output_channels: groups * o }
            }
            _ => {
                let (i, o) = (self.channels(), self.channels());
                ConvGeometry { window, groups: 1, input_channels: i, output_channels: o }
            }
        };
        let (h, w) = (self.extent_for(&window, 0), self.extent_for(&window, 1));
        let outer = Shape::new(h, w, geometry.output_channels);
        // Both fit: `extent_for` asked.
        let slide = |extent, axis| window.output(extent, axis).unwrap_or(1);
        let inner = Shape::new(slide(h, 0), slide(w, 1), geometry.output_channels);
        let (input, output) = if transposed { (inner, outer) } else { (outer, inner) };
        let input = self.input(Shape { channels: geometry.input_channels, ..input });

        let terms = usize::from(window.kernel[0]) * usize::from(window.kernel[1]) * geometry.input_channels
            / geometry.groups;
        let extremes = self.rng.one_in(8);
        let int8 = self.dtype == DType::U8;
        let plain: Vec<f64> = (0..terms * geometry.output_channels)
            .map(|_| match self.dtype {
                DType::U8 if extremes => self.rng.pick(&[-127.0, 127.0]),
                DType::U8 => self.rng.int(-127..=127) as f64,
                DType::F16 => f16::from_f32(self.rng.float(-0.5, 0.5)).to_f64(),
                DType::F32 => f64::from(self.rng.float(-0.5, 0.5)),
            })
            .collect();
        // Results of random sums spread over a little more than the output's range.
        let spread = (terms as f32).sqrt() * 73.0 * 90.0;
        let outputs = geometry.output_channels;
        let bias: Vec<f64> = (0..outputs)
            .map(|_| match self.dtype {
                DType::U8 if extremes => self.rng.pick(&[-1_073_741_824.0, 1_073_741_824.0]),
                DType::U8 => self.rng.int(-(spread as i64)..=spread as i64) as f64,
                DType::F16 | DType::F32 => f64::from(self.rng.float(-1.0, 1.0)),
            })
            .collect();
        let scale: Vec<f32> = (0..outputs).map(|_| self.rng.float(30.0, 120.0) / spread).collect();
        let packed = match self.dtype {
            DType::U8 => OwnedWeights::Int8 {
                weights: pack_int8(&geometry, &plain),
                bias: slots(&geometry, |o| bias[o] as i32),
                scale: slots(&geometry, |o| scale[o]),
            },
            DType::F16 => OwnedWeights::F16 {
                weights: pack_float(&geometry, &plain, f16::from_f64),
                bias: slots(&geometry, |o| bias[o] as f32),
            },
            DType::F32 => OwnedWeights::F32 {
                weights: pack_float(&geometry, &plain, |v| v as f32),
                bias: slots(&geometry, |o| bias[o] as f32),
            },
        };
        let op = OwnedOp::Conv {
            transposed,
            geometry,
            plain,
            bias,
            scale,
            packed,
            activation: if int8 { Activation::None } else { self.function() },
            finish: self.finish(),
        };
        let quant = self.quant();
        self.finished(op, vec![input], Shape { channels: outputs, ..output }, quant)
    }

    fn binary(&mut self) -> Case {
        let output = self.shape();
        let broadcast = self.rng.one_in(2);
        let mut side = || {
            let mut dim = |d: usize| if broadcast && self.rng.one_in(3) { 1 } else { d };
            Shape::new(dim(output.height), dim(output.width), dim(output.channels))
        };
        let (a, b) = (side(), side());
        let (a, b) = (self.input(a), self.input(b));
        let quant = self.quant();
        let op = self.rng.pick(BinaryOp::ALL);
        let shift = self.rng.size(0..=22) as u32;
        let multiplier = |scale: f32| {
            let m = f64::from(scale / quant.scale) * f64::from(1u32 << shift);
            (m as i32).clamp(1, 0x7fff)
        };
        let ma = multiplier(a.quant.scale);
        let mb = if op == BinaryOp::Sub { -1 } else { 1 } * multiplier(b.quant.scale);
        let offset = (i32::from(quant.zero_point) << shift) + (1 << shift >> 1)
            - ma * i32::from(a.quant.zero_point)
            - mb * i32::from(b.quant.zero_point);
        let op = OwnedOp::Binary {
            op,
            fixed: FixedPoint { a: ma, b: mb, offset, shift },
            scale: a.quant.scale * b.quant.scale / quant.scale,
            activation: self.function(),
            finish: self.finish(),
        };
        self.finished(op, vec![a, b], output, quant)
    }

    fn activation(&mut self) -> Case {
        let shape = self.shape();
        let input = self.input(shape);
        let op = OwnedOp::Activation { function: self.function(), table: Some(self.table()) };
        let quant = self.quant();
        self.finished(op, vec![input], shape, quant)
    }

    fn prelu(&mut self) -> Case {
        let shape = self.shape();
        let input = self.input(shape);
        let op = OwnedOp::PRelu {
            slope: (0..shape.channels).map(|_| self.rng.float(-1.0, 1.0)).collect(),
            tables: (0..shape.channels * 256).map(|_| self.rng.byte()).collect(),
        };
        let quant = self.quant();
        self.finished(op, vec![input], shape, quant)
    }

    fn pool(&mut self) -> Case {
        let kind = self.rng.pick(PoolKind::ALL);
        loop {
            let window = self.window(kind == PoolKind::Max);
            let input = Shape::new(self.extent(), self.extent(), self.channels());
            let (Some(height), Some(width)) = (window.output(input.height, 0), window.output(input.width, 1))
            else {
                continue;
            };
            let op = Op::Pool(Pool { kind, window, count_include_pad: self.rng.one_in(2) });
            let output = Shape { height, width, ..input };
            if fusionproxy_kernels::check_geometry(&op, [input], output).is_ok() {
                let input = self.input(input);
                return self.sharing(OwnedOp::Plain(op), input, output);
            }
        }
    }

    fn reduce(&mut self) -> Case {
        let shape = self.shape();
        let input = self.input(shape);
        let kind = self.rng.pick(ReduceKind::ALL);
        let axis = self.rng.pick(&[Axis::Space, Axis::Channel]);
        let output = match axis {
            Axis::Space => Shape::new(1, 1, shape.channels),
            _ => Shape { channels: 1, ..shape },
        };
        let quant = if kind == ReduceKind::Max { input.quant } else { self.quant() };
        let op = Op::Reduce(Reduce { kind, axis, scale: input.quant.scale / quant.scale });
        self.finished(OwnedOp::Plain(op), vec![input], output, quant)
    }

    fn resize(&mut self) -> Case {
        let shape = self.shape();
        let input = self.input(shape);
        let mode = self.rng.pick(ResizeMode::ALL);
        let factor = self.rng.size(1..=4);
        let mut target = |extent: usize| match factor {
            1 => self.extent(),
            factor => extent * factor,
        };
        let output = Shape::new(target(shape.height), target(shape.width), shape.channels);
        self.sharing(OwnedOp::Plain(Op::Resize(Resize { mode })), input, output)
    }

    fn concat(&mut self) -> Case {
        let shape = self.shape();
        let quant = self.quant();
        let inputs: Vec<Tensor> = (0..self.rng.size(1..=4))
            .map(|_| {
                let channels = self.channels();
                self.tensor(self.dtype, Shape { channels, ..shape }, quant)
            })
            .collect();
        let channels = inputs.iter().map(|i| i.shape().channels).sum();
        self.finished(OwnedOp::Plain(Op::Concat), inputs, Shape { channels, ..shape }, quant)
    }

    fn slice(&mut self) -> Case {
        let output = self.shape();
        let start = [(); 3].map(|()| self.rng.size(0..=4));
        let mut dim = |o: usize, s: usize| o + s + self.rng.size(0..=3);
        let input = Shape::new(
            dim(output.height, start[0]),
            dim(output.width, start[1]),
            dim(output.channels, start[2]),
        );
        let input = self.input(input);
        self.sharing(OwnedOp::Plain(Op::Slice(Slice { start })), input, output)
    }

    fn pad(&mut self) -> Case {
        let shape = self.shape();
        let input = self.input(shape);
        let mode = self.rng.pick(PadMode::ALL);
        let mut amount = |extent: usize| {
            let most = if mode == PadMode::Reflect { (extent - 1).min(4) } else { 4 };
            (self.rng.size(0..=most), self.rng.size(0..=most))
        };
        let ((top, bottom), (left, right)) = (amount(shape.height), amount(shape.width));
        let output =
            Shape { height: shape.height + top + bottom, width: shape.width + left + right, ..shape };
        let op =
            Pad { mode, before: [top, left], value: self.rng.float(-2.0, 2.0), quantised: self.rng.byte() };
        self.sharing(OwnedOp::Plain(Op::Pad(op)), input, output)
    }

    fn pixel_shuffle(&mut self) -> Case {
        let block = self.rng.size(1..=4);
        let output = Shape::new(self.extent() * block, self.extent() * block, self.rng.size(1..=6));
        let input = Shape::new(output.height / block, output.width / block, output.channels * block * block);
        let input = self.input(input);
        let op = Op::PixelShuffle { block, channel_major: self.rng.one_in(2) };
        self.sharing(OwnedOp::Plain(op), input, output)
    }

    fn norm(&mut self) -> Case {
        let shape = self.shape();
        let input = self.input(shape);
        let op = OwnedOp::Norm {
            kind: self.rng.pick(NormKind::ALL),
            epsilon: self.rng.pick(&[0.0, 1e-6, 1e-5, 0.01]),
            gamma: (0..shape.channels).map(|_| self.rng.float(-2.0, 2.0)).collect(),
            beta: (0..shape.channels).map(|_| self.rng.float(-1.0, 1.0)).collect(),
        };
        let quant = self.quant();
        self.finished(op, vec![input], shape, quant)
    }

    fn softmax(&mut self) -> Case {
        let shape = self.shape();
        let input = self.input(shape);
        let scale = f64::from(input.quant.scale);
        let exp = core::array::from_fn(|d| (65_535.0 * (-(d as f64) * scale).exp()).round() as u16);
        let op = OwnedOp::Softmax {
            axis: self.rng.pick(&[Axis::Channel, Axis::Width]),
            exp: (self.dtype == DType::U8).then(|| Box::new(exp)),
        };
        self.finished(op, vec![input], shape, Quant { scale: 1.0 / 255.0, zero_point: 0 })
    }

    fn matmul(&mut self) -> Case {
        let heads = self.rng.pick(&[1, 2, 3, 8]);
        let channels = heads * self.rng.pick(&[1, 3, 4, 8, 16, 17, 20, 40]);
        let mut tokens = || Shape::new(self.rng.size(1..=self.size), self.rng.size(1..=4), channels);
        let (queries, keys) = (tokens(), tokens());
        let count = |s: Shape| s.height * s.width;
        let scores = Shape::new(count(queries), count(keys), heads);
        let transpose_b = self.rng.one_in(2);
        let (a, output) = if transpose_b { (queries, scores) } else { (scores, queries) };
        let (a, b) = (self.input(a), self.input(keys));
        let quant = self.quant();
        let terms = if transpose_b { channels / heads } else { count(keys) } as f32;
        let scale = match self.dtype {
            DType::U8 => self.rng.float(30.0, 120.0) / (terms.sqrt() * 73.0 * 73.0),
            DType::F16 | DType::F32 => self.rng.float(0.1, 1.0),
        };
        let op = Op::Matmul(Matmul { transpose_b, heads, scale });
        self.finished(OwnedOp::Plain(op), vec![a, b], output, quant)
    }

    fn transpose(&mut self) -> Case {
        let shape = self.shape();
        let input = self.input(shape);
        let order = self.rng.pick(&[[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]);
        let dims = [shape.height, shape.width, shape.channels];
        let [height, width, channels] = order.map(|d: u8| dims[usize::from(d)]);
        let op = OwnedOp::Plain(Op::Transpose(Transpose { order }));
        self.sharing(op, input, Shape { height, width, channels })
    }

    fn reshape(&mut self) -> Case {
        let [a, b, c, d] = [(); 4].map(|()| self.rng.size(1..=6));
        let input = self.input(Shape::new(a * b, c, d));
        let output =
            self.rng.pick(&[Shape::new(a, b * c, d), Shape::new(a, b, c * d), Shape::new(d, a, b * c)]);
        self.sharing(OwnedOp::Plain(Op::Reshape), input, output)
    }

    fn convert(&mut self) -> Case {
        let shape = self.shape();
        let from = self.rng.pick(&[DType::U8, DType::F16, DType::F32]);
        let quant = self.quant();
        let input = self.tensor(from, shape, quant);
        let quant = self.quant();
        self.finished(OwnedOp::Plain(Op::Convert(Convert)), vec![input], shape, quant)
    }

    fn blend(&mut self) -> Case {
        let block = self.rng.pick(&[1, 1, 2, 4]);
        let shape = Shape::new(self.extent() * block, self.extent() * block, self.rng.pick(&[1, 3]));
        let gain = self.rng.pick(&[0.0, 0.1, 0.5]);
        let planes = if gain == 0.0 { 1 } else { 2 };
        let image = Quant { scale: 1.0 / 255.0, zero_point: 0 };
        let visible = self.tensor(self.dtype, shape, image);
        let infrared = self.tensor(self.dtype, Shape { channels: 1, ..shape }, image);
        let logits =
            self.input(Shape::new(shape.height / block, shape.width / block, planes * block * block));
        let Quant { scale, zero_point } = logits.quant;
        let real = |q: usize| f64::from(scale) * (q as f64 - f64::from(zero_point));
        let weight = core::array::from_fn(|q| (32_768.0 / (1.0 + (-real(q)).exp())).round() as i32);
        let residual =
            core::array::from_fn(|q| (32_768.0 * 255.0 * f64::from(gain) * real(q).tanh()).round() as i32);
        let eight_bit = self.dtype == DType::U8;
        let op = OwnedOp::Blend {
            block,
            gain,
            weight: eight_bit.then(|| Box::new(weight)),
            residual: (eight_bit && planes == 2).then(|| Box::new(residual)),
        };
        self.finished(op, vec![visible, infrared, logits], shape, image)
    }
}
