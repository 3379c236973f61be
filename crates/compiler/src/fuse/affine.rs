//! Per-channel scales and shifts folded into their neighbours.

use fusionproxy_format::{Activation, NormKind};

use crate::ir::{Conv, Function, Graph, Kind};

/// Scale and shift per channel of an operator that is nothing else.
pub(super) fn of(kind: &Kind, channels: usize) -> Option<(Vec<f32>, Vec<f32>)> {
    match kind {
        Kind::Affine { scale, shift } => Some((scale.clone(), shift.clone())),
        Kind::Unary(Function::Plain(Activation::Affine { alpha, beta })) => {
            Some((vec![*alpha; channels], vec![*beta; channels]))
        }
        _ => None,
    }
}

/// Folds until nothing changes.
pub(super) fn fold(graph: &mut Graph) {
    loop {
        let changed = (0..graph.nodes.len()).any(|at| backward(graph, at) || forward(graph, at));
        graph.tidy();
        if !changed {
            return;
        }
    }
}

/// Folds the affine operator `at` into the operator that makes its input.
fn backward(graph: &mut Graph, at: usize) -> bool {
    let node = &graph.nodes[at];
    let channels = graph.channels(node.output);
    let Some((scale, shift)) = of(&node.kind, channels) else { return false };
    let x = node.inputs[0];
    let Some(&maker) = graph.makers().get(&x) else { return false };
    if graph.uses()[x] != 1 {
        return false;
    }
    let output = node.output;
    let uniform = scale.iter().all(|s| *s == scale[0]);
    let none = shift.iter().all(|s| *s == 0.0);
    let kind = match &graph.nodes[maker].kind {
        Kind::Conv(c) if c.activation == Activation::None => {
            let mut c = c.clone();
            let per = c.per_output();
            for o in 0..c.outputs {
                c.weights[o * per..(o + 1) * per].iter_mut().for_each(|w| *w *= scale[o]);
                c.bias[o] = c.bias[o] * scale[o] + shift[o];
            }
            Kind::Conv(c)
        }
        Kind::Norm { kind, epsilon, gamma, beta } if *kind != NormKind::Grn => Kind::Norm {
            kind: *kind,
            epsilon: *epsilon,
            gamma: gamma.iter().zip(&scale).map(|(g, s)| g * s).collect(),
            beta: beta.iter().zip(&scale).zip(&shift).map(|((b, s), t)| b * s + t).collect(),
        },
        Kind::Matmul { transpose_b, heads, scale: m } if uniform && none => {
            Kind::Matmul { transpose_b: *transpose_b, heads: *heads, scale: m * scale[0] }
        }
        other => match of(other, channels) {
            Some((s, t)) => Kind::Affine {
                shift: t.iter().zip(&scale).zip(&shift).map(|((t, s), b)| t * s + b).collect(),
                scale: s.iter().zip(&scale).map(|(a, b)| a * b).collect(),
            },
            None => return false,
        },
    };
    // The maker takes the affine operator's place: its input is computed before either.
    let inputs = graph.nodes[maker].inputs.clone();
    let (name, op) = (graph.nodes[maker].name.clone(), graph.nodes[maker].op.clone());
    let node = &mut graph.nodes[at];
    (node.kind, node.inputs, node.name, node.op) = (kind, inputs, name, op);
    debug_assert_eq!(node.output, output);
    true
}

/// Folds the affine operator `at` into the only operator that reads it.
fn forward(graph: &mut Graph, at: usize) -> bool {
    let node = &graph.nodes[at];
    let (x, v) = (node.inputs[0], node.output);
    let channels = graph.channels(v);
    let Some((scale, shift)) = of(&node.kind, channels) else { return false };
    if graph.uses()[v] != 1 || graph.fused == v {
        return false;
    }
    let Some(reader) = graph.nodes.iter().position(|n| n.inputs.contains(&v)) else { return false };
    let uniform = scale.iter().all(|s| *s == scale[0]);
    let none = shift.iter().all(|s| *s == 0.0);
    match &mut graph.nodes[reader].kind {
        // Padding is zero behind the shift, not before it; a transposed convolution has ragged borders.
        Kind::Conv(c) if none || (!c.padded() && !c.transposed) => into_inputs(c, &scale, &shift),
        Kind::Matmul { scale: m, .. } if uniform && none => *m *= scale[0],
        _ => return false,
    }
    for i in &mut graph.nodes[reader].inputs {
        if *i == v {
            *i = x;
        }
    }
    true
}

/// conv(scale * x + shift) as a convolution of x.
fn into_inputs(c: &mut Conv, scale: &[f32], shift: &[f32]) {
    let (per_in, per) = (c.inputs / c.groups, c.per_output());
    for o in 0..c.outputs {
        let first = o / (c.outputs / c.groups) * per_in;
        let mut bias = 0.0f64;
        for (i, w) in c.weights[o * per..(o + 1) * per].iter_mut().enumerate() {
            let channel = first + i % per_in;
            bias += f64::from(*w) * f64::from(shift[channel]);
            *w *= scale[channel];
        }
        c.bias[o] += bias as f32;
    }
}
