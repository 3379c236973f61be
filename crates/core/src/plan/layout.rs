//! Offsets of the buffers.
//!
//! Buffers are placed one after another, each where it fits between those already placed that are alive at the same
//! time. Several orders are tried, those of Pisarchyk and Lee ("Efficient Memory Management for Deep Neural Net
//! Inference", arXiv 2001.03288) among them, with two choices of the gap, and the smallest arena is kept.

use fusionproxy_format::TensorId;

use super::slot::{get, get_mut};
use super::{ARENA_ALIGNMENT, PlanError, Step, TensorSlot};

/// What buffers are placed by, the largest first.
#[derive(Clone, Copy)]
enum Order {
    /// Bytes.
    Size,
    /// The largest sum of live bytes during its life (greedy by breadth).
    Breadth,
    /// Bytes times operators that it is alive for.
    Area,
    /// Operators that it is alive for.
    Lifetime,
    /// The order of execution.
    Execution,
}

const ORDERS: [Order; 5] = [Order::Size, Order::Breadth, Order::Area, Order::Lifetime, Order::Execution];

/// Which gap a buffer is put into.
#[derive(Clone, Copy, PartialEq)]
enum Fit {
    /// The lowest.
    First,
    /// The smallest.
    Best,
}

/// Tensors that have a buffer named after them.
pub(super) fn roots<'r>(tensors: &'r [TensorSlot<'_>]) -> impl Iterator<Item = TensorId> + use<'r> {
    let ids = 0..tensors.len();
    // The format's tables hold at most 65,535 tensors.
    let roots = move |i: &usize| tensors.get(*i).is_some_and(|t| t.in_arena() && usize::from(t.buffer) == *i);
    ids.filter(roots).map(|i| i as TensorId)
}

/// Gives every tensor of the kept buffers, or of the rings, its offset and returns the bytes of all. The steps' live bytes are
/// those of the same buffers; `bound` is the largest.
pub(super) fn place(
    tensors: &mut [TensorSlot<'_>],
    steps: &[Step<'_>],
    kept: bool,
    bound: u64,
) -> Result<usize, PlanError> {
    let mut count = 0;
    for i in 0..tensors.len() {
        let id = i as TensorId;
        if tensors.get(i).is_some_and(|t| t.in_arena() && t.buffer == id && t.life.kept == kept) {
            if let Some(t) = tensors.get_mut(count) {
                t.work.order = id;
            }
            count += 1;
        }
    }
    if count == 0 {
        return Ok(0);
    }
    let mut best = u64::MAX;
    'search: for order in ORDERS {
        sort(tensors, steps, count, order);
        for fit in [Fit::First, Fit::Best] {
            let total = arrange(tensors, count, fit).unwrap_or(u64::MAX);
            if total < best {
                best = total;
                keep(tensors, count);
            }
            // Nothing goes below the live bytes of one step; what alignment adds is not known beforehand.
            if best <= bound.next_multiple_of(ARENA_ALIGNMENT as u64) {
                break 'search;
            }
        }
    }
    for i in 0..tensors.len() {
        let Some((t, root)) = tensors.get(i).and_then(|t| Some((t, get(tensors, t.buffer)?))) else {
            continue;
        };
        if !t.in_arena() || root.life.kept != kept {
            continue;
        }
        let height = t.layout.shape.height;
        let (offset, rows) = (root.offset + t.start * t.dtype.bytes(), root.life.rows(height));
        let is_root = usize::from(t.buffer) == i;
        if let Some(t) = tensors.get_mut(i) {
            t.ring = !kept;
            t.layout.ring = rows;
            if !is_root {
                t.offset = offset;
            }
        }
    }
    usize::try_from(best).ok().filter(|n| *n <= isize::MAX as usize).ok_or(PlanError::ArenaTooLarge)
}

/// Keeps the offsets of the last arrangement.
fn keep(tensors: &mut [TensorSlot<'_>], count: usize) {
    for k in 0..count {
        let id = tensors.get(k).map_or(0, |t| t.work.order);
        if let Some(t) = get_mut(tensors, id) {
            // Offsets beyond the address space are refused with the total.
            t.offset = usize::try_from(t.work.offset).unwrap_or(usize::MAX);
        }
    }
}

fn size(t: &TensorSlot<'_>) -> u64 {
    (t.buffer_bytes() as u64).next_multiple_of(ARENA_ALIGNMENT as u64)
}

/// Sorts the first `count` entries of the order list.
fn sort(tensors: &mut [TensorSlot<'_>], steps: &[Step<'_>], count: usize, order: Order) {
    for t in tensors.iter_mut().filter(|t| t.in_arena()) {
        let (from, until) = (t.from as usize, (t.until as usize + 1).min(steps.len()));
        let life = u64::from(t.until - t.from) + 1;
        t.work.key = match order {
            Order::Size => size(t),
            Order::Breadth => {
                steps.get(from..until).into_iter().flatten().map(Step::live_bytes).max().unwrap_or(0)
            }
            Order::Area => size(t).saturating_mul(life),
            Order::Lifetime => life,
            Order::Execution => u64::MAX - u64::from(t.from),
        };
    }
    // Larger first; ties by size and then by number, so that every platform arrives at the same arena.
    let rank = |tensors: &[TensorSlot<'_>], k: usize| {
        let id = tensors.get(k).map_or(0, |t| t.work.order);
        get(tensors, id).map(|t| (t.work.key, size(t), core::cmp::Reverse(id)))
    };
    // Insertion sort: the list is short, and still nearly sorted from the order before.
    for k in 1..count {
        let mut j = k;
        while j > 0 && rank(tensors, j - 1) < rank(tensors, j) {
            swap(tensors, j - 1, j);
            j -= 1;
        }
    }
}

fn swap(tensors: &mut [TensorSlot<'_>], a: usize, b: usize) {
    if let Some([x, y]) = tensors.get_mut(a..=b).and_then(|s| s.first_chunk_mut::<2>()) {
        core::mem::swap(&mut x.work.order, &mut y.work.order);
    }
}

/// Places the buffers in the order of the list. Returns the bytes of all.
fn arrange(tensors: &mut [TensorSlot<'_>], count: usize, fit: Fit) -> Option<u64> {
    let mut total = 0;
    for k in 0..count {
        let id = tensors.get(k)?.work.order;
        let new = get(tensors, id)?;
        let (from, until, bytes) = (new.from, new.until, size(new));
        let mut end = 0;
        let mut gap: Option<(u64, u64)> = None;
        // Buffers already placed, by offset.
        for j in 0..k {
            let p = get(tensors, tensors.get(j)?.work.placed)?;
            if p.until < from || until < p.from {
                continue;
            }
            if p.work.offset >= end {
                let room = p.work.offset - end;
                if room >= bytes && gap.is_none_or(|(least, _)| room < least) {
                    gap = Some((room, end));
                    if fit == Fit::First {
                        break;
                    }
                }
            }
            end = end.max(p.work.offset.checked_add(size(p))?);
        }
        let offset = gap.map_or(end, |(_, at)| at);
        tensors.get_mut(usize::from(id))?.work.offset = offset;
        total = total.max(offset.checked_add(bytes)?);
        let mut j = k;
        while j > 0 {
            let before = tensors.get(j - 1)?.work.placed;
            if get(tensors, before)?.work.offset <= offset {
                break;
            }
            tensors.get_mut(j)?.work.placed = before;
            j -= 1;
        }
        tensors.get_mut(j)?.work.placed = id;
    }
    Some(total)
}
