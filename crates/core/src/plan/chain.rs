//! Chains: groups of operators that run strip by strip.
//!
//! Strip `k` brings each tensor of a chain to row `(k + 1) * step + lead`. The steps of the tensors stand in the ratio of
//! their heights, so that every strip is like the one before. A tensor's lead is how many more rows its readers' windows
//! reach down than the strip at the end of the chain has, and a ring holds what the next strip still reads: halo rows are
//! computed once.

use fusionproxy_format::TensorId;
use fusionproxy_kernels::Rows;

use super::order::{adds_up, reach, row_by_row};
use super::slot::{Life, NO_STEP, get, get_mut};
use super::{Schedule, Step, TensorSlot};

/// How a group of operators runs strip by strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Strips of the frame.
    pub strips: u32,
    /// Strips before a band's first, in which what its windows reach is computed.
    pub warm_up: u32,
    /// Rows of the visible and of the infrared image that a strip loads; none where a step is 0.
    pub images: [Rows; 2],
    /// Whether bands may be divided among workers.
    pub divisible: bool,
}

/// Finds chains, the rows of their strips, and which tensors are kept as a whole.
pub(super) fn find(
    tensors: &mut [TensorSlot<'_>],
    steps: &mut [Step<'_>],
    images: [TensorId; 2],
    fused: TensorId,
    schedule: Schedule,
    workers: usize,
) {
    for t in tensors.iter_mut() {
        t.own = Life::KEPT;
        t.work.key = 0;
    }
    let Some(cache) = schedule.cache() else { return };
    let mut begin = 0;
    while let Some(end) = steps.get(begin).map(|s| s.group.1 as usize) {
        let end = end.max(begin + 1);
        if worthwhile(steps, begin..end, images, fused)
            && proportions(tensors, steps, begin..end, images).is_some()
        {
            for step in steps.iter_mut().skip(begin).take(end - begin) {
                step.chain =
                    Some(Chain { strips: 1, warm_up: 0, images: [Rows::default(); 2], divisible: true });
            }
        }
        begin = end;
    }
    keep(tensors, steps, images, fused);
    let mut begin = 0;
    while let Some(end) = steps.get(begin).map(|s| s.group.1 as usize) {
        let end = end.max(begin + 1);
        if steps.get(begin).is_some_and(|s| s.chain.is_some())
            // The tensors' numbers are those of the last chain that was looked at: images belong to several.
            && let Some(unit) = proportions(tensors, steps, begin..end, images)
        {
            strips(tensors, steps, begin..end, images, (unit, cache, workers));
        }
        begin = end;
    }
}

type Group = core::ops::Range<usize>;

/// Several operators, or one that reads an image or writes the fused one, which then need not be kept.
fn worthwhile(steps: &[Step<'_>], group: Group, images: [TensorId; 2], fused: TensorId) -> bool {
    let interface =
        |step: &Step<'_>| step.target() == Some(fused) || step.inputs().any(|id| images.contains(&id));
    group.len() > 1 || steps.get(group.start).is_some_and(|s| interface(s) && row_by_row(s))
}

/// Whether a tensor is computed or loaded, strip by strip, in the group.
fn inside(t: &TensorSlot<'_>, id: TensorId, group: &Group, images: [TensorId; 2]) -> bool {
    t.in_arena() && (group.contains(&(t.producer as usize)) || images.contains(&id))
}

/// Gives the tensors of a group rows a strip in proportion, into `work.key`, and the largest unit of which all are
/// multiples; `None` if there are no such proportions.
fn proportions(
    tensors: &mut [TensorSlot<'_>],
    steps: &[Step<'_>],
    group: Group,
    images: [TensorId; 2],
) -> Option<u64> {
    /// Divisible by all ratios of sizes that occur in practice.
    const UNIT: u64 = (1 << 24) * 27 * 125 * 7;
    for step in steps.iter().take(group.end).skip(group.start) {
        for id in step.touched() {
            if let Some(t) = get_mut(tensors, id) {
                t.work.key = 0;
            }
        }
    }
    let last = steps.get(group.end.saturating_sub(1)).and_then(Step::target);
    get_mut(tensors, last?)?.work.key = UNIT;
    // From outputs to inputs and back, until everything that is linked has its proportion.
    loop {
        let mut changed = false;
        for i in group.clone().rev().chain(group.clone()) {
            let step = steps.get(i)?;
            for (index, id) in step.inputs().enumerate() {
                let (Some(r), Some(target)) = (reach(tensors, step, index), step.target()) else { continue };
                let (Some(from), Some(to)) = (get(tensors, id), get(tensors, target)) else { continue };
                if !inside(from, id, &group, images) {
                    continue;
                }
                let (mul, div) = (r.mul as u64, r.div as u64);
                let (a, b) = (from.work.key, to.work.key);
                let exact = |n: u64, mul: u64, div: u64| {
                    let product = n.checked_mul(mul)?;
                    product.is_multiple_of(div).then(|| product / div)
                };
                if b != 0 && a == 0 {
                    get_mut(tensors, id)?.work.key = exact(b, mul, div)?;
                    changed = true;
                } else if a != 0 && b == 0 {
                    get_mut(tensors, target)?.work.key = exact(a, div, mul)?;
                    changed = true;
                } else if a != 0 && exact(b, mul, div) != Some(a) {
                    return None;
                }
            }
        }
        if !changed {
            break;
        }
    }
    let (mut divisor, mut largest) = (0, 0);
    for step in steps.iter().take(group.end).skip(group.start) {
        for id in step.touched() {
            let Some(t) = get(tensors, id).filter(|t| inside(t, id, &group, images)) else { continue };
            if t.work.key == 0 && !images.contains(&id) {
                return None;
            }
            divisor = gcd(divisor, t.work.key);
            largest = largest.max(t.work.key);
        }
    }
    Some(divisor).filter(|d| *d > 0 && largest / d <= u64::from(u16::MAX))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Finds the tensors that are needed outside of the chain that computes them.
fn keep(tensors: &mut [TensorSlot<'_>], steps: &[Step<'_>], images: [TensorId; 2], fused: TensorId) {
    for t in tensors.iter_mut() {
        t.own.kept =
            t.producer == NO_STEP || steps.get(t.producer as usize).is_none_or(|s| s.chain.is_none());
    }
    for id in images {
        if let Some(t) = get_mut(tensors, id) {
            t.own.kept = id == fused;
            (t.from, t.first) = (u32::MAX, u32::MAX);
        }
    }
    for (i, step) in steps.iter().enumerate() {
        for (index, id) in step.inputs().enumerate() {
            let linked = step.chain.is_some() && reach(tensors, step, index).is_some();
            let Some(t) = get_mut(tensors, id) else { continue };
            if images.contains(&id) {
                t.own.kept |= !linked;
                t.own.reloaded |= t.from != u32::MAX && t.from != step.group.0;
                t.from = step.group.0;
                t.first = t.first.min(i as u32);
            } else {
                t.own.kept |= !linked || !step.group().contains(&(t.producer as usize));
            }
            t.own.kept |= id == fused;
        }
        // There when its chain has ended.
        if adds_up(tensors, step)
            && let Some(t) = step.target().and_then(|id| get_mut(tensors, id))
        {
            t.own.kept = true;
        }
    }
    for id in images {
        if let Some(t) = get_mut(tensors, id) {
            t.own.streamed = !t.own.kept && t.first != u32::MAX;
            if !t.own.streamed {
                (t.first, t.own.reloaded) = (0, false);
            }
        }
    }
}

/// Finds leads, the length of the strips and their number.
fn strips(
    tensors: &mut [TensorSlot<'_>],
    steps: &mut [Step<'_>],
    group: Group,
    images: [TensorId; 2],
    (unit, cache, workers): (u64, usize, usize),
) {
    // Until a reader says otherwise: a kept tensor follows the strip; any other is needed by nobody.
    for i in group.clone() {
        for id in steps.get(i).into_iter().flat_map(Step::touched) {
            let Some(t) = get_mut(tensors, id) else { continue };
            (t.work.lead, t.work.back, t.work.low) =
                if t.own.kept { (0, 0, i32::MAX) } else { (i32::MIN, i32::MAX, i32::MAX) };
        }
    }
    for i in group.clone().rev() {
        let Some(step) = steps.get(i) else { continue };
        let Some(output) = step.target().and_then(|id| get_mut(tensors, id)) else { continue };
        if output.work.lead == i32::MIN {
            (output.work.lead, output.work.back) = (0, 0);
        }
        let (lead, back) = (output.work.lead, output.work.back);
        for (index, id) in step.inputs().enumerate() {
            let reach = reach(tensors, step, index);
            let Some(t) = get_mut(tensors, id) else { continue };
            let Some(r) = reach else {
                t.work.low = i32::MIN;
                continue;
            };
            t.work.lead = t.work.lead.max(r.end(lead as isize) as i32);
            t.work.back = t.work.back.min(r.first(back as isize) as i32);
            t.work.low = t.work.low.min(r.first(lead as isize) as i32);
        }
    }
    let multiple = multiple(tensors, steps, group.clone(), images, (unit, cache, workers));
    let mut chain = Chain { strips: 1, warm_up: 0, images: [Rows::default(); 2], divisible: true };
    let mut sums = 0;
    for i in group.clone() {
        let Some(step) = steps.get_mut(i) else { continue };
        let Some(rows_of) = height(tensors, step) else { continue };
        if adds_up(tensors, step) {
            step.sums = sums;
            sums += step.output(tensors).map_or(0, |(_, t)| t.layout.shape.channels as u32);
        }
        let inputs = step.inputs().count();
        for (position, id) in steps.get(i).map(Step::touched).into_iter().flatten().enumerate() {
            let output = position == inputs;
            let Some(t) = get_mut(tensors, id) else { continue };
            let image = images.iter().position(|image| *image == id).filter(|_| !t.own.kept);
            if !output && image.is_none() {
                // What the last reader leaves of it to be overwritten.
                t.own.low = t.work.low;
                continue;
            }
            let rows =
                Rows { step: (t.work.key / unit * multiple) as u32, lead: t.work.lead, back: t.work.back };
            let strip = i64::from(rows.step.max(1));
            let height = if output { rows_of } else { t.layout.shape.height } as i64;
            if output && (t.own.kept || t.work.low == i32::MAX) {
                // What the chain is for decides when it ends.
                let left = (height - i64::from(rows.lead)).max(1);
                chain.strips = chain.strips.max((left + strip - 1).div_euclid(strip) as u32);
            }
            let reach = i64::from(rows.lead) - i64::from(rows.back.min(0));
            chain.warm_up = chain.warm_up.max(((reach + strip - 1).div_euclid(strip)).max(0) as u32);
            if let Some(image) = image {
                set_life(t, rows, true);
                if let Some(to) = chain.images.get_mut(image) {
                    *to = rows;
                }
            } else {
                set_life(t, rows, false);
                if let Some(step) = steps.get_mut(i) {
                    step.rows = rows;
                }
            }
        }
    }
    for step in steps.iter_mut().take(group.end).skip(group.start) {
        step.chain = Some(chain);
    }
}

/// Rows that a step goes through: of its output, or, if it adds them up, of its input.
fn height(tensors: &[TensorSlot<'_>], step: &Step<'_>) -> Option<usize> {
    let rows = if adds_up(tensors, step) { step.input(0) } else { step.target() };
    Some(get(tensors, rows?)?.layout.shape.height)
}

fn set_life(t: &mut TensorSlot<'_>, rows: Rows, image: bool) {
    let ahead = rows.step as i32 + rows.lead;
    // Nobody reads the fused image but the frame path, right after the strip.
    let low = if t.work.low == i32::MAX { rows.lead } else { t.work.low };
    if image && t.own.reloaded {
        t.own.elsewhere = t.own.elsewhere.max(ahead - low);
    }
    (t.own.ahead, t.own.low) = (ahead, low);
}

/// How many times the smallest strip the strips are: as long as their rows fit the cache and bands are no less even than
/// with the shortest.
fn multiple(
    tensors: &[TensorSlot<'_>],
    steps: &[Step<'_>],
    group: Group,
    images: [TensorId; 2],
    (unit, cache, workers): (u64, usize, usize),
) -> u64 {
    let (mut per_strip, mut halo, mut strips) = (0u64, 0u64, u64::MAX);
    for step in steps.iter().take(group.end).skip(group.start) {
        let loaded = step.inputs().filter(|id| images.contains(id));
        let computed = step.target().filter(|_| !adds_up(tensors, step));
        for t in loaded.chain(computed).filter_map(|id| get(tensors, id)) {
            let shape = t.layout.shape;
            let row = (shape.width * shape.channels * t.dtype.bytes()) as u64;
            let step = t.work.key / unit;
            per_strip += row * step;
            if !t.own.kept && t.work.low != i32::MAX {
                halo += row * u64::try_from(t.work.lead - t.work.low).unwrap_or(0);
            }
            strips = strips.min(shape.height as u64 / step.max(1));
        }
    }
    let room = (cache as u64).saturating_sub(halo) / per_strip.max(1);
    let longest = room.min(strips).max(1);
    if workers < 2 {
        return longest;
    }
    // Rows of the longest band, of strips that are `multiple` times the smallest.
    let band = |multiple: u64| strips.div_ceil(multiple).div_ceil(workers as u64) * multiple;
    // Long strips pack the operands of a product less often, but must not make the bands uneven.
    (1..=longest).rev().find(|multiple| band(*multiple) <= band(1)).unwrap_or(1)
}

/// Buffers that a chain may write and divide among workers.
pub(crate) const MAX_WRITTEN: usize = 24;

/// Finds the chains that may be divided among workers: what they write into a shared buffer must end at the same row of
/// it in each band.
pub(super) fn divide(tensors: &[TensorSlot<'_>], steps: &mut [Step<'_>]) {
    let mut begin = 0;
    while let Some((end, chain)) = steps.get(begin).map(|s| (s.group.1 as usize, s.chain)) {
        let end = end.max(begin + 1);
        let Some(chain) = chain else {
            begin = end;
            continue;
        };
        let members = steps.get(begin..end).unwrap_or_default();
        let kept = |s: &Step<'_>| {
            let (_, t) = s.output(tensors).filter(|(_, t)| !s.elided && !t.ring && s.sums().is_none())?;
            Some((t.buffer, s.rows))
        };
        let even = members.iter().filter_map(kept).all(|(buffer, rows)| {
            let others = members.iter().filter_map(kept).filter(|(other, _)| *other == buffer);
            rows.back <= rows.lead && others.clone().all(|(_, other)| other == rows)
        });
        // Its rows lie between those that the chain writes, but were not divided with them.
        let between = |s: &Step<'_>| {
            s.inputs().filter_map(|id| get(tensors, id)).any(|t| {
                let earlier = !(begin..end).contains(&(t.producer as usize));
                earlier && !t.ring && members.iter().filter_map(kept).any(|(buffer, _)| buffer == t.buffer)
            })
        };
        let first = |i: usize, buffer: TensorId| {
            !members.iter().take(i).filter_map(kept).any(|(other, _)| other == buffer)
        };
        let buffers = members.iter().enumerate().filter(|(i, s)| kept(s).is_some_and(|(b, _)| first(*i, b)));
        let divisible = even && buffers.count() <= MAX_WRITTEN && !members.iter().any(between);
        for step in steps.iter_mut().take(end).skip(begin) {
            step.chain = Some(Chain { divisible, ..chain });
        }
        begin = end;
    }
}
