//! Tensors that share memory, so that nothing is copied that need not be.
//!
//! Every tensor lies in a *buffer*, named after the tensor that is as large as it. To begin with each has its own.
//! Operators are visited in order, and
//!
//! * a reshape of tensor without gaps, and a slice, become views of their input;
//! * an element-wise operator writes over an input of the same shape and type that nothing reads any more;
//! * the inputs of a concatenation that fill their buffer become channel slices of the output's buffer, with all that
//!   their buffer holds: they are written where they belong, and the concatenation has nothing left to do. This nests.
//!
//! Sharing always saves a copy, but it can cost memory: a concatenation's buffer is alive from the first of its parts
//! on, and a slice keeps the whole input alive. Where that raises the largest sum of live bytes, the tensor keeps
//! memory of its own.

use fusionproxy_format::{Op, TensorId};
use fusionproxy_kernels::{Layout, pointwise};

use super::slot::{NONE, get};
use super::{Step, TensorSlot};

/// Sums of live bytes.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Largest sum with tensors sharing memory.
    pub(super) shared: u64,
    /// Largest sum with each tensor in memory of its own.
    pub(super) unshared: u64,
    /// First step with the largest sum.
    pub(super) peak: usize,
}

/// Largest sum of live bytes and the number of steps that reach it: smaller is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost {
    pub(super) peak: u64,
    steps: usize,
}

/// Most passes that try to part single tensors.
const TRIALS: u64 = 64;
/// Pairs of operators and inputs that those passes may visit together; it leaves large networks fewer of them.
const TRIAL_PAIRS: u64 = 1 << 24;

/// Lets tensors share memory. Notes in `steps` the live bytes and what is elided.
pub(super) fn share(tensors: &mut [TensorSlot<'_>], steps: &mut [Step<'_>], workers: usize) -> Bounds {
    separate(tensors);
    let unshared = measure(tensors, steps, workers, |_| true).peak;
    let mut best = join(tensors, steps, workers);
    let edges: usize = steps.iter().filter_map(Step::entry).map(|e| e.inputs.len()).sum();
    let pairs = (steps.len() as u64) * (steps.len() + edges) as u64;
    let mut passes = (TRIAL_PAIRS / pairs.max(1)).min(TRIALS);
    while let Some(better) = part_one(tensors, steps, workers, best, &mut passes) {
        best = better;
    }
    if best.peak > unshared {
        for t in tensors.iter_mut() {
            t.sharing.never_with_input = true;
            t.sharing.never_in_concat = true;
        }
        best = join(tensors, steps, workers);
    }
    Bounds { shared: best.peak, unshared, peak: first_peak(steps, best) }
}

