//! Small ONNX models, written through the protobuf types that tract reads them with.

use std::path::PathBuf;

use fusionproxy_compiler::{CalibrationPair, CompileError, Compiled, Options, Precision, compile};
use prost::Message;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Dim};

/// An attribute's value.
pub(crate) enum Attr {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Text(&'static str),
}

/// A model under construction.
pub(crate) struct Net {
    pub(crate) model: pb::ModelProto,
    graph: pb::GraphProto,
    seed: u32,
    count: usize,
}

fn value(name: &str, dims: &[Option<usize>]) -> pb::ValueInfoProto {
    let dim = dims
        .iter()
        .enumerate()
        .map(|(i, d)| Dimension {
            denotation: String::new(),
            value: Some(match d {
                Some(n) => Dim::DimValue(*n as i64),
                None => Dim::DimParam(format!("d{i}")),
            }),
        })
        .collect();
    let tensor = pb::type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(pb::TensorShapeProto { dim }),
    };
    pb::ValueInfoProto {
        name: name.into(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

impl Net {
    /// A model without inputs, for operator set `opset`.
    pub(crate) fn bare(opset: i64) -> Self {
        let model = pb::ModelProto {
            ir_version: 8,
            opset_import: vec![pb::OperatorSetIdProto { domain: String::new(), version: opset }],
            ..Default::default()
        };
        Self { model, graph: pb::GraphProto { name: "test".into(), ..Default::default() }, seed: 1, count: 0 }
    }

    /// A model with the inputs `vis` and `ir` `[1, 1, H, W]` of open size, and the output `fused`.
    pub(crate) fn new(opset: i64) -> Self {
        Self::bare(opset)
            .input("vis", &[Some(1), Some(1), None, None])
            .input("ir", &[Some(1), Some(1), None, None])
            .output("fused")
    }

    pub(crate) fn input(mut self, name: &str, dims: &[Option<usize>]) -> Self {
        self.graph.input.push(value(name, dims));
        self
    }

    pub(crate) fn output(mut self, name: &str) -> Self {
        self.graph.output.push(value(name, &[Some(1), None, None, None]));
        self
    }

    fn tensor(&mut self, dims: &[usize], data: Vec<f32>) -> String {
        self.count += 1;
        let name = format!("w{}", self.count);
        self.graph.initializer.push(pb::TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|d| *d as i64).collect(),
            data_type: DataType::Float as i32,
            float_data: data,
            ..Default::default()
        });
        name
    }

    /// A float initialiser.
    pub(crate) fn floats(&mut self, dims: &[usize], data: &[f32]) -> String {
        self.tensor(dims, data.to_vec())
    }

    /// An initialiser of pseudo-random weights of unit order.
    pub(crate) fn weights(&mut self, dims: &[usize]) -> String {
        let fan: usize = dims.iter().skip(1).product::<usize>().max(1);
        let size = 1.7 / (fan as f32).sqrt();
        let data = (0..dims.iter().product::<usize>())
            .map(|_| {
                self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((self.seed >> 8) as f32 / (1u32 << 23) as f32 - 1.0) * size
            })
            .collect();
        self.tensor(dims, data)
    }

    /// An integer initialiser.
    pub(crate) fn ints(&mut self, data: &[i64]) -> String {
        self.count += 1;
        let name = format!("i{}", self.count);
        self.graph.initializer.push(pb::TensorProto {
            name: name.clone(),
            dims: vec![data.len() as i64],
            data_type: DataType::Int64 as i32,
            int64_data: data.to_vec(),
            ..Default::default()
        });
        name
    }

    /// Adds a node with outputs of given names.
    pub(crate) fn node_to(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attr)],
    ) {
        let attribute = attributes
            .iter()
            .map(|(name, v)| {
                let mut a = pb::AttributeProto { name: (*name).into(), ..Default::default() };
                match v {
                    Attr::Int(i) => (a.i, a.r#type) = (*i, AttributeType::Int as i32),
                    Attr::Float(f) => (a.f, a.r#type) = (*f, AttributeType::Float as i32),
                    Attr::Ints(v) => (a.ints, a.r#type) = (v.clone(), AttributeType::Ints as i32),
                    Attr::Text(t) => (a.s, a.r#type) = (t.as_bytes().to_vec(), AttributeType::String as i32),
                }
                a
            })
            .collect();
        self.graph.node.push(pb::NodeProto {
            name: format!("{op}:{}", outputs[0]),
            op_type: op.into(),
            input: inputs.iter().map(|i| (*i).into()).collect(),
            output: outputs.iter().map(|o| (*o).into()).collect(),
            attribute,
            ..Default::default()
        });
    }

    /// Adds a node with one new output and gives its name.
    pub(crate) fn node(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attr)]) -> String {
        self.count += 1;
        let out = format!("v{}", self.count);
        self.node_to(op, inputs, &[&out], attributes);
        out
    }

    /// A convolution with bias and same padding.
    pub(crate) fn conv(
        &mut self,
        x: &str,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
    ) -> String {
        let (w, b) = (self.weights(&[outputs, inputs, kernel, kernel]), self.weights(&[outputs]));
        let p = kernel as i64 / 2;
        self.node(
            "Conv",
            &[x, &w, &b],
            &[("pads", Attr::Ints(vec![p; 4])), ("strides", Attr::Ints(vec![stride as i64; 2]))],
        )
    }

    /// A depthwise 3x3 convolution.
    pub(crate) fn depthwise(&mut self, x: &str, channels: usize) -> String {
        let (w, b) = (self.weights(&[channels, 1, 3, 3]), self.weights(&[channels]));
        self.node(
            "Conv",
            &[x, &w, &b],
            &[("pads", Attr::Ints(vec![1; 4])), ("group", Attr::Int(channels as i64))],
        )
    }

    /// Features of both inputs, `[1, channels, H, W]`.
    pub(crate) fn features(&mut self, channels: usize) -> String {
        let x = self.node("Concat", &["vis", "ir"], &[("axis", Attr::Int(1))]);
        self.conv(&x, 2, channels, 3, 1)
    }

    /// Ends the network: `x` `[1, channels, H, W]` to the image.
    pub(crate) fn finish(&mut self, x: &str, channels: usize) {
        let y = self.conv(x, channels, 1, 1, 1);
        self.node_to("Sigmoid", &[&y], &["fused"], &[]);
    }

    /// The model's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut m = self.model.clone();
        m.graph = Some(self.graph.clone());
        m.encode_to_vec()
    }

    /// Access to the graph, for spoiling it.
    pub(crate) fn graph(&mut self) -> &mut pb::GraphProto {
        &mut self.graph
    }

    /// Compiles the model.
    pub(crate) fn compile(
        &self,
        options: &Options,
        pairs: &[CalibrationPair],
    ) -> Result<Compiled, CompileError> {
        let (_folder, path) = written(&self.bytes());
        compile(&path, options, pairs, &mut |_, _, _| ())
    }

    /// Compiles for f32 and demands that it computes what tract does.
    pub(crate) fn exact(&self) -> Compiled {
        let options = Options { precision: Precision::F32, ..Options::default() };
        let c = self.compile(&options, &pairs(2, 72, 88)).unwrap_or_else(|e| panic!("{e}"));
        let v = c.report.verification.as_ref().expect("verification");
        assert!(v.import_error < 1e-4, "differs from tract by {}", v.import_error);
        assert!(v.psnr_min > 80.0, "{} dB", v.psnr_min);
        c
    }
}

/// Writes a model; the folder lives as long as its handle.
pub(crate) fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

/// `n` different pairs with edges, ramps and texture.
pub(crate) fn pairs(n: usize, height: usize, width: usize) -> Vec<CalibrationPair> {
    (0..n)
        .map(|k| {
            let px = || (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)));
            let vis = |(y, x): (usize, usize)| {
                let block = (x / (7 + k) + y / (5 + k)) % 2 * 80;
                [block + x * 120 / width, block + y * 120 / height, (x * 5 + y * 11 + k * 31) % 200 + 20]
            };
            let ir = |(y, x): (usize, usize)| {
                let d = y.abs_diff(height / 2) + x.abs_diff(width * (k + 1) / (n + 2));
                if d < height / 4 { 230 - d * 2 } else { 25 + (x * 3 + y * 7 + k) % 50 }
            };
            CalibrationPair {
                name: format!("pair{k}"),
                width,
                height,
                visible_rgb: px().flat_map(vis).map(|v| v as u8).collect(),
                infrared: px().map(ir).map(|v| v as u8).collect(),
            }
        })
        .collect()
}
