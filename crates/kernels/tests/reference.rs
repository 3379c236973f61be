//! Every scalar operator against a naive transcription of its definition in f64, which shares no code with it.

mod support;

use fusionproxy_format::{
    Activation, Axis, Binary, BinaryOp, Blend, ConvGeometry, DType, Matmul, NormKind, Op, PadMode, Pool,
    PoolKind, Quant, ReduceKind, ResizeMode, Softmax,
};
use fusionproxy_kernels::{Scalar, Shape};
use half::f16;
use proptest::prelude::*;
use support::{Case, OwnedFinish, OwnedOp, Tensor, for_all};

/// What an element of the output must be.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// These bits.
    Bits(u32),
    /// 8 bits: this number of steps above the zero point, give or take, before clamp, rounding and table.
    Steps(f64, f64),
    /// Float: this number, give or take.
    Real(f64, f64),
}

use Want::{Bits, Real, Steps};

#[test]
fn scalar_kernels_compute_what_is_defined() {
    for_all(96, |case| {
        let got = case.run(&Scalar::ALL);
        let want = Reference::of(case).outputs();
        prop_assert_eq!(got.len(), want.len());
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            prop_assert!(agrees(case, *got, *want), "element {i}: {got:#x}, expected {want:?}: {case:?}");
        }
        Ok(())
    });
}

/// Steps that an f32 computation with a result inside of 0..=255 may be off.
const STEPS: f64 = 1e-3;

fn agrees(case: &Case, got: u32, want: Want) -> bool {
    match want {
        Bits(bits) => got == bits,
        Steps(steps, tolerance) => {
            let finish = match &case.op {
                OwnedOp::Conv { finish, .. } | OwnedOp::Binary { finish, .. } => finish.clone(),
                _ => OwnedFinish::NONE,
            };
            let zero = f64::from(case.output_quant.zero_point);
            let exact = (if steps.is_nan() { 0.0 } else { steps } + zero)
                .max(f64::from(finish.lo))
                .min(f64::from(finish.hi));
            (0..=255u8)
                .filter(|q| (f64::from(*q) - exact).abs() <= 0.5 + tolerance)
                .map(|q| finish.table.as_ref().map_or(q, |t| t[usize::from(q)]))
                .any(|q| u32::from(q) == got)
        }
        Real(want, tolerance) => {
            let (got, unit, max) = match case.output_dtype {
                DType::F16 => (f16::from_bits(got as u16).to_f64(), 4.9e-4, 65_504.0),
                _ => (f64::from(f32::from_bits(got)), 1e-7, f64::from(f32::MAX)),
            };
            if want.is_nan() || tolerance.is_nan() {
                got.is_nan()
            } else if got.is_infinite() {
                want.abs() > 0.99 * max && want.signum() == got.signum()
            } else {
                (got - want).abs() <= tolerance + unit * want.abs() + 1e-7
            }
        }
    }
}

struct Reference<'c> {
    case: &'c Case,
    x: &'c Tensor,
    out: Shape,
    eight_bit: bool,
}

impl<'c> Reference<'c> {
    fn of(case: &'c Case) -> Self {
        let eight_bit = case.output_dtype == DType::U8;
        Self { case, x: &case.inputs[0], out: case.output.shape, eight_bit }
    }

    fn outputs(&self) -> Vec<Want> {
        let Shape { height, width, channels } = self.out;
        let mut want = Vec::new();
        for y in 0..height {
            for x in 0..width {
                for c in 0..channels {
                    want.push(self.output(y, x, c));
                }
            }
        }
        want
    }

