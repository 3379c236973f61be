//! Operators that run again, so that their results need not be kept: rematerialisation (Chen et al., "Training Deep Nets
//! with Sublinear Memory Cost", arXiv 1604.06174) for the arena of one frame.
//!
//! A tensor that is read both in the chain that computes it and behind a barrier is kept as a whole in between. Where that
//! takes too much memory, the operators that led to it, from the images or from tensors that are kept anyway, run a second
//! time in the chain that reads it late: they are copied, with tensors of their own, which are rings as any others of a
//! chain. What is computed stays the same.

use fusionproxy_format::{Op, TensorId};
use fusionproxy_kernels::macs;

use super::order::{adds_up, level, reach, renumber};
use super::slot::{Again, NONE, get, get_mut};
use super::{Step, TensorSlot};

/// Forgets what was marked for another plan.
pub(super) fn reset(tensors: &mut [TensorSlot<'_>]) {
    for t in tensors.iter_mut() {
        t.again = Again::No;
    }
}

/// Settles the marks under trial: they stay, or the candidate is never tried again.
pub(super) fn settle(tensors: &mut [TensorSlot<'_>], better: bool) {
    for t in tensors.iter_mut() {
        t.again = match t.again {
            Again::Candidate | Again::Helper if better => Again::Yes,
            Again::Candidate => Again::Never,
            Again::Helper => Again::No,
            settled => settled,
        };
    }
}

/// Whether anything is to be computed again.
pub(super) fn any(tensors: &[TensorSlot<'_>]) -> bool {
    tensors.iter().any(marked)
}

fn marked(t: &TensorSlot<'_>) -> bool {
    !matches!(t.again, Again::No | Again::Never)
}

/// Marks the tensor, and what has to run with it, that frees most bytes for the least work, given the tables of a finished
/// plan whose copies come after the first `own` tensors. `false` if there is none left for which there is room.
pub(super) fn mark(tensors: &mut [TensorSlot<'_>], steps: &[Step<'_>], own: usize, room: usize) -> bool {
    while let Some(best) = cheapest(tensors, steps, own) {
        mark_one(tensors, steps, own, best);
        if tensors.iter().take(own).filter(|t| marked(t)).count() <= room {
            return true;
        }
        // Another candidate may need less room.
        settle(tensors, false);
    }
    false
}

/// The candidate with the least work a byte.
fn cheapest(tensors: &mut [TensorSlot<'_>], steps: &[Step<'_>], own: usize) -> Option<usize> {
    let mut best: Option<(u128, u128, usize)> = None;
    for i in 0..own.min(tensors.len()) {
        let Some((work, bytes)) = cost(tensors, steps, i) else { continue };
        if best.is_none_or(|(w, b, _)| work * b < w * bytes) {
            best = Some((work, bytes, i));
        }
    }
    best.map(|(_, _, i)| i)
}

/// Marks a candidate with what has to run with it.
fn mark_one(tensors: &mut [TensorSlot<'_>], steps: &[Step<'_>], own: usize, candidate: usize) {
    cost(tensors, steps, candidate);
    for (i, t) in tensors.iter_mut().enumerate().take(own) {
        if t.work.key == 1 && !marked(t) {
            t.again = if i == candidate { Again::Candidate } else { Again::Helper };
        }
    }
    let producer = tensors.get(candidate).and_then(|t| steps.get(t.producer as usize));
    // What only joins tensors costs nothing, and would keep its parts.
    for step in producer.and_then(|s| steps.get(s.group())).unwrap_or_default() {
        let joins = step.entry.is_some_and(|e| matches!(e.op, Op::Concat)) && !step.is_repeated();
        let parts = joins && step.inputs().filter_map(|id| get(tensors, id)).any(marked);
        let whole = step.target().filter(|_| parts).and_then(|id| get_mut(tensors, id));
        if let Some(t) = whole.filter(|t| !marked(t)) {
            t.again = Again::Helper;
        }
    }
}

/// What it takes to compute tensor `i` again, in multiplications and elements, and the bytes that need not be kept then;
/// `None` if it is no candidate. Leaves 1 in the key of each tensor that has to be computed, 0 in that of all others.
fn cost(tensors: &mut [TensorSlot<'_>], steps: &[Step<'_>], i: usize) -> Option<(u128, u128)> {
    let id = i as TensorId;
    let t = get(tensors, id).filter(|t| t.in_arena() && t.own.kept && t.again == Again::No)?;
    let (bytes, producer) = (t.bytes() as u128, t.producer as usize);
    let own = steps.get(producer).filter(|s| s.chain.is_some() && !adds_up(tensors, s))?;
    let group = own.group();
    if matches!(own.entry?.op, Op::Concat | Op::Slice(_) | Op::Reshape) {
        return None;
    }
    let mut late = false;
    for (k, step) in steps.iter().enumerate().filter(|(k, _)| !group.contains(k)) {
        for index in step.inputs().enumerate().filter(|(_, input)| *input == id).map(|(index, _)| index) {
            // Who reads it as a whole needs it as a whole.
            steps.get(k).and_then(|s| s.chain).and(reach(tensors, step, index))?;
            late = true;
        }
    }
    if !late {
        return None;
    }
    for t in tensors.iter_mut() {
        t.work.key = 0;
    }
    get_mut(tensors, id)?.work.key = 1;
    let mut work = 0;
    for k in group.clone().rev() {
        let Some(step) = steps.get(k) else { continue };
        let Some((entry, output)) = step.output(tensors).filter(|(_, t)| t.work.key == 1) else { continue };
        let input = get(tensors, step.input(0)?)?;
        let elements = output.layout.shape.elements() as u128;
        work += u128::from(macs(&entry.op, input.layout.shape, output.layout.shape)) + elements;
        for id in step.inputs() {
            let t = get_mut(tensors, id)?;
            if !t.own.kept && !marked(t) && group.contains(&(t.producer as usize)) {
                t.work.key = 1;
            }
        }
    }
    Some((work, bytes))
}

/// Copies the steps whose results are marked, each behind its original, and lets those read the copies that run behind a
/// barrier. The first `counts` (tensors, steps) of the tables are the network's, in the artifact's order with its levels.
/// Gives the new counts; the tables have room.
pub(super) fn insert(
    tensors: &mut [TensorSlot<'_>],
    steps: &mut [Step<'_>],
    counts: (usize, usize),
    fused: TensorId,
) -> (usize, usize) {
    let (mut copies, mut next) = (0, counts.0);
    for i in 0..counts.0 {
        if let Some(t) = tensors.get(i).copied().filter(marked)
            && let Some(copy) = tensors.get_mut(next)
        {
            *copy = TensorSlot { twin: i as TensorId, again: Again::No, ..t };
            if let Some(t) = tensors.get_mut(i) {
                t.twin = next as TensorId;
            }
            (copies, next) = (copies + 1, next + 1);
        }
    }
    let end = counts.1 + copies;
    let late = |tensors: &[TensorSlot<'_>], steps: &[Step<'_>], i: usize, id: TensorId| {
        let producer = get(tensors, id).filter(|t| marked(t)).map(|t| t.producer as usize);
        producer.is_some_and(|p| level(steps, i) > level(steps, p))
    };
    // While steps still stand in their old places.
    for i in 0..counts.1 {
        let Some(inputs) = steps.get(i).map(Step::inputs) else { continue };
        for id in inputs {
            if late(tensors, steps, i, id) {
                divert(tensors, steps.get_mut(i), id);
            }
        }
    }
    let mut to = end;
    for i in (0..counts.1).rev() {
        let Some(step) = steps.get(i).copied() else { continue };
        let twin = step.target().and_then(|id| get(tensors, id)).filter(|t| marked(t)).map(|t| t.twin);
        if let Some(target) = twin {
            to -= 1;
            let mut copy = Step { target, ..step };
            for id in step.inputs() {
                if get(tensors, id).is_some_and(marked) {
                    divert(tensors, Some(&mut copy), id);
                }
            }
            if let Some(place) = steps.get_mut(to) {
                *place = copy;
            }
        }
        to -= 1;
        if let Some(place) = steps.get_mut(to) {
            *place = step;
        }
    }
    if let Some(t) = get_mut(tensors, fused) {
        t.last = end as u32;
    }
    let (Some(tensors), Some(steps)) = (tensors.get_mut(..next), steps.get_mut(..end)) else { return counts };
    renumber(tensors, steps);
    (next, end)
}

/// Lets a step read the copy of a tensor.
fn divert(tensors: &[TensorSlot<'_>], step: Option<&mut Step<'_>>, id: TensorId) {
    let Some((step, t)) = step.zip(get(tensors, id)) else { return };
    if step.copies.iter().all(|(from, _)| *from != id)
        && let Some(place) = step.copies.iter_mut().find(|(from, _)| *from == NONE)
    {
        *place = (id, t.twin);
    }
}
