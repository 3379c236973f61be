//! Operators in half and single precision.

use fusionproxy_format::{
    Binary, Blend, Conv, ConvWeights, Convert, DType, FixedPoint, Matmul, Norm, Op, Pad, Pool, Reduce,
    Resize, Slice, Softmax, TensorId, Transpose,
};
use half::f16;

use super::{Emitter, OPEN, pack};
use crate::CompileError;
use crate::ir::{self, Function, Kind, Node, Reduction};

impl Emitter<'_> {
    pub(super) fn float(
        &mut self,
        node: &Node,
        inputs: &[TensorId],
        output: TensorId,
        dtype: DType,
    ) -> Result<(), CompileError> {
        let op = match &node.kind {
            Kind::Conv(c) => return self.float_convolution(node, c, inputs, output, dtype),
            Kind::Binary { op, activation, .. } => Op::Binary(Binary {
                op: *op,
                fixed: FixedPoint { a: 0, b: 0, offset: 0, shift: 0 },
                scale: 0.0,
                activation: *activation,
                finish: OPEN,
            }),
            Kind::Unary(Function::Plain(a)) => Op::Activation { function: *a, table: None },
            Kind::Unary(_) | Kind::Affine { .. } | Kind::Reduce { kind: Reduction::L2, .. } => {
                return Err(self.unsupported(
                    node,
                    "artifacts have this function in 8 bits only, as a table",
                    "compile for int8, or use Relu, LeakyRelu, HardSwish, Gelu, Silu, Sigmoid, Tanh, Exp, Sqrt or Abs",
                ));
            }
            Kind::PRelu { slope } => Op::PRelu { slope, tables: &[] },
            Kind::Norm { kind, epsilon, gamma, beta } => {
                Op::Norm(Norm { kind: *kind, epsilon: *epsilon, gamma, beta })
            }
            Kind::Softmax { axis } => Op::Softmax(Softmax { axis: *axis, exp: None }),
            Kind::Matmul { transpose_b, heads, scale } => {
                Op::Matmul(Matmul { transpose_b: *transpose_b, heads: *heads, scale: *scale })
            }
            Kind::Blend { block, gain, .. } => {
                Op::Blend(Blend { block: *block, gain: *gain, weight: None, residual: None })
            }
            other => match plain(other, 0) {
                Some(op) => op,
                None => {
                    return Err(self.unsupported(node, "it was not lowered", "please report this network"));
                }
            },
        };
        self.op(node, &op, inputs, output)
    }

    fn float_convolution(
        &mut self,
        node: &Node,
        c: &ir::Conv,
        inputs: &[TensorId],
        output: TensorId,
        dtype: DType,
    ) -> Result<(), CompileError> {
        let geometry = pack::geometry(c);
        let bias = pack::per_channel(&geometry, &c.bias);
        let emit = |e: &mut Self, weights: ConvWeights<'_>| {
            let conv = Conv { geometry, weights, activation: c.activation, finish: OPEN };
            let op = if c.transposed { Op::ConvTranspose(conv) } else { Op::Conv(conv) };
            e.op(node, &op, inputs, output)
        };
        if dtype == DType::F32 {
            let weights = pack::weights(&geometry, &c.weights, false);
            return emit(self, ConvWeights::F32 { weights: &weights, bias: &bias });
        }
        let halves: Vec<f16> = c.weights.iter().map(|w| f16::from_f32(*w)).collect();
        if let Some(w) = c.weights.iter().zip(&halves).find(|(_, h)| !h.is_finite()).map(|(w, _)| w) {
            return Err(CompileError::Range {
                value: node.name.clone(),
                problem: format!("has the weight {w}, which exceeds half precision's 65504"),
                remedy: "compile for f32 or int8, or train with weight decay".into(),
            });
        }
        let weights = pack::weights(&geometry, &halves, false);
        emit(self, ConvWeights::F16 { weights: &weights, bias: &bias })
    }
}

/// Operators that are the same in every precision but for the 8-bit padding value.
pub(super) fn plain(kind: &Kind, quantised: u8) -> Option<Op<'static>> {
    Some(match kind {
        Kind::Pool { kind, window, count_include_pad } => {
            Op::Pool(Pool { kind: *kind, window: *window, count_include_pad: *count_include_pad })
        }
        Kind::Reduce { kind: Reduction::Plain(kind), axis } => {
            Op::Reduce(Reduce { kind: *kind, axis: *axis, scale: 1.0 })
        }
        Kind::Resize { mode } => Op::Resize(Resize { mode: *mode }),
        Kind::Concat => Op::Concat,
        Kind::Slice { start } => Op::Slice(Slice { start: *start }),
        Kind::Pad { mode, before, value } => {
            Op::Pad(Pad { mode: *mode, before: *before, value: *value, quantised })
        }
        Kind::PixelShuffle { block, channel_major } => {
            Op::PixelShuffle { block: *block, channel_major: *channel_major }
        }
        Kind::Transpose { order } => Op::Transpose(Transpose { order: *order }),
        Kind::Reshape => Op::Reshape,
        Kind::Convert => Op::Convert(Convert),
        _ => return None,
    })
}