    fn output(&self, y: usize, x: usize, c: usize) -> Want {
        let same = |y, x, c| Bits(self.x.bits(y, x, c));
        match self.case.op.op() {
            Op::Conv(_) | Op::ConvTranspose(_) => self.conv(y, x, c),
            Op::Binary(b) => self.binary(&b, y, x, c),
            Op::Activation { function, table } => match table {
                Some(table) if self.eight_bit => Bits(table[self.x.get(y, x, c) as usize].into()),
                _ => Real(activate(function, self.x.get(y, x, c)), 1e-5),
            },
            Op::PRelu { slope, tables } => {
                let v = self.x.get(y, x, c);
                if self.eight_bit {
                    Bits(tables[c * 256 + v as usize].into())
                } else {
                    Real(if v < 0.0 { v * f64::from(slope[c]) } else { v }, 0.0)
                }
            }
            Op::Pool(p) => self.pool(&p, y, x, c),
            Op::Reduce(r) => {
                let over: Vec<f64> = match r.axis {
                    Axis::Space => pixels(self.x).map(|(y, x)| real(self.x, y, x, c)).collect(),
                    _ => (0..self.x.shape().channels).map(|c| real(self.x, y, x, c)).collect(),
                };
                let sum: f64 = over.iter().sum();
                let magnitude: f64 = over.iter().map(|v| v.abs()).sum();
                match r.kind {
                    ReduceKind::Max => self.want(over.iter().fold(f64::MIN, |a, b| a.max(*b)), 0.0),
                    ReduceKind::Sum => self.want(sum, 1e-6 * magnitude),
                    ReduceKind::Mean => {
                        self.want(sum / over.len() as f64, 1e-6 * magnitude / over.len() as f64)
                    }
                }
            }
            Op::Resize(r) => self.resize(r.mode, y, x, c),
            Op::Concat => {
                let mut c = c;
                for input in &self.case.inputs {
                    if c < input.shape().channels {
                        return Bits(input.bits(y, x, c));
                    }
                    c -= input.shape().channels;
                }
                unreachable!("channels add up")
            }
            Op::Slice(s) => same(y + s.start[0], x + s.start[1], c + s.start[2]),
            Op::Pad(p) => {
                let (h, w) = (self.x.shape().height as i64, self.x.shape().width as i64);
                let (sy, sx) = (y as i64 - p.before[0] as i64, x as i64 - p.before[1] as i64);
                let mirror = |i: i64, n: i64| {
                    let i = i.abs();
                    if i >= n { 2 * n - 2 - i } else { i }
                };
                let inside = (0..h).contains(&sy) && (0..w).contains(&sx);
                match p.mode {
                    PadMode::Constant if !inside => match self.case.output_dtype {
                        DType::U8 => Bits(p.quantised.into()),
                        DType::F16 => Bits(f16::from_f32(p.value).to_bits().into()),
                        DType::F32 => Bits(p.value.to_bits()),
                    },
                    PadMode::Reflect => same(mirror(sy, h) as usize, mirror(sx, w) as usize, c),
                    _ => same(sy.clamp(0, h - 1) as usize, sx.clamp(0, w - 1) as usize, c),
                }
            }
            Op::PixelShuffle { block: b, channel_major } => {
                let (dy, dx) = (y % b, x % b);
                let from =
                    if channel_major { (c * b + dy) * b + dx } else { (dy * b + dx) * self.out.channels + c };
                same(y / b, x / b, from)
            }
            Op::Norm(n) => self.norm(n.kind, n.epsilon, n.gamma[c], n.beta[c], (y, x, c)),
            Op::Softmax(s) => self.softmax(&s, y, x, c),
            Op::Matmul(m) => self.matmul(&m, y, x, c),
            Op::Transpose(t) => {
                let mut at = [0; 3];
                for (value, dim) in [y, x, c].into_iter().zip(t.order) {
                    at[usize::from(dim)] = value;
                }
                same(at[0], at[1], at[2])
            }
            Op::Reshape => {
                let i = (y * self.out.width + x) * self.out.channels + c;
                let Shape { width, channels, .. } = self.x.shape();
                same(i / channels / width, i / channels % width, i % channels)
            }
            Op::Convert(_) => match (self.x.dtype, self.case.output_dtype) {
                (a, b) if a == b && !self.eight_bit => same(y, x, c),
                _ => self.want(real(self.x, y, x, c), 0.0),
            },
            Op::Blend(b) => self.blend(&b, y, x, c),
        }
    }

    /// A real result.
    fn want(&self, value: f64, tolerance: f64) -> Want {
        if self.eight_bit {
            Steps(value / f64::from(self.case.output_quant.scale), STEPS)
        } else {
            Real(value, tolerance)
        }
    }

