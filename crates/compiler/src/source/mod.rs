//! The ONNX file: read and checked once, then analysed by tract at any frame size.

mod io;
mod oracle;

use std::path::{Path, PathBuf};

use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb;
use tract_onnx::prelude::*;

pub(crate) use io::Interface;
pub(crate) use oracle::{Constant, Facts, Session};

use crate::{CompileError, Options};

/// A model that is complete: every weight is present and finite.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) proto: pb::ModelProto,
    /// Version of the default operator set.
    pub(crate) opset: i64,
    pub(crate) interface: Interface,
    /// Elements of all float initialisers.
    pub(crate) params: u64,
}

impl Source {
    /// Reads and checks `path`.
    pub(crate) fn load(path: &Path, options: &Options) -> Result<Self, CompileError> {
        let bytes = std::fs::read(path).map_err(|source| CompileError::Read { path: path.into(), source })?;
        let incomplete = |reason: &str| CompileError::NotOnnx { path: path.into(), reason: reason.into() };
        if bytes.is_empty() {
            return Err(incomplete("the file is empty"));
        }
        let proto =
            onnx().proto_model_for_read(&mut bytes.as_slice()).map_err(|e| incomplete(&format!("{e:#}")))?;
        let graph = proto.graph.as_ref().ok_or_else(|| incomplete("it holds no graph"))?;
        if graph.node.is_empty() {
            return Err(incomplete("its graph has no nodes"));
        }
        check_names(graph).map_err(|reason| incomplete(&reason))?;
        let mut params = 0;
        for t in &graph.initializer {
            check_external(path, t)?;
            params += check_finite(path, t)?;
        }
        let opset = proto
            .opset_import
            .iter()
            .find(|o| o.domain.is_empty() || o.domain == "ai.onnx")
            .map_or(0, |o| o.version);
        let interface = io::interface(path, graph, options)?;
        Ok(Self { path: path.into(), proto, opset, interface, params })
    }

    /// The graph, which [`Self::load`] has seen to exist.
    pub(crate) fn graph(&self) -> &pb::GraphProto {
        self.proto.graph.as_ref().expect("load has refused models without a graph")
    }

    /// Folder of the model, for external weights.
    pub(crate) fn folder(&self) -> Option<&str> {
        self.path.parent().and_then(Path::to_str)
    }
}

/// Every value that a node or an output names is made by an input, an initialiser or a node.
fn check_names(graph: &pb::GraphProto) -> Result<(), String> {
    let known: std::collections::HashSet<&str> = graph
        .input
        .iter()
        .map(|i| i.name.as_str())
        .chain(graph.initializer.iter().map(|i| i.name.as_str()))
        .chain(graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str)))
        .collect();
    for n in &graph.node {
        if let Some(missing) = n.input.iter().find(|i| !i.is_empty() && !known.contains(i.as_str())) {
            return Err(format!("node `{}` reads `{missing}`, which nothing makes", n.name));
        }
    }
    match graph.output.iter().find(|o| !known.contains(o.name.as_str())) {
        Some(o) => Err(format!("nothing makes the output `{}`", o.name)),
        None => Ok(()),
    }
}

/// External weights exist, are long enough, and lie beside the model.
fn check_external(path: &Path, t: &pb::TensorProto) -> Result<(), CompileError> {
    if t.data_location() != pb::tensor_proto::DataLocation::External {
        return Ok(());
    }
    let entry = |key: &str| t.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let location = entry("location").unwrap_or("");
    let bad = |reason: &str| CompileError::ExternalData {
        path: path.into(),
        tensor: t.name.clone(),
        location: location.into(),
        reason: reason.into(),
    };
    let inside = Path::new(location).components().all(|c| matches!(c, std::path::Component::Normal(_)));
    if location.is_empty() || !inside {
        return Err(bad("which is not a path inside the model's folder"));
    }
    let file = path.parent().unwrap_or(Path::new("")).join(location);
    let bytes = std::fs::metadata(&file).map_err(|_| bad("which is missing"))?.len();
    let number = |key: &str| entry(key).and_then(|v| v.parse::<u64>().ok());
    let (offset, length) = (number("offset").unwrap_or(0), number("length").unwrap_or(0));
    if offset.checked_add(length).is_none_or(|end| end > bytes) {
        return Err(bad("which is too short"));
    }
    Ok(())
}

/// Number of elements of a float initialiser, all of them finite; 0 for other types.
fn check_finite(path: &Path, t: &pb::TensorProto) -> Result<u64, CompileError> {
    let folder = path.parent().and_then(Path::to_str);
    let tensor = tract_onnx::tensor::load_tensor(&MmapDataResolver, t, folder).map_err(|e| {
        CompileError::NotOnnx { path: path.into(), reason: format!("initialiser `{}`: {e:#}", t.name) }
    })?;
    if !tensor.datum_type().is_float() {
        return Ok(0);
    }
    let values = oracle::floats(&tensor).map_err(|e| CompileError::NotOnnx {
        path: path.into(),
        reason: format!("initialiser `{}`: {e:#}", t.name),
    })?;
    let count = values.iter().filter(|v| !v.is_finite()).count();
    if count > 0 {
        return Err(CompileError::NotFinite {
            path: path.into(),
            tensor: t.name.clone(),
            count,
            total: values.len(),
        });
    }
    Ok(values.len() as u64)
}
