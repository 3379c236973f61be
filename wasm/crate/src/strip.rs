//! One strip of a frame, where several instances of the module share the work.
//!
//! Each instance has the whole network's arena, but computes, of every tensor, only the rows that its strip of the fused
//! image needs in the end: its own, and those around them that windows reach. So the bytes are those of the whole frame.
//! A mean over space needs every row of its input. There an instance stops: it has added up the rows that are its own, the
//! instances exchange their sums, and it goes on. Means further on whose inputs are there already are added up at the same
//! stop, because the instances wait for one another at each. Nothing of this needs shared memory.
//!
//! The executor runs whole operators. [`Part`] stands between it and the kernels and passes on the rows that are needed, and
//! the executor is run once for each stretch between exchanges.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fusionproxy_core::plan::{Placement, Plan};
use fusionproxy_format::{Axis, DType, Op, OpEntry, ReduceKind, TensorId};
use fusionproxy_kernels::scalar::finish_sums;
use fusionproxy_kernels::{Backend, Call, Layout, Shape, Src, reads};

/// What a strip does with one of the executor's calls.
#[derive(Clone, Debug)]
struct Work {
    /// Rows of the output to be computed.
    rows: Range<usize>,
    /// A mean or sum over space.
    sums: Option<Sums>,
}

/// What is added up for a mean or sum over space.
#[derive(Clone, Debug)]
struct Sums {
    /// The rows of its input that this strip adds up.
    rows: Range<usize>,
    /// The exchange that they take part in.
    exchange: usize,
    /// Their places among all sums, one a channel.
    at: Range<usize>,
}

/// How far the calls of a frame have come.
#[derive(Debug, Default)]
struct Progress {
    /// The executor's next call.
    next: usize,
    /// Calls that are done.
    done: usize,
    /// Exchanges that are done.
    exchanged: usize,
    /// Whether an exchange is due.
    waits: bool,
    /// The sums of all exchanges.
    sums: Vec<i32>,
}

/// The share of one instance.
#[derive(Debug)]
pub(crate) struct Strip {
    work: Vec<Work>,
    /// The sums of each exchange.
    exchanges: Vec<Range<usize>>,
    /// Rows of the fused frame.
    pub(crate) writes: Range<usize>,
    /// Rows of the visible frame.
    pub(crate) reads: Range<usize>,
    /// Rows of the images that the network reads, those of the padded frame.
    pub(crate) images: [Range<usize>; 2],
    progress: Mutex<Progress>,
}

impl Strip {
    /// Strip number `index` of `count` of a frame of `height` rows.
    ///
    /// # Errors
    /// Why the network cannot be computed in strips.
    pub(crate) fn new(plan: &Plan<'_, '_>, index: usize, count: usize) -> Result<Self, String> {
        let height = plan.frame_size().0;
        let padded = plan.padded_size().0;
        let blocks = padded / plan.artifact().stride();
        if count > blocks {
            return Err(format!("a frame of {height} rows has no {count} strips: use fewer workers"));
        }
        let cut = |i: usize| blocks * i / count * plan.artifact().stride();
        let own = cut(index)..cut(index + 1);
        let artifact = plan.artifact();
        let place = |id| plan.placement(id).ok_or("a tensor has no place");
        let mut needed = vec![0..0; artifact.tensor_count()];
        needed[usize::from(artifact.fused())] = own.clone();
        let mut work = Vec::new();
        for step in plan.steps().iter().rev() {
            let entry = step.entry().ok_or("an operator is missing")?;
            let rows = needed[usize::from(entry.output)].clone();
            let mut share = Work { rows: rows.clone(), sums: None };
            if rows.is_empty() {
                share.rows = 0..0;
            } else if let Some(input) = exchanged(entry) {
                let shape = place(input)?.layout.shape;
                let part = own.start * shape.height / padded..own.end * shape.height / padded;
                join(&mut needed[usize::from(input)], &part);
                // The exchange and the places follow below.
                share.sums = Some(Sums { rows: part, exchange: 0, at: 0..shape.channels });
            } else {
                spread(plan, entry, &rows, &mut needed)?;
            }
            if !step.is_elided() {
                let calls = if matches!(entry.op, Op::Concat) { copies(plan, entry)? } else { 1 };
                work.extend(std::iter::repeat_n(share, calls));
            }
        }
        work.reverse();
        let exchanges = group(plan, &mut work)?;
        let inside = |rows: &Range<usize>| rows.start.min(height)..rows.end.min(height);
        // Below the frame its last row is repeated.
        let visible = inside(&needed[usize::from(artifact.visible())]);
        let reads = visible.start.min(own.start).min(height - 1)..visible.end.max(own.end).min(height);
        let images = [artifact.visible(), artifact.infrared()].map(|id| needed[usize::from(id)].clone());
        let sums = vec![0; exchanges.last().map_or(0, |e| e.end)];
        let progress = Mutex::new(Progress { sums, ..Progress::default() });
        Ok(Self { work, exchanges, writes: inside(&own), reads, images, progress })
    }

