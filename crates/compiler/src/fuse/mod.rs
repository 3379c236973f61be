//! Pattern fusion: from ONNX's many small operators to the artifact's few large ones.

mod affine;
mod attach;
mod blend;
mod lower;
mod norm;
mod region;

pub(crate) use lower::{expand, with_logits};

use crate::ir::Graph;

/// Fuses what can be fused and lowers the rest to operators that artifacts have.
pub(crate) fn fuse(graph: &mut Graph) {
    region::functions(graph);
    graph.tidy();
    blend::compose(graph);
    graph.tidy();
    norm::normalisations(graph);
    graph.tidy();
    affine::fold(graph);
    attach::paddings(graph);
    attach::activations(graph);
    lower::lower(graph);
    graph.tidy();
}
