//! An ONNX node as the importer reads it.

use tract_onnx::pb;

use crate::CompileError;

/// A node with what error messages need.
#[derive(Clone, Copy)]
pub(super) struct OnnxNode<'a> {
    pub(super) proto: &'a pb::NodeProto,
    pub(super) opset: i64,
}

impl<'a> OnnxNode<'a> {
    /// Its name, or its first output's where the exporter gave none.
    pub(super) fn name(&self) -> &'a str {
        if self.proto.name.is_empty() {
            self.proto.output.first().map_or("?", String::as_str)
        } else {
            &self.proto.name
        }
    }

    pub(super) fn op(&self) -> &'a str {
        &self.proto.op_type
    }

    /// Name and operator, as the graph's nodes keep them.
    pub(super) fn origin(&self) -> (&'a str, &'a str) {
        (self.name(), self.op())
    }

    /// Name of input `i`, if it is given.
    pub(super) fn input(&self, i: usize) -> Option<&'a str> {
        self.proto.input.get(i).map(String::as_str).filter(|s| !s.is_empty())
    }

    /// Number of inputs, trailing empty ones excluded.
    pub(super) fn inputs(&self) -> usize {
        self.proto.input.iter().rposition(|i| !i.is_empty()).map_or(0, |i| i + 1)
    }

    /// Name of output `i`, if it is used.
    pub(super) fn output(&self, i: usize) -> Option<&'a str> {
        self.proto.output.get(i).map(String::as_str).filter(|s| !s.is_empty())
    }

    fn attribute(&self, name: &str) -> Option<&'a pb::AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f)
    }

    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|a| a.ints.clone())
    }

    pub(super) fn string(&self, name: &str) -> Option<&'a str> {
        self.attribute(name).and_then(|a| std::str::from_utf8(&a.s).ok())
    }

    /// The error for a form of the operator that artifacts do not have.
    pub(super) fn unsupported(&self, problem: impl Into<String>, remedy: impl Into<String>) -> CompileError {
        CompileError::Unsupported {
            node: self.name().into(),
            op: self.op().into(),
            opset: self.opset,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// The nearest supported form of an operator that artifacts lack.
pub(super) fn nearest(op: &str) -> &'static str {
    match op {
        "GroupNormalization" | "MeanVarianceNormalization" | "LpNormalization" | "LRN" => {
            "use BatchNormalization, LayerNormalization over the channels, or InstanceNormalization"
        }
        "Einsum" => "write it as MatMul",
        "QuantizeLinear"
        | "DequantizeLinear"
        | "QLinearConv"
        | "ConvInteger"
        | "QLinearMatMul"
        | "MatMulInteger"
        | "DynamicQuantizeLinear" => "export the float network: quantisation is this compiler's work",
        "GridSample" | "DeformConv" => "warp outside of the network, or use Resize and Conv",
        "LSTM" | "GRU" | "RNN" | "Loop" | "If" | "Scan" => {
            "artifacts have no control flow and no state: unroll it before export"
        }
        "Selu" | "Celu" | "ThresholdedRelu" => "use Relu, LeakyRelu, PRelu, HardSwish, Silu or Gelu",
        "Sin" | "Cos" | "Floor" | "Ceil" | "Round" | "Sign" | "Where" | "Greater" | "Less" | "Equal" => {
            "artifacts have Add, Sub, Mul, Div, Min, Max and activations; express it with those"
        }
        "LpPool" | "MaxUnpool" | "RoiAlign" | "MaxRoiPool" => "use MaxPool or AveragePool",
        "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceLogSumExp" => {
            "use ReduceMean, ReduceSum, ReduceMax or ReduceL2"
        }
        "GatherND" | "GatherElements" | "ScatterND" | "TopK" | "NonZero" | "Compress" => {
            "use Slice, Split or Concat"
        }
        "NonMaxSuppression" => "a fusion network ends in an image: cut the detector off before export",
        _ => "rewrite it with convolutions, element-wise operators, pooling, resizing, or normalisation",
    }
}
