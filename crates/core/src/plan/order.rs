//! Which operators run depth-first together, and the order of all.
//!
//! Operators are *linked* where one can begin before the other has ended: each row of the reader needs a few rows of what
//! it reads. Where it needs all of them (a mean over the image, the keys of an attention, a broadcast gate), the tensor
//! must be complete, which is a *barrier*. The number of barriers on the way to an operator is its level, raised as far as its
//! readers allow, so that what waits for a barrier anyway is computed with them. Operators that are linked on one level
//! are a group; groups run one after the other, those with the earliest operators first.

use fusionproxy_format::{Axis, ConvWeights, DType, Op, ReduceKind};
use fusionproxy_kernels::{Reach, by_rows, reads};

use super::slot::{self, NO_STEP};
use super::{Schedule, Step, TensorSlot};

/// Largest share of the height, in 2^-16, that windows may reach within one group where bands are to be divided among
/// workers: rows at the borders are computed twice.
const MAX_REACH: u32 = (1 << 16) / 8;

/// Orders `steps` into groups.
pub(super) fn arrange(
    tensors: &mut [TensorSlot<'_>],
    steps: &mut [Step<'_>],
    schedule: Schedule,
    workers: usize,
) {
    for (i, step) in steps.iter_mut().enumerate() {
        step.order.parent = i as u32;
        step.group = (i as u32, i as u32 + 1);
    }
    let Some(heavy) = find_levels(tensors, steps, schedule, workers) else { return };
    join(tensors, steps, heavy);
    rank(tensors, steps);
    sort(steps);
    renumber(tensors, steps);
}

/// Finds the levels of the steps, which stand in the artifact's order, and gives the most bytes of weights that a chain's
/// operator may have; `None` without chains.
pub(super) fn find_levels(
    tensors: &mut [TensorSlot<'_>],
    steps: &mut [Step<'_>],
    schedule: Schedule,
    workers: usize,
) -> Option<usize> {
    let cache = schedule.cache()?;
    let heavy = if cache == 0 { usize::MAX } else { cache / 4 };
    let max_reach = if workers > 1 { MAX_REACH } else { u32::MAX };
    levels(tensors, steps, heavy, max_reach);
    raise(tensors, steps, heavy);
    Some(heavy)
}

/// Bytes of weights, which every strip reads again.
fn weight_bytes(step: &Step<'_>) -> usize {
    match step.entry.map(|e| e.op) {
        Some(Op::Conv(c) | Op::ConvTranspose(c)) => match c.weights {
            ConvWeights::Int8 { weights, .. } => weights.len(),
            ConvWeights::F16 { weights, .. } => size_of_val(weights),
            ConvWeights::F32 { weights, .. } => size_of_val(weights),
        },
        _ => 0,
    }
}

/// Whether the step can compute single rows of its output.
pub(super) fn row_by_row(step: &Step<'_>) -> bool {
    step.entry.is_some_and(|e| by_rows(&e.op))
}

/// Whether the step can add up its input row by row, though its result is there only after the last row. Sums of bytes are
/// exact in any order.
pub(super) fn adds_up(tensors: &[TensorSlot<'_>], step: &Step<'_>) -> bool {
    let Some((entry, output)) = step.output(tensors) else { return false };
    matches!(entry.op, Op::Reduce(r) if r.axis == Axis::Space && r.kind != ReduceKind::Max)
        && output.dtype == DType::U8
}

/// What rows the step reads of its `index`-th input. One that adds them up is taken to have as many rows as its input.
pub(super) fn reach(tensors: &[TensorSlot<'_>], step: &Step<'_>, index: usize) -> Option<Reach> {
    let (entry, output) = step.output(tensors)?;
    let input = slot::get(tensors, step.input(index)?).filter(|t| t.in_arena())?;
    if adds_up(tensors, step) {
        return Some(Reach { mul: 1, div: 1, before: 0, after: 0 });
    }
    reads(&entry.op, index, input.layout.shape, output.layout.shape)
}

/// The step that computes the `index`-th input of step `i`, and the reach if the two are linked.
fn link(
    tensors: &[TensorSlot<'_>],
    steps: &[Step<'_>],
    i: usize,
    index: usize,
    heavy: usize,
) -> Option<(usize, Option<Reach>)> {
    let step = steps.get(i)?;
    let input = slot::get(tensors, step.input(index)?)?;
    let producer = Some(input.producer).filter(|p| *p != NO_STEP)? as usize;
    let joins = |step: &Step<'_>| weight_bytes(step) <= heavy && row_by_row(step);
    let reads = joins(step) || adds_up(tensors, step);
    let linked = !step.order.cut && reads && joins(steps.get(producer)?);
    Some((producer, if linked { reach(tensors, step, index) } else { None }))
}

pub(super) fn level(steps: &[Step<'_>], i: usize) -> u32 {
    steps.get(i).map_or(0, |s| s.order.level)
}

fn levels(tensors: &[TensorSlot<'_>], steps: &mut [Step<'_>], heavy: usize, max_reach: u32) {
    for i in 0..steps.len() {
        let count = steps.get(i).and_then(|s| s.entry).map_or(0, |e| e.inputs.len());
        let links = |steps: &[Step<'_>], index| link(tensors, steps, i, index, heavy);
        let mut lowest = 0;
        let mut complete = 0;
        for (producer, linked) in (0..count).filter_map(|index| links(steps, index)) {
            complete = complete.max(level(steps, producer) + 1);
            lowest = lowest.max(level(steps, producer) + u32::from(linked.is_none()));
        }
        let mut reached = 0;
        for index in 0..count {
            let Some((producer, Some(r))) = links(steps, index) else { continue };
            if level(steps, producer) == lowest {
                let input = steps.get(i).and_then(|s| s.input(index));
                let height = input.and_then(|id| slot::get(tensors, id)).map_or(1, |t| t.layout.shape.height);
                let rows = u64::try_from(r.before + r.after).unwrap_or(0);
                let own = u32::try_from((rows << 16) / height.max(1) as u64).unwrap_or(u32::MAX);
                let before = steps.get(producer).map_or(0, |s| s.order.reach);
                reached = reached.max(own.saturating_add(before));
            }
        }
        if let Some(step) = steps.get_mut(i) {
            let far = reached > max_reach;
            step.order.level = if far { complete } else { lowest };
            step.order.reach = if far { 0 } else { reached };
            step.order.cut = far;
        }
    }
}

/// Moves each operator to the highest level that its readers allow.
fn raise(tensors: &mut [TensorSlot<'_>], steps: &mut [Step<'_>], heavy: usize) {
    for t in tensors.iter_mut() {
        t.from = u32::MAX;
    }
    for i in (0..steps.len()).rev() {
        let Some((_, output)) = steps.get(i).and_then(|s| s.output(tensors)) else { continue };
        let latest = output.from;
        // Sums are taken while their input is at hand.
        let stays = latest == u32::MAX || steps.get(i).is_some_and(|s| adds_up(tensors, s));
        if let Some(step) = steps.get_mut(i).filter(|_| !stays) {
            step.order.level = step.order.level.max(latest);
        }
        let own = level(steps, i);
        for (index, id) in steps.get(i).map(Step::inputs).into_iter().flatten().enumerate() {
            let linked = link(tensors, steps, i, index, heavy).is_some_and(|(_, reach)| reach.is_some());
            if let Some(t) = slot::get_mut(tensors, id) {
                t.from = t.from.min(own.saturating_sub(u32::from(!linked)));
            }
        }
    }
}

fn root(steps: &[Step<'_>], mut i: usize) -> usize {
    while let Some(parent) = steps.get(i).map(|s| s.order.parent as usize).filter(|p| *p != i) {
        i = parent;
    }
    i
}

/// Makes linked operators of one level a group; its first operator is its root.
fn join(tensors: &[TensorSlot<'_>], steps: &mut [Step<'_>], heavy: usize) {
    for i in 0..steps.len() {
        let count = steps.get(i).and_then(|s| s.entry).map_or(0, |e| e.inputs.len());
        for index in 0..count {
            let Some((producer, Some(_))) = link(tensors, steps, i, index, heavy) else { continue };
            if level(steps, producer) != level(steps, i) {
                continue;
            }
            let (a, b) = (root(steps, producer), root(steps, i));
            if let Some(step) = steps.get_mut(a.max(b)) {
                step.order.parent = a.min(b) as u32;
            }
        }
    }
    // Roots come first, so that one pass makes every path one step long.
    for i in 0..steps.len() {
        let parent = root(steps, i) as u32;
        if let Some(step) = steps.get_mut(i) {
            step.order.parent = parent;
        }
    }
}

/// Numbers the steps: groups as soon as what they read is there, the first ones first.
fn rank(tensors: &[TensorSlot<'_>], steps: &mut [Step<'_>]) {
    let parent = |steps: &[Step<'_>], i: usize| steps.get(i).map_or(i, |s| s.order.parent as usize);
    let producer = |id| slot::get(tensors, id).map_or(NO_STEP, |t| t.producer) as usize;
    for i in 0..steps.len() {
        let own = parent(steps, i);
        let inputs = steps.get(i).map(Step::inputs).into_iter().flatten().map(producer);
        let waits = inputs.filter(|p| *p < steps.len() && parent(steps, *p) != own).count();
        if let Some(step) = steps.get_mut(own) {
            step.order.blocked += waits as u32;
        }
    }
    let mut next = 0;
    let ready = |steps: &[Step<'_>]| {
        let free =
            |(i, s): (usize, &Step<'_>)| (s.order.parent as usize == i && s.order.blocked == 0).then_some(i);
        steps.iter().enumerate().find_map(free)
    };
    while let Some(group) = ready(steps) {
        for i in group..steps.len() {
            if parent(steps, i) == group
                && let Some(step) = steps.get_mut(i)
            {
                step.group.0 = next;
                next += 1;
            }
        }
        if let Some(step) = steps.get_mut(group) {
            step.order.blocked = u32::MAX;
        }
        for i in 0..steps.len() {
            let own = parent(steps, i);
            if own == group {
                continue;
            }
            let inputs = steps.get(i).map(Step::inputs).into_iter().flatten().map(producer);
            let freed = inputs.filter(|p| *p < steps.len() && parent(steps, *p) == group).count();
            if let Some(step) = steps.get_mut(own) {
                step.order.blocked = step.order.blocked.saturating_sub(freed as u32);
            }
        }
    }
}

/// Puts every step in its place.
fn sort(steps: &mut [Step<'_>]) {
    let mut i = 0;
    // Every exchange puts one step in its place.
    for _ in 0..2 * steps.len() {
        match steps.get(i).map(|s| s.group.0 as usize) {
            Some(rank) if rank != i && rank < steps.len() => steps.swap(i, rank),
            _ => i += 1,
        }
    }
    // Steps of one group have the same parent, and now stand together.
    let mut begin = 0;
    while let Some(parent) = steps.get(begin).map(|s| s.order.parent) {
        let same = steps.iter().skip(begin).take_while(|s| s.order.parent == parent).count();
        let group = (begin as u32, (begin + same) as u32);
        for step in steps.iter_mut().skip(begin).take(same) {
            step.group = group;
        }
        begin += same;
    }
}

/// Notes producers and uses anew.
pub(super) fn renumber(tensors: &mut [TensorSlot<'_>], steps: &[Step<'_>]) {
    let end = steps.len() as u32;
    for t in tensors.iter_mut() {
        // The fused image is read after the last step.
        t.last = if t.last == end { end } else { 0 };
    }
    for (i, step) in steps.iter().enumerate() {
        for id in step.inputs() {
            if let Some(t) = slot::get_mut(tensors, id) {
                t.last = t.last.max(i as u32);
            }
        }
        if let Some(t) = step.target().and_then(|id| slot::get_mut(tensors, id)) {
            (t.producer, t.first) = (i as u32, i as u32);
            t.last = t.last.max(i as u32);
        }
    }
}
