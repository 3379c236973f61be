//! The functions that give a tensor's words.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use fusionproxy_format::{DType, Op, Pad, PadMode, TensorId};

use super::{Bound, Writer, word};
use crate::ProgramError;
use crate::graph::LANES;

impl Writer<'_, '_> {
    /// Name of the function `(y: i32, x: i32, c: i32)` that gives word `c` of a tensor's pixel.
    pub(super) fn words(&mut self, id: TensorId) -> Result<String, ProgramError> {
        if let Some(name) = self.words.get(&id) {
            return Ok(name.clone());
        }
        let node = *self.graph.tensor(id);
        let body = if let Some(op) = node.producer.filter(|_| self.is_computed(id)) {
            self.operators.insert(op);
            self.computed(op, id)?
        } else if let Some(data) = node.data {
            self.constant(id, data)
        } else if node.producer.is_none() {
            self.frame(id)
        } else {
            let source = self.bind(Bound::Tensor(id));
            let at = format!("{source}[{}]", self.index(id, "y", "x", "c"));
            if node.dtype == DType::F16 { format!("return half4({at});") } else { format!("return {at};") }
        };
        Ok(self.define(id, &body))
    }

    /// Defines the function of a tensor.
    pub(super) fn define(&mut self, id: TensorId, body: &str) -> String {
        let name = self.name("f");
        let result = word(self.graph.tensor(id).dtype);
        self.functions.push_str(&format!(
            "fn {name}(y: i32, x: i32, c: i32) -> {result} {{\n{}\n}}\n",
            body.trim_end()
        ));
        self.words.insert(id, name.clone());
        name
    }

    /// Where a stored tensor's word lies.
    pub(super) fn index(&self, id: TensorId, y: &str, x: &str, c: &str) -> String {
        let shape = self.graph.tensor(id).shape;
        format!("({c} * {} + {y}) * {} + {x}", shape.height, shape.width)
    }

    fn computed(&mut self, op: usize, id: TensorId) -> Result<String, ProgramError> {
        let entry = self.graph.ops[op];
        match &entry.op {
            Op::Conv(c) | Op::ConvTranspose(c) if c.geometry.depthwise() => self.depthwise(op, c),
            Op::Conv(c) | Op::ConvTranspose(c) => self.dense_word(op, c),
            Op::Binary(_) | Op::Activation { .. } | Op::PRelu { .. } | Op::Convert(_) => {
                let operands = (0..entry.inputs.len())
                    .map(|i| {
                        let at = |extent: usize, name: &'static str| if extent == 1 { "0" } else { name };
                        let input = entry.inputs[i].get();
                        let shape = self.graph.tensor(input).shape;
                        let c = if shape.channels == 1 { "0" } else { "c" };
                        let call = self.words(input)?;
                        let call =
                            format!("{call}({}, {}, {c})", at(shape.height, "y"), at(shape.width, "x"));
                        Ok(self.broadcast(input, id, call))
                    })
                    .collect::<Result<Vec<_>, ProgramError>>()?;
                Ok(format!("return {};", self.combine(op, &operands, "c")?))
            }
            Op::Concat => self.concat(op, id),
            Op::Slice(s) => {
                let input = entry.inputs[0].get();
                let [top, left, first] = s.start;
                let (y, x) = (format!("y + {top}"), format!("x + {left}"));
                if first % LANES == 0 {
                    let f = self.words(input)?;
                    return Ok(format!("return {f}({y}, {x}, c + {});", first / LANES));
                }
                let g = self.lanes(input)?;
                Ok(self.gather(id, |ch| format!("{g}({y}, {x}, {ch} + {first})")))
            }
            Op::Pad(p) => self.pad(p, entry.inputs[0].get(), id),
            Op::PixelShuffle { block, channel_major } => {
                let g = self.lanes(entry.inputs[0].get())?;
                let channels = self.graph.tensor(id).shape.channels;
                let (b, area) = (block, block * block);
                let at = format!("(y % {b}) * {b} + x % {b}");
                Ok(self.gather(id, |ch| {
                    let channel = if *channel_major {
                        format!("({ch}) * {area} + {at}")
                    } else {
                        format!("({at}) * {channels} + {ch}")
                    };
                    format!("{g}(y / {b}, x / {b}, {channel})")
                }))
            }
            Op::Transpose(t) => {
                let g = self.lanes(entry.inputs[0].get())?;
                Ok(self.gather(id, |ch| {
                    let mut at = ["", "", ""];
                    let channel = format!("({ch})");
                    for (dimension, name) in t.order.iter().zip(["y", "x", channel.as_str()]) {
                        at[usize::from(*dimension)] = name;
                    }
                    format!("{g}({}, {}, {})", at[0], at[1], at[2])
                }))
            }
            Op::Reshape => {
                let input = entry.inputs[0].get();
                let (from, to) = (self.graph.tensor(input).shape, self.graph.tensor(id).shape);
                let g = self.lanes(input)?;
                Ok(self.gather(id, |ch| {
                    let e = format!("((y * {} + x) * {} + {ch})", to.width, to.channels);
                    let (w, c) = (from.width, from.channels);
                    format!("{g}({e} / {}, {e} / {c} % {w}, {e} % {c})", w * c)
                }))
            }
            Op::Resize(r) => self.resize(r, entry.inputs[0].get(), id),
            Op::Pool(p) => self.pool(op, p),
            Op::Reduce(r) => self.reduced(r, entry.inputs[0].get(), id),
            Op::Norm(n) => self.normalised(n, entry.inputs[0].get(), id),
            Op::Softmax(s) => self.softmax(s, entry.inputs[0].get(), id),
            Op::Matmul(m) => self.matmul(m, [0, 1].map(|i| entry.inputs[i].get()), id),
            Op::Blend(_) => self.unsupported(op, "a composition that is not the network's last operator"),
        }
    }

