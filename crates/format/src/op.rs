//! Operators as readers see them: typed, with their weights as slices into the artifact.
//!
//! The arithmetic that each of them stands for is specified in `docs/numerics.md` and implemented, line by line, by
//! the scalar kernels of `fusionproxy-kernels`.

use half::f16;

/// Output channels that packed weights are grouped by. Per-channel arrays (bias, scale) are padded to a multiple of it.
pub const CHANNEL_BLOCK: usize = 16;

/// `channels` rounded up to a multiple of [`CHANNEL_BLOCK`].
pub const fn padded_channels(channels: usize) -> usize {
    channels.div_ceil(CHANNEL_BLOCK) * CHANNEL_BLOCK
}

/// Length of one kernel row (`kernel_width * input_channels`) in packed 8-bit weights: a multiple of 4.
pub const fn packed_row(kernel_width: usize, input_channels: usize) -> usize {
    (kernel_width * input_channels).div_ceil(4) * 4
}

macro_rules! byte_enum {
    ($(#[$m:meta])* $name:ident { $($(#[$vm:meta])* $v:ident = $d:literal $s:literal),+ $(,)? }) => {
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vm])* $v = $d),+ }

        impl $name {
            /// Every value, in order of its discriminant.
            pub const ALL: &'static [Self] = &[$(Self::$v),+];

            /// The value with this discriminant.
            pub fn from_u8(v: u8) -> Option<Self> {
                Some(match v { $($d => Self::$v,)+ _ => return None })
            }

            /// Name for reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$v => $s),+ }
            }
        }
    };
}

byte_enum! {
    /// Kind of an operator.
    OpKind {
        /// [`Op::Conv`].
        Conv = 0 "conv",
        /// [`Op::ConvTranspose`].
        ConvTranspose = 1 "conv_transpose",
        /// [`Op::Binary`].
        Binary = 2 "binary",
        /// [`Op::Activation`].
        Activation = 3 "activation",
        /// [`Op::PRelu`].
        PRelu = 4 "prelu",
        /// [`Op::Pool`].
        Pool = 5 "pool",
        /// [`Op::Reduce`].
        Reduce = 6 "reduce",
        /// [`Op::Resize`].
        Resize = 7 "resize",
        /// [`Op::Concat`].
        Concat = 8 "concat",
        /// [`Op::Slice`].
        Slice = 9 "slice",
        /// [`Op::Pad`].
        Pad = 10 "pad",
        /// [`Op::PixelShuffle`].
        PixelShuffle = 11 "pixel_shuffle",
        /// [`Op::Norm`].
        Norm = 12 "norm",
        /// [`Op::Softmax`].
        Softmax = 13 "softmax",
        /// [`Op::Matmul`].
        Matmul = 14 "matmul",
        /// [`Op::Transpose`].
        Transpose = 15 "transpose",
        /// [`Op::Reshape`].
        Reshape = 16 "reshape",
        /// [`Op::Convert`].
        Convert = 17 "convert",
        /// [`Op::Blend`].
        Blend = 18 "blend",
    }
}

byte_enum! {
    /// Element-wise operation of two tensors.
    BinaryOp {
        /// a + b
        Add = 0 "add",
        /// a - b
        Sub = 1 "sub",
        /// a * b
        Mul = 2 "mul",
        /// a / b
        Div = 3 "div",
        /// min(a, b)
        Min = 4 "min",
        /// max(a, b)
        Max = 5 "max",
    }
}

byte_enum! {
    /// Pooling.
    PoolKind {
        /// Largest element of the window; padding never wins.
        Max = 0 "max",
        /// Mean of the window.
        Average = 1 "average",
    }
}

byte_enum! {
    /// Reduction.
    ReduceKind {
        /// Arithmetic mean.
        Mean = 0 "mean",
        /// Sum.
        Sum = 1 "sum",
        /// Maximum.
        Max = 2 "max",
    }
}

byte_enum! {
    /// What a reduction or a softmax runs over.
    Axis {
        /// Height and width: `[H, W, C]` to `[1, 1, C]`.
        Space = 0 "space",
        /// Channels: `[H, W, C]` to `[H, W, 1]`.
        Channel = 1 "channel",
        /// Width (softmax of attention scores, `[queries, keys, heads]`).
        Width = 2 "width",
    }
}

