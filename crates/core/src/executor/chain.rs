//! Runs a chain strip by strip.

use core::cell::Cell;
use core::ops::Range;

use fusionproxy_kernels::scalar::finish_sums;
use fusionproxy_kernels::{AnySrc, Backend, Band, Bands, Granted, Lent, Phase, Written};
use zerocopy::FromBytes;

use super::image::{Load, Store, Visible};
use super::memory::{access, calls};
use super::observe::{self, Moment, Observation};
use crate::frame::Plane;
use crate::plan::{Chain, MAX_WRITTEN, Plan, Step, TensorSlot};

/// The images of one run, and how their bytes become elements and elements bytes.
pub(super) struct Images<'i> {
    pub(super) visible: Visible<'i>,
    pub(super) infrared: Plane<'i>,
    pub(super) load: [Load; 2],
    pub(super) store: Store,
    /// Bytes from row to row of the fused image.
    pub(super) stride: usize,
}

impl Images<'_> {
    /// Writes rows of image `i`, the visible or the infrared one, to its tensor.
    pub(super) fn load(
        &self,
        i: usize,
        memory: &[Cell<u8>],
        slot: &TensorSlot<'_>,
        rows: Range<usize>,
    ) -> Option<()> {
        let load = self.load.get(i)?;
        match (i, &self.visible) {
            (0, Visible::Luma(image)) => load.rows(memory, slot, image, rows),
            (0, Visible::Rgb(image)) => load.rows(memory, slot, image, rows),
            _ => load.rows(memory, slot, &self.infrared, rows),
        }
    }
}

/// What a chain writes into shared memory.
pub(super) struct Shared {
    written: [Written; MAX_WRITTEN],
    count: usize,
}

impl Shared {
    pub(super) fn of(plan: &Plan<'_, '_>, steps: &[Step<'_>]) -> Self {
        let mut shared = Self { written: [Written::default(); MAX_WRITTEN], count: 0 };
        for step in steps.iter().filter(|s| !s.is_elided() && s.sums().is_none()) {
            let slot = step.target().and_then(|id| plan.slot(id)).filter(|t| !t.ring);
            let Some(root) = slot.and_then(|t| plan.slot(t.buffer())) else { continue };
            let written = Written {
                offset: root.offset,
                row_bytes: root.layout.row * root.dtype.bytes(),
                height: root.layout.shape.height,
                rows: step.rows(),
            };
            let known = shared.written.iter().take(shared.count).any(|w| w.offset == written.offset);
            if let Some(place) = shared.written.get_mut(shared.count).filter(|_| !known) {
                *place = written;
                shared.count += 1;
            }
        }
        shared
    }

    /// Bands for as many of `workers` as have enough to do.
    pub(super) fn bands(&self, chain: &Chain, workers: usize, output_strip: usize) -> Bands<'_> {
        let strips = chain.strips as usize;
        let most = if chain.divisible { strips / (chain.warm_up as usize).max(1) } else { 1 };
        let workers = workers.min(most).max(1);
        Bands { strips, workers, written: self.written.get(..self.count).unwrap_or(&[]), output_strip }
    }

    /// The parts that the bands run in, one after the other.
    pub(super) fn phases(&self, bands: &Bands<'_>) -> &'static [Phase] {
        let crossing = bands.written.iter().any(|w| w.rows.back < w.rows.lead);
        if bands.workers > 1 && crossing { &[Phase::Begin, Phase::End] } else { &[Phase::All] }
    }
}

/// The chain's step that writes the fused image, if that goes to the caller strip by strip.
fn fusing<'s, 'a>(plan: &Plan<'a, 's>, steps: &'s [Step<'a>]) -> Option<&'s Step<'a>> {
    let fused = plan.artifact().fused();
    plan.slot(fused).filter(|t| t.ring)?;
    steps.iter().find(|s| s.target() == Some(fused))
}

