//! The logits of the composition: its two planes have ranges of their own.
//!
//! One scale serves a tensor, and the weight's logits are an order of magnitude larger than the residual's: in the
//! weight's steps the residual would move the image by several grey levels at once. The convolution that makes them
//! therefore gives either plane as 0..=1 of its own range, and the composition's tables, one for each plane, undo it.

use fusionproxy_format::Activation;

use super::scales::moving;
use crate::calibrate::{Observations, Spot};
use crate::ir::{self, Graph, Kind};

/// Error of a weight that no 8-bit image shows.
const WEIGHT: f64 = 1.0 / 1024.0;
/// Error of a residual that no 8-bit image shows.
const RESIDUAL: f64 = 1.0 / 1024.0;
/// Part of a range that is added on either side: other frames go beyond what a few dozen showed.
const MARGIN: f32 = 0.1;

/// Brings both planes to 0..=1, if a convolution makes them for the composition alone.
pub(crate) fn normalise(graph: &mut Graph, seen: &Observations) {
    let Some(at) = graph.nodes.iter().position(|n| matches!(n.kind, Kind::Blend { .. })) else { return };
    let logits = graph.nodes[at].inputs[2];
    let Some(maker) = graph.makers().get(&logits).copied().filter(|_| graph.uses()[logits] == 1) else {
        return;
    };
    let Kind::Blend { block, gain, .. } = graph.nodes[at].kind else { return };
    let Kind::Conv(conv) = &graph.nodes[maker].kind else { return };
    let Some(channels) = seen.channels.get(&Spot::Value(logits)) else { return };
    let area = block * block;
    if conv.activation != Activation::None || conv.outputs != 2 * area || channels.min.len() != 2 * area {
        return;
    }
    let range = |plane: usize, f: Activation, tolerance: f64| {
        let own = plane * area..(plane + 1) * area;
        let lo = channels.min[own.clone()].iter().copied().fold(f32::INFINITY, f32::min);
        let hi = channels.max[own].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let margin = MARGIN * (hi - lo);
        let (lo, hi) = (lo - margin, hi + margin);
        let (lo, hi) = moving(|x| ir::activation(f, x), f64::from(lo), f64::from(hi), tolerance);
        // A plane that never changes still has a range.
        [lo as f32, hi.max(lo + 1e-6) as f32]
    };
    let planes = [
        range(0, Activation::Sigmoid, WEIGHT),
        range(1, Activation::Tanh, RESIDUAL / f64::from(gain.abs()).max(RESIDUAL)),
    ];
    let mut conv = conv.clone();
    let per = conv.per_output();
    for o in 0..conv.outputs {
        let [lo, hi] = planes[o / area];
        conv.weights[o * per..(o + 1) * per].iter_mut().for_each(|w| *w /= hi - lo);
        conv.bias[o] = (conv.bias[o] - lo) / (hi - lo);
    }
    graph.nodes[maker].kind = Kind::Conv(conv);
    graph.nodes[at].kind = Kind::Blend { block, gain, planes: Some(planes) };
}