byte_enum! {
    /// Interpolation and coordinate convention, in ONNX's words.
    ResizeMode {
        /// `nearest`, `asymmetric`, `floor`: source = floor(out * in_size / out_size).
        NearestFloor = 0 "nearest",
        /// `nearest`, `half_pixel`, `round_prefer_floor`.
        NearestHalfPixel = 1 "nearest_half_pixel",
        /// `linear`, `half_pixel` (also `pytorch_half_pixel` for sizes above 1).
        BilinearHalfPixel = 2 "bilinear",
        /// `linear`, `align_corners`.
        BilinearAlignCorners = 3 "bilinear_align_corners",
        /// `linear`, `asymmetric`.
        BilinearAsymmetric = 4 "bilinear_asymmetric",
    }
}

byte_enum! {
    /// What stands outside the image.
    PadMode {
        /// A constant.
        Constant = 0 "constant",
        /// Mirror image without the border element.
        Reflect = 1 "reflect",
        /// The border element.
        Edge = 2 "edge",
    }
}

byte_enum! {
    /// Normalisation.
    NormKind {
        /// Over the channels of each pixel (Ba et al., arXiv 1607.06450).
        Layer = 0 "layer_norm",
        /// Over the pixels of each channel (Ulyanov et al., arXiv 1607.08022).
        Instance = 1 "instance_norm",
        /// Global response normalisation of ConvNeXtV2 (Woo et al., arXiv 2301.00808, algorithm 1): y = gamma * x * nx + beta + x.
        Grn = 2 "grn",
    }
}

/// Activation fused behind an operator, or standing alone.
///
/// 8-bit operators do not evaluate it: a clamp is part of their requantisation and any other function is a table of
/// 256 entries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Identity.
    None,
    /// min(max(x, lo), hi): ReLU is (0, inf), ReLU6 (0, 6).
    Clamp {
        /// Lower bound, may be -inf.
        lo: f32,
        /// Upper bound, may be +inf.
        hi: f32,
    },
    /// x < 0 ? slope * x : x
    LeakyRelu {
        /// Slope below zero.
        slope: f32,
    },
    /// x * clamp(x / 6 + 1 / 2, 0, 1)
    HardSwish,
    /// clamp(alpha * x + beta, 0, 1)
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// x * (1 + erf(x / sqrt 2)) / 2
    Gelu,
    /// The tanh approximation of GELU.
    GeluTanh,
    /// x * sigmoid(x), also called Swish.
    Silu,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// tanh(x)
    Tanh,
    /// |x|
    Abs,
    /// exp(x)
    Exp,
    /// sqrt(x)
    Sqrt,
    /// alpha * x + beta
    Affine {
        /// Factor.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
}

impl Activation {
    /// Decodes discriminant and the two parameter words.
    pub(crate) fn decode(kind: u8, a: f32, b: f32) -> Option<Self> {
        Some(match kind {
            0 => Self::None,
            1 => Self::Clamp { lo: a, hi: b },
            2 => Self::LeakyRelu { slope: a },
            3 => Self::HardSwish,
            4 => Self::HardSigmoid { alpha: a, beta: b },
            5 => Self::Gelu,
            6 => Self::GeluTanh,
            7 => Self::Silu,
            8 => Self::Sigmoid,
            9 => Self::Tanh,
            10 => Self::Abs,
            11 => Self::Exp,
            12 => Self::Sqrt,
            13 => Self::Affine { alpha: a, beta: b },
            _ => return None,
        })
    }

    /// Discriminant and the two parameter words.
    #[cfg(feature = "write")]
    pub(crate) fn encode(self) -> (u8, f32, f32) {
        match self {
            Self::None => (0, 0.0, 0.0),
            Self::Clamp { lo, hi } => (1, lo, hi),
            Self::LeakyRelu { slope } => (2, slope, 0.0),
            Self::HardSwish => (3, 0.0, 0.0),
            Self::HardSigmoid { alpha, beta } => (4, alpha, beta),
            Self::Gelu => (5, 0.0, 0.0),
            Self::GeluTanh => (6, 0.0, 0.0),
            Self::Silu => (7, 0.0, 0.0),
            Self::Sigmoid => (8, 0.0, 0.0),
            Self::Tanh => (9, 0.0, 0.0),
            Self::Abs => (10, 0.0, 0.0),
            Self::Exp => (11, 0.0, 0.0),
            Self::Sqrt => (12, 0.0, 0.0),
            Self::Affine { alpha, beta } => (13, alpha, beta),
        }
    }

