//! Paddings and activations that become part of their neighbours.

use fusionproxy_format::{Activation, BinaryOp, PadMode, PoolKind};

use crate::ir::{Function, Graph, Kind};

/// Zero padding in front of a convolution or an average becomes the window's.
pub(super) fn paddings(graph: &mut Graph) {
    let uses = graph.uses();
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        let (x, v) = (node.inputs[0], node.output);
        let Kind::Pad { mode: PadMode::Constant, before, value: 0.0 } = node.kind else { continue };
        if uses[v] != 1 {
            continue;
        }
        let (from, to) = (graph.values[x].dims, graph.values[v].dims);
        let pads = [before[0], before[1], to[0] - from[0] - before[0], to[1] - from[1] - before[1]];
        let Some(reader) = graph.nodes.iter_mut().find(|n| n.inputs.contains(&v)) else { continue };
        let window = match &mut reader.kind {
            Kind::Conv(c) if !c.transposed => &mut c.window,
            Kind::Pool { kind: PoolKind::Average, window, count_include_pad }
                if *count_include_pad || window.pad == [0; 4] =>
            {
                *count_include_pad = true;
                window
            }
            _ => continue,
        };
        let sums = [0, 1, 2, 3].map(|i| u8::try_from(usize::from(window.pad[i]) + pads[i]));
        let small = |a: usize| {
            let reach = (usize::from(window.kernel[a]) - 1) * usize::from(window.dilation[a]) + 1;
            sums[a].is_ok_and(|p| usize::from(p) < reach) && sums[a + 2].is_ok_and(|p| usize::from(p) < reach)
        };
        if !small(0) || !small(1) {
            continue;
        }
        window.pad = sums.map(|s| s.unwrap_or(0));
        for i in &mut reader.inputs {
            if *i == v {
                *i = x;
            }
        }
    }
    graph.tidy();
}

/// An activation behind a convolution or a binary operator, if nothing else reads what is before it.
pub(super) fn activations(graph: &mut Graph) {
    let (uses, makers) = (graph.uses(), graph.makers());
    for at in 0..graph.nodes.len() {
        let Kind::Unary(Function::Plain(a)) = graph.nodes[at].kind else { continue };
        let (x, v) = (graph.nodes[at].inputs[0], graph.nodes[at].output);
        let Some(&maker) = makers.get(&x) else { continue };
        if uses[x] != 1 {
            continue;
        }
        let observed = graph.values[x].observed.clone();
        let node = &mut graph.nodes[maker];
        let (activation, before) = match &mut node.kind {
            Kind::Conv(c) => {
                let c = &mut **c;
                (&mut c.activation, &mut c.before)
            }
            // 8-bit sums end in any table; the other operations only clamp.
            Kind::Binary { op, activation, before }
                if matches!(op, BinaryOp::Add | BinaryOp::Sub) || matches!(a, Activation::Clamp { .. }) =>
            {
                (activation, before)
            }
            _ => continue,
        };
        if *activation != Activation::None {
            continue;
        }
        (*activation, *before) = (a, observed);
        // The maker now makes the activation's value; the activation's own node makes the unread one.
        node.output = v;
        graph.nodes[at].kind = Kind::Reshape;
        graph.nodes[at].inputs = vec![v];
        graph.nodes[at].output = x;
    }
    graph.tidy();
}
