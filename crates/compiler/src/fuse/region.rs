//! Regions of element-wise operators with one input, recognised by what they compute.

use std::collections::HashMap;

use fusionproxy_format::{Activation, BinaryOp};

use crate::ir::{Function, Graph, Kind, ValueId, recognise};

/// Largest region that is looked at; the longest decomposition of an activation known to exporters has 9 operators.
const LARGEST: usize = 16;

/// Result of an element-wise operator on given inputs; `None` for any other operator.
pub(super) fn apply(kind: &Kind, x: &[f64]) -> Option<f64> {
    Some(match (kind, x) {
        (Kind::Unary(f), [x]) => f.eval(*x),
        (Kind::Binary { op, activation: Activation::None, .. }, [a, b]) => match op {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
            BinaryOp::Min => a.min(*b),
            BinaryOp::Max => a.max(*b),
        },
        _ => return None,
    })
}

/// Whether `apply` knows the operator.
pub(super) fn elementwise(kind: &Kind) -> bool {
    matches!(kind, Kind::Unary(_) | Kind::Binary { activation: Activation::None, .. })
}

/// The element-wise operators behind `v` down to `leaves`, in execution order; `None` if one meets another leaf, or if
/// there are too many.
fn region(graph: &Graph, makers: &HashMap<ValueId, usize>, v: ValueId, leaf: ValueId) -> Option<Vec<usize>> {
    let mut nodes = vec![];
    let mut open = vec![v];
    while let Some(v) = open.pop() {
        if v == leaf {
            continue;
        }
        let n = *makers.get(&v)?;
        if nodes.contains(&n) {
            continue;
        }
        if !elementwise(&graph.nodes[n].kind) || nodes.len() == LARGEST {
            return None;
        }
        nodes.push(n);
        open.extend(&graph.nodes[n].inputs);
    }
    nodes.sort_unstable();
    Some(nodes)
}

/// Evaluates the operators `nodes` (in execution order) from given values of their leaves.
pub(super) fn evaluate(graph: &Graph, nodes: &[usize], leaves: &[(ValueId, f64)], v: ValueId) -> f64 {
    let mut known: HashMap<ValueId, f64> = leaves.iter().copied().collect();
    for n in nodes {
        let node = &graph.nodes[*n];
        let x: Vec<f64> = node.inputs.iter().map(|i| known.get(i).copied().unwrap_or(f64::NAN)).collect();
        known.insert(node.output, apply(&node.kind, &x).unwrap_or(f64::NAN));
    }
    known.get(&v).copied().unwrap_or(f64::NAN)
}

/// Values that the element-wise operators behind `v` read, the farthest first.
fn candidates(graph: &Graph, makers: &HashMap<ValueId, usize>, v: ValueId) -> Vec<ValueId> {
    let (mut seen, mut open) = (vec![], vec![v]);
    let mut at = 0;
    while at < open.len() && open.len() < 4 * LARGEST {
        let v = open[at];
        at += 1;
        let Some(n) = makers.get(&v).filter(|n| elementwise(&graph.nodes[**n].kind)) else { continue };
        for i in &graph.nodes[*n].inputs {
            if !seen.contains(i) {
                seen.push(*i);
                open.push(*i);
            }
        }
    }
    seen.reverse();
    seen
}

/// Replaces each region that computes an activation by that activation. Execution order is kept.
pub(super) fn functions(graph: &mut Graph) {
    let makers = graph.makers();
    for at in (0..graph.nodes.len()).rev() {
        if !elementwise(&graph.nodes[at].kind) {
            continue;
        }
        let v = graph.nodes[at].output;
        let dims = graph.values[v].dims;
        for root in candidates(graph, &makers, v) {
            if graph.values[root].dims != dims {
                continue;
            }
            let Some(nodes) = region(graph, &makers, v, root) else { continue };
            if nodes.len() == 1 && matches!(graph.nodes[at].kind, Kind::Unary(Function::Plain(_))) {
                continue;
            }
            if let Some(a) = recognise(|x| evaluate(graph, &nodes, &[(root, x)], v)) {
                graph.nodes[at].kind = Kind::Unary(Function::Plain(a));
                graph.nodes[at].inputs = vec![root];
                break;
            }
        }
    }
    identities(graph);
}

/// Removes functions that change nothing.
fn identities(graph: &mut Graph) {
    for at in 0..graph.nodes.len() {
        let identity = match graph.nodes[at].kind {
            Kind::Unary(Function::Plain(Activation::Affine { alpha, beta })) => alpha == 1.0 && beta == 0.0,
            Kind::Unary(Function::Plain(Activation::None)) => true,
            Kind::Unary(Function::Plain(Activation::Clamp { lo, hi })) => {
                lo == f32::NEG_INFINITY && hi == f32::INFINITY
            }
            _ => false,
        };
        let (from, to) = (graph.nodes[at].inputs[0], graph.nodes[at].output);
        let input = from == graph.visible || from == graph.infrared;
        if identity && !(input && graph.fused == to) {
            graph.replace(to, from);
        }
    }
}

/// The function of one value that `v` is of `root`, if the operators between them are all functions.
pub(super) fn chain(graph: &Graph, makers: &HashMap<ValueId, usize>, v: ValueId) -> (ValueId, Vec<usize>) {
    let (mut at, mut nodes) = (v, vec![]);
    while let Some(n) = makers.get(&at)
        && matches!(graph.nodes[*n].kind, Kind::Unary(_))
    {
        nodes.push(*n);
        at = graph.nodes[*n].inputs[0];
    }
    nodes.reverse();
    (at, nodes)
}