    /// A word of one channel as a word of four equal ones, where a tensor of one channel meets one of more.
    pub(super) fn broadcast(&self, input: TensorId, output: TensorId, word: String) -> String {
        let (input, output) = (self.graph.tensor(input), self.graph.tensor(output));
        match input.dtype {
            _ if input.shape.channels == output.shape.channels => word,
            DType::U8 => format!("(({word} & 255u) * 0x01010101u)"),
            DType::F16 | DType::F32 => format!("vec4<f32>({word}.x)"),
        }
    }

    fn constant(&mut self, id: TensorId, data: &[u8]) -> String {
        let node = *self.graph.tensor(id);
        let (pixels, words, channels) = (node.pixels(), node.words(), node.shape.channels);
        let element = |word: usize, pixel: usize, lane: usize| {
            let channel = word * LANES + lane;
            (channel < channels).then_some(pixel * channels + channel)
        };
        let index = format!("u32({})", self.index(id, "y", "x", "c"));
        if node.dtype == DType::U8 {
            let bytes: Vec<u8> = (0..words)
                .flat_map(|w| (0..pixels).flat_map(move |p| (0..LANES).map(move |l| (w, p, l))))
                .map(|(w, p, l)| element(w, p, l).map_or(0, |e| data[e]))
                .collect();
            let at = self.push_bytes(&bytes);
            return format!("let i = {index};\nreturn P[{at}u + (i >> 2u)][i & 3u];");
        }
        let size = node.dtype.bytes();
        let number = |e: usize| {
            let bytes = &data[e * size..][..size];
            match bytes {
                [a, b] => half::f16::from_le_bytes([*a, *b]).to_f32().to_bits(),
                [a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
                _ => 0,
            }
        };
        let vectors: Vec<[u32; 4]> = (0..words)
            .flat_map(|w| (0..pixels).map(move |p| (w, p)))
            .map(|(w, p)| core::array::from_fn(|l| element(w, p, l).map_or(0, number)))
            .collect();
        let at = self.push(vectors);
        format!("return bitcast<vec4<f32>>(P[{at}u + {index}]);")
    }

    fn concat(&mut self, op: usize, id: TensorId) -> Result<String, ProgramError> {
        let inputs: Vec<TensorId> = self.graph.inputs(op).collect();
        let channels = |id: TensorId| self.graph.tensor(id).shape.channels;
        let (last, others) = inputs.split_last().ok_or(self.graph.unsupported(op, "nothing"))?;
        let aligned = others.iter().all(|i| channels(*i).is_multiple_of(LANES));
        let part = |from: usize| if from == 0 { String::from("c") } else { format!("c - {from}") };
        let (mut first, mut body) = (0, String::new());
        if aligned {
            for input in others {
                let f = self.words(*input)?;
                let end = first + self.graph.tensor(*input).words();
                body.push_str(&format!("if (c < {end}) {{ return {f}(y, x, {}); }}\n", part(first)));
                first = end;
            }
            let f = self.words(*last)?;
            return Ok(format!("{body}return {f}(y, x, {});", part(first)));
        }
        for input in others {
            let g = self.lanes(*input)?;
            let end = first + self.graph.tensor(*input).shape.channels;
            body.push_str(&format!("if (c < {end}) {{ return {g}(y, x, {}); }}\n", part(first)));
            first = end;
        }
        let g = self.lanes(*last)?;
        let name = self.name("g");
        let result = if self.graph.tensor(id).dtype == DType::U8 { "i32" } else { "f32" };
        self.functions.push_str(&format!(
            "fn {name}(y: i32, x: i32, c: i32) -> {result} {{\n{body}return {g}(y, x, {});\n}}\n",
            part(first)
        ));
        Ok(self.gather(id, |ch| format!("{name}(y, x, {ch})")))
    }

    /// Name of the function `(y, x, ch)` that gives one channel.
    pub(super) fn lanes(&mut self, id: TensorId) -> Result<String, ProgramError> {
        let f = self.words(id)?;
        let name = self.name("g");
        let (result, value) = if self.graph.tensor(id).dtype == DType::U8 {
            ("i32", format!("i32(({f}(y, x, ch >> 2u) >> (u32(ch & 3) * 8u)) & 255u)"))
        } else {
            ("f32", format!("{f}(y, x, ch >> 2u)[ch & 3]"))
        };
        self.functions
            .push_str(&format!("fn {name}(y: i32, x: i32, ch: i32) -> {result} {{ return {value}; }}\n"));
        Ok(name)
    }

    /// The statement that returns a word of four channels, each by itself.
    pub(super) fn gather(&self, id: TensorId, channel: impl Fn(&str) -> String) -> String {
        let each = ["c * 4", "c * 4 + 1", "c * 4 + 2", "c * 4 + 3"].map(channel).join(", ");
        if self.graph.tensor(id).dtype == DType::U8 {
            format!("return pack(vec4<i32>({each}));")
        } else {
            format!("return vec4<f32>({each});")
        }
    }

    fn pad(&mut self, pad: &Pad, input: TensorId, id: TensorId) -> Result<String, ProgramError> {
        let f = self.words(input)?;
        let from = self.graph.tensor(input).shape;
        let (top, left) = (pad.before[0], pad.before[1]);
        let (h, w) = (from.height, from.width);
        let inside = format!("let sy = y - {top};\nlet sx = x - {left};\n");
        Ok(match pad.mode {
            PadMode::Edge => {
                format!("{inside}return {f}(clamp(sy, 0, {}), clamp(sx, 0, {}), c);", h - 1, w - 1)
            }
            // Below zero the mirror image is the magnitude, beyond the last element its distance from twice that.
            PadMode::Reflect => {
                let mirror = |s: &str, last: usize| format!("{last} - abs({last} - abs({s}))");
                format!("{inside}return {f}({}, {}, c);", mirror("sy", h - 1), mirror("sx", w - 1))
            }
            PadMode::Constant => {
                let outside = if self.graph.tensor(id).dtype == DType::U8 {
                    let at = self.push([[u32::from(pad.quantised) * 0x0101_0101, 0, 0, 0]]);
                    format!("P[{at}u].x")
                } else {
                    format!("vec4<f32>({})", self.number(pad.value))
                };
                format!(
                    "{inside}if (u32(sy) >= {h}u || u32(sx) >= {w}u) {{ return {outside}; }}\nreturn {f}(sy, sx, c);"
                )
            }
        })
    }
}
