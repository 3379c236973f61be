//! Dispatches in which one invocation computes one pixel.
//!
//! Convolutions that take all channels of a pixel have all their sums in registers, so that each input is read once.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use fusionproxy_format::{Conv, DType, Op, TensorId};

use super::conv::{SIGNED, by_word};
use super::{Bound, Shader, Writer, store, word};
use crate::fuse::{REGISTER_WORDS, pointwise};
use crate::graph::{Graph, LANES};
use crate::{Options, ProgramError};

/// Width and height of a workgroup. Neighbours across lie side by side in memory.
const GROUP: [usize; 2] = [16, 4];

/// The dispatch that computes the stored tensor `root`.
pub(crate) fn pixel(
    graph: &Graph<'_>,
    stored: &[bool],
    options: &Options,
    root: TensorId,
) -> Result<Shader, ProgramError> {
    let mut writer = Writer::new(graph, stored, options, root, Bound::Tensor(root));
    let node = *graph.tensor(root);
    let size = (node.shape.height, node.shape.width);
    if !in_registers(&writer, root, &mut BTreeMap::new()) {
        // One invocation a word, since no two share work.
        let f = writer.words(root)?;
        let index = writer.index(root, "y", "x", "c");
        let body =
            format!("let c = i32(id.z);\n{}", store(node.dtype, "b0", &index, &format!("{f}(y, x, c)")));
        return Ok(writer.finish(&main(size, &body), groups(size, node.words())));
    }
    // Convolutions with more outputs are divided; each part reads all inputs.
    let parts = if graph.is_dense(root) { node.words().div_ceil(REGISTER_WORDS) } else { 1 };
    let words = node.words().div_ceil(parts);
    let mut body = Body::new(writer, words, parts);
    for k in 0..words {
        let value = body.value(root, k)?;
        let c = body.place(k);
        let statement = store(node.dtype, "b0", &body.writer.index(root, "y", "x", &c), &value);
        body.text.push_str(&if parts * words > node.words() {
            format!("if ({c} < {}) {{ {} }}\n", node.words(), statement.trim_end())
        } else {
            statement
        });
    }
    let main = main(size, &body.text);
    Ok(body.writer.finish(&main, groups(size, parts)))
}

/// The entry point of a dispatch over `size` (height, width) pixels.
pub(super) fn main(size: (usize, usize), body: &str) -> String {
    format!(
        "@compute @workgroup_size({}, {})\nfn main(@builtin(global_invocation_id) id: vec3<u32>) {{\n\
         let x = i32(id.x);\nlet y = i32(id.y);\nif (x >= {} || y >= {}) {{ return; }}\n{body}}}\n",
        GROUP[0], GROUP[1], size.1, size.0
    )
}

/// Workgroups of such a dispatch.
pub(super) fn groups(size: (usize, usize), depth: usize) -> [usize; 3] {
    [size.1.div_ceil(GROUP[0]), size.0.div_ceil(GROUP[1]), depth]
}

/// Whether a tensor's words at the pixel come out of registers: it is a dense convolution that is computed here, or an
/// element-wise operator on one. `known` holds earlier answers.
fn in_registers(writer: &Writer<'_, '_>, id: TensorId, known: &mut BTreeMap<TensorId, bool>) -> bool {
    if let Some(answer) = known.get(&id) {
        return *answer;
    }
    let graph = writer.graph;
    let size = |id: TensorId| (graph.tensor(id).shape.height, graph.tensor(id).shape.width);
    let answer = match graph.producer(id).filter(|_| writer.is_computed(id)) {
        None => false,
        Some(_) if graph.is_dense(id) => true,
        Some(entry) => match entry.op {
            Op::Binary(_)
            | Op::Activation { .. }
            | Op::PRelu { .. }
            | Op::Convert(_)
            | Op::Concat
            | Op::Slice(_) => {
                entry.inputs.iter().any(|i| size(i.get()) == size(id) && in_registers(writer, i.get(), known))
            }
            _ => false,
        },
    };
    known.insert(id, answer);
    answer
}

/// Statements that compute one pixel.
pub(super) struct Body<'g, 'a> {
    pub writer: Writer<'g, 'a>,
    pub text: String,
    /// Names of values.
    values: BTreeMap<(TensorId, usize), String>,
    registers: BTreeMap<TensorId, bool>,
    /// Words of the root in one part, and parts.
    words: usize,
    parts: usize,
}

impl<'g, 'a> Body<'g, 'a> {
    pub(super) fn new(writer: Writer<'g, 'a>, words: usize, parts: usize) -> Self {
        Self {
            writer,
            text: String::new(),
            values: BTreeMap::new(),
            registers: BTreeMap::new(),
            words,
            parts,
        }
    }

    /// Word `k` of this invocation's part, among the root's words.
    fn place(&self, k: usize) -> String {
        if self.parts == 1 { format!("{k}") } else { format!("(i32(id.z) * {} + {k})", self.words) }
    }

