//! Operators of the compiler's graph.

use fusionproxy_format::{
    Activation, Axis, BinaryOp, NormKind, PadMode, PoolKind, ReduceKind, ResizeMode, Window,
};

use super::{Function, Observed};

/// A convolution with its weights, forward or transposed.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    pub(crate) window: Window,
    pub(crate) groups: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// `[outputs][kernel_h][kernel_w][inputs / groups]`, also for a transposed convolution.
    pub(crate) weights: Vec<f32>,
    /// `[outputs]`.
    pub(crate) bias: Vec<f32>,
    pub(crate) activation: Activation,
    /// Value before the activation, if one was fused.
    pub(crate) before: Option<Observed>,
    pub(crate) transposed: bool,
}

impl Conv {
    /// A 1x1 convolution without activation.
    pub(crate) fn pointwise(inputs: usize, outputs: usize, weights: Vec<f32>, bias: Vec<f32>) -> Self {
        debug_assert_eq!(weights.len(), inputs * outputs);
        Self {
            window: Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 4] },
            groups: 1,
            inputs,
            outputs,
            weights,
            bias,
            activation: Activation::None,
            before: None,
            transposed: false,
        }
    }

    /// A 1x1 depthwise convolution: y = scale * x + shift per channel.
    pub(crate) fn per_channel(scale: Vec<f32>, shift: Vec<f32>) -> Self {
        let c = scale.len();
        Self { groups: c, inputs: c, outputs: c, weights: scale, ..Self::pointwise(0, 0, vec![], shift) }
    }

    /// Weights that one output reads.
    pub(crate) fn per_output(&self) -> usize {
        usize::from(self.window.kernel[0]) * usize::from(self.window.kernel[1]) * (self.inputs / self.groups)
    }

    /// Whether every channel has its own single filter.
    pub(crate) fn depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs && self.groups == self.outputs
    }

    /// Whether the operator reads any padding.
    pub(crate) fn padded(&self) -> bool {
        self.window.pad != [0; 4]
    }
}

/// Reductions of imported graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    /// One that artifacts have.
    Plain(ReduceKind),
    /// Square root of the sum of squares.
    L2,
}

/// Operators. Shapes come from the values; only what those do not tell is stored.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Conv(Box<Conv>),
    Binary {
        op: BinaryOp,
        activation: Activation,
        before: Option<Observed>,
    },
    /// Element-wise function of one value.
    Unary(Function),
    /// y = scale * x + shift per channel; both have one entry per channel.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    PRelu {
        slope: Vec<f32>,
    },
    Pool {
        kind: PoolKind,
        window: Window,
        count_include_pad: bool,
    },
    Reduce {
        kind: Reduction,
        axis: Axis,
    },
    Resize {
        mode: ResizeMode,
    },
    Concat,
    /// First row, column and channel.
    Slice {
        start: [usize; 3],
    },
    /// Rows above and columns left.
    Pad {
        mode: PadMode,
        before: [usize; 2],
        value: f32,
    },
    PixelShuffle {
        block: usize,
        channel_major: bool,
    },
    Norm {
        kind: NormKind,
        epsilon: f32,
        gamma: Vec<f32>,
        beta: Vec<f32>,
    },
    Softmax {
        axis: Axis,
    },
    Matmul {
        transpose_b: bool,
        heads: usize,
        scale: f32,
    },
    Transpose {
        order: [u8; 3],
    },
    Reshape,
    /// Change of element type.
    Convert,
    Blend {
        block: usize,
        gain: f32,
        /// Least and largest logit of the weight and of the residual, where the logits hold 0..=1 of these ranges.
        planes: Option<[[f32; 2]; 2]>,
    },
}

impl Kind {
    /// An element-wise operation of two values.
    pub(crate) fn binary(op: BinaryOp) -> Self {
        Self::Binary { op, activation: Activation::None, before: None }
    }

    /// Whether an 8-bit output has the quantisation of the (first) input.
    pub(crate) fn keeps_quantisation(&self) -> bool {
        match self {
            Self::Pool { .. }
            | Self::Resize { .. }
            | Self::Concat
            | Self::Slice { .. }
            | Self::Pad { .. }
            | Self::PixelShuffle { .. }
            | Self::Transpose { .. }
            | Self::Reshape => true,
            Self::Reduce { kind, .. } => *kind == Reduction::Plain(ReduceKind::Max),
            _ => false,
        }
    }
}
