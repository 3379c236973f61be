//! Operators that own their parameters.

use fusionproxy_format::{
    Activation, Axis, Binary, BinaryOp, Blend, CHANNEL_BLOCK, Conv, ConvGeometry, ConvWeights, Finish,
    FixedPoint, Norm, NormKind, Op, Softmax, packed_row, packed_weights_len, padded_channels,
};
use half::f16;

/// [`Finish`].
#[derive(Clone, Debug)]
pub struct OwnedFinish {
    pub lo: u8,
    pub hi: u8,
    pub table: Option<Box<[u8; 256]>>,
}

impl OwnedFinish {
    pub const NONE: Self = Self { lo: 0, hi: 255, table: None };

    fn borrow(&self) -> Finish<'_> {
        Finish { lo: self.lo, hi: self.hi, table: self.table.as_deref() }
    }
}

/// [`ConvWeights`], packed, with the weights once more in plain order for the reference.
#[derive(Clone)]
pub enum OwnedWeights {
    Int8 { weights: Vec<i8>, bias: Vec<i32>, scale: Vec<f32> },
    F16 { weights: Vec<f16>, bias: Vec<f32> },
    F32 { weights: Vec<f32>, bias: Vec<f32> },
}

/// [`Op`].
#[derive(Clone)]
pub enum OwnedOp {
    Conv {
        transposed: bool,
        geometry: ConvGeometry,
        /// `[output][kernel_h][kernel_w][input of the group]`.
        plain: Vec<f64>,
        /// One per output.
        bias: Vec<f64>,
        /// One per output.
        scale: Vec<f32>,
        packed: OwnedWeights,
        activation: Activation,
        finish: OwnedFinish,
    },
    Binary {
        op: BinaryOp,
        fixed: FixedPoint,
        scale: f32,
        activation: Activation,
        finish: OwnedFinish,
    },
    Activation {
        function: Activation,
        table: Option<Box<[u8; 256]>>,
    },
    PRelu {
        slope: Vec<f32>,
        tables: Vec<u8>,
    },
    Norm {
        kind: NormKind,
        epsilon: f32,
        gamma: Vec<f32>,
        beta: Vec<f32>,
    },
    Softmax {
        axis: Axis,
        exp: Option<Box<[u16; 256]>>,
    },
    Blend {
        block: usize,
        gain: f32,
        weight: Option<Box<[i32; 256]>>,
        residual: Option<Box<[i32; 256]>>,
    },
    /// An operator without tables.
    Plain(Op<'static>),
}

impl core::fmt::Debug for OwnedOp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Conv { transposed, geometry, activation, finish, .. } => {
                write!(f, "conv transposed={transposed} {geometry:?} {activation:?} {finish:?}")
            }
            Self::Activation { function, .. } => write!(f, "{function:?}"),
            Self::PRelu { .. } => write!(f, "prelu"),
            Self::Norm { kind, epsilon, .. } => write!(f, "{kind:?} norm, epsilon {epsilon}"),
            Self::Softmax { axis, .. } => write!(f, "softmax over {axis:?}"),
            Self::Blend { block, gain, .. } => write!(f, "blend of {block} x {block}, gain {gain}"),
            Self::Binary { op, fixed, scale, activation, .. } => {
                write!(f, "{op:?} {fixed:?} scale {scale} {activation:?}")
            }
            Self::Plain(op) => write!(f, "{op:?}"),
        }
    }
}