/// Bytes of the fused image in a strip; 0 if the chain does not write it.
pub(super) fn output_strip(plan: &Plan<'_, '_>, steps: &[Step<'_>], stride: usize) -> usize {
    let fused = plan.artifact().fused();
    let step = steps.iter().find(|s| s.target() == Some(fused));
    let streamed = plan.slot(fused).is_some_and(|t| t.ring);
    step.filter(|_| streamed).map_or(0, |s| (s.rows().step as usize).saturating_mul(stride))
}

/// The sums of a chain, and the scratch of the kernels.
fn split_sums<'m>(plan: &Plan<'_, '_>, scratch: &'m mut [u8]) -> Option<(&'m mut [i32], &'m mut [u8])> {
    let (sums, scratch) = scratch.split_at_mut_checked(plan.sum_bytes())?;
    Some((<[i32]>::mut_from_bytes(sums).ok()?, scratch))
}

/// Looks at a run.
pub(super) type Observer<'o> = dyn FnMut(Observation<'_>) + 'o;

/// One chain of a plan.
pub(super) struct Strips<'r, 'a, 's> {
    pub(super) plan: &'r Plan<'a, 's>,
    pub(super) steps: &'s [Step<'a>],
    pub(super) chain: Chain,
}

impl Strips<'_, '_, '_> {
    /// Runs the strips of a band; without a backend, only finds out whether it can. An error is the number of an operator
    /// that the plan's memory does not fit.
    pub(super) fn run<B: Backend + ?Sized>(
        &self,
        band: &mut Band<'_>,
        images: Option<&Images<'_>>,
        mut observe: Option<&mut Observer<'_>>,
        backend: Option<&B>,
    ) -> Result<(), usize> {
        let granted = band.granted;
        let (sums, scratch) = split_sums(self.plan, band.scratch).ok_or(0usize)?;
        let strips = granted.strips();
        let first = strips.start as isize;
        let before = first - self.chain.warm_up as isize;
        let strips = match granted.phase() {
            Phase::All => before..strips.end as isize,
            Phase::Begin => before..first,
            Phase::End => first..strips.end as isize,
        };
        let plan = self.plan;
        for k in strips {
            if let Some(images) = images {
                self.load(k, granted, images).ok_or(0usize)?;
            }
            for step in self.steps {
                let op = step.op();
                let rows = self.rows(step, k, granted).ok_or(op)?;
                // Sums are there when the chain has ended.
                let shown = if step.sums().is_some() { 0..0 } else { rows.clone() };
                if let Some(observe) = &mut observe {
                    observe::tell(plan, step, granted, &shown, Moment::Before, *observe);
                }
                if let Some(first) = step.sums() {
                    let sums = sums.get_mut(first..).ok_or(op)?;
                    self.add_up(step, granted, &rows, (sums, scratch), backend).ok_or(op)?;
                } else if !rows.is_empty() {
                    calls(plan, step, granted, &rows, |call| {
                        if let Some(backend) = backend {
                            backend.run(call, rows.clone(), scratch);
                        }
                    })
                    .ok_or(op)?;
                }
                if let Some(observe) = &mut observe {
                    observe::tell(plan, step, granted, &shown, Moment::After, *observe);
                }
            }
            if let Some(images) = images {
                self.store(k, granted, images, band.output).ok_or(0usize)?;
            }
        }
        Ok(())
    }

    /// Adds rows of a step's input to its sums.
    fn add_up<B: Backend + ?Sized>(
        &self,
        step: &Step<'_>,
        granted: Granted<'_>,
        rows: &Range<usize>,
        (sums, scratch): (&mut [i32], &mut [u8]),
        backend: Option<&B>,
    ) -> Option<()> {
        let input = self.plan.slot(step.input(0)?)?;
        let sums = sums.get_mut(..input.layout.shape.channels)?;
        let AnySrc::U8(image) = granted.source(&access(input)?, rows.clone())?.data else { return None };
        if let Some(backend) = backend.filter(|_| !rows.is_empty()) {
            backend.sum_rows(&image, rows.clone(), sums, scratch);
        }
        Some(())
    }

    /// Lets the sums of `workers` begin at nothing.
    pub(super) fn clear_sums(&self, workers: usize, lent: &mut Lent<'_>) -> Option<()> {
        for private in lent.private.chunks_mut(lent.per_worker.max(1)).take(workers) {
            split_sums(self.plan, private.get_mut(lent.rings..)?)?.0.fill(0);
        }
        Some(())
    }

    /// Writes the means and sums of the chain, from what `workers` have added up each for their bands.
    pub(super) fn finish_sums(
        &self,
        workers: usize,
        lent: &mut Lent<'_>,
        mut observe: Option<&mut Observer<'_>>,
    ) -> Result<(), usize> {
        let plan = self.plan;
        if self.steps.iter().all(|s| s.sums().is_none()) {
            return Ok(());
        }
        let (per_worker, rings) = (lent.per_worker, lent.rings);
        for worker in 1..workers {
            let (first, other) = lent.private.split_at_mut_checked(worker * per_worker).ok_or(0usize)?;
            let total = first.get_mut(rings..per_worker).and_then(|p| split_sums(plan, p));
            let share = other.get_mut(rings..per_worker).and_then(|p| split_sums(plan, p));
            let ((total, _), (share, _)) = total.zip(share).ok_or(0usize)?;
            total.iter_mut().zip(share).for_each(|(total, share)| *total += *share);
        }
        let alone = Bands { strips: 1, workers: 1, written: &[], output_strip: 0 };
        let Band { granted, scratch, .. } = alone.band(0, Phase::All, lent).ok_or(0usize)?;
        let (sums, _) = split_sums(plan, scratch).ok_or(0usize)?;
        for (step, first) in self.steps.iter().filter_map(|s| Some((s, s.sums()?))) {
            let op = step.op();
            let sums = sums.get(first..).ok_or(op)?;
            if let Some(observe) = &mut observe {
                observe::tell(plan, step, granted, &(0..1), Moment::Before, *observe);
            }
            calls(plan, step, granted, &(0..1), |call| finish_sums(call, sums)).ok_or(op)?;
            if let Some(observe) = &mut observe {
                observe::tell(plan, step, granted, &(0..1), Moment::After, *observe);
            }
        }
        Ok(())
    }

    /// What strip `k` computes of a step's output.
    fn rows(&self, step: &Step<'_>, k: isize, granted: Granted<'_>) -> Option<Range<usize>> {
        let source = step.sums().map_or_else(|| step.target(), |_| step.input(0));
        let slot = self.plan.slot(source?)?;
        let (height, strips) = (slot.layout.shape.height, granted.strips());
        let rows = step.rows().of_strip(k, strips.start, height);
        let ring = self.plan.slot(step.target()?)?.ring;
        if ring || granted.is_last() {
            return Some(rows);
        }
        // Rows from there on are the next band's.
        let end = rows.end.min(step.rows().of_band(strips.end, height));
        Some(rows.start.min(end)..end)
    }

    fn load(&self, k: isize, granted: Granted<'_>, images: &Images<'_>) -> Option<()> {
        let artifact = self.plan.artifact();
        let ids = [artifact.visible(), artifact.infrared()];
        for (i, (rows, id)) in self.chain.images.iter().zip(ids).enumerate() {
            if rows.step == 0 {
                continue;
            }
            let slot = self.plan.slot(id)?;
            let rows = rows.of_strip(k, granted.strips().start, slot.layout.shape.height);
            images.load(i, granted.rings(), slot, rows)?;
        }
        Some(())
    }

    fn store(&self, k: isize, granted: Granted<'_>, images: &Images<'_>, out: &mut [u8]) -> Option<()> {
        let Some(step) = fusing(self.plan, self.steps).filter(|_| !out.is_empty()) else { return Some(()) };
        let slot = self.plan.slot(step.target()?)?;
        let (height, width) = self.plan.frame_size();
        let (first, rows) = (granted.strips().start, step.rows());
        let strip = rows.of_strip(k, first, slot.layout.shape.height);
        // Rows that pad the frame are nobody's.
        let strip = strip.start..strip.end.min(height);
        if strip.is_empty() {
            return Some(());
        }
        let row_bytes = width * slot.layout.shape.channels;
        let begin = strip.start.checked_sub(first * rows.step as usize)?.checked_mul(images.stride)?;
        let out = out.get_mut(begin..)?;
        // The last row may be shorter than the stride.
        let lines = strip.zip(out.chunks_mut(images.stride).filter_map(|line| line.get_mut(..row_bytes)));
        images.store.rows(granted.rings(), slot, lines)
    }
}
