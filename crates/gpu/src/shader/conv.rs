//! Convolutions: depthwise and, a word at a time, dense. (`pixel` computes all words of a dense one at once.)

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use fusionproxy_format::{Conv, ConvWeights, DType, Op};

use super::Writer;
use super::combine::finished;
use super::params::{Finishing, Numbers};
use crate::ProgramError;
use crate::graph::LANES;

/// What a dense convolution's inputs are combined with to have them signed; the bias makes good for it.
pub(super) const SIGNED: &str = " ^ 0x80808080u";

/// Parameters of a dense convolution.
pub(super) struct Dense {
    /// First vector of the outputs: bias, and scale in 8 bits.
    pub outputs: usize,
    /// First vector of the weights, `[input block][output word]`.
    pub weights: usize,
    /// Vectors of an output word.
    pub per_output: usize,
    /// Vectors of a block of four inputs for one output word.
    pub per_block: usize,
    pub finish: Option<Finishing>,
}

impl Writer<'_, '_> {
    /// Parameters of a dense convolution whose inputs come in `blocks` of four (tap, channel), for `words` output words.
    pub(super) fn push_dense(
        &mut self,
        op: usize,
        conv: &Conv<'_>,
        words: usize,
        blocks: &[[Option<(usize, usize)>; 4]],
    ) -> Dense {
        let numbers = Numbers::new(conv.geometry, conv.weights);
        let finish = self.push_conv_finish(op, conv);
        let outputs = self.push((0..words).flat_map(|w| numbers.per_output(w, true)));
        let weights = self.push(
            blocks.iter().flat_map(|b| (0..words).map(|w| (w, *b))).flat_map(|(w, b)| numbers.block(w, b)),
        );
        let (per_output, per_block) = if numbers.eight_bit() { (2, 1) } else { (1, numbers.product().1) };
        Dense { outputs, weights, per_output, per_block, finish }
    }

    fn push_conv_finish(&mut self, op: usize, conv: &Conv<'_>) -> Option<Finishing> {
        let quant = self.graph.tensor(self.graph.ops[op].output).quant;
        matches!(conv.weights, ConvWeights::Int8 { .. }).then(|| self.push_finish(quant, &conv.finish))
    }

    /// Name of the function that gives a convolution's input, or padding outside of the image.
    pub(super) fn tap(&mut self, op: usize, conv: &Conv<'_>) -> Result<String, ProgramError> {
        if let Some(name) = self.taps.get(&op) {
            return Ok(name.clone());
        }
        let entry = self.graph.ops[op];
        let input = entry.inputs[0].get();
        let f = self.words(input)?;
        let node = *self.graph.tensor(input);
        let stays_inside = matches!(entry.op, Op::Conv(_)) && conv.geometry.window.pad == [0; 4];
        let name = if stays_inside {
            f
        } else {
            let (kind, outside) = if node.dtype == DType::U8 {
                let at = self.push([[u32::from(node.quant.zero_point) * 0x0101_0101, 0, 0, 0]]);
                ("u32", format!("P[{at}u].x"))
            } else {
                ("vec4<f32>", String::from("vec4<f32>()"))
            };
            let name = self.name("t");
            let (h, w) = (node.shape.height, node.shape.width);
            self.functions.push_str(&format!(
                "fn {name}(y: i32, x: i32, c: i32) -> {kind} {{\n\
                 if (u32(y) >= {h}u || u32(x) >= {w}u) {{ return {outside}; }}\nreturn {f}(y, x, c);\n}}\n"
            ));
            name
        };
        self.taps.insert(op, name.clone());
        Ok(name)
    }

    /// The input row (`axis` 0) or column that tap `k` reads at output position `o`.
    pub(super) fn tapped(&self, op: usize, conv: &Conv<'_>, axis: usize, o: &str, k: &str) -> String {
        let w = &conv.geometry.window;
        let (stride, dilation, pad) = (w.stride[axis], w.dilation[axis], w.pad[axis]);
        if let Op::ConvTranspose(_) = self.graph.ops[op].op {
            return format!("upstream({o} + {pad} - {k} * {dilation}, {stride})");
        }
        match (w.kernel[axis], stride, pad) {
            (1, 1, 0) => o.into(),
            (_, stride, pad) => format!("{o} * {stride} + {k} * {dilation} - {pad}"),
        }
    }

    /// A word's sum, as a name, finished.
    pub(super) fn conv_finished(
        &mut self,
        conv: &Conv<'_>,
        finish: Option<Finishing>,
        sum: &str,
        scale: &str,
    ) -> String {
        match finish {
            Some(f) => finished(f, &format!("quantise({sum}, bitcast<vec4<f32>>(P[{scale}]), {}u)", f.at)),
            None => self.activated(conv.activation, sum),
        }
    }

