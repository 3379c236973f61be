//! What is left after fusion, in the artifact's operators.

use fusionproxy_format::{Activation, Axis, BinaryOp, ReduceKind};

use crate::ir::{Conv, Function, Graph, Kind, Node, Reduction, ValueId};

/// Lowers per-channel affine operators to depthwise convolutions, norms to squares, sums and roots, and functions that
/// have a form in arithmetic to that form. Others stay: an 8-bit table evaluates any function.
pub(super) fn lower(graph: &mut Graph) {
    let nodes = std::mem::take(&mut graph.nodes);
    for node in nodes {
        match &node.kind {
            Kind::Affine { scale, shift } => {
                let conv = Conv::per_channel(scale.clone(), shift.clone());
                graph.nodes.push(Node { kind: Kind::Conv(Box::new(conv)), ..node });
            }
            Kind::Reduce { kind: Reduction::L2, axis } => {
                let axis = *axis;
                let x = node.inputs[0];
                let square = product(graph, &node, x, x);
                let sum = Kind::Reduce { kind: Reduction::Plain(ReduceKind::Sum), axis };
                let dims = graph.values[node.output].dims;
                let sum = graph.push((&node.name, &node.op), sum, vec![square], node.name.clone(), dims);
                let root = Kind::Unary(Function::Plain(Activation::Sqrt));
                graph.nodes.push(Node { kind: root, inputs: vec![sum], ..node });
            }
            Kind::Unary(Function::Pow(3.0)) => {
                let x = node.inputs[0];
                let square = product(graph, &node, x, x);
                graph.nodes.push(Node { kind: Kind::binary(BinaryOp::Mul), inputs: vec![square, x], ..node });
            }
            Kind::Unary(Function::Reciprocal) => {
                let one = graph.constant("1", [1, 1, 1], vec![1.0]);
                let inputs = vec![one, node.inputs[0]];
                graph.nodes.push(Node { kind: Kind::binary(BinaryOp::Div), inputs, ..node });
            }
            Kind::Unary(Function::Pow(-0.5)) => {
                let dims = graph.values[node.output].dims;
                let root = Kind::Unary(Function::Plain(Activation::Sqrt));
                let origin = (node.name.as_str(), node.op.as_str());
                let root = graph.push(origin, root, node.inputs.clone(), node.name.clone(), dims);
                let one = graph.constant("1", [1, 1, 1], vec![1.0]);
                graph.nodes.push(Node { kind: Kind::binary(BinaryOp::Div), inputs: vec![one, root], ..node });
            }
            _ => graph.nodes.push(node),
        }
    }
    debug_assert!(graph.nodes.iter().all(|n| !matches!(n.kind, Kind::Reduce { axis: Axis::Width, .. })));
}

/// The graph with functions that only 8-bit tables have written out in arithmetic, where that is possible: ELU is
/// max(x, 0) + alpha * exp(min(x, 0)) - alpha. Existing values keep their numbers.
pub(crate) fn expand(graph: &Graph) -> Graph {
    let graph = &with_logits(graph);
    let mut out = Graph { nodes: vec![], ..graph.clone() };
    for node in &graph.nodes {
        let Kind::Unary(Function::Elu(alpha)) = node.kind else {
            out.nodes.push(node.clone());
            continue;
        };
        let dims = graph.values[node.output].dims;
        let mut push = |a: Activation, x: ValueId| {
            let name = format!("{}.{}", node.name, a.name());
            out.push((&node.name, &node.op), Kind::Unary(Function::Plain(a)), vec![x], name, dims)
        };
        let x = node.inputs[0];
        let positive = push(Activation::Clamp { lo: 0.0, hi: f32::INFINITY }, x);
        let negative = push(Activation::Clamp { lo: f32::NEG_INFINITY, hi: 0.0 }, x);
        let exp = push(Activation::Exp, negative);
        let scaled = push(Activation::Affine { alpha, beta: -alpha }, exp);
        let inputs = vec![positive, scaled];
        out.nodes.push(Node { kind: Kind::binary(BinaryOp::Add), inputs, ..node.clone() });
    }
    out
}

/// The graph with normalised logits brought back to their ranges: only the tables of an 8-bit composition know these.
pub(crate) fn with_logits(graph: &Graph) -> Graph {
    let mut out = Graph { nodes: vec![], ..graph.clone() };
    for node in &graph.nodes {
        let mut node = node.clone();
        if let Kind::Blend { block, gain, planes: Some(planes) } = node.kind {
            let dims = graph.values[node.inputs[2]].dims;
            let each = |f: &dyn Fn([f32; 2]) -> f32| {
                planes.iter().flat_map(|p| std::iter::repeat_n(f(*p), block * block)).collect::<Vec<f32>>()
            };
            let range =
                Kind::Conv(Box::new(Conv::per_channel(each(&|[lo, hi]| hi - lo), each(&|[lo, _]| lo))));
            let name = format!("{}.logits", node.name);
            node.inputs[2] = out.push((&node.name, &node.op), range, vec![node.inputs[2]], name, dims);
            node.kind = Kind::Blend { block, gain, planes: None };
        }
        out.nodes.push(node);
    }
    out
}

fn product(graph: &mut Graph, node: &Node, a: ValueId, b: ValueId) -> ValueId {
    let dims = graph.values[a].dims;
    let kind = Kind::binary(BinaryOp::Mul);
    graph.push((&node.name, &node.op), kind, vec![a, b], format!("{}.square", node.name), dims)
}