fn first_peak(steps: &[Step<'_>], cost: Cost) -> usize {
    steps.iter().position(|s| s.live == cost.peak).unwrap_or(0)
}

/// Gives the first tensor memory of its own that lowers the cost thereby. Leaves the tables joined.
fn part_one(
    tensors: &mut [TensorSlot<'_>],
    steps: &mut [Step<'_>],
    workers: usize,
    best: Cost,
    passes: &mut u64,
) -> Option<Cost> {
    let peak = first_peak(steps, best) as u32;
    for i in 0..tensors.len() {
        let t = tensors.get(i)?;
        let Some(buffer) = get(tensors, t.buffer) else { continue };
        // A tensor that fills its buffer keeps nothing else alive.
        let suspect = t.in_arena()
            && t.bytes() < buffer.bytes()
            && (buffer.from..=buffer.until).contains(&peak)
            && (t.sharing.in_concat || t.sharing.with_input);
        if !suspect {
            continue;
        }
        // One pass for the trial and one to undo it.
        *passes = passes.checked_sub(2)?;
        let before = t.sharing;
        let trial = &mut tensors.get_mut(i)?.sharing;
        if before.in_concat {
            trial.never_in_concat = true;
        } else {
            trial.never_with_input = true;
        }
        let cost = join(tensors, steps, workers);
        if cost < best {
            return Some(cost);
        }
        tensors.get_mut(i)?.sharing = before;
        join(tensors, steps, workers);
    }
    None
}

/// Gives each tensor a buffer of its own.
fn separate(tensors: &mut [TensorSlot<'_>]) {
    for (id, t) in tensors.iter_mut().enumerate() {
        if !t.in_arena() {
            continue;
        }
        let id = id as TensorId;
        t.layout = Layout::dense(t.layout.shape);
        (t.buffer, t.start, t.next, t.tail) = (id, 0, NONE, id);
        (t.from, t.until, t.rigid, t.life) = (t.first, t.last, false, t.own);
        (t.sharing.with_input, t.sharing.in_concat) = (false, false);
    }
}

/// Lets every tensor share memory that can and may.
fn join(tensors: &mut [TensorSlot<'_>], steps: &mut [Step<'_>], workers: usize) -> Cost {
    separate(tensors);
    for (i, step) in steps.iter_mut().enumerate() {
        let Some(entry) = step.entry else { continue };
        let (input, output) = (step.input(0).unwrap_or(NONE), step.target);
        step.elided = match entry.op {
            Op::Reshape => reshape(tensors, input, output).is_some(),
            Op::Slice(s) => slice(tensors, input, output, s.start).is_some(),
            Op::Concat => {
                let mut channel = 0;
                let mut all = true;
                for part in step.inputs() {
                    all &= concat(tensors, part, output, channel).is_some();
                    channel += get(tensors, part).map_or(0, |t| t.layout.shape.channels);
                }
                all
            }
            op if pointwise(&op) => {
                let at = Moment {
                    op: i as u32,
                    chain: step.chain.is_some().then_some((step.group, step.rows.lead)),
                    divided: workers > 1,
                };
                let _ = step.inputs().any(|input| in_place(tensors, input, output, &at).is_some());
                false
            }
            _ => false,
        };
    }
    measure(tensors, steps, workers, |_| true)
}

/// Makes `output` a view of its input's memory without gaps.
fn reshape(tensors: &mut [TensorSlot<'_>], input: TensorId, output: TensorId) -> Option<()> {
    let x = get(tensors, input).filter(|t| t.in_arena() && !t.own.reloaded)?;
    let shape = get(tensors, output)?.layout.shape;
    if x.layout != Layout::dense(x.layout.shape) {
        return None;
    }
    let (buffer, start, same) = (x.buffer, x.start, x.layout.shape == shape);
    attach(tensors, output, buffer, Layout::dense(shape), start)?;
    tensors.get_mut(usize::from(buffer))?.rigid |= !same;
    Some(())
}

/// Makes `output` a view of a box of its input.
fn slice(
    tensors: &mut [TensorSlot<'_>],
    input: TensorId,
    output: TensorId,
    [y, x, c]: [usize; 3],
) -> Option<()> {
    let from = get(tensors, input).filter(|t| t.in_arena() && !t.own.reloaded)?;
    let shape = get(tensors, output)?.layout.shape;
    let Layout { pixel, row, .. } = from.layout;
    let (buffer, start) = (from.buffer, from.start + y * row + x * pixel + c);
    attach(tensors, output, buffer, Layout { shape, pixel, row, ring: shape.height }, start)
}

/// When an operator runs.
struct Moment {
    /// Its step.
    op: u32,
    /// Steps of its chain, and the lead of its output.
    chain: Option<((u32, u32), i32)>,
    /// Whether bands of the chain may run at the same time.
    divided: bool,
}

/// Lets an element-wise operator write `output` over `input`, if nothing else reads that memory from there on, be it in a
/// later strip.
fn in_place(tensors: &mut [TensorSlot<'_>], input: TensorId, output: TensorId, at: &Moment) -> Option<()> {
    let op = at.op;
    let x = get(tensors, input).filter(|t| t.in_arena() && t.last == op && !t.own.reloaded)?;
    let y = get(tensors, output)?;
    if x.layout.shape != y.layout.shape || x.dtype != y.dtype {
        return None;
    }
    // The band above still reads shared rows when the band below has begun.
    if at.chain.is_some() && at.divided && (get(tensors, x.buffer)?.life.kept || y.own.kept) {
        return None;
    }
    let read_again = |t: &TensorSlot<'_>| {
        at.chain.is_some_and(|((begin, end), lead)| (begin..end).contains(&t.last) && t.own.low < lead)
    };
    let mut next = x.buffer;
    while let Some(other) = get(tensors, next) {
        let twin = other.layout == x.layout && other.start == x.start && other.last == op;
        let alive = next != input && other.last >= op && !twin;
        if (alive || read_again(other)) && overlap(x, other) {
            return None;
        }
        next = other.next;
    }
    let (buffer, layout, start) = (x.buffer, x.layout, x.start);
    attach(tensors, output, buffer, layout, start)
}

/// Whether two views of one buffer may have an element in common.
fn overlap(a: &TensorSlot<'_>, b: &TensorSlot<'_>) -> bool {
    let (la, lb) = (&a.layout, &b.layout);
    if (la.pixel, la.row) == (lb.pixel, lb.row) {
        let (ca, cb) = (a.start % la.pixel, b.start % lb.pixel);
        if ca + la.shape.channels <= cb || cb + lb.shape.channels <= ca {
            return false;
        }
    }
    let end = |t: &TensorSlot<'_>| t.start + t.layout.span().unwrap_or(0);
    a.start < end(b) && b.start < end(a)
}

/// Puts a tensor that shares no memory yet into `buffer`.
fn attach(
    tensors: &mut [TensorSlot<'_>],
    tensor: TensorId,
    buffer: TensorId,
    layout: Layout,
    start: usize,
) -> Option<()> {
    let t = get(tensors, tensor).filter(|t| !t.sharing.never_with_input)?;
    let (last, own) = (t.last, t.own);
    get(tensors, buffer).filter(|root| root.life.goes_with(own))?;
    let t = tensors.get_mut(usize::from(tensor))?;
    (t.buffer, t.layout, t.start) = (buffer, layout, start);
    t.sharing.with_input = true;
    let root = tensors.get_mut(usize::from(buffer))?;
    root.until = root.until.max(last);
    root.life = root.life.join(own);
    let tail = core::mem::replace(&mut root.tail, tensor);
    tensors.get_mut(usize::from(tail))?.next = tensor;
    Some(())
}

/// Makes `part`, and all that shares its memory, a channel slice of `whole` from `channel` on.
fn concat(tensors: &mut [TensorSlot<'_>], part: TensorId, whole: TensorId, channel: usize) -> Option<()> {
    let t = get(tensors, part).filter(|t| t.in_arena() && !t.sharing.never_in_concat)?;
    let root = get(tensors, t.buffer)?;
    let (buffer, old, new) = (t.buffer, root.layout, get(tensors, whole)?.layout);
    let (from, until, tail, life) = (root.from, root.until, root.tail, root.life);
    let fills = t.start == 0 && t.layout == root.layout;
    let apart = life.reloaded || !get(tensors, whole)?.life.goes_with(life);
    if !fills || root.rigid || buffer == whole || apart {
        return None;
    }
    tensors.get_mut(usize::from(part))?.sharing.in_concat = true;
    let mut next = buffer;
    while let Some(t) = tensors.get_mut(usize::from(next)) {
        // Every view here has the buffer's own strides: its start takes apart into row, column and channel.
        let (y, rest) = (t.start / old.row, t.start % old.row);
        let (x, c) = (rest / old.pixel, rest % old.pixel);
        t.start = y * new.row + x * new.pixel + c + channel;
        (t.layout.row, t.layout.pixel, t.buffer) = (new.row, new.pixel, whole);
        next = t.next;
    }
    let root = tensors.get_mut(usize::from(whole))?;
    (root.from, root.until) = (root.from.min(from), root.until.max(until));
    root.life = root.life.join(life);
    let end = core::mem::replace(&mut root.tail, tail);
    tensors.get_mut(usize::from(end))?.next = buffer;
    Some(())
}

/// Sums the live bytes of each step over the buffers that `counts` picks. A chain needs its buffers from its first strip to
/// its last.
pub(super) fn measure(
    tensors: &mut [TensorSlot<'_>],
    steps: &mut [Step<'_>],
    workers: usize,
    counts: impl Fn(&TensorSlot<'_>) -> bool,
) -> Cost {
    for s in steps.iter_mut() {
        s.live = 0;
    }
    // Differences first, wrapping below zero; the running sum then never does.
    for id in 0..tensors.len() {
        let Some(t) = tensors.get_mut(id).filter(|t| t.in_arena() && usize::from(t.buffer) == id) else {
            continue;
        };
        t.from = steps.get(t.from as usize).map_or(t.from, |s| s.group.0);
        t.until = steps.get(t.until as usize).map_or(t.until, |s| s.group.1.saturating_sub(1));
        if !counts(t) {
            continue;
        }
        let bytes = t.buffer_bytes() as u64 * if t.life.kept { 1 } else { workers as u64 };
        if let Some(s) = steps.get_mut(t.from as usize) {
            s.live = s.live.wrapping_add(bytes);
        }
        if let Some(s) = steps.get_mut(t.until as usize + 1) {
            s.live = s.live.wrapping_sub(bytes);
        }
    }
    let mut cost = Cost { peak: 0, steps: 0 };
    let mut sum = 0u64;
    for s in steps.iter_mut() {
        sum = sum.wrapping_add(s.live);
        s.live = sum;
        if sum > cost.peak {
            cost = Cost { peak: sum, steps: 0 };
        }
        cost.steps += usize::from(sum == cost.peak);
    }
    cost
}
