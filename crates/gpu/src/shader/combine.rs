//! Element-wise operators as expressions of their operands' words.

use alloc::format;
use alloc::string::String;

use fusionproxy_format::{Activation, Binary, BinaryOp, DType, Finish, Op, Quant};

use super::Writer;
use super::params::Finishing;
use crate::ProgramError;
use crate::graph::LANES;

/// No clamp and no table.
const PLAIN: Finish<'_> = Finish { lo: 0, hi: 255, table: None };

impl Writer<'_, '_> {
    /// The word `c` of an element-wise operator's result.
    pub(super) fn combine(
        &mut self,
        op: usize,
        operands: &[String],
        c: &str,
    ) -> Result<String, ProgramError> {
        let entry = self.graph.ops[op];
        let output = *self.graph.tensor(entry.output);
        let quants: [Quant; 2] = core::array::from_fn(|i| {
            entry.inputs.get(i).map_or(output.quant, |id| self.graph.tensor(id.get()).quant)
        });
        let input = self.graph.tensor(entry.inputs[0].get()).dtype;
        let (Some(a), b) = (operands.first(), operands.get(1)) else {
            return self.unsupported(op, "nothing");
        };
        let eight_bit = output.dtype == DType::U8;
        Ok(match (&entry.op, b) {
            (Op::Binary(binary), Some(b)) if eight_bit => self.binary_u8(binary, quants, output.quant, a, b),
            (Op::Binary(binary), Some(b)) => {
                self.named_activation(binary.activation, &applied(binary.op, a, b))
            }
            (Op::Activation { table: Some(table), .. }, _) if eight_bit => {
                let at = self.push_bytes(&table[..]);
                format!("pack(look_up(octets({a}), {at}u))")
            }
            (Op::Activation { function, .. }, _) => self.named_activation(*function, a),
            (Op::PRelu { tables, .. }, _) if eight_bit => {
                let at = self.push_bytes(tables);
                // A word's four tables are 64 vectors.
                self.push((output.shape.channels..output.words() * LANES).flat_map(|_| [[0; 4]; 16]));
                format!("pack(look_up_each(octets({a}), {at}u + u32({c}) * 64u))")
            }
            (Op::PRelu { slope, .. }, _) => {
                let at = self.push_floats(slope);
                let name = self.name("r");
                self.functions.push_str(&format!(
                    "fn {name}(v: vec4<f32>, c: i32) -> vec4<f32> {{\n\
                     return select(v, v * bitcast<vec4<f32>>(P[{at}u + u32(c)]), v < vec4<f32>(0.0));\n}}\n"
                ));
                format!("{name}({a}, {c})")
            }
            (Op::Convert(_), _) => match (input, eight_bit) {
                (DType::U8, true) => {
                    let (real, finish) = (self.push_quant(quants[0]), self.push_finish(output.quant, &PLAIN));
                    let steps = self.push_per_step(output.quant);
                    format!("pack(quantise_real(real(octets({a}), {real}u) * {steps}, {}u))", finish.at)
                }
                (DType::U8, false) => {
                    let real = self.push_quant(quants[0]);
                    format!("real(octets({a}), {real}u)")
                }
                (_, true) => {
                    let finish = self.push_finish(output.quant, &PLAIN);
                    let steps = self.push_per_step(output.quant);
                    format!("pack(quantise_real({a} * {steps}, {}u))", finish.at)
                }
                (_, false) => a.clone(),
            },
            _ => return self.unsupported(op, "this form of an element-wise operator"),
        })
    }

    /// A function's value as the call of a function of the shader, so that its argument is computed once.
    fn named_activation(&mut self, function: Activation, argument: &str) -> String {
        if function == Activation::None {
            return format!("({argument})");
        }
        let name = self.name("r");
        let value = self.activated(function, "v");
        self.functions.push_str(&format!("fn {name}(v: vec4<f32>) -> vec4<f32> {{ return {value}; }}\n"));
        format!("{name}({argument})")
    }

    fn binary_u8(&mut self, op: &Binary<'_>, inputs: [Quant; 2], output: Quant, a: &str, b: &str) -> String {
        match op.op {
            BinaryOp::Add | BinaryOp::Sub => {
                let f = op.fixed;
                let bounds = [u32::from(op.finish.lo), u32::from(op.finish.hi), 0, 0];
                let factors = [f.a, f.b, f.offset].map(i32::cast_unsigned);
                let at = self.push([[factors[0], factors[1], factors[2], f.shift], bounds]);
                if let Some(table) = op.finish.table {
                    self.push_bytes(table);
                }
                let sum = format!("weighted(octets({a}), octets({b}), {at}u)");
                finished(Finishing { at: at + 1, table: op.finish.table.is_some() }, &sum)
            }
            BinaryOp::Mul => {
                let [za, zb] = inputs.map(|q| u32::from(q.zero_point));
                let at = self.push([[za, zb, op.scale.to_bits(), 0]]);
                let finish = self.push_finish(output, &op.finish);
                finished(finish, &format!("multiplied(octets({a}), octets({b}), {at}u)"))
            }
            BinaryOp::Div | BinaryOp::Min | BinaryOp::Max => {
                let [ra, rb] = inputs.map(|q| self.push_quant(q));
                let finish = self.push_finish(output, &op.finish);
                let steps = self.push_per_step(output);
                let [a, b] = [(a, ra), (b, rb)].map(|(v, at)| format!("real(octets({v}), {at}u)"));
                let value = applied(op.op, &a, &b);
                finished(finish, &format!("quantise_real({value} * {steps}, {}u)", finish.at))
            }
        }
    }
}

/// Looks up, if there is a table, and packs.
pub(super) fn finished(finish: Finishing, value: &str) -> String {
    if finish.table {
        format!("pack(look_up({value}, {}u))", finish.at + 1)
    } else {
        format!("pack({value})")
    }
}

fn applied(op: BinaryOp, a: &str, b: &str) -> String {
    match op {
        BinaryOp::Add => format!("({a} + {b})"),
        BinaryOp::Sub => format!("({a} - {b})"),
        BinaryOp::Mul => format!("({a} * {b})"),
        BinaryOp::Div => format!("({a} / {b})"),
        BinaryOp::Min => format!("min({a}, {b})"),
        BinaryOp::Max => format!("max({a}, {b})"),
    }
}