    fn conv(&self, y: usize, x: usize, o: usize) -> Want {
        let OwnedOp::Conv { transposed, geometry: g, plain, bias, scale, activation, .. } = &self.case.op
        else {
            unreachable!("a convolution")
        };
        let ConvGeometry { window: w, groups, input_channels, output_channels } = *g;
        let inputs = input_channels / groups;
        let group = o / (output_channels / groups);
        let zero = if self.eight_bit { f64::from(self.x.quant.zero_point) } else { 0.0 };
        let (mut sum, mut magnitude) = (bias[o], bias[o].abs());
        let [kh, kw] = w.kernel.map(usize::from);
        for tap in 0..kh * kw * inputs {
            let (ky, kx, i) = (tap / inputs / kw, tap / inputs % kw, tap % inputs);
            let at = |axis: usize, o: usize, k: usize, extent: usize| {
                let (o, k) = (o as i64, k as i64);
                let [s, d, p] = [w.stride[axis], w.dilation[axis], w.pad[axis]].map(i64::from);
                if *transposed {
                    // The input element i that scatters to o = i * stride + k * dilation - pad.
                    (0..extent).find(|i| *i as i64 * s + k * d - p == o)
                } else {
                    usize::try_from(o * s + k * d - p).ok().filter(|i| *i < extent)
                }
            };
            let source = at(0, y, ky, self.x.shape().height).zip(at(1, x, kx, self.x.shape().width));
            let v = source.map_or(zero, |(sy, sx)| self.x.get(sy, sx, group * inputs + i));
            let term = v * plain[((o * kh + ky) * kw + kx) * inputs + i];
            sum += term;
            magnitude += term.abs();
        }
        if self.eight_bit {
            Steps(sum * f64::from(scale[o]), STEPS)
        } else {
            Real(activate(*activation, sum), 1e-6 * (1.0 + magnitude))
        }
    }

    fn binary(&self, b: &Binary<'_>, y: usize, x: usize, c: usize) -> Want {
        let side = |i: usize| {
            let t = &self.case.inputs[i];
            let s = t.shape();
            let at = |i: usize, extent: usize| if extent == 1 { 0 } else { i };
            (t, at(y, s.height), at(x, s.width), at(c, s.channels))
        };
        let [(ta, ya, xa, ca), (tb, yb, xb, cb)] = [side(0), side(1)];
        let (u, v) = (real(ta, ya, xa, ca), real(tb, yb, xb, cb));
        let value = match b.op {
            BinaryOp::Add => u + v,
            BinaryOp::Sub => u - v,
            BinaryOp::Mul => u * v,
            BinaryOp::Div => u / v,
            BinaryOp::Min => u.min(v),
            BinaryOp::Max => u.max(v),
        };
        if !self.eight_bit {
            return Real(activate(b.activation, value), 1e-6 * (1.0 + value.abs()));
        }
        match b.op {
            BinaryOp::Add | BinaryOp::Sub => {
                let sum = f64::from(b.fixed.a) * ta.get(ya, xa, ca)
                    + f64::from(b.fixed.b) * tb.get(yb, xb, cb)
                    + f64::from(b.fixed.offset);
                let q = (sum / f64::from(1 << b.fixed.shift)).floor();
                Steps(q - f64::from(self.case.output_quant.zero_point), 0.0)
            }
            _ => Steps(value / f64::from(self.case.output_quant.scale), STEPS),
        }
    }

    fn pool(&self, p: &Pool, y: usize, x: usize, c: usize) -> Want {
        let w = p.window;
        let mut inside = Vec::new();
        for ky in 0..usize::from(w.kernel[0]) {
            for kx in 0..usize::from(w.kernel[1]) {
                let sy = (y * usize::from(w.stride[0]) + ky * usize::from(w.dilation[0])) as i64
                    - i64::from(w.pad[0]);
                let sx = (x * usize::from(w.stride[1]) + kx * usize::from(w.dilation[1])) as i64
                    - i64::from(w.pad[1]);
                let Shape { height, width, .. } = self.x.shape();
                if (0..height as i64).contains(&sy) && (0..width as i64).contains(&sx) {
                    inside.push(real(self.x, sy as usize, sx as usize, c));
                }
            }
        }
        let sum: f64 = inside.iter().sum();
        match p.kind {
            // Only a dilated window can miss the image between its taps.
            PoolKind::Max if inside.is_empty() && self.eight_bit => Bits(0),
            PoolKind::Max if inside.is_empty() => Real(f64::NEG_INFINITY, 0.0),
            PoolKind::Max => self.want(inside.iter().fold(f64::MIN, |a, b| a.max(*b)), 0.0),
            PoolKind::Average => {
                let all = usize::from(w.kernel[0]) * usize::from(w.kernel[1]);
                let n = if p.count_include_pad { all } else { inside.len() };
                self.want(sum / n as f64, 1e-5)
            }
        }
    }

