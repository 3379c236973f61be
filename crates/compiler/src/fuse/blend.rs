//! The composition of the fused image from the inputs and logits, recognised by what it computes.

use std::collections::HashMap;

use super::region::{elementwise, evaluate};
use crate::ir::{Graph, Kind, Node, ValueId};

/// Operators of the composition's cone, at most.
const LARGEST: usize = 40;

/// fused = clamp(v + sigmoid(a) * (i - v) + gain * tanh(b), 0, 1)
fn composed(v: f64, i: f64, a: f64, b: f64, gain: f64) -> f64 {
    (v + (i - v) / (1.0 + (-a).exp()) + gain * b.tanh()).clamp(0.0, 1.0)
}

/// Replaces the operators that compose the fused image by one, if that is what they compute.
pub(super) fn compose(graph: &mut Graph) {
    let makers = graph.makers();
    let Some((nodes, leaves)) = cone(graph, &makers) else { return };
    let orders: Vec<Vec<ValueId>> = match leaves[..] {
        [a] => vec![vec![a]],
        [a, b] => vec![vec![a, b], vec![b, a]],
        _ => return,
    };
    let dims = graph.values[graph.visible].dims;
    if leaves.iter().any(|l| graph.values[*l].dims != [dims[0], dims[1], 1]) {
        return;
    }
    if graph.values[graph.fused].dims != dims {
        return;
    }
    for order in orders {
        let f = |v: f64, i: f64, a: f64, b: f64| {
            let mut known = vec![(graph.visible, v), (graph.infrared, i), (order[0], a)];
            known.extend(order.get(1).map(|l| (*l, b)));
            evaluate(graph, &nodes, &known, graph.fused)
        };
        let gain = if order.len() == 2 { (f(0.5, 0.5, 0.0, 0.1) - 0.5) / 0.1f64.tanh() } else { 0.0 };
        // Low-discrepancy points (Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018).
        let point = |k: u32, p: f64| (0.5 + f64::from(k) * p).fract();
        let same = (0..200).all(|k| {
            let (v, i) = (point(k, 0.856_674_883_854_5), point(k, 0.733_891_856_627_9));
            let (a, b) = (12.0 * point(k, 0.628_707_2) - 6.0, 6.0 * point(k, 0.538_597_3) - 3.0);
            (f(v, i, a, b) - composed(v, i, a, b, gain)).abs() < 1e-5
        });
        if same && gain.is_finite() {
            let at = makers[&graph.fused];
            let (logits, block) = logits(graph, &makers, &order);
            let node = &mut graph.nodes[at];
            node.kind = Kind::Blend { block, gain: gain as f32, planes: None };
            node.inputs = vec![graph.visible, graph.infrared, logits];
            return;
        }
    }
}

/// The element-wise operators behind the fused image, and what they read besides the inputs.
fn cone(graph: &Graph, makers: &HashMap<ValueId, usize>) -> Option<(Vec<usize>, Vec<ValueId>)> {
    let (mut nodes, mut leaves) = (vec![], vec![]);
    let mut open = vec![graph.fused];
    while let Some(v) = open.pop() {
        if v == graph.visible || v == graph.infrared || leaves.contains(&v) {
            continue;
        }
        match makers.get(&v).filter(|n| elementwise(&graph.nodes[**n].kind)) {
            Some(n) if nodes.contains(n) => {}
            Some(n) => {
                nodes.push(*n);
                open.extend(&graph.nodes[*n].inputs);
            }
            None => leaves.push(v),
        }
        if nodes.len() > LARGEST || leaves.len() > 2 {
            return None;
        }
    }
    nodes.sort_unstable();
    (!nodes.is_empty()).then_some((nodes, leaves))
}

/// Where each channel of the logits comes from: one tensor at the head's resolution if possible.
///
/// Gives the value that holds them in pixel-shuffle order, and the block.
fn logits(graph: &mut Graph, makers: &HashMap<ValueId, usize>, planes: &[ValueId]) -> (ValueId, usize) {
    if let Some((source, block, order)) = unshuffled(graph, makers, planes) {
        if order.iter().copied().eq(0..order.len()) && order.len() == graph.channels(source) {
            return (source, block);
        }
        if let Some(v) = selected(graph, makers, source, &order) {
            return (v, block);
        }
    }
    // Full-resolution planes side by side.
    match planes {
        [one] => (*one, 1),
        many => {
            let [h, w, _] = graph.values[many[0]].dims;
            let v = graph.value("logits", [h, w, many.len()]);
            let at = makers[&graph.fused];
            let node = Node {
                name: graph.nodes[at].name.clone(),
                op: "Concat".into(),
                kind: Kind::Concat,
                inputs: many.to_vec(),
                output: v,
            };
            graph.nodes.push(node);
            (v, 1)
        }
    }
}

/// The tensor behind all planes, its block, and which of its channels the logits' channels are.
fn unshuffled(
    graph: &Graph,
    makers: &HashMap<ValueId, usize>,
    planes: &[ValueId],
) -> Option<(ValueId, usize, Vec<usize>)> {
    let mut found: Option<(ValueId, usize)> = None;
    let mut order = vec![];
    for plane in planes {
        let (mut v, mut channel) = (*plane, 0);
        if let Some(n) = makers.get(&v)
            && let Kind::Slice { start } = graph.nodes[*n].kind
        {
            let input = graph.nodes[*n].inputs[0];
            if graph.values[input].dims[..2] != graph.values[v].dims[..2] {
                return None;
            }
            (v, channel) = (input, start[2]);
        }
        let (source, block, major) =
            match makers.get(&v).map(|n| (&graph.nodes[*n].kind, &graph.nodes[*n].inputs)) {
                Some((Kind::PixelShuffle { block, channel_major }, inputs)) => {
                    (inputs[0], *block, *channel_major)
                }
                _ => (v, 1, true),
            };
        if found.is_some_and(|f| f != (source, block)) {
            return None;
        }
        found = Some((source, block));
        let channels = graph.channels(v);
        let area = block * block;
        order
            .extend((0..area).map(|sub| if major { channel * area + sub } else { sub * channels + channel }));
    }
    found.map(|(source, block)| (source, block, order))
}

/// The channels `order` of a convolution's result, by reordering its filters, if nothing else reads it.
fn selected(
    graph: &mut Graph,
    makers: &HashMap<ValueId, usize>,
    source: ValueId,
    order: &[usize],
) -> Option<ValueId> {
    let at = *makers.get(&source)?;
    let Kind::Conv(conv) = &graph.nodes[at].kind else { return None };
    if conv.groups != 1 {
        return None;
    }
    let mut conv = conv.clone();
    let per = conv.per_output();
    conv.weights = order.iter().flat_map(|o| conv.weights[o * per..(o + 1) * per].to_vec()).collect();
    conv.bias = order.iter().map(|o| conv.bias[*o]).collect();
    conv.outputs = order.len();
    let node = &graph.nodes[at];
    let (name, op, inputs) = (node.name.clone(), node.op.clone(), node.inputs.clone());
    let mut dims = graph.values[source].dims;
    dims[2] = order.len();
    let mut observed = graph.values[source].observed.clone();
    if let Some(o) = &mut observed {
        o.behind = None;
    }
    let v = graph.push((&name, &op), Kind::Conv(conv), inputs, graph.values[source].name.clone(), dims);
    graph.values[v].observed = observed;
    Some(v)
}