    fn in_registers(&mut self, id: TensorId) -> bool {
        in_registers(&self.writer, id, &mut self.registers)
    }

    /// Name of word `k` of a tensor at the pixel.
    pub(super) fn value(&mut self, id: TensorId, k: usize) -> Result<String, ProgramError> {
        if let Some(name) = self.values.get(&(id, k)) {
            return Ok(name.clone());
        }
        let graph = self.writer.graph;
        let op = graph.tensor(id).producer;
        let (Some(op), true) = (op, self.in_registers(id)) else {
            let f = self.writer.words(id)?;
            return Ok(self.bind(id, k, &format!("{f}(y, x, {k})")));
        };
        self.writer.operators.insert(op);
        let entry = graph.ops[op];
        match &entry.op {
            Op::Conv(c) | Op::ConvTranspose(c) => {
                self.dense(op, id, c)?;
                self.value(id, k)
            }
            Op::Concat | Op::Slice(_) => self.rearranged(op, id, k),
            _ => {
                let operands = (0..entry.inputs.len())
                    .map(|i| self.operand(entry.inputs[i].get(), id, k))
                    .collect::<Result<Vec<_>, _>>()?;
                let value = self.writer.combine(op, &operands, &format!("{k}"))?;
                Ok(self.bind(id, k, &value))
            }
        }
    }

    /// A word of an element-wise operator's input, repeated where it has one pixel or one channel only.
    fn operand(&mut self, input: TensorId, id: TensorId, k: usize) -> Result<String, ProgramError> {
        let graph = self.writer.graph;
        let (from, to) = (graph.tensor(input).shape, graph.tensor(id).shape);
        let k = if from.channels == 1 { 0 } else { k };
        let word = if (from.height, from.width) == (to.height, to.width) {
            self.value(input, k)?
        } else {
            let f = self.writer.words(input)?;
            let at = |extent: usize, name: &'static str| if extent == 1 { "0" } else { name };
            format!("{f}({}, {}, {k})", at(from.height, "y"), at(from.width, "x"))
        };
        Ok(self.writer.broadcast(input, id, word))
    }

    fn bind(&mut self, id: TensorId, k: usize, value: &str) -> String {
        let name = self.writer.name("v");
        self.text.push_str(&format!("let {name} = {value};\n"));
        self.values.insert((id, k), name.clone());
        name
    }

    /// A word of a concatenation or of a slice of channels, part of which is in registers.
    fn rearranged(&mut self, op: usize, id: TensorId, k: usize) -> Result<String, ProgramError> {
        let graph = self.writer.graph;
        let node = *graph.tensor(id);
        let first = if let Op::Slice(s) = graph.ops[op].op { s.start[2] } else { 0 };
        let mut lanes = Vec::new();
        for lane in 0..LANES {
            let mut channel = (k * LANES + lane).min(node.shape.channels - 1) + first;
            let source = graph.inputs(op).find(|i| {
                let channels = graph.tensor(*i).shape.channels;
                let here = channel < channels;
                if !here {
                    channel -= channels;
                }
                here
            });
            lanes.push((source.ok_or(graph.unsupported(op, "channels that no input has"))?, channel));
        }
        let (input, channel) = lanes[0];
        if channel % LANES == 0 && lanes.iter().all(|(i, c)| *i == input && c / LANES == channel / LANES) {
            let name = self.value(input, channel / LANES)?;
            self.values.insert((id, k), name.clone());
            return Ok(name);
        }
        let eight_bit = node.dtype == DType::U8;
        let mut each = Vec::new();
        for (input, channel) in lanes {
            let (word, part) = (self.value(input, channel / LANES)?, ["x", "y", "z", "w"][channel % LANES]);
            each.push(if eight_bit { format!("octets({word}).{part}") } else { format!("{word}.{part}") });
        }
        let each = each.join(", ");
        let value = if eight_bit { format!("pack(vec4<i32>({each}))") } else { format!("vec4<f32>({each})") };
        Ok(self.bind(id, k, &value))
    }

