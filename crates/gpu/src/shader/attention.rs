//! Softmax and products of token tensors.

use alloc::format;
use alloc::string::String;

use fusionproxy_format::{Axis, DType, Finish, Matmul, Softmax, TensorId};

use super::Writer;
use crate::ProgramError;

impl Writer<'_, '_> {
    /// Body of the function of a softmax's result. In 8 bits it is integer arithmetic, as on the CPU.
    pub(super) fn softmax(
        &mut self,
        op: &Softmax<'_>,
        input: TensorId,
        id: TensorId,
    ) -> Result<String, ProgramError> {
        let shape = self.graph.tensor(input).shape;
        let eight_bit = self.graph.tensor(id).dtype == DType::U8;
        // Over the width every lane has a sum of its own; over channels all of them share one.
        let (value, count) = if op.axis == Axis::Width {
            let f = self.words(input)?;
            let word = format!("{f}(y, i, c)");
            (if eight_bit { format!("octets({word})") } else { word }, shape.width)
        } else {
            let g = self.lanes(input)?;
            let kind = if eight_bit { "vec4<i32>" } else { "vec4<f32>" };
            (format!("{kind}({g}(y, x, i))"), shape.channels)
        };
        let own = self.words(input)?;
        let each = format!("for (var i = 0; i < {count}; i++)");
        if !eight_bit {
            return Ok(format!(
                "var top = vec4<f32>(-3.4e38);\n{each} {{ top = max(top, {value}); }}\nvar sum = vec4<f32>();\n\
                 {each} {{ sum += exp({value} - top); }}\nreturn exp({own}(y, x, c) - top) / sum;"
            ));
        }
        // The artifact's reader asks for the table.
        let table = op.exp.map_or([0; 256], |t| t.map(i32::from));
        let at = self.push_ints(&table);
        Ok(format!(
            "var top = vec4<i32>();\n{each} {{ top = max(top, {value}); }}\nvar sum = vec4<u32>();\n\
             {each} {{ sum += vec4<u32>(ints_at(top - {value}, {at}u)); }}\n\
             let own = vec4<u32>(ints_at(max(top - octets({own}(y, x, c)), vec4<i32>()), {at}u));\n\
             return pack(vec4<i32>((510u * own + sum) / (2u * sum)));"
        ))
    }

    /// Body of the function of a matrix product.
    pub(super) fn matmul(
        &mut self,
        op: &Matmul,
        [a, b]: [TensorId; 2],
        id: TensorId,
    ) -> Result<String, ProgramError> {
        let (na, nb, out) = (*self.graph.tensor(a), *self.graph.tensor(b), *self.graph.tensor(id));
        let (ga, gb) = (self.lanes(a)?, self.lanes(b)?);
        let eight_bit = out.dtype == DType::U8;
        let (wa, wb) = (na.shape.width, nb.shape.width);
        let (count, left, right, channels) = if op.transpose_b {
            // Queries down, keys across, heads in the channels: the sum runs over a head's channels.
            let d = na.shape.channels / op.heads;
            let at = format!("ch * {d} + i");
            (
                d,
                format!("{ga}(y / {wa}, y % {wa}, {at})"),
                format!("{gb}(x / {wb}, x % {wb}, {at})"),
                op.heads,
            )
        } else {
            let d = out.shape.channels / op.heads;
            (
                nb.pixels(),
                format!("{ga}(y * {} + x, i, ch / {d})", out.shape.width),
                format!("{gb}(i / {wb}, i % {wb}, ch)"),
                out.shape.channels,
            )
        };
        let (kind, product) = if eight_bit {
            let at = self.push([[u32::from(na.quant.zero_point), u32::from(nb.quant.zero_point), 0, 0]]);
            let zero = |part: &str| format!("bitcast<i32>(P[{at}u].{part})");
            ("i32", format!("({left} - {}) * ({right} - {})", zero("x"), zero("y")))
        } else {
            ("f32", format!("{left} * {right}"))
        };
        let scale = self.push([[op.scale.to_bits(), 0, 0, 0]]);
        let scale = format!("vec4<f32>(bitcast<f32>(P[{scale}u].x))");
        let result = if eight_bit {
            let finish = self.push_finish(out.quant, &Finish { lo: 0, hi: 255, table: None });
            format!("pack(quantise(sum, {scale}, {}u))", finish.at)
        } else {
            format!("sum * {scale}")
        };
        Ok(format!(
            "var sum = vec4<{kind}>();\nfor (var lane = 0; lane < 4; lane++) {{\nlet ch = c * 4 + lane;\n\
             if (ch >= {channels}) {{ break; }}\nvar one = {kind}();\n\
             for (var i = 0; i < {count}; i++) {{ one += {product}; }}\nsum[lane] = one;\n}}\nreturn {result};"
        ))
    }
}
