//! Operators in 8 bits.

use fusionproxy_format::{
    Activation, Binary, BinaryOp, Blend, Conv, ConvWeights, DType, Finish, FixedPoint, Matmul, Norm, Op,
    Quant, Reduce, Softmax, TensorId,
};

use super::{Emitter, clamp, float, pack};
use crate::CompileError;
use crate::ir::{self, Kind, Node, Reduction};
use crate::quantise::{
    convolution, dequantise, exponentials, lookup, quantise, residuals, scaled, sigmoid_weights, sum,
};

impl Emitter<'_> {
    pub(super) fn int8(
        &mut self,
        node: &Node,
        inputs: &[TensorId],
        output: TensorId,
    ) -> Result<(), CompileError> {
        let quants: Vec<Quant> = node.inputs.iter().map(|v| self.quant(*v)).collect();
        let (x, y) = (quants[0], self.quant(node.output));
        match &node.kind {
            Kind::Conv(c) => self.int8_convolution(node, c, inputs, output),
            Kind::Binary { op, activation, .. } => {
                let before = self.t.before[node.output];
                let table = before.map(|b| lookup(|v| ir::activation(*activation, v), b, y));
                let mut end = before.unwrap_or(y);
                if let Some(factor) = scaled(*activation) {
                    end.scale /= factor;
                }
                let (lo, hi) = clamp(*activation, y);
                let none = FixedPoint { a: 0, b: 0, offset: 0, shift: 0 };
                let fixed = match op {
                    BinaryOp::Add => sum(quants[0], quants[1], 1.0, end),
                    BinaryOp::Sub => sum(quants[0], quants[1], -1.0, end),
                    _ => none,
                };
                let op = Op::Binary(Binary {
                    op: *op,
                    fixed,
                    scale: (f64::from(quants[0].scale) * f64::from(quants[1].scale) / f64::from(end.scale))
                        as f32,
                    activation: Activation::None,
                    finish: Finish { lo, hi, table: table.as_ref() },
                });
                self.op(node, &op, inputs, output)
            }
            Kind::Unary(f) => {
                let table = lookup(|v| f.eval(v), x, y);
                let function = match f {
                    ir::Function::Plain(a) => *a,
                    _ => Activation::None,
                };
                self.op(node, &Op::Activation { function, table: Some(&table) }, inputs, output)
            }
            Kind::PRelu { slope } => {
                let tables: Vec<u8> = slope
                    .iter()
                    .flat_map(|s| lookup(|v| ir::activation(Activation::LeakyRelu { slope: *s }, v), x, y))
                    .collect();
                self.op(node, &Op::PRelu { slope: &[], tables: &tables }, inputs, output)
            }
            Kind::Reduce { kind: Reduction::Plain(kind), axis } => {
                let op = Op::Reduce(Reduce { kind: *kind, axis: *axis, scale: x.scale / y.scale });
                self.op(node, &op, inputs, output)
            }
            Kind::Norm { kind, epsilon, gamma, beta } => {
                let op = Op::Norm(Norm { kind: *kind, epsilon: *epsilon, gamma, beta });
                self.op(node, &op, inputs, output)
            }
            Kind::Softmax { axis } => {
                let exp = exponentials(x.scale);
                self.op(node, &Op::Softmax(Softmax { axis: *axis, exp: Some(&exp) }), inputs, output)
            }
            Kind::Matmul { transpose_b, heads, scale } => {
                let scale = (f64::from(quants[0].scale) * f64::from(quants[1].scale) * f64::from(*scale)
                    / f64::from(y.scale)) as f32;
                let op = Op::Matmul(Matmul { transpose_b: *transpose_b, heads: *heads, scale });
                self.op(node, &op, inputs, output)
            }
            Kind::Blend { block, gain, planes } => {
                let logit = |plane: usize, q: u8| {
                    let v = dequantise(q, quants[2]);
                    planes.map_or(v, |p| f64::from(p[plane][0]) + f64::from(p[plane][1] - p[plane][0]) * v)
                };
                let weight = sigmoid_weights(|q| logit(0, q));
                let residual = residuals(|q| logit(1, q), *gain);
                let residual = (*gain != 0.0).then_some(&residual);
                let op = Op::Blend(Blend { block: *block, gain: *gain, weight: Some(&weight), residual });
                self.op(node, &op, inputs, output)
            }
            other => {
                let value = match other {
                    Kind::Pad { value, .. } => quantise(f64::from(*value), y),
                    _ => 0,
                };
                let op = float::plain(other, value).ok_or_else(|| {
                    self.unsupported(node, "it was not lowered", "please report this network")
                })?;
                self.op(node, &op, inputs, output)
            }
        }
    }

    fn int8_convolution(
        &mut self,
        node: &Node,
        c: &ir::Conv,
        inputs: &[TensorId],
        output: TensorId,
    ) -> Result<(), CompileError> {
        let y = self.quant(node.output);
        let before = self.t.before[node.output];
        let mut end = before.unwrap_or(y);
        if let Some(factor) = scaled(c.activation) {
            end.scale /= factor;
        }
        let mean = self.means.get(&self.t.origins[node.inputs[0]]).map(Vec::as_slice);
        let q = convolution(c, self.quant(node.inputs[0]), end, y, mean.filter(|m| m.len() == c.inputs));
        let table = before.map(|b| lookup(|v| ir::activation(c.activation, v), b, y));
        let (lo, hi) = clamp(c.activation, y);
        let geometry = pack::geometry(c);
        let (weights, bias, scale) = (
            pack::weights(&geometry, &q.weights, true),
            pack::per_channel(&geometry, &q.bias),
            pack::per_channel(&geometry, &q.scale),
        );
        let conv = Conv {
            geometry,
            weights: ConvWeights::Int8 { weights: &weights, bias: &bias, scale: &scale },
            activation: Activation::None,
            finish: Finish { lo, hi, table: table.as_ref() },
        };
        debug_assert_eq!(self.t.dtypes[node.output], DType::U8);
        let op = if c.transposed { Op::ConvTranspose(conv) } else { Op::Conv(conv) };
        self.op(node, &op, inputs, output)
    }
}
