//! Cross-layer equalisation.
//!
//! One scale serves all channels of a tensor; a channel that is much smaller than the largest is left with few steps.
//! Between two convolutions with nothing but a positively homogeneous activation, a channel's scale may be moved from
//! the tensor into the next convolution's weights without changing the network (Nagel et al., arXiv 1906.04721, 4.1).
//! Resizing, pooling and concatenation may lie between; then the parts of a concatenation, which share one scale, are
//! brought to one size as well, sums among them.
//! The factor weighs the channel's range against those weights' (Xiao et al., arXiv 2211.10438, eq. 4, alpha 1/2); where
//! the next convolution is depthwise its weights have scales of their own per channel, and the range alone counts.

use std::collections::HashMap;

use fusionproxy_format::{Activation, BinaryOp};

use crate::calibrate::{Observations, Spot};
use crate::ir::{Conv, Graph, Kind, ValueId};

/// Largest deviation of a factor from their mean, in either direction.
const LIMIT: f32 = 32.0;

/// Equalises `graph`. Gives, for each value that changed, the factor per channel.
pub(crate) fn equalise(graph: &mut Graph, seen: &Observations) -> HashMap<Spot, Vec<f32>> {
    let mut factors: HashMap<Spot, Vec<f32>> = HashMap::new();
    for reader in 0..graph.nodes.len() {
        let Kind::Conv(second) = &graph.nodes[reader].kind else { continue };
        let mut second = second.clone();
        let x = graph.nodes[reader].inputs[0];
        let walk = Walk { graph, seen, uses: graph.uses(), makers: graph.makers(), done: &factors };
        let mut parts = vec![];
        walk.back(x, 0, &mut parts);
        let ranges: Vec<f32> = parts.iter().flat_map(|p| p.range.iter().copied()).collect();
        if ranges.len() != second.inputs || parts.iter().all(|p| p.maker.is_none()) {
            continue;
        }
        let Some(s) = divisors(&parts, &ranges, &second) else { continue };
        scale_inputs(&mut second, &s);
        graph.nodes[reader].kind = Kind::Conv(second);
        for p in &parts {
            let own = &s[p.first..p.first + p.range.len()];
            if let Some(maker) = p.maker {
                scale_maker(&mut graph.nodes[maker].kind, own);
            }
            // Every value between the maker and the reader has the same elements, rearranged in space.
            for (v, offset) in &p.through {
                let f = factors.entry(Spot::Value(*v)).or_insert_with(|| vec![1.0; graph.values[*v].dims[2]]);
                for (c, s) in own.iter().enumerate() {
                    f[p.first - offset + c] = 1.0 / s;
                }
            }
        }
    }
    factors
}

/// Channels of a convolution's input that one operator makes.
struct Part {
    /// First channel.
    first: usize,
    /// Largest magnitude of each channel.
    range: Vec<f32>,
    /// The operator, if its channels can be scaled.
    maker: Option<usize>,
    /// Whether all its channels share one factor.
    uniform: bool,
    /// Values from the maker to the reader, and the reader's channel that each one's channel 0 is.
    through: Vec<(ValueId, usize)>,
}

/// Walks from a convolution back to the operators that make its input.
struct Walk<'g> {
    graph: &'g Graph,
    seen: &'g Observations,
    uses: Vec<usize>,
    makers: HashMap<ValueId, usize>,
    /// Values that have been scaled already.
    done: &'g HashMap<Spot, Vec<f32>>,
}

impl Walk<'_> {
    /// Appends the parts of `v`, whose channel 0 is the reader's channel `first`.
    fn back(&self, v: ValueId, first: usize, parts: &mut Vec<Part>) {
        let start = parts.len();
        let maker = self.makers.get(&v).filter(|_| self.uses[v] == 1 && v != self.graph.fused);
        let node = maker.map(|m| &self.graph.nodes[*m]);
        match node.map(|n| (&n.kind, &n.inputs)) {
            Some((Kind::Concat, inputs)) => {
                let mut at = first;
                for i in inputs {
                    self.back(*i, at, parts);
                    at += self.graph.channels(*i);
                }
            }
            Some((Kind::Resize { .. } | Kind::Pool { .. }, inputs)) => self.back(inputs[0], first, parts),
            Some((kind, _)) if scalable(kind) && !self.done.contains_key(&Spot::Value(v)) => {
                let uniform = !matches!(kind, Kind::Conv(_));
                parts.push(Part {
                    first,
                    range: self.range(v),
                    maker: maker.copied(),
                    uniform,
                    through: vec![],
                });
            }
            _ => {
                parts.push(Part { first, range: self.range(v), maker: None, uniform: true, through: vec![] });
            }
        }
        for p in &mut parts[start..] {
            p.through.push((v, first));
        }
    }

    fn range(&self, v: ValueId) -> Vec<f32> {
        let spot = Spot::Value(v);
        match self.seen.channels.get(&spot) {
            Some(c) => {
                let done = self.done.get(&spot);
                let f = |k: usize| done.map_or(1.0, |f| f[k]);
                (0..c.min.len()).map(|k| c.min[k].abs().max(c.max[k].abs()) * f(k)).collect()
            }
            None => {
                // Unknown: as large as the value is, or the image.
                let (lo, hi) = self.seen.bounds.get(&spot).copied().unwrap_or((0.0, 1.0));
                vec![lo.abs().max(hi.abs()); self.graph.channels(v)]
            }
        }
    }
}

/// Whether the operator's result can be divided by a positive number by changing the operator alone.
fn scalable(kind: &Kind) -> bool {
    match kind {
        Kind::Conv(c) => match c.activation {
            Activation::None | Activation::LeakyRelu { .. } => true,
            Activation::Clamp { lo, hi } => lo == 0.0 && hi == f32::INFINITY,
            _ => false,
        },
        Kind::Binary { op: BinaryOp::Add | BinaryOp::Sub, activation: Activation::None, .. } => true,
        _ => false,
    }
}

