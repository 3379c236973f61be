//! Normalisation. Statistics are floats here, where the CPU's of 8-bit tensors are integers: results agree within a step.
//!
//! Over space it takes three dispatches: workgroups sum their shares of the pixels and of their squares, one workgroup turns
//! the sums into a factor and an offset for each channel, and whoever reads the result applies them.

use alloc::format;
use alloc::string::String;

use fusionproxy_format::{DType, Finish, Norm, NormKind, Op, Quant, TensorId};

use super::reduce::shares;
use super::{Bound, Shader, Writer};
use crate::graph::{Graph, LANES};
use crate::{Options, ProgramError};

/// Invocations of the workgroup that computes factors and offsets.
const INVOCATIONS: usize = 64;

/// A normalisation over space.
pub(crate) fn over_space<'a>(op: &Op<'a>) -> Option<Norm<'a>> {
    match op {
        Op::Norm(n) if matches!(n.kind, NormKind::Instance | NormKind::Grn) => Some(*n),
        _ => None,
    }
}

/// The dispatch that computes factors and offsets of the normalisation over space that gives `id`.
pub(crate) fn factors(
    graph: &Graph<'_>,
    stored: &[bool],
    options: &Options,
    id: TensorId,
) -> Result<Option<Shader>, ProgramError> {
    let Some(entry) = graph.producer(id) else { return Ok(None) };
    let Some(norm) = over_space(&entry.op) else { return Ok(None) };
    let mut writer = Writer::new(graph, stored, options, id, Bound::Factors(id));
    let input = *graph.tensor(entry.inputs[0].get());
    let (words, channels, pixels) = (input.words(), input.shape.channels, input.pixels());
    let partials = writer.bind(Bound::Partials(id));
    let groups = shares(pixels);
    let sums = format!(
        "var sum = vec4<f32>();\nvar squares = vec4<f32>();\nfor (var i = 0; i < {groups}; i++) {{\n\
         let at = (c * {groups} + i) * 2;\nsum += {partials}[at];\nsquares += {partials}[at + 1];\n}}\n"
    );
    let (gamma, beta, epsilon) = writer.push_affine(&norm, "c");
    let each = format!("for (var c = i32(lane); c < {words}; c += {INVOCATIONS})");
    let main = if norm.kind == NormKind::Instance {
        format!(
            "{each} {{\n{sums}let mean = sum / {pixels}.0;\n\
             let variance = max(squares / {pixels}.0 - mean * mean, vec4<f32>());\n\
             let factor = inverseSqrt(variance + {epsilon}) * {gamma};\n\
             b0[c * 2] = factor;\nb0[c * 2 + 1] = {beta} - mean * factor;\n}}\n"
        )
    } else {
        writer.functions.push_str(&format!("var<workgroup> norms: array<vec4<f32>, {words}>;\n"));
        let inside = inside("i", channels);
        format!(
            "{each} {{\n{sums}norms[c] = sqrt(squares);\n}}\nworkgroupBarrier();\nvar mean = 0.0;\n\
             for (var i = 0; i < {words}; i++) {{ mean += dot(select(vec4<f32>(), norms[i], {inside}), vec4<f32>(1.0)); }}\n\
             mean = mean / {channels}.0 + {epsilon};\n\
             {each} {{\nb0[c * 2] = norms[c] / mean * {gamma} + 1.0;\nb0[c * 2 + 1] = {beta};\n}}\n"
        )
    };
    let main = format!(
        "@compute @workgroup_size({INVOCATIONS})\nfn main(@builtin(local_invocation_index) lane: u32) {{\n{main}}}\n"
    );
    Ok(Some(writer.finish(&main, [1, 1, 1])))
}

/// Which lanes of word `i` are channels.
fn inside(i: &str, channels: usize) -> String {
    format!("((vec4<i32>(0, 1, 2, 3) + {i} * {LANES}) < vec4<i32>({channels}))")
}

impl Writer<'_, '_> {
    /// A tensor's word as real numbers.
    pub(super) fn real(&mut self, id: TensorId, word: &str) -> String {
        let node = *self.graph.tensor(id);
        if node.dtype != DType::U8 {
            return word.into();
        }
        let at = self.push_quant(node.quant);
        format!("real(octets({word}), {at}u)")
    }

    /// Real numbers as a word of a tensor.
    fn unreal(&mut self, id: TensorId, value: &str) -> String {
        let node = *self.graph.tensor(id);
        if node.dtype != DType::U8 {
            return value.into();
        }
        let finish = self.push_finish(node.quant, &Finish { lo: 0, hi: 255, table: None });
        let steps = self.push_per_step(node.quant);
        format!("pack(quantise_real(({value}) * {steps}, {}u))", finish.at)
    }

    /// Zero point and scale.
    pub(super) fn push_quant(&mut self, quant: Quant) -> usize {
        self.push([[u32::from(quant.zero_point), quant.scale.to_bits(), 0, 0]])
    }

    /// Steps of the output for a real number of 1.
    pub(super) fn push_per_step(&mut self, output: Quant) -> String {
        let at = self.push([[(1.0 / output.scale).to_bits(), 0, 0, 0]]);
        format!("bitcast<f32>(P[{at}u].x)")
    }

    /// Gain and offset of word `c`, and epsilon.
    fn push_affine(&mut self, norm: &Norm<'_>, c: &str) -> (String, String, String) {
        let [gamma, beta] = [norm.gamma, norm.beta].map(|values| {
            let at = self.push_floats(values);
            format!("bitcast<vec4<f32>>(P[{at}u + u32({c})])")
        });
        let epsilon = self.push([[norm.epsilon.to_bits(), 0, 0, 0]]);
        (gamma, beta, format!("bitcast<f32>(P[{epsilon}u].x)"))
    }

    /// Body of the function of a normalisation's result.
    pub(super) fn normalised(
        &mut self,
        norm: &Norm<'_>,
        input: TensorId,
        id: TensorId,
    ) -> Result<String, ProgramError> {
        let f = self.words(input)?;
        let node = *self.graph.tensor(input);
        let value = self.real(input, &format!("{f}(y, x, c)"));
        if norm.kind != NormKind::Layer {
            let factors = self.bind(Bound::Factors(id));
            let result = self.unreal(id, &format!("{value} * {factors}[c * 2] + {factors}[c * 2 + 1]"));
            return Ok(format!("return {result};"));
        }
        let (gamma, beta, epsilon) = self.push_affine(norm, "c");
        let (words, channels) = (node.words(), node.shape.channels);
        let each = self.real(input, &format!("{f}(y, x, i)"));
        let inside = inside("i", channels);
        let result = self.unreal(id, "v");
        Ok(format!(
            "var mean = 0.0;\n\
             for (var i = 0; i < {words}; i++) {{ mean += dot(select(vec4<f32>(), {each}, {inside}), vec4<f32>(1.0)); }}\n\
             mean /= {channels}.0;\nvar variance = 0.0;\nfor (var i = 0; i < {words}; i++) {{\n\
             let d = select(vec4<f32>(), {each} - mean, {inside});\nvariance += dot(d, d);\n}}\n\
             let v = ({value} - mean) * inverseSqrt(variance / {channels}.0 + {epsilon}) * {gamma} + {beta};\n\
             return {result};"
        ))
    }
}
