//! Reductions over space, in two steps: workgroups sum their share of the pixels, and whoever reads the result adds the
//! shares up. Over channels, in one.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use fusionproxy_format::{Axis, DType, Op, Reduce, ReduceKind, TensorId};

use super::{Bound, Shader, Writer, over_space, sums};
use crate::graph::Graph;
use crate::{Options, ProgramError};

/// Invocations of a workgroup.
const INVOCATIONS: usize = 64;

/// Shares that `pixels` are divided into: an invocation takes some 16 pixels.
pub(crate) fn shares(pixels: usize) -> usize {
    pixels.div_ceil(INVOCATIONS * 16).clamp(1, 64)
}

/// The dispatch that computes the shares of the reduction or normalisation over space that gives `id`.
pub(crate) fn partial_sums(
    graph: &Graph<'_>,
    stored: &[bool],
    options: &Options,
    id: TensorId,
) -> Result<Option<Shader>, ProgramError> {
    let Some(op) = graph.tensor(id).producer else { return Ok(None) };
    let entry = graph.ops[op];
    let norm = over_space(&entry.op).is_some();
    let kind = match entry.op {
        Op::Reduce(r) if r.axis == Axis::Space => r.kind,
        _ if norm => ReduceKind::Sum,
        _ => return Ok(None),
    };
    let mut writer = Writer::new(graph, stored, options, id, Bound::Partials(id));
    writer.operators.insert(op);
    let from = entry.inputs[0].get();
    let input = *graph.tensor(from);
    let f = writer.words(from)?;
    let (pixels, width) = (input.pixels(), input.shape.width);
    let groups = shares(pixels);
    let vector = sums(graph.summed(id));
    let value = format!("{f}(p / {width}, p % {width}, c)");
    let value = match input.dtype {
        _ if norm => writer.real(from, &value),
        DType::U8 => format!("octets({value})"),
        DType::F16 | DType::F32 => value,
    };
    // What is summed: values, or values and their squares.
    let parts = if norm { vec!["v", "v * v"] } else { vec!["v"] };
    let all = |statement: &dyn Fn(usize) -> String| (0..parts.len()).map(statement).collect::<String>();
    let stride = groups * INVOCATIONS;
    let main = format!(
        "{memory}@compute @workgroup_size({INVOCATIONS})\n\
         fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {{\n\
         let c = i32(group.y);\n{begin}\
         for (var p = i32(group.x * {INVOCATIONS}u + lane); p < {pixels}; p += {stride}) {{\n\
         let v = {value};\n{step}}}\n{share}\
         for (var half = {half}u; half > 0u; half >>= 1u) {{\nworkgroupBarrier();\n\
         if (lane < half) {{\n{fold}}}\n}}\nif (lane == 0u) {{\n{end}}}\n}}\n",
        memory = all(&|i| format!("var<workgroup> memory{i}: array<{vector}, {INVOCATIONS}>;\n")),
        begin = all(&|i| format!("var sum{i} = {vector}({});\n", start(kind, input.dtype))),
        step = all(&|i| format!("sum{i} = {};\n", joined(kind, &format!("sum{i}"), parts[i]))),
        share = all(&|i| format!("memory{i}[lane] = sum{i};\n")),
        half = INVOCATIONS / 2,
        fold = all(&|i| {
            let next = joined(kind, &format!("memory{i}[lane]"), &format!("memory{i}[lane + half]"));
            format!("memory{i}[lane] = {next};\n")
        }),
        end = all(&|i| {
            format!("b0[(group.y * {groups}u + group.x) * {}u + {i}u] = memory{i}[0];\n", parts.len())
        }),
    );
    Ok(Some(writer.finish(&main, [groups, input.words(), 1])))
}

fn joined(kind: ReduceKind, a: &str, b: &str) -> String {
    match kind {
        ReduceKind::Max => format!("max({a}, {b})"),
        ReduceKind::Mean | ReduceKind::Sum => format!("{a} + {b}"),
    }
}

fn start(kind: ReduceKind, dtype: DType) -> &'static str {
    match (kind, dtype) {
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
    let step = joined(op.kind, "sum", &format!("{kind}({value})"));
    let start = start(op.kind, dtype);
    format!("var sum = {kind}({start});\nfor (var i = 0; i < {count}; i++) {{ sum = {step}; }}\n")
}
