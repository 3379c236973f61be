//! Normalisations that exporters write out: layer, instance, and global response normalisation.

use std::collections::HashMap;

use fusionproxy_format::{Activation, Axis, BinaryOp, NormKind, ReduceKind};

use super::region::{chain, evaluate};
use crate::ir::{Function, Graph, Kind, Reduction, ValueId};

/// Reads the graph backwards.
struct Matcher<'g> {
    graph: &'g Graph,
    makers: HashMap<ValueId, usize>,
}

/// Replaces written-out normalisations.
pub(super) fn normalisations(graph: &mut Graph) {
    for at in 0..graph.nodes.len() {
        let found = {
            let m = Matcher { graph, makers: graph.makers() };
            m.standardised(at).or_else(|| m.response(at))
        };
        if let Some((kind, x)) = found {
            graph.nodes[at].kind = kind;
            graph.nodes[at].inputs = vec![x];
        }
    }
}

impl Matcher<'_> {
    fn kind(&self, v: ValueId) -> Option<(&Kind, &[ValueId])> {
        let n = &self.graph.nodes[*self.makers.get(&v)?];
        Some((&n.kind, &n.inputs))
    }

    fn binary(&self, v: ValueId) -> Option<(BinaryOp, ValueId, ValueId)> {
        match self.kind(v)? {
            (Kind::Binary { op, activation: Activation::None, .. }, &[a, b]) => Some((*op, a, b)),
            _ => None,
        }
    }

    /// The value that `v` is a reduction of.
    fn reduced(&self, v: ValueId, want: Reduction, over: Axis) -> Option<ValueId> {
        match self.kind(v)? {
            (Kind::Reduce { kind, axis }, &[x]) if *kind == want && *axis == over => Some(x),
            _ => None,
        }
    }

    /// The value whose mean over `axis` is subtracted from it.
    fn centred(&self, v: ValueId, axis: Axis) -> Option<ValueId> {
        match self.binary(v)? {
            (BinaryOp::Sub, x, m) => {
                (self.reduced(m, Reduction::Plain(ReduceKind::Mean), axis)? == x).then_some(x)
            }
            _ => None,
        }
    }

    fn squared(&self, v: ValueId) -> Option<ValueId> {
        match self.kind(v)? {
            (Kind::Binary { op: BinaryOp::Mul, activation: Activation::None, .. }, &[a, b]) => {
                (a == b).then_some(a)
            }
            (Kind::Unary(Function::Pow(2.0)), &[a]) => Some(a),
            _ => None,
        }
    }

    /// (x - mean) / sqrt(variance + epsilon), or times its reciprocal.
    fn standardised(&self, at: usize) -> Option<(Kind, ValueId)> {
        let (op, a, b) = self.binary(self.graph.nodes[at].output)?;
        let sides: &[(ValueId, ValueId)] = match op {
            BinaryOp::Div => &[(a, b)],
            BinaryOp::Mul => &[(a, b), (b, a)],
            _ => return None,
        };
        for (centred, deviation) in sides.iter().copied() {
            for (axis, kind) in [(Axis::Channel, NormKind::Layer), (Axis::Space, NormKind::Instance)] {
                let Some(x) = self.centred(centred, axis) else { continue };
                let (variance, nodes) = chain(self.graph, &self.makers, deviation);
                let mean = Reduction::Plain(ReduceKind::Mean);
                let Some(square) = self.reduced(variance, mean, axis) else { continue };
                let Some(d) = self.squared(square) else { continue };
                if self.centred(d, axis) != Some(x) {
                    continue;
                }
                // The rest must be sqrt(v + epsilon), or its reciprocal.
                let f = |v: f64| {
                    let y = evaluate(self.graph, &nodes, &[(variance, v)], deviation);
                    if op == BinaryOp::Div { y * y } else { 1.0 / (y * y) }
                };
                let epsilon = f(1e-3) - 1e-3;
                let linear = [0.5, 1.0, 7.0].iter().all(|v| (f(*v) - v - epsilon).abs() < 1e-4 * v);
                if !linear || !(-1e-9..1.0).contains(&epsilon) {
                    continue;
                }
                let c = self.graph.channels(x);
                let epsilon = epsilon.max(0.0) as f32;
                let kind = Kind::Norm { kind, epsilon, gamma: vec![1.0; c], beta: vec![0.0; c] };
                return Some((kind, x));
            }
        }
        None
    }

    /// x + beta + gamma * x * (norm / (mean norm + epsilon))
    fn response(&self, at: usize) -> Option<(Kind, ValueId)> {
        let (BinaryOp::Add, a, b) = self.binary(self.graph.nodes[at].output)? else { return None };
        [(a, b), (b, a)].into_iter().find_map(|(x, scaled)| {
            let c = self.graph.channels(x);
            let (product, gamma, beta) = self.affine(scaled, c)?;
            let (BinaryOp::Mul, p, q) = self.binary(product)? else { return None };
            let response = if p == x { q } else { (q == x).then_some(p)? };
            let (BinaryOp::Div, norm, mean) = self.binary(response)? else { return None };
            if self.norm(norm)? != x {
                return None;
            }
            let (sum, nodes) = chain(self.graph, &self.makers, mean);
            if self.reduced(sum, Reduction::Plain(ReduceKind::Mean), Axis::Channel)? != norm {
                return None;
            }
            let f = |v: f64| evaluate(self.graph, &nodes, &[(sum, v)], mean) - v;
            let epsilon = f(0.0);
            if (f(2.0) - epsilon).abs() > 1e-6 || !(0.0..1.0).contains(&epsilon) {
                return None;
            }
            Some((Kind::Norm { kind: NormKind::Grn, epsilon: epsilon as f32, gamma, beta }, x))
        })
    }

    /// The value whose L2 norm over space is `v`.
    fn norm(&self, v: ValueId) -> Option<ValueId> {
        if let Some(x) = self.reduced(v, Reduction::L2, Axis::Space) {
            return Some(x);
        }
        let (Kind::Unary(Function::Plain(Activation::Sqrt)), &[sum]) = self.kind(v)? else { return None };
        self.squared(self.reduced(sum, Reduction::Plain(ReduceKind::Sum), Axis::Space)?)
    }

    /// Unwinds per-channel and uniform affine functions: the value below them, scale and shift.
    fn affine(&self, v: ValueId, channels: usize) -> Option<(ValueId, Vec<f32>, Vec<f32>)> {
        let (mut at, mut scale, mut shift) = (v, vec![1.0; channels], vec![0.0; channels]);
        while let Some((kind, inputs)) = self.kind(at) {
            let Some((s, t)) = super::affine::of(kind, channels) else { break };
            for c in 0..channels {
                shift[c] += scale[c] * t[c];
                scale[c] *= s[c];
            }
            at = *inputs.first()?;
        }
        (at != v).then_some((at, scale, shift))
    }
}