    fn resize(&self, mode: ResizeMode, y: usize, x: usize, c: usize) -> Want {
        let source = |o: usize, input: usize, output: usize| {
            let (o, i, n) = (o as f64, input as f64, output as f64);
            match mode {
                ResizeMode::NearestFloor | ResizeMode::BilinearAsymmetric => o * i / n,
                ResizeMode::NearestHalfPixel | ResizeMode::BilinearHalfPixel => {
                    ((2.0 * o + 1.0) * i - n) / (2.0 * n)
                }
                ResizeMode::BilinearAlignCorners if output == 1 => 0.0,
                ResizeMode::BilinearAlignCorners => o * (i - 1.0) / (n - 1.0),
            }
        };
        let Shape { height, width, .. } = self.x.shape();
        let (sy, sx) = (source(y, height, self.out.height), source(x, width, self.out.width));
        let at = |y: f64, x: f64| {
            let inside = |v: f64, n: usize| v.clamp(0.0, n as f64 - 1.0) as usize;
            (inside(y, height), inside(x, width), c)
        };
        match mode {
            ResizeMode::NearestFloor => {
                let (y, x, c) = at(sy.floor(), sx.floor());
                Bits(self.x.bits(y, x, c))
            }
            ResizeMode::NearestHalfPixel => {
                let (y, x, c) = at((sy - 0.5).ceil(), (sx - 0.5).ceil());
                Bits(self.x.bits(y, x, c))
            }
            _ => {
                let mut value = 0.0;
                for (dy, dx) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
                    let (y, x, c) = at(sy.floor() + dy, sx.floor() + dx);
                    let weight =
                        |d: f64, s: f64| if d == 0.0 { 1.0 - (s - s.floor()) } else { s - s.floor() };
                    value += weight(dy, sy) * weight(dx, sx) * self.x.get(y, x, c);
                }
                if self.eight_bit {
                    // Weights of 11 bits move the result by at most 2 * 255 / 4096.
                    Steps(value - f64::from(self.case.output_quant.zero_point), 0.125)
                } else {
                    Real(value, 1e-5)
                }
            }
        }
    }

    fn norm(&self, kind: NormKind, epsilon: f32, gamma: f32, beta: f32, at: (usize, usize, usize)) -> Want {
        let (epsilon, gamma, beta) = (f64::from(epsilon), f64::from(gamma), f64::from(beta));
        let (y, x, c) = at;
        let v = real(self.x, y, x, c);
        let channel = |c: usize| pixels(self.x).map(move |(y, x)| real(self.x, y, x, c));
        let group: Vec<f64> = match kind {
            NormKind::Layer => (0..self.out.channels).map(|c| real(self.x, y, x, c)).collect(),
            NormKind::Instance => channel(c).collect(),
            NormKind::Grn => {
                let norms: Vec<f64> =
                    (0..self.out.channels).map(|c| channel(c).map(|v| v * v).sum::<f64>().sqrt()).collect();
                let mean = norms.iter().sum::<f64>() / norms.len() as f64;
                let value = gamma * v * (norms[c] / (mean + epsilon)) + beta + v;
                return self.want(value, 1e-5 * (1.0 + value.abs()));
            }
        };
        let n = group.len() as f64;
        // Equal elements have no variance, whatever the rounding of their mean.
        let (mean, variance) = if group.iter().all(|v| *v == group[0]) {
            (group[0], 0.0)
        } else {
            let mean = group.iter().sum::<f64>() / n;
            (mean, group.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n)
        };
        let deviation = (variance + epsilon).sqrt();
        let value = (v - mean) / deviation * gamma + beta;
        // The f32 error of the mean counts in deviations.
        self.want(value, 1e-5 * (1.0 + gamma.abs() / deviation.max(1e-12)))
    }

    fn softmax(&self, s: &Softmax<'_>, y: usize, x: usize, c: usize) -> Want {
        let group: Vec<f64> = match s.axis {
            Axis::Width => (0..self.out.width).map(|x| self.x.get(y, x, c)).collect(),
            _ => (0..self.out.channels).map(|c| self.x.get(y, x, c)).collect(),
        };
        let max = group.iter().fold(f64::MIN, |a, b| a.max(*b));
        let exp = |v: f64| match s.exp {
            Some(exp) => f64::from(exp[(max - v) as usize]),
            None => (v - max).exp(),
        };
        let share = exp(self.x.get(y, x, c)) / group.iter().map(|v| exp(*v)).sum::<f64>();
        match self.case.output_dtype {
            DType::U8 => Steps(255.0 * share, 1e-9),
            // The exponentials are rounded to the element type once before.
            DType::F16 => Real(share, 1e-3 * share),
            DType::F32 => Real(share, 1e-6),
        }
    }

    fn matmul(&self, m: &Matmul, y: usize, x: usize, c: usize) -> Want {
        let (a, b) = (self.x, &self.case.inputs[1]);
        let depth = b.shape().channels / m.heads;
        let token = |t: &Tensor, i: usize, c: usize| steps(t, i / t.shape().width, i % t.shape().width, c);
        let terms: Vec<f64> = if m.transpose_b {
            (0..depth).map(|d| token(a, y, c * depth + d) * token(b, x, c * depth + d)).collect()
        } else {
            let query = y * self.out.width + x;
            (0..a.shape().width).map(|k| steps(a, query, k, c / depth) * token(b, k, c)).collect()
        };
        let sum = terms.iter().sum::<f64>() * f64::from(m.scale);
        if self.eight_bit {
            Steps(sum, STEPS)
        } else {
            Real(sum, 1e-6 * (1.0 + terms.iter().map(|t| t.abs()).sum::<f64>()))
        }
    }

    fn blend(&self, b: &Blend<'_>, y: usize, x: usize, c: usize) -> Want {
        let (visible, infrared) = (self.x.get(y, x, c), self.case.inputs[1].get(y, x, 0));
        let at = y % b.block * b.block + x % b.block;
        let logit = |plane: usize| {
            let t = &self.case.inputs[2];
            t.get(y / b.block, x / b.block, plane * b.block * b.block + at)
        };
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        if let (true, Some(weight)) = (self.eight_bit, b.weight) {
            let weight = f64::from(weight[logit(0) as usize]);
            let residual = b.residual.map_or(0.0, |r| f64::from(r[logit(1) as usize]));
            return Steps(visible + ((infrared - visible) * weight + residual) / 32_768.0, 1e-9);
        }
        let residual = if b.gain == 0.0 { 0.0 } else { f64::from(b.gain) * logit(1).tanh() };
        Real((visible + sigmoid(logit(0)) * (infrared - visible) + residual).clamp(0.0, 1.0), 2e-6)
    }
}

