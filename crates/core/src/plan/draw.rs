//! How a plan comes about: one arrangement after another, until it suits.

use fusionproxy_format::Artifact;
use fusionproxy_kernels::Backend;

use super::slot;
use super::{ARENA_ALIGNMENT, PlanError, Schedule, Step, TensorSlot};
use super::{again, alias, chain, layout, order, resolve};

/// The sizes of a plan.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) kept: usize,
    /// Of one worker.
    pub(super) rings: usize,
    /// Of the scratch of one worker, what the sums of a chain take.
    pub(super) sums: usize,
    /// Of one worker.
    pub(super) scratch: usize,
    pub(super) workers: usize,
    pub(super) bounds: alias::Bounds,
    /// Tensors and steps, those that are computed again among them.
    pub(super) counts: (usize, usize),
}

impl Memory {
    /// Bytes of the arena; `None` if they exceed the address space.
    pub(super) fn arena(&self) -> Option<usize> {
        let worker = self.rings.checked_add(self.scratch)?;
        let bytes = worker.checked_mul(self.workers)?.checked_add(self.kept)?;
        Some(bytes).filter(|n| *n <= isize::MAX as usize)
    }
}

/// A plan in the making.
pub(super) struct Drawing<'r, 'a, 's, B: ?Sized> {
    pub(super) artifact: &'r Artifact<'a>,
    pub(super) padded: (usize, usize),
    pub(super) workers: usize,
    pub(super) backend: &'r B,
    pub(super) tensors: &'s mut [TensorSlot<'a>],
    pub(super) steps: &'s mut [Step<'a>],
}

/// Most tensors that are tried to be computed twice.
const MAX_TRIALS: usize = 32;

/// Parts of the cache by which strips become shorter until the arena has room for them.
const SHARES: usize = 8;

impl<B: Backend + ?Sized> Drawing<'_, '_, '_, B> {
    /// Tensors and operators of the artifact.
    fn counts(&self) -> (usize, usize) {
        (self.artifact.tensor_count(), self.artifact.op_count())
    }

    /// Begins anew: sizes, and the artifact's order.
    fn resolve(&mut self) -> Result<(), PlanError> {
        let (tensors, steps) = self.counts();
        let tensors = self.tensors.get_mut(..tensors).unwrap_or_default();
        let steps = self.steps.get_mut(..steps).unwrap_or_default();
        resolve::resolve(self.artifact, self.padded, tensors, steps)
    }

    /// Whether no tensor has more bytes.
    pub(super) fn all_below(&mut self, bytes: usize) -> Result<bool, PlanError> {
        self.resolve()?;
        let tensors = self.tensors.get(..self.counts().0).unwrap_or_default();
        Ok(tensors.iter().filter(|t| t.in_arena()).all(|t| t.bytes() <= bytes))
    }

    /// The longest strips and the least work that the arena admits.
    pub(super) fn within(&mut self, cache: usize, arena: usize) -> Result<Memory, PlanError> {
        let fits = |memory: &Memory| memory.arena().is_some_and(|bytes| bytes <= arena);
        let (tensors, steps) = self.counts();
        let room = (self.tensors.len() - tensors).min(self.steps.len() - steps);
        let mut trials = 0;
        let mut best = u64::MAX;
        loop {
            let mut memory = self.lay_out(Schedule::Strips { cache: 0 })?;
            let bytes = memory.arena().map_or(u64::MAX, |bytes| bytes as u64);
            let better = bytes < best;
            again::settle(self.tensors, better);
            if better && fits(&memory) {
                for share in (1..=SHARES).rev() {
                    memory = self.lay_out(Schedule::Strips { cache: cache / SHARES * share })?;
                    if fits(&memory) {
                        return Ok(memory);
                    }
                }
                return self.lay_out(Schedule::Strips { cache: 0 });
            }
            best = best.min(bytes);
            // What the next candidate is found in.
            if !better {
                memory = self.lay_out(Schedule::Strips { cache: 0 })?;
            }
            trials += 1;
            let drawn = self.steps.get(..memory.counts.1).unwrap_or_default();
            if trials > MAX_TRIALS || !again::mark(self.tensors, drawn, tensors, room) {
                return Ok(memory);
            }
        }
    }

    /// Orders the operators and gives every tensor its place.
    pub(super) fn lay_out(&mut self, schedule: Schedule) -> Result<Memory, PlanError> {
        self.resolve()?;
        let (artifact, workers) = (self.artifact, self.workers);
        let (images, fused) = ([artifact.visible(), artifact.infrared()], artifact.fused());
        let mut counts = self.counts();
        let tensors = self.tensors.get_mut(..counts.0).unwrap_or_default();
        let steps = self.steps.get_mut(..counts.1).unwrap_or_default();
        if again::any(tensors) && order::find_levels(tensors, steps, schedule, workers).is_some() {
            counts = again::insert(self.tensors, self.steps, counts, fused);
        }
        let tensors = self.tensors.get_mut(..counts.0).unwrap_or_default();
        let steps = self.steps.get_mut(..counts.1).unwrap_or_default();
        order::arrange(tensors, steps, schedule, workers);
        chain::find(tensors, steps, images, fused, schedule, workers);
        let bounds = alias::share(tensors, steps, workers);
        let mut place = |kept: bool| {
            let bound = alias::measure(tensors, steps, 1, |t| t.life.kept == kept).peak;
            layout::place(tensors, steps, kept, bound)
        };
        let (kept, rings) = (place(true)?, place(false)?);
        alias::measure(tensors, steps, workers, |_| true);
        chain::divide(tensors, steps);
        let sums = sum_bytes(tensors, steps);
        let scratch = scratch_per_worker(tensors, steps, self.backend)
            .and_then(|scratch| scratch.checked_add(sums))
            .ok_or(PlanError::ArenaTooLarge)?;
        Ok(Memory { kept, rings, sums, scratch, workers, bounds, counts })
    }
}

/// Bytes of the sums that one worker takes in a chain.
fn sum_bytes(tensors: &[TensorSlot<'_>], steps: &[Step<'_>]) -> usize {
    let end = |s: &Step<'_>| Some(s.sums()? + s.output(tensors)?.1.layout.shape.channels);
    let sums = steps.iter().filter_map(end).max().unwrap_or(0);
    (sums * size_of::<i32>()).next_multiple_of(ARENA_ALIGNMENT)
}

/// The most scratch that the kernels of one worker need for any operator that runs.
pub(super) fn scratch_per_worker<B: Backend + ?Sized>(
    tensors: &[TensorSlot<'_>],
    steps: &[Step<'_>],
    backend: &B,
) -> Option<usize> {
    let mut most = 0;
    for step in steps.iter().filter(|s| !s.elided) {
        let Some((entry, output)) = step.output(tensors) else { continue };
        let input = slot::get(tensors, step.input(0)?)?;
        let bytes = backend.scratch_bytes(&entry.op, output.dtype, input.layout.shape, output.layout.shape);
        most = most.max(bytes.checked_next_multiple_of(ARENA_ALIGNMENT)?);
    }
    Some(most)
}