    /// All words of a dense convolution.
    fn dense(&mut self, op: usize, id: TensorId, conv: &Conv<'_>) -> Result<(), ProgramError> {
        let graph = self.writer.graph;
        let input = graph.ops[op].inputs[0].get();
        let input_words = graph.tensor(input).words();
        let taps: usize = conv.geometry.window.kernel.iter().map(|k| usize::from(*k)).product();
        let root = id == self.writer.root;
        let (words, parts) = if root { (self.words, self.parts) } else { (graph.tensor(id).words(), 1) };
        let chained = self.in_registers(input);
        if chained && !pointwise(conv) {
            return self.writer.unsupported(op, "a window over values in registers");
        }
        // Inputs of one channel fill words with four taps.
        let gathered = !chained && conv.geometry.input_channels == 1 && taps > 1;
        let blocks = if gathered {
            (0..taps.div_ceil(LANES))
                .map(|b| core::array::from_fn(|i| Some((b * LANES + i, 0)).filter(|(t, _)| *t < taps)))
                .collect()
        } else {
            by_word(taps, input_words)
        };
        let d = self.writer.push_dense(op, conv, words * parts, &blocks);
        let eight_bit = d.finish.is_some();
        let prefix = self.writer.name("a");
        let outputs = if parts == 1 { String::new() } else { format!(" + id.z * {}u", words * d.per_output) };
        let kind = if eight_bit { "vec4<i32>" } else { "vec4<f32>" };
        for o in 0..words {
            let at = format!("{}u{outputs}", d.outputs + o * d.per_output);
            self.text.push_str(&format!("var {prefix}_{o} = bitcast<{kind}>(P[{at}]);\n"));
        }
        let product = super::params::Numbers::new(conv.geometry, conv.weights).product().0;
        // Adds four inputs, in the variable `v`, times the weights at `k`.
        let steps = |v: &str, k: &dyn Fn(usize) -> String| -> String {
            (0..words)
                .map(|o| {
                    if eight_bit {
                        format!("{prefix}_{o} += dots({v}, P[{}]);\n", k(o))
                    } else {
                        format!("{prefix}_{o} += {product}({v}, {});\n", k(o * d.per_block))
                    }
                })
                .collect()
        };
        let part = if parts == 1 { String::new() } else { format!(" + id.z * {}u", words * d.per_block) };
        let signed = if eight_bit { SIGNED } else { "" };
        let block = words * parts * d.per_block;
        if chained {
            for i in 0..input_words {
                let value = self.value(input, i)?;
                let v = self.writer.name("v");
                self.text.push_str(&format!("let {v} = {value}{signed};\n"));
                let steps = steps(&v, &|o| format!("{}u{part}", d.weights + i * block + o));
                self.text.push_str(&steps);
            }
        } else if gathered {
            let tap = self.writer.tap(op, conv)?;
            let kw = usize::from(conv.geometry.window.kernel[1]);
            for (b, taps) in blocks.iter().enumerate() {
                let each: Vec<String> = taps
                    .iter()
                    .map(|t| match t {
                        Some((t, _)) => {
                            let y = self.writer.tapped(op, conv, 0, "y", &format!("{}", t / kw));
                            let x = self.writer.tapped(op, conv, 1, "x", &format!("{}", t % kw));
                            if eight_bit {
                                format!("{tap}({y}, {x}, 0)")
                            } else {
                                format!("{tap}({y}, {x}, 0).x")
                            }
                        }
                        None if eight_bit => String::from("0u"),
                        None => String::from("0.0"),
                    })
                    .collect();
                let each = each.join(", ");
                let v = self.writer.name("v");
                let value = if eight_bit {
                    format!("pack(bitcast<vec4<i32>>(vec4<u32>({each})))")
                } else {
                    format!("vec4<f32>({each})")
                };
                self.text.push_str(&format!("let {v} = {value}{signed};\n"));
                let steps = steps(&v, &|o| format!("{}u{part}", d.weights + b * block + o));
                self.text.push_str(&steps);
            }
        } else {
            let tap = self.writer.tap(op, conv)?;
            let [kh, kw] = conv.geometry.window.kernel;
            let y = self.writer.tapped(op, conv, 0, "y", "ky");
            let x = self.writer.tapped(op, conv, 1, "x", "kx");
            let window = taps > 1;
            let (y, x, t) = if window {
                self.text.push_str(&format!(
                    "for (var ky = 0; ky < {kh}; ky++) {{\nlet sy = {y};\nfor (var kx = 0; kx < {kw}; kx++) {{\nlet sx = {x};\n"
                ));
                (String::from("sy"), String::from("sx"), format!("(ky * {kw} + kx) * {input_words} + i"))
            } else {
                (y.replace("ky", "0"), x.replace("kx", "0"), String::from("i"))
            };
            let steps = steps("v", &|o| format!("k + {o}u"));
            self.text.push_str(&format!(
                "for (var i = 0; i < {input_words}; i++) {{\nlet v = {tap}({y}, {x}, i){signed};\n\
                 let k = {}u + u32({t}) * {block}u{part};\n{steps}}}\n{}",
                d.weights,
                if window { "}\n}\n" } else { "" }
            ));
        }
        for o in 0..words {
            let scale = format!("{}u{outputs}", d.outputs + o * d.per_output + 1);
            let value = self.writer.conv_finished(conv, d.finish, &format!("{prefix}_{o}"), &scale);
            debug_assert!(word(graph.tensor(id).dtype) == if eight_bit { "u32" } else { "vec4<f32>" });
            self.bind(id, o, &value);
        }
        Ok(())
    }
}