    /// Name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Clamp { lo, hi } if lo == 0.0 && hi == f32::INFINITY => "relu",
            Self::Clamp { lo, hi } if lo == 0.0 && hi == 6.0 => "relu6",
            Self::Clamp { .. } => "clamp",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::HardSwish => "hard_swish",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Silu => "silu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Abs => "abs",
            Self::Exp => "exp",
            Self::Sqrt => "sqrt",
            Self::Affine { .. } => "affine",
        }
    }
}

/// How the 8-bit result of an operator is finished: clamped (in the quantised domain), then looked up.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// Lower bound of the quantised result.
    pub lo: u8,
    /// Upper bound of the quantised result.
    pub hi: u8,
    /// Table applied after the clamp, where the activation is no clamp.
    pub table: Option<&'a [u8; 256]>,
}

/// Kernel, stride, dilation and padding of a window that slides over height and width, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Kernel height and width, each at least 1.
    pub kernel: [u8; 2],
    /// Stride down and across, each at least 1.
    pub stride: [u8; 2],
    /// Dilation down and across, each at least 1.
    pub dilation: [u8; 2],
    /// Padding: top, left, bottom, right.
    pub pad: [u8; 4],
}

impl Window {
    /// Output extent of a (forward) window over `input` elements; `axis` 0 is height, 1 is width.
    pub fn output(&self, input: usize, axis: usize) -> Option<usize> {
        let reach = (usize::from(self.kernel[axis]) - 1) * usize::from(self.dilation[axis]) + 1;
        let padded = input + usize::from(self.pad[axis]) + usize::from(self.pad[axis + 2]);
        Some(padded.checked_sub(reach)? / usize::from(self.stride[axis]) + 1)
    }
}

/// Geometry of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvGeometry {
    /// The sliding window. For a transposed convolution the padding is cut off the output.
    pub window: Window,
    /// Groups, dividing input and output channels.
    pub groups: usize,
    /// Input channels.
    pub input_channels: usize,
    /// Output channels.
    pub output_channels: usize,
}

impl ConvGeometry {
    /// Whether every channel has its own single filter. Such weights are packed `[kernel_h * kernel_w][padded_channels]`.
    pub const fn depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.input_channels && self.groups == self.output_channels
    }

    /// Length of the per-channel arrays (bias, scale): each group's channels padded to [`CHANNEL_BLOCK`].
    pub const fn channel_slots(&self) -> usize {
        if self.depthwise() {
            padded_channels(self.output_channels)
        } else {
            self.groups * padded_channels(self.output_channels / self.groups)
        }
    }
}

/// Elements of a convolution's packed weights.
///
/// * Depthwise: `[kernel_h * kernel_w][padded_channels(channels)]`.
/// * 8-bit: `[group][block of 16 outputs][kernel_h][packed_row / 4][16 outputs][4]`: 64 bytes hold four consecutive
///   inputs for each of 16 outputs. A kernel row is `kernel_w * inputs` long in `(x, channel)` order, padded with zeros
///   to a multiple of 4.
/// * Float: `[group][block of 16 outputs][kernel_h * kernel_w * inputs][16 outputs]`.
pub const fn packed_weights_len(g: &ConvGeometry, eight_bit: bool) -> usize {
    let (kh, kw) = (g.window.kernel[0] as usize, g.window.kernel[1] as usize);
    if g.depthwise() {
        return (kh * kw).saturating_mul(padded_channels(g.output_channels));
    }
    let inputs = g.input_channels / g.groups;
    let row = if eight_bit { packed_row(kw, inputs) } else { kw * inputs };
    // Saturated: too many for the address space is a length that no data section has.
    g.channel_slots().saturating_mul(kh).saturating_mul(row)
}

/// Weights of a convolution in the packing of [`packed_weights_len`], with per-output arrays of
/// [`ConvGeometry::channel_slots`] entries.
#[derive(Clone, Copy, Debug)]
pub enum ConvWeights<'a> {
    /// 8-bit input and output: q = finish(round(scale\[o\] * (bias\[o\] + sum w * x)) + zero point).
    /// The input's zero point is folded into `bias`; padding reads as the input's zero point.
    Int8 {
        /// Symmetric per-output-channel weights.
        weights: &'a [i8],
        /// Bias, in units of input scale * weight scale, less the input zero point's share.
        bias: &'a [i32],
        /// input scale * weight scale / output scale.
        scale: &'a [f32],
    },
    /// Half-precision weights, f32 bias.
    F16 {
        /// Weights.
        weights: &'a [f16],
        /// Bias.
        bias: &'a [f32],
    },
    /// The reference.
    F32 {
        /// Weights.
        weights: &'a [f32],
        /// Bias.
        bias: &'a [f32],
    },
}

