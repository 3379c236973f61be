//! Cross-layer equalisation.
//!
//! One scale serves all channels of a tensor; a channel that is much smaller than the largest is left with few steps.
//! Between two convolutions with nothing but a positively homogeneous activation, a channel's scale may be moved from
//! the tensor into the next convolution's weights without changing the network (Nagel et al., arXiv 1906.04721, 4.1).
//! The factor weighs the channel's range against those weights' (Xiao et al., arXiv 2211.10438, eq. 4, alpha 1/2); where
//! the next convolution is depthwise its weights have scales of their own per channel, and the range alone counts.

use std::collections::HashMap;

use fusionproxy_format::Activation;

use crate::calibrate::{Observations, Spot};
use crate::ir::{Conv, Graph, Kind};

/// Largest factor in either direction.
const LIMIT: f32 = 32.0;

/// Equalises `graph`. Gives, for each value that changed, the factor per channel.
pub(crate) fn equalise(graph: &mut Graph, seen: &Observations) -> HashMap<Spot, Vec<f32>> {
    let (uses, makers) = (graph.uses(), graph.makers());
    let mut factors = HashMap::new();
    for at in 0..graph.nodes.len() {
        let v = graph.nodes[at].output;
        let Some(reader) = graph.nodes.iter().position(|n| n.inputs.first() == Some(&v)) else { continue };
        if uses[v] != 1 || v == graph.fused || makers.get(&v) != Some(&at) {
            continue;
        }
        let (Kind::Conv(first), Kind::Conv(second)) = (&graph.nodes[at].kind, &graph.nodes[reader].kind)
        else {
            continue;
        };
        let homogeneous = match first.activation {
            Activation::None | Activation::LeakyRelu { .. } => true,
            Activation::Clamp { lo, hi } => lo == 0.0 && hi == f32::INFINITY,
            _ => false,
        };
        let Some(channels) = seen.channels.get(&Spot::Value(v)).filter(|_| homogeneous) else { continue };
        let range: Vec<f32> =
            channels.min.iter().zip(&channels.max).map(|(lo, hi)| lo.abs().max(hi.abs())).collect();
        let Some(s) = divisors(&range, second) else { continue };
        let (mut first, mut second) = (first.clone(), second.clone());
        scale_outputs(&mut first, &s);
        scale_inputs(&mut second, &s);
        graph.nodes[at].kind = Kind::Conv(first);
        graph.nodes[reader].kind = Kind::Conv(second);
        factors.insert(Spot::Value(v), s.iter().map(|s| 1.0 / s).collect());
    }
    factors
}

/// What each channel is divided by; `None` where there is nothing to gain.
fn divisors(range: &[f32], second: &Conv) -> Option<Vec<f32>> {
    let weights = input_ranges(second);
    let largest = range.iter().copied().fold(0.0, f32::max);
    if largest <= 0.0 || range.len() < 2 {
        return None;
    }
    let depthwise = second.depthwise();
    let raw: Vec<f32> = range
        .iter()
        .zip(&weights)
        // A channel that is never used is as large as it is: its scale is of no consequence.
        .map(|(r, w)| match (depthwise, *r > 1e-6 * largest && *w > 0.0) {
            (_, false) => 0.0,
            (true, true) => *r,
            (false, true) => (r / w).sqrt(),
        })
        .collect();
    let used: Vec<f32> = raw.iter().copied().filter(|v| *v > 0.0).collect();
    if used.is_empty() {
        return None;
    }
    let mean = (used.iter().map(|v| v.ln()).sum::<f32>() / used.len() as f32).exp();
    Some(raw.iter().map(|v| if *v > 0.0 { (v / mean).clamp(1.0 / LIMIT, LIMIT) } else { 1.0 }).collect())
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

    #[test]
    fn scaling_is_undone_by_the_next_layer() {
        let mut a = Conv::pointwise(1, 2, vec![1.0, 100.0], vec![0.5, 50.0]);
        let mut b = Conv::pointwise(2, 1, vec![3.0, 0.03], vec![0.0]);
        let f = |a: &Conv, b: &Conv, x: f32| -> f32 {
            (0..2).map(|o| (a.weights[o] * x + a.bias[o]).max(0.0) * b.weights[o]).sum()
        };
        let before = f(&a, &b, 0.7);
        let s = divisors(&[1.5, 150.0], &b).unwrap();
        assert!(s[1] > s[0]);
        scale_outputs(&mut a, &s);
        scale_inputs(&mut b, &s);
        assert!((f(&a, &b, 0.7) - before).abs() < 1e-5 * before);
    }

    #[test]
    fn a_dead_channel_keeps_its_scale() {
        let b = Conv::pointwise(3, 1, vec![1.0, 1.0, 1.0], vec![0.0]);
        let s = divisors(&[1.0, 0.0, 4.0], &b).unwrap();
        assert_eq!(s[1], 1.0);
    }
}