impl OwnedOp {
    pub fn op(&self) -> Op<'_> {
        match self {
            Self::Conv { transposed, geometry, packed, activation, finish, .. } => {
                let weights = match packed {
                    OwnedWeights::Int8 { weights, bias, scale } => ConvWeights::Int8 { weights, bias, scale },
                    OwnedWeights::F16 { weights, bias } => ConvWeights::F16 { weights, bias },
                    OwnedWeights::F32 { weights, bias } => ConvWeights::F32 { weights, bias },
                };
                let conv =
                    Conv { geometry: *geometry, weights, activation: *activation, finish: finish.borrow() };
                if *transposed { Op::ConvTranspose(conv) } else { Op::Conv(conv) }
            }
            Self::Binary { op, fixed, scale, activation, finish } => Op::Binary(Binary {
                op: *op,
                fixed: *fixed,
                scale: *scale,
                activation: *activation,
                finish: finish.borrow(),
            }),
            Self::Activation { function, table } => {
                Op::Activation { function: *function, table: table.as_deref() }
            }
            Self::PRelu { slope, tables } => Op::PRelu { slope, tables },
            Self::Norm { kind, epsilon, gamma, beta } => {
                Op::Norm(Norm { kind: *kind, epsilon: *epsilon, gamma, beta })
            }
            Self::Softmax { axis, exp } => Op::Softmax(Softmax { axis: *axis, exp: exp.as_deref() }),
            Self::Blend { block, gain, weight, residual } => Op::Blend(Blend {
                block: *block,
                gain: *gain,
                weight: weight.as_deref(),
                residual: residual.as_deref(),
            }),
            Self::Plain(op) => *op,
        }
    }
}

/// Slot of output channel `o` in the per-channel arrays.
pub fn slot(g: &ConvGeometry, o: usize) -> usize {
    if g.depthwise() {
        return o;
    }
    let outputs = g.output_channels / g.groups;
    o / outputs * padded_channels(outputs) + o % outputs
}

/// Per-output values in a per-channel array.
pub fn slots<T: Copy + Default>(g: &ConvGeometry, values: impl Fn(usize) -> T) -> Vec<T> {
    let mut packed = vec![T::default(); g.channel_slots()];
    for o in 0..g.output_channels {
        packed[slot(g, o)] = values(o);
    }
    packed
}

/// Packs plain 8-bit weights.
pub fn pack_int8(g: &ConvGeometry, plain: &[f64]) -> Vec<i8> {
    let mut packed = vec![0; packed_weights_len(g, true)];
    let row = packed_row(usize::from(g.window.kernel[1]), g.input_channels / g.groups);
    each_weight(g, |o, ky, kx, i, inputs, n| {
        let kh = usize::from(g.window.kernel[0]);
        let at = if g.depthwise() {
            (ky * usize::from(g.window.kernel[1]) + kx) * padded_channels(g.output_channels) + o
        } else {
            let s = slot(g, o);
            let j = kx * inputs + i;
            let quad = (s / CHANNEL_BLOCK * kh + ky) * row / 4 + j / 4;
            (quad * CHANNEL_BLOCK + s % CHANNEL_BLOCK) * 4 + j % 4
        };
        packed[at] = plain[n] as i8;
    });
    packed
}

/// Packs plain float weights.
pub fn pack_float<T: Copy + Default>(g: &ConvGeometry, plain: &[f64], convert: impl Fn(f64) -> T) -> Vec<T> {
    let mut packed = vec![T::default(); packed_weights_len(g, false)];
    each_weight(g, |o, ky, kx, i, inputs, n| {
        let [kh, kw] = g.window.kernel.map(usize::from);
        let at = if g.depthwise() {
            (ky * kw + kx) * padded_channels(g.output_channels) + o
        } else {
            let s = slot(g, o);
            ((s / CHANNEL_BLOCK * kh * kw + ky * kw + kx) * inputs + i) * CHANNEL_BLOCK + s % CHANNEL_BLOCK
        };
        packed[at] = convert(plain[n]);
    });
    packed
}

/// Calls `f` with output, kernel row and column, input of the group, inputs per group, and index in the plain weights.
fn each_weight(g: &ConvGeometry, mut f: impl FnMut(usize, usize, usize, usize, usize, usize)) {
    let inputs = g.input_channels / g.groups;
    let [kh, kw] = g.window.kernel.map(usize::from);
    for n in 0..g.output_channels * kh * kw * inputs {
        let (i, rest) = (n % inputs, n / inputs);
        let (kx, rest) = (rest % kw, rest / kw);
        f(rest / kh, rest % kh, kx, i, inputs, n);
    }
}