    /// Number of exchanges in a frame.
    pub(crate) fn exchanges(&self) -> usize {
        self.exchanges.len()
    }

    /// Begins a frame, or goes on after an exchange.
    pub(crate) fn begin(&self, resume: bool) {
        let mut progress = self.progress();
        progress.next = 0;
        progress.waits = false;
        if resume {
            progress.exchanged += 1;
        } else {
            progress.done = 0;
            progress.exchanged = 0;
        }
    }

    /// Hands `f` the sums of the exchange that is due.
    pub(crate) fn exchange<R>(&self, f: impl FnOnce(&mut [i32]) -> R) -> R {
        let mut progress = self.progress();
        let due = self.exchanges.get(progress.exchanged).cloned().unwrap_or(0..0);
        f(&mut progress.sums[due])
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the part of a call that this strip needs now.
    fn run<B: Backend>(&self, kernels: &B, call: &Call<'_, '_>, scratch: &mut [u8]) {
        let mut progress = self.progress();
        let index = progress.next;
        progress.next += 1;
        let Some(work) = self.work.get(index).filter(|_| index >= progress.done) else { return };
        match &work.sums {
            Some(Sums { rows, exchange, at }) if *exchange >= progress.exchanged => {
                progress.waits = true;
                if *exchange == progress.exchanged
                    && let Some(image) = call.source::<u8>(0)
                {
                    let sums = &mut progress.sums[at.clone()];
                    sums.fill(0);
                    kernels.sum_rows(&image, rows.clone(), sums, scratch);
                }
            }
            // Everything else behind an exchange belongs to the next stretch.
            _ if progress.waits => {}
            Some(Sums { at, .. }) => {
                finish_sums(call, &progress.sums[at.clone()]);
                progress.done = index + 1;
            }
            None => {
                progress.done = index + 1;
                if !work.rows.is_empty() {
                    kernels.run(call, work.rows.clone(), scratch);
                }
            }
        }
    }
}

/// The input of a reduction that needs all rows of it.
fn exchanged(entry: &OpEntry<'_>) -> Option<TensorId> {
    match entry.op {
        Op::Reduce(r) if r.axis == Axis::Space && r.kind != ReduceKind::Max => entry.input(0),
        _ => None,
    }
}

/// Gives every mean and sum over space the first exchange at which its input is there, and gives the sums of each exchange.
fn group(plan: &Plan<'_, '_>, work: &mut [Work]) -> Result<Vec<Range<usize>>, String> {
    // Calls after which a tensor is there.
    let mut ready = vec![0; plan.artifact().tensor_count()];
    let mut exchanges: Vec<Range<usize>> = Vec::new();
    let (mut next, mut first) = (0, 0);
    for step in plan.steps() {
        let entry = step.entry().ok_or("an operator is missing")?;
        let inputs = (0..entry.inputs.len()).filter_map(|i| entry.input(i));
        let there = inputs.map(|id| ready[usize::from(id)]).max().unwrap_or(0);
        if step.is_elided() {
            ready[usize::from(entry.output)] = there;
            continue;
        }
        if let Some(sums) = work.get_mut(next).and_then(|w| w.sums.as_mut()) {
            let end = exchanges.last().map_or(0, |e| e.end);
            if exchanges.is_empty() || there > first {
                exchanges.push(end..end);
                first = next;
            }
            let last = exchanges.len() - 1;
            *sums = Sums { rows: sums.rows.clone(), exchange: last, at: end..end + sums.at.len() };
            exchanges[last].end = sums.at.end;
        }
        next += if matches!(entry.op, Op::Concat) { copies(plan, entry)? } else { 1 };
        ready[usize::from(entry.output)] = next;
    }
    Ok(exchanges)
}

/// Adds the rows of every input that `rows` of the output need.
fn spread(
    plan: &Plan<'_, '_>,
    entry: &OpEntry<'_>,
    rows: &Range<usize>,
    needed: &mut [Range<usize>],
) -> Result<(), String> {
    let output = plan.placement(entry.output).ok_or("a tensor has no place")?.layout.shape;
    for i in 0..entry.inputs.len() {
        let Some((id, input)) = entry.input(i).and_then(|id| Some((id, plan.placement(id)?))) else {
            continue;
        };
        let shape = input.layout.shape;
        let all = 0..shape.height;
        let part = match reads(&entry.op, i, shape, output) {
            Some(reach) => reach.rows(rows, shape.height),
            None if shape.height == 1 => all,
            None => {
                return Err(format!(
                    "{:?} mixes all rows, so there are no strips: use one worker",
                    entry.op.kind()
                ));
            }
        };
        join(&mut needed[usize::from(id)], &part);
    }
    Ok(())
}

/// Makes `rows` contain `more`.
fn join(rows: &mut Range<usize>, more: &Range<usize>) {
    if rows.start >= rows.end {
        *rows = more.clone();
    } else if more.start < more.end {
        *rows = rows.start.min(more.start)..rows.end.max(more.end);
    }
}

/// How many of a concatenation's inputs do not lie in their places already.
fn copies(plan: &Plan<'_, '_>, entry: &OpEntry<'_>) -> Result<usize, String> {
    let out = plan.placement(entry.output).ok_or("a tensor has no place")?;
    let (mut channel, mut count) = (0, 0);
    for i in 0..entry.inputs.len() {
        let id = entry.input(i).ok_or("an input is missing")?;
        let Some(Placement { layout: Layout { shape, pixel, row, ring }, offset, .. }) = plan.placement(id)
        else {
            return Err("a constant is concatenated, so there are no strips: use one worker".into());
        };
        let Shape { height, width, channels } = shape;
        let slice = Layout { shape: Shape { height, width, channels }, ..out.layout };
        let there = Layout { shape, pixel, row, ring } == slice && offset == out.offset + channel;
        count += usize::from(!there);
        channel += channels;
    }
    Ok(count)
}

/// Kernels that compute a strip, or everything.
#[derive(Debug)]
pub(crate) struct Part<B> {
    pub(crate) kernels: B,
    pub(crate) strip: Option<Strip>,
}

// SAFETY: a strip computes other units than it is asked for, but one call after the other: it holds a lock meanwhile. Without
// a strip the kernels compute the same units, which do not race.
#[allow(unsafe_code)]
unsafe impl<B: Backend> Backend for Part<B> {
    fn name(&self) -> &'static str {
        self.kernels.name()
    }

    fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
        match &self.strip {
            Some(strip) => strip.run(&self.kernels, call, scratch),
            None => self.kernels.run(call, units, scratch),
        }
    }

    fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
        self.kernels.scratch_bytes(op, dtype, input, output)
    }

    fn sum_rows(&self, image: &Src<'_, u8>, rows: Range<usize>, sums: &mut [i32], scratch: &mut [u8]) {
        self.kernels.sum_rows(image, rows, sums, scratch);
    }

    fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str {
        self.kernels.kernel(op, dtype)
    }
}