fn scale_maker(kind: &mut Kind, s: &[f32]) {
    match kind {
        Kind::Conv(c) => scale_outputs(c, s),
        Kind::Binary { activation, .. } => {
            *activation = Activation::Affine { alpha: 1.0 / s.first().copied().unwrap_or(1.0), beta: 0.0 };
        }
        _ => {}
    }
}

/// What each input channel of `second` is divided by; `None` where there is nothing to gain.
fn divisors(parts: &[Part], range: &[f32], second: &Conv) -> Option<Vec<f32>> {
    let weights = input_ranges(second);
    let largest = range.iter().copied().fold(0.0, f32::max);
    if largest <= 0.0 || range.len() < 2 {
        return None;
    }
    let depthwise = second.depthwise();
    let mut raw: Vec<f32> = range
        .iter()
        .zip(&weights)
        // A channel that is never used is as large as it is: its scale is of no consequence.
        .map(|(r, w)| match (depthwise, *r > 1e-6 * largest && *w > 0.0) {
            (_, false) => 0.0,
            (true, true) => *r,
            (false, true) => (r / w).sqrt(),
        })
        .collect();
    for p in parts.iter().filter(|p| p.uniform) {
        let own = p.first..p.first + p.range.len();
        let most = raw[own.clone()].iter().copied().fold(0.0, f32::max);
        raw[own].fill(most);
    }
    // What cannot be scaled sets the size that the rest is brought to; otherwise the mean factor is 1.
    let after = |c: usize| if raw[c] > 0.0 { range[c] / raw[c] } else { 0.0 };
    let fixed =
        parts.iter().filter(|p| p.maker.is_none()).flat_map(|p| p.range.iter()).copied().fold(0.0, f32::max);
    let free: Vec<usize> = parts
        .iter()
        .filter(|p| p.maker.is_some())
        .flat_map(|p| p.first..p.first + p.range.len())
        .filter(|c| raw[*c] > 0.0)
        .collect();
    if free.is_empty() {
        return None;
    }
    let unit = if fixed > 0.0 {
        free.iter().map(|c| after(*c)).fold(0.0, f32::max) / fixed
    } else {
        (-free.iter().map(|c| raw[*c].ln()).sum::<f32>() / free.len() as f32).exp()
    };
    let mean = (free.iter().map(|c| raw[*c].ln()).sum::<f32>() / free.len() as f32).exp() * unit;
    let mut s = vec![1.0; range.len()];
    for c in free {
        s[c] = (raw[c] * unit).clamp(mean / LIMIT, mean * LIMIT);
    }
    Some(s)
}

/// Largest weight that each input channel is multiplied by.
fn input_ranges(c: &Conv) -> Vec<f32> {
    let (per_in, per_out, per) = (c.inputs / c.groups, c.outputs / c.groups, c.per_output());
    let mut ranges = vec![0.0f32; c.inputs];
    for (i, w) in c.weights.iter().enumerate() {
        let r = &mut ranges[i / per / per_out * per_in + i % per_in];
        *r = r.max(w.abs());
    }
    ranges
}

fn scale_outputs(c: &mut Conv, s: &[f32]) {
    let per = c.per_output();
    for (o, s) in s.iter().enumerate() {
        c.weights[o * per..(o + 1) * per].iter_mut().for_each(|w| *w /= s);
        c.bias[o] /= s;
    }
}

fn scale_inputs(c: &mut Conv, s: &[f32]) {
    let (per_in, per_out, per) = (c.inputs / c.groups, c.outputs / c.groups, c.per_output());
    for (i, w) in c.weights.iter_mut().enumerate() {
        *w *= s[i / per / per_out * per_in + i % per_in];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(first: usize, range: &[f32], free: bool) -> Part {
        Part { first, range: range.to_vec(), maker: free.then_some(0), uniform: !free, through: vec![] }
    }

    #[test]
    fn scaling_is_undone_by_the_next_layer() {
        let mut a = Conv::pointwise(1, 2, vec![1.0, 100.0], vec![0.5, 50.0]);
        let mut b = Conv::pointwise(2, 1, vec![3.0, 0.03], vec![0.0]);
        let f = |a: &Conv, b: &Conv, x: f32| -> f32 {
            (0..2).map(|o| (a.weights[o] * x + a.bias[o]).max(0.0) * b.weights[o]).sum()
        };
        let before = f(&a, &b, 0.7);
        let s = divisors(&[part(0, &[1.5, 150.0], true)], &[1.5, 150.0], &b).unwrap();
        assert!(s[1] > s[0]);
        scale_outputs(&mut a, &s);
        scale_inputs(&mut b, &s);
        assert!((f(&a, &b, 0.7) - before).abs() < 1e-5 * before);
    }

    #[test]
    fn a_dead_channel_keeps_its_scale() {
        let b = Conv::pointwise(3, 1, vec![1.0, 1.0, 1.0], vec![0.0]);
        let s = divisors(&[part(0, &[1.0, 0.0, 4.0], true)], &[1.0, 0.0, 4.0], &b).unwrap();
        assert_eq!(s[1], 1.0);
    }

    #[test]
    fn parts_are_brought_to_the_size_of_what_is_fixed() {
        let b = Conv::per_channel(vec![1.0; 4], vec![0.0; 4]);
        let parts = [part(0, &[8.0, 2.0], true), part(2, &[1.0, 0.5], false)];
        let s = divisors(&parts, &[8.0, 2.0, 1.0, 0.5], &b).unwrap();
        assert_eq!(s, [8.0, 2.0, 1.0, 1.0]);
    }
}
