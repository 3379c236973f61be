//! Reductions over space, in two steps: workgroups sum their share of the pixels, and whoever reads the result adds the
//! shares up. Over channels, in one.

use alloc::format;
use alloc::string::String;

use fusionproxy_format::{Axis, DType, Op, Reduce, ReduceKind, TensorId};

use super::{Bound, Shader, Writer, sums};
use crate::graph::Graph;
use crate::{Options, ProgramError};

/// Invocations of a workgroup.
const INVOCATIONS: usize = 64;

/// Shares that `pixels` are divided into: an invocation takes some 16 pixels.
pub(crate) fn shares(pixels: usize) -> usize {
    pixels.div_ceil(INVOCATIONS * 16).clamp(1, 64)
}

/// The dispatch that computes the shares of the reduction that gives `id`.
pub(crate) fn partial_sums(
    graph: &Graph<'_>,
    stored: &[bool],
    options: &Options,
    id: TensorId,
) -> Result<Option<Shader>, ProgramError> {
    let Some(op) = graph.tensor(id).producer else { return Ok(None) };
    let entry = graph.ops[op];
    let Op::Reduce(reduce) = entry.op else { return Ok(None) };
    if reduce.axis != Axis::Space {
        return Ok(None);
    }
    let mut writer = Writer::new(graph, stored, options, id, Bound::Partials(id));
    writer.operators.insert(op);
    let input = *graph.tensor(entry.inputs[0].get());
    let f = writer.words(entry.inputs[0].get())?;
    let (pixels, width) = (input.pixels(), input.shape.width);
    let groups = shares(pixels);
    let (kind, value) = (sums(input.dtype), format!("{f}(p / {width}, p % {width}, c)"));
    let value = if input.dtype == DType::U8 { format!("octets({value})") } else { value };
    let join = |a: &str, b: &str| match reduce.kind {
        ReduceKind::Max => format!("max({a}, {b})"),
        ReduceKind::Mean | ReduceKind::Sum => format!("{a} + {b}"),
    };
    let stride = groups * INVOCATIONS;
    let main = format!(
        "var<workgroup> shared_sums: array<{kind}, {INVOCATIONS}>;\n\
         @compute @workgroup_size({INVOCATIONS})\n\
         fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {{\n\
         let c = i32(group.y);\nvar sum = {kind}({start});\n\
         for (var p = i32(group.x * {INVOCATIONS}u + lane); p < {pixels}; p += {stride}) {{ sum = {step}; }}\n\
         shared_sums[lane] = sum;\n\
         for (var half = {half}u; half > 0u; half >>= 1u) {{\nworkgroupBarrier();\n\
         if (lane < half) {{ shared_sums[lane] = {fold}; }}\n}}\n\
         if (lane == 0u) {{ b0[group.y * {groups}u + group.x] = shared_sums[0]; }}\n}}\n",
        start = start(&reduce, input.dtype),
        step = join("sum", &value),
        half = INVOCATIONS / 2,
        fold = join("shared_sums[lane]", "shared_sums[lane + half]"),
    );
    Ok(Some(writer.finish(&main, [groups, input.words(), 1])))
}

fn start(reduce: &Reduce, dtype: DType) -> &'static str {
    match (reduce.kind, dtype) {
        (ReduceKind::Max, DType::F16 | DType::F32) => "-3.4e38",
        _ => "0",
    }
}

impl Writer<'_, '_> {
    /// Body of the function of a reduction's result.
    pub(super) fn reduced(
        &mut self,
        op: &Reduce,
        input: TensorId,
        id: TensorId,
    ) -> Result<String, ProgramError> {
        let from = *self.graph.tensor(input);
        let kind = sums(from.dtype);
        let (mut body, count) = if op.axis == Axis::Space {
            let (partials, groups) = (self.bind(Bound::Partials(id)), shares(from.pixels()));
            let value = format!("{partials}[c * {groups} + i]");
            (folded(op, from.dtype, kind, groups, &value), from.pixels())
        } else {
            let g = self.lanes(input)?;
            (folded(op, from.dtype, kind, from.shape.channels, &format!("{g}(y, x, i)")), from.shape.channels)
        };
        let mean = op.kind == ReduceKind::Mean;
        body.push_str(&match (from.dtype, op.kind) {
            (DType::U8, ReduceKind::Max) => String::from("return pack(sum);"),
            (DType::U8, _) => {
                // The zero point's share of the sum, and the factor from steps of the input to steps of the output.
                let zeros = i32::from(from.quant.zero_point).wrapping_mul(count as i32).cast_unsigned();
                let scale = if mean { op.scale / count as f32 } else { op.scale };
                let at = self.push([[zeros, scale.to_bits(), 0, 0]]);
                let plain = fusionproxy_format::Finish { lo: 0, hi: 255, table: None };
                let finish = self.push_finish(self.graph.tensor(id).quant, &plain);
                let scale = format!("vec4<f32>(bitcast<f32>(P[{at}u].y))");
                format!("return pack(quantise(sum - bitcast<i32>(P[{at}u].x), {scale}, {}u));", finish.at)
            }
            _ if mean => format!("return sum / {count}.0;"),
            _ => String::from("return sum;"),
        });
        Ok(body)
    }
}

/// Statements that fold `count` values of `i` into `sum`.
fn folded(op: &Reduce, dtype: DType, kind: &str, count: usize, value: &str) -> String {
    let step = match op.kind {
        ReduceKind::Max => format!("max(sum, {kind}({value}))"),
        ReduceKind::Mean | ReduceKind::Sum => format!("sum + {value}"),
    };
    let start = start(op, dtype);
    format!("var sum = {kind}({start});\nfor (var i = 0; i < {count}; i++) {{ sum = {step}; }}\n")
}