    pub(super) fn depthwise(&mut self, op: usize, conv: &Conv<'_>) -> Result<String, ProgramError> {
        let tap = self.tap(op, conv)?;
        let numbers = Numbers::new(conv.geometry, conv.weights);
        let words = conv.geometry.output_channels.div_ceil(LANES);
        let finish = self.push_conv_finish(op, conv);
        let mut length = 0;
        let vectors: Vec<[u32; 4]> = (0..words)
            .flat_map(|w| {
                let mut one = numbers.per_output(w, false);
                one.extend(numbers.depthwise_taps(w));
                length = one.len();
                one
            })
            .collect();
        let at = self.push(vectors);
        let (kind, head, per_vector) = match conv.weights {
            ConvWeights::Int8 { .. } => ("i32", 2, 4),
            ConvWeights::F16 { .. } => ("f32", 1, 2),
            ConvWeights::F32 { .. } => ("f32", 1, 1),
        };
        let mut body =
            format!("let k = {at}u + u32(c) * {length}u;\nvar sum = bitcast<vec4<{kind}>>(P[k]);\n");
        let [kh, kw] = conv.geometry.window.kernel.map(usize::from);
        for ky in 0..kh {
            body.push_str(&format!("let y{ky} = {};\n", self.tapped(op, conv, 0, "y", &format!("{ky}"))));
        }
        for kx in 0..kw {
            body.push_str(&format!("let x{kx} = {};\n", self.tapped(op, conv, 1, "x", &format!("{kx}"))));
        }
        for t in 0..kh * kw {
            let (vector, part) = (t / per_vector, t % per_vector);
            if part == 0 {
                body.push_str(&format!("let w{vector} = P[k + {}u];\n", head + vector));
            }
            let value = format!("{tap}(y{}, x{}, c)", t / kw, t % kw);
            let product = match conv.weights {
                ConvWeights::Int8 { .. } => {
                    format!("weights(w{vector}.{}) * octets({value})", ["x", "y", "z", "w"][part])
                }
                ConvWeights::F16 { .. } => format!("half4(w{vector}.{}) * {value}", ["xy", "zw"][part]),
                ConvWeights::F32 { .. } => format!("bitcast<vec4<f32>>(w{vector}) * {value}"),
            };
            body.push_str(&format!("sum += {product};\n"));
        }
        Ok(format!("{body}return {};", self.conv_finished(conv, finish, "sum", "k + 1u")))
    }

    /// One word of a dense convolution.
    pub(super) fn dense_word(&mut self, op: usize, conv: &Conv<'_>) -> Result<String, ProgramError> {
        let tap = self.tap(op, conv)?;
        let numbers = Numbers::new(conv.geometry, conv.weights);
        let words = conv.geometry.output_channels.div_ceil(LANES);
        let input_words = conv.geometry.input_channels.div_ceil(LANES);
        let d = self.push_dense(op, conv, words, &by_word(numbers.taps(), input_words));
        let kind = if d.finish.is_some() { "i32" } else { "f32" };
        let kw = conv.geometry.window.kernel[1];
        let y = self.tapped(op, conv, 0, "y", &format!("(t / {kw})"));
        let x = self.tapped(op, conv, 1, "x", &format!("(t % {kw})"));
        let at =
            format!("{}u + (u32(t * {input_words} + i) * {words}u + u32(c)) * {}u", d.weights, d.per_block);
        let step = if d.finish.is_some() {
            format!("dots({tap}(sy, sx, i){SIGNED}, P[{at}])")
        } else {
            format!("{}({tap}(sy, sx, i), {at})", numbers.product().0)
        };
        let scale = "k + 1u";
        Ok(format!(
            "let k = {}u + u32(c) * {}u;\nvar sum = bitcast<vec4<{kind}>>(P[k]);\n\
             for (var t = 0; t < {}; t++) {{\nlet sy = {y};\nlet sx = {x};\n\
             for (var i = 0; i < {input_words}; i++) {{ sum += {step}; }}\n}}\nreturn {};",
            d.outputs,
            d.per_output,
            numbers.taps(),
            self.conv_finished(conv, d.finish, "sum", scale)
        ))
    }
}

/// Inputs of a dense convolution in blocks of four channels, tap by tap.
pub(super) fn by_word(taps: usize, input_words: usize) -> Vec<[Option<(usize, usize)>; 4]> {
    (0..taps)
        .flat_map(|t| (0..input_words).map(move |i| core::array::from_fn(|lane| Some((t, i * LANES + lane)))))
        .collect()
}