/// Convolution, dense, grouped, or depthwise.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// Window, groups and channels.
    pub geometry: ConvGeometry,
    /// Packed weights.
    pub weights: ConvWeights<'a>,
    /// Fused activation of a float convolution.
    pub activation: Activation,
    /// Fused clamp and table of an 8-bit convolution.
    pub finish: Finish<'a>,
}

/// Integer form of an 8-bit sum: q = clamp((a * qa + b * qb + offset) >> shift). Zero points and rounding are folded
/// into `offset`; no intermediate leaves 32 bits (checked at load).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedPoint {
    /// Multiplier of the first input (negative multipliers express subtraction), |a| <= 2^15 - 1.
    pub a: i32,
    /// Multiplier of the second input.
    pub b: i32,
    /// Constant term.
    pub offset: i32,
    /// Arithmetic right shift, 0..=24.
    pub shift: u32,
}

/// Element-wise operation; an input dimension of 1 is broadcast.
#[derive(Clone, Copy, Debug)]
pub struct Binary<'a> {
    /// Which.
    pub op: BinaryOp,
    /// 8-bit add and sub.
    pub fixed: FixedPoint,
    /// 8-bit mul: scale a * scale b / output scale.
    pub scale: f32,
    /// Fused activation of the float form.
    pub activation: Activation,
    /// Fused clamp and table of the 8-bit form.
    pub finish: Finish<'a>,
}

/// Pooling over a sliding window.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Which.
    pub kind: PoolKind,
    /// Window (dilation applies to max pooling only).
    pub window: Window,
    /// Average: divide by the kernel's size even where it hangs over the border.
    pub count_include_pad: bool,
}

/// Reduction over space or channels.
#[derive(Clone, Copy, Debug)]
pub struct Reduce {
    /// Which.
    pub kind: ReduceKind,
    /// Over what: [`Axis::Space`] or [`Axis::Channel`].
    pub axis: Axis,
    /// 8-bit mean and sum: input scale / output scale.
    pub scale: f32,
}

/// Resampling to the output's height and width.
#[derive(Clone, Copy, Debug)]
pub struct Resize {
    /// Interpolation and coordinates.
    pub mode: ResizeMode,
}

/// A box cut out of the input; its size is the output's.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// First row, column, channel.
    pub start: [usize; 3],
}

/// Padding of height and width; the sizes below and right follow from the output's.
#[derive(Clone, Copy, Debug)]
pub struct Pad {
    /// What stands outside.
    pub mode: PadMode,
    /// Rows above and columns left.
    pub before: [usize; 2],
    /// Constant of the float form.
    pub value: f32,
    /// Constant of the 8-bit form.
    pub quantised: u8,
}

/// Normalisation with per-channel gain and offset.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Which.
    pub kind: NormKind,
    /// Added to the variance (GRN: to the mean norm), in real units squared (GRN: real units).
    pub epsilon: f32,
    /// Gain per channel, `[C]`.
    pub gamma: &'a [f32],
    /// Offset per channel, `[C]`.
    pub beta: &'a [f32],
}

/// Softmax over channels or width.
#[derive(Clone, Copy, Debug)]
pub struct Softmax<'a> {
    /// [`Axis::Channel`] or [`Axis::Width`].
    pub axis: Axis,
    /// 8-bit form: entry d is round(65535 * exp(-d * input scale)). Output scale 1/255, zero point 0.
    pub exp: Option<&'a [u16; 256]>,
}

/// Batched matrix product of token tensors, one batch entry per head.
#[derive(Clone, Copy, Debug)]
pub struct Matmul {
    /// Whether b is transposed.
    ///
    /// * `true` (scores): a `[h, w, heads * d]` with h * w = queries, b likewise with h * w = keys,
    ///   output `[queries, keys, heads]` = sum over d.
    /// * `false` (apply): a `[queries, keys, heads]`, b `[h, w, heads * d]` with h * w = keys, output
    ///   `[h, w, heads * d]` with h * w = queries = sum over keys.
    pub transpose_b: bool,
    /// Heads.
    pub heads: usize,
    /// Float form: factor on the result. 8-bit form: scale a * scale b * factor / output scale.
    pub scale: f32,
}

/// Permutation of height, width, channel.
#[derive(Clone, Copy, Debug)]
pub struct Transpose {
    /// `output dimension i` is `input dimension order[i]`.
    pub order: [u8; 3],
}

