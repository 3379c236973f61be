//! Which tensors are stored, and with them what one dispatch computes.
//!
//! A tensor that is not stored is computed where it is read. That is free for tensors that merely rearrange another, cheap
//! for element-wise operators, and right for a convolution if the one dispatch that reads it does so once, at the pixel
//! that it computes: the second convolution of a depthwise-separable pair, the gate's product and the residual's sum behind
//! a convolution, a pointwise convolution behind another.

use alloc::vec;
use alloc::vec::Vec;

use fusionproxy_format::{Axis, Conv, NormKind, Op, TensorId};

use crate::graph::Graph;

/// Most words of a convolution whose sums one invocation holds in registers.
pub(crate) const REGISTER_WORDS: usize = 16;

/// A read of a tensor by a dispatch.
#[derive(Clone, Copy)]
struct Use {
    /// The stored tensor that the dispatch computes.
    root: TensorId,
    /// Whether it is read at other pixels than the one that is computed, or more than once for each.
    shifted: bool,
    /// How often it is read for each pixel.
    reads: usize,
}

/// For each tensor, whether it is stored.
pub(crate) fn stored(graph: &Graph<'_>) -> Vec<bool> {
    let mut stored = vec![false; graph.tensors.len()];
    let mut uses: Vec<Vec<Use>> = vec![Vec::new(); graph.tensors.len()];
    for (index, entry) in graph.ops.iter().enumerate().rev() {
        let output = usize::from(entry.output);
        let used = !uses[output].is_empty();
        stored[output] = entry.output == graph.fused || used && must_store(graph, index, &uses[output]);
        let contexts = if stored[output] {
            vec![Use { root: entry.output, shifted: false, reads: 1 }]
        } else {
            uses[output].clone()
        };
        for (i, id) in graph.inputs(index).enumerate() {
            let list = &mut uses[usize::from(id)];
            for context in &contexts {
                let shifted = context.shifted || shifts(graph, index, i);
                match list.iter_mut().find(|u| u.root == context.root && u.shifted == shifted) {
                    Some(known) => known.reads = known.reads.saturating_add(context.reads),
                    None => list.push(Use { shifted, ..*context }),
                }
            }
        }
    }
    stored
}

fn must_store(graph: &Graph<'_>, index: usize, uses: &[Use]) -> bool {
    let entry = &graph.ops[index];
    let output = graph.tensor(entry.output);
    let once = matches!(uses, [Use { shifted: false, reads: 1, .. }]);
    match &entry.op {
        Op::Concat | Op::Slice(_) | Op::Pad(_) | Op::PixelShuffle { .. } | Op::Transpose(_) | Op::Reshape => {
            false
        }
        Op::Resize(r) if !interpolates(r) => false,
        Op::Conv(c) | Op::ConvTranspose(c) if !c.geometry.depthwise() => {
            // In registers, reading twice costs nothing.
            !matches!(uses, [Use { shifted: false, .. }]) || output.words() > REGISTER_WORDS
        }
        Op::Reduce(r) if r.axis == Axis::Space => {
            // A mean that one invocation a channel reads once need not be finished beforehand.
            let tiny = |u: &Use| graph.tensor(u.root).pixels() == 1 && u.root != graph.fused;
            !once || !uses.iter().all(tiny)
        }
        Op::Binary(_) | Op::Activation { .. } | Op::PRelu { .. } | Op::Convert(_) => {
            let unshifted = uses.iter().all(|u| !u.shifted && u.reads == 1);
            // Operands that something else reads as well are stored in any case, and reading them twice costs no more
            // than a dispatch that writes the result.
            let operands_shared = graph.inputs(index).all(|id| {
                let t = graph.tensor(id);
                t.producer.is_none() || t.readers > 1
            });
            !(once || unshifted && uses.len() == 2 && operands_shared)
        }
        // What is left of a normalisation over space is a factor and an offset.
        Op::Norm(n) if n.kind != NormKind::Layer => !once,
        Op::Norm(_) | Op::Softmax(_) | Op::Matmul(_) | Op::Blend(_) => true,
        Op::Conv(_) | Op::ConvTranspose(_) | Op::Pool(_) | Op::Reduce(_) | Op::Resize(_) => !once,
    }
}

/// Whether `op` reads its input `i` at other pixels than its output's, or for several of them.
fn shifts(graph: &Graph<'_>, op: usize, i: usize) -> bool {
    let entry = &graph.ops[op];
    let output = graph.tensor(entry.output);
    let input = graph.tensor(entry.inputs[i].get());
    match &entry.op {
        Op::Conv(c) => !pointwise(c) || output.words() > REGISTER_WORDS && !c.geometry.depthwise(),
        Op::Binary(_) => (input.shape.height, input.shape.width) != (output.shape.height, output.shape.width),
        Op::Activation { .. } | Op::PRelu { .. } | Op::Convert(_) | Op::Concat => false,
        Op::Slice(_) => (input.shape.height, input.shape.width) != (output.shape.height, output.shape.width),
        Op::Norm(n) => n.kind == NormKind::Layer,
        // The logits; a dispatch computes the block of pixels of one of theirs.
        Op::Blend(_) => i != 2,
        _ => true,
    }
}

/// Whether a convolution reads nothing but the pixel that it computes.
pub(crate) fn pointwise(c: &Conv<'_>) -> bool {
    let w = &c.geometry.window;
    w.kernel == [1, 1] && w.stride == [1, 1] && w.pad == [0; 4]
}

/// Whether a resize computes new values.
pub(crate) fn interpolates(r: &fusionproxy_format::Resize) -> bool {
    use fusionproxy_format::ResizeMode::{NearestFloor, NearestHalfPixel};
    !matches!(r.mode, NearestFloor | NearestHalfPixel)
}
