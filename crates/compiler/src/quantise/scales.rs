//! Scale and zero point of every 8-bit value.

use std::collections::HashMap;

use fusionproxy_format::{Activation, BinaryOp, DType, Quant};
use serde::{Deserialize, Serialize};

use super::groups::Groups;
use super::{IMAGE, Typed, covering};
use crate::calibrate::{Histogram, Observations, Spot, select};
use crate::ir::{Function, Kind, Node, ValueId};
use crate::{RangeMethod, ir};

/// How one 8-bit value got its range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeRecord {
    /// The ONNX value.
    pub value: String,
    /// Smallest value seen.
    pub min: f32,
    /// Largest value seen.
    pub max: f32,
    /// Lower end of the 8-bit range.
    pub lo: f32,
    /// Upper end of the 8-bit range.
    pub hi: f32,
    /// The method that chose it.
    pub method: RangeMethod,
}

/// Chooses the quantisation of every 8-bit value of `t` from what the calibration saw.
pub(crate) fn scales(t: &mut Typed, seen: &Observations, method: RangeMethod) -> Vec<RangeRecord> {
    let count = t.graph.values.len();
    let eight = |t: &Typed, v: ValueId| t.dtypes[v] == DType::U8 && t.graph.values[v].data.is_none();
    let mut groups = Groups::new(count);
    for n in t.graph.nodes.iter().filter(|n| n.kind.keeps_quantisation()) {
        for v in n.inputs.iter().filter(|v| t.graph.values[**v].data.is_none()) {
            if eight(t, n.output) {
                groups.join(*v, n.output);
            }
        }
    }
    let fixed = t.fixed();
    let mut roots: HashMap<usize, Option<Histogram>> = HashMap::new();
    let mut image = vec![false; count];
    for (v, fixed) in fixed.into_iter().enumerate() {
        if !eight(t, v) {
            continue;
        }
        let root = groups.find(v);
        image[root] |= fixed;
        let own = seen.histograms.get(&Spot::Value(t.origins[v]));
        let all = roots.entry(root).or_default();
        match (all.as_mut(), own) {
            (Some(h), Some(own)) => h.merge(own),
            (None, Some(own)) => *all = Some(own.clone()),
            (_, None) => {}
        }
    }
    let mut chosen: HashMap<usize, Quant> = HashMap::new();
    let mut records = vec![];
    for (root, h) in &roots {
        if image[*root] {
            chosen.insert(*root, IMAGE);
        } else if let Some(h) = h {
            let r = select(h, method);
            chosen.insert(*root, covering(r.lo, r.hi));
            let value = t.graph.values[*root].name.clone();
            records.push(RangeRecord { value, min: h.lo, max: h.hi, lo: r.lo, hi: r.hi, method: r.method });
        }
    }
    for v in [t.graph.visible, t.graph.infrared] {
        t.quants[v] = IMAGE;
    }
    for i in 0..t.graph.nodes.len() {
        let node = t.graph.nodes[i].clone();
        let v = node.output;
        if !eight(t, v) {
            continue;
        }
        let root = groups.find(v);
        let q = *chosen.entry(root).or_insert_with(|| {
            let (lo, hi) = bounds(t, &node);
            covering(lo, hi)
        });
        t.quants[v] = q;
        t.before[v] = before(t, &node, seen, method);
    }
    // Constants of 8-bit operators have scales of their own.
    for v in 0..count {
        if let Some(data) = &t.graph.values[v].data {
            let (lo, hi) = data.iter().fold((0f32, 0f32), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
            t.quants[v] = covering(lo, hi);
        }
    }
    for n in &t.graph.nodes {
        if matches!(n.kind, Kind::Concat) && t.dtypes[n.output] == DType::U8 {
            for v in n.inputs.iter().filter(|v| t.graph.values[**v].data.is_some()) {
                t.quants[*v] = t.quants[n.output];
            }
        }
    }
    records.sort_by(|a, b| a.value.cmp(&b.value));
    records
}

/// Quantisation in front of the node's table, if it has one: the part of the range in which the function moves.
fn before(t: &Typed, node: &Node, seen: &Observations, method: RangeMethod) -> Option<Quant> {
    let a = match &node.kind {
        Kind::Conv(c) => c.activation,
        Kind::Binary { activation, .. } => *activation,
        _ => return None,
    };
    if matches!(a, Activation::None | Activation::Clamp { .. }) || scaled(a).is_some() {
        return None;
    }
    let (lo, hi) = match seen.histograms.get(&Spot::Before(t.origins[node.output])) {
        Some(h) => {
            let r = select(h, method);
            (r.lo, r.hi)
        }
        None => (-8.0, 8.0),
    };
    let step = f64::from(t.quants[node.output].scale);
    let (lo, hi) = moving(|x| ir::activation(a, x), f64::from(lo), f64::from(hi), step / 4.0);
    Some(covering(lo as f32, hi as f32))
}

/// The factor of an activation that is nothing else: it is part of the scale, and needs no table.
pub(crate) fn scaled(a: Activation) -> Option<f32> {
    match a {
        Activation::Affine { alpha, beta: 0.0 } if alpha > 0.0 => Some(alpha),
        _ => None,
    }
}

/// `lo..=hi` without the ends where `f` stays within `tolerance` of its value at the end.
pub(super) fn moving(f: impl Fn(f64) -> f64, lo: f64, hi: f64, tolerance: f64) -> (f64, f64) {
    const STEPS: u32 = 512;
    let at = |k: u32| lo + (hi - lo) * f64::from(k) / f64::from(STEPS);
    let flat = |end: f64, x: f64| (f(x) - f(end)).abs() <= tolerance;
    let from = (0..STEPS).take_while(|k| flat(lo, at(*k))).last().unwrap_or(0);
    let to = (0..STEPS).map(|k| STEPS - k).take_while(|k| flat(hi, at(*k))).last().unwrap_or(STEPS);
    if at(from) < at(to) { (at(from).min(0.0), at(to).max(0.0)) } else { (lo, hi) }
}

/// Bounds of a value that no ONNX value corresponds to, from its inputs'.
fn bounds(t: &Typed, node: &Node) -> (f32, f32) {
    let range = |v: ValueId| {
        let q = t.quants[v];
        let lo = -f32::from(q.zero_point) * q.scale;
        (lo, lo + 255.0 * q.scale)
    };
    let corners = |f: &dyn Fn(f32, f32) -> f32| {
        let (a, b) = (range(node.inputs[0]), range(node.inputs[node.inputs.len() - 1]));
        let all = [f(a.0, b.0), f(a.0, b.1), f(a.1, b.0), f(a.1, b.1)];
        all.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)))
    };
    match &node.kind {
        // A square is not negative.
        Kind::Binary { op: BinaryOp::Mul, .. } if node.inputs[0] == node.inputs[1] => {
            (0.0, corners(&|a, b| a * b).1)
        }
        Kind::Binary { op, .. } => corners(match op {
            BinaryOp::Add => &|a, b| a + b,
            BinaryOp::Sub => &|a, b| a - b,
            BinaryOp::Mul => &|a, b| a * b,
            BinaryOp::Div => &|a, b| if b == 0.0 { 0.0 } else { a / b },
            BinaryOp::Min => &f32::min,
            BinaryOp::Max => &f32::max,
        }),
        Kind::Unary(f) => {
            let (lo, hi) = range(node.inputs[0]);
            sampled(*f, lo, hi)
        }
        Kind::Reduce { kind: ir::Reduction::Plain(fusionproxy_format::ReduceKind::Sum), .. } => {
            let from = t.graph.values[node.inputs[0]].dims;
            let to = t.graph.values[node.output].dims;
            let terms = (from.iter().product::<usize>() / to.iter().product::<usize>()) as f32;
            let (lo, hi) = range(node.inputs[0]);
            (lo * terms, hi * terms)
        }
        _ => range(node.inputs[0]),
    }
}

fn sampled(f: Function, lo: f32, hi: f32) -> (f32, f32) {
    (0..=256)
        .map(|k| f.eval(f64::from(lo) + f64::from(hi - lo) * f64::from(k) / 256.0) as f32)
        .filter(|v| v.is_finite())
        .fold((0.0, 0.0), |(a, b), v| (a.min(v), b.max(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_ends_are_cut_off() {
        let (lo, hi) = moving(|x| ir::activation(Activation::HardSwish, x), -10.0, 5.0, 1e-3);
        assert!((-3.1..=-2.9).contains(&lo), "{lo}");
        assert_eq!(hi, 5.0);
        let (lo, hi) = moving(|x| ir::activation(Activation::Sigmoid, x), -40.0, 40.0, 1e-3);
        assert!(lo > -8.0 && hi < 8.0, "{lo} {hi}");
    }
}
