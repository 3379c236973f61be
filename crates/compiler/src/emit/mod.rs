//! From the typed graph to the artifact's bytes.

mod float;
mod int8;
mod pack;
mod rust;

use std::collections::HashMap;

use fusionproxy_format::{
    Activation, Artifact, Builder, DType, Extent, Finish, Op, Precision, Quant, Tensor, TensorId,
};
use half::f16;
use zerocopy::IntoBytes;

pub use rust::{RustConstants, constants};

use crate::CompileError;
use crate::ir::{Geometry, Graph, Node, ValueId};
use crate::quantise::{Typed, quantise};

/// What the artifact's header says besides the graph.
pub(crate) struct Header<'a> {
    pub(crate) name: &'a str,
    pub(crate) precision: Precision,
    pub(crate) params: u64,
}

/// Emits `t`. `means` are channel means of convolution inputs, by the value before types were assigned.
pub(crate) fn emit(
    t: &Typed,
    geometry: &Geometry,
    means: &HashMap<ValueId, Vec<f32>>,
    header: &Header<'_>,
) -> Result<Vec<u8>, CompileError> {
    let mut e = Emitter { t, geometry, means, builder: Builder::new(), ids: HashMap::new() };
    let [visible, infrared] = [t.graph.visible, t.graph.infrared].map(|v| e.tensor(v, t.dtypes[v]));
    let (visible, infrared) = (visible?, infrared?);
    for node in &t.graph.nodes {
        let dtype = t.dtypes[node.output];
        let inputs = node.inputs.iter().map(|v| e.tensor(*v, dtype)).collect::<Result<Vec<_>, _>>()?;
        let output = e.tensor(node.output, dtype)?;
        match dtype {
            DType::U8 => e.int8(node, &inputs, output)?,
            DType::F16 | DType::F32 => e.float(node, &inputs, output, dtype)?,
        }
    }
    let fused = e.tensor(t.graph.fused, t.dtypes[t.graph.fused])?;
    let pinned = geometry.pinned.as_ref().map(|(size, _)| *size);
    let bytes = e.builder.finish_artifact(
        header.name,
        header.precision,
        [visible, infrared, fused],
        geometry.stride,
        pinned,
        header.params,
    )?;
    let aligned = Aligned::new(&bytes);
    Artifact::new(aligned.bytes())?;
    Ok(bytes)
}

struct Emitter<'t> {
    t: &'t Typed,
    geometry: &'t Geometry,
    means: &'t HashMap<ValueId, Vec<f32>>,
    builder: Builder,
    /// Tensors so far. A constant has one per element type that reads it.
    ids: HashMap<(ValueId, DType), TensorId>,
}

impl Emitter<'_> {
    fn graph(&self) -> &Graph {
        &self.t.graph
    }

    fn quant(&self, v: ValueId) -> Quant {
        self.t.quants[v]
    }

    /// The tensor of a value as an operator of element type `reader` reads it.
    fn tensor(&mut self, v: ValueId, reader: DType) -> Result<TensorId, CompileError> {
        let value = &self.t.graph.values[v];
        let dtype = if value.data.is_some() { reader } else { self.t.dtypes[v] };
        if let Some(id) = self.ids.get(&(v, dtype)) {
            return Ok(*id);
        }
        let quant = self.quant(v);
        let bytes = value.data.as_ref().map(|d| match dtype {
            DType::U8 => d.iter().map(|x| quantise(f64::from(*x), quant)).collect(),
            DType::F16 => d.iter().map(|x| f16::from_f32(*x)).collect::<Vec<_>>().as_bytes().to_vec(),
            DType::F32 => d.as_bytes().to_vec(),
        });
        let [height, width] = match bytes {
            Some(_) => [0, 1].map(|a| Extent::absolute(value.dims[a] as u32)),
            None => self.geometry.extents[v],
        };
        let id = self.builder.tensor(&Tensor {
            name: &value.name,
            dtype,
            height,
            width,
            channels: value.dims[2],
            quant,
            data: bytes.as_deref(),
        })?;
        self.ids.insert((v, dtype), id);
        Ok(id)
    }

    fn op(
        &mut self,
        node: &Node,
        op: &Op<'_>,
        inputs: &[TensorId],
        output: TensorId,
    ) -> Result<(), CompileError> {
        Ok(self.builder.op(&node.name, op, inputs, output)?)
    }

    /// An operator that artifacts evaluate in no way that the node's type has.
    fn unsupported(&self, node: &Node, problem: &str, remedy: &str) -> CompileError {
        CompileError::Unsupported {
            node: node.name.clone(),
            op: node.op.clone(),
            opset: self.graph().opset,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// The finish of an operator that has none.
const OPEN: Finish<'static> = Finish { lo: 0, hi: 255, table: None };

/// The quantised clamp of an activation, if it is one.
fn clamp(a: Activation, q: Quant) -> (u8, u8) {
    match a {
        Activation::Clamp { lo, hi } => (quantise(f64::from(lo), q), quantise(f64::from(hi), q)),
        _ => (0, 255),
    }
}

/// Bytes at an address that artifacts accept.
pub(crate) struct Aligned {
    words: Vec<[u64; 8]>,
    len: usize,
}

impl Aligned {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut words = vec![[0u64; 8]; bytes.len().div_ceil(64)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        Self { words, len: bytes.len() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.words.as_bytes()[..self.len]
    }
}