/// Composition of the fused image from both inputs and two planes of logits:
///
/// fused = clamp(visible + sigmoid(a) * (infrared - visible) + gain * tanh(b), 0, 1).
///
/// Inputs: visible `[H, W, C]` with C 1 or 3, infrared `[H, W, 1]`, logits `[H / block, W / block, planes * block^2]` in
/// pixel-shuffle order (channel = plane * block^2 + dy * block + dx): plane 0 is a, plane 1, if there is one, is b. The
/// 8-bit form works in Q15 so that the features' quantisation does not become banding:
/// q = clamp((visible * 32768 + (infrared - visible) * weight\[a\] + residual\[b\] + 16384) >> 15).
#[derive(Clone, Copy, Debug)]
pub struct Blend<'a> {
    /// Pixel-shuffle factor, 1 where the logits have full resolution.
    pub block: usize,
    /// Gain of the residual; 0 where there is no plane b.
    pub gain: f32,
    /// 8-bit form: round(32768 * sigmoid(real value of q)), 0..=32768.
    pub weight: Option<&'a [i32; 256]>,
    /// 8-bit form: round(32768 * 255 * gain * tanh(real value of q)).
    pub residual: Option<&'a [i32; 256]>,
}

/// A change of element type; the quantisation, if any, is the tensors'.
#[derive(Clone, Copy, Debug)]
pub struct Convert;

/// One operator.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    /// Convolution.
    Conv(Conv<'a>),
    /// Transposed convolution.
    ConvTranspose(Conv<'a>),
    /// Element-wise operation of two tensors.
    Binary(Binary<'a>),
    /// Stand-alone activation; the 8-bit form is the table alone (also requantisation).
    Activation {
        /// Function of the float form.
        function: Activation,
        /// 8-bit form.
        table: Option<&'a [u8; 256]>,
    },
    /// Leaky ReLU with a slope per channel.
    PRelu {
        /// Float form: slope per channel, `[C]`.
        slope: &'a [f32],
        /// 8-bit form: a table per channel, `[C][256]`.
        tables: &'a [u8],
    },
    /// Pooling.
    Pool(Pool),
    /// Reduction.
    Reduce(Reduce),
    /// Resampling.
    Resize(Resize),
    /// Concatenation over channels; all inputs share the output's quantisation.
    Concat,
    /// A box cut out.
    Slice(Slice),
    /// Padding.
    Pad(Pad),
    /// Channels to space: `[H, W, C * block^2]` to `[H * block, W * block, C]`.
    PixelShuffle {
        /// Factor.
        block: usize,
        /// Channel order of the input: `true` for (C, dy, dx) as PyTorch's PixelShuffle and ONNX's CRD, `false` for
        /// (dy, dx, C) as ONNX's DCR.
        channel_major: bool,
    },
    /// Normalisation.
    Norm(Norm<'a>),
    /// Softmax.
    Softmax(Softmax<'a>),
    /// Matrix product.
    Matmul(Matmul),
    /// Permutation.
    Transpose(Transpose),
    /// Same elements in the same (NHWC) order under another shape.
    Reshape,
    /// Change of element type.
    Convert(Convert),
    /// Composition of the image.
    Blend(Blend<'a>),
}

impl Op<'_> {
    /// The operator's kind.
    pub fn kind(&self) -> OpKind {
        match self {
            Self::Conv(_) => OpKind::Conv,
            Self::ConvTranspose(_) => OpKind::ConvTranspose,
            Self::Binary(_) => OpKind::Binary,
            Self::Activation { .. } => OpKind::Activation,
            Self::PRelu { .. } => OpKind::PRelu,
            Self::Pool(_) => OpKind::Pool,
            Self::Reduce(_) => OpKind::Reduce,
            Self::Resize(_) => OpKind::Resize,
            Self::Concat => OpKind::Concat,
            Self::Slice(_) => OpKind::Slice,
            Self::Pad(_) => OpKind::Pad,
            Self::PixelShuffle { .. } => OpKind::PixelShuffle,
            Self::Norm(_) => OpKind::Norm,
            Self::Softmax(_) => OpKind::Softmax,
            Self::Matmul(_) => OpKind::Matmul,
            Self::Transpose(_) => OpKind::Transpose,
            Self::Reshape => OpKind::Reshape,
            Self::Convert(_) => OpKind::Convert,
            Self::Blend(_) => OpKind::Blend,
        }
    }
}