fn pixels(t: &Tensor) -> impl Iterator<Item = (usize, usize)> + use<> {
    let Shape { height, width, .. } = t.shape();
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

/// Steps above the zero point, or the float.
fn steps(t: &Tensor, y: usize, x: usize, c: usize) -> f64 {
    let v = t.get(y, x, c);
    if t.dtype == DType::U8 { v - f64::from(t.quant.zero_point) } else { v }
}

/// The real number that an element stands for.
fn real(t: &Tensor, y: usize, x: usize, c: usize) -> f64 {
    let Quant { scale, .. } = t.quant;
    steps(t, y, x, c) * if t.dtype == DType::U8 { f64::from(scale) } else { 1.0 }
}

fn activate(function: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match function {
        Activation::None => x,
        Activation::Clamp { lo, hi } => x.clamp(f64::from(lo), f64::from(hi)),
        Activation::LeakyRelu { slope } => {
            if x < 0.0 {
                f64::from(slope) * x
            } else {
                x
            }
        }
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Activation::Gelu => x * (1.0 + libm::erf(x / core::f64::consts::SQRT_2)) / 2.0,
        Activation::GeluTanh => {
            let inner = (2.0 / core::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            x * (1.0 + inner.tanh()) / 2.0
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Abs => x.abs(),
        Activation::Exp => x.exp(),
        Activation::Sqrt => x.sqrt(),
        Activation::Affine { alpha, beta } => f64::from(alpha) * x + f64::from(beta),
    }
}
