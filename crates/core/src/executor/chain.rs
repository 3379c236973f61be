//! Runs a chain strip by strip.

use core::cell::Cell;
use core::ops::Range;

use fusionproxy_kernels::{Band, Bands, Call, Granted, Phase, Written};

use super::image::{Load, Store, Visible};
use super::memory::calls;
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
        for step in steps.iter().filter(|s| !s.is_elided()) {
            let slot = step.entry().and_then(|e| plan.slot(e.output)).filter(|t| !t.ring);
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
    steps.iter().find(|s| s.entry().is_some_and(|e| e.output == fused))
}

/// Bytes of the fused image in a strip; 0 if the chain does not write it.
pub(super) fn output_strip(plan: &Plan<'_, '_>, steps: &[Step<'_>], stride: usize) -> usize {
    let fused = plan.artifact().fused();
    let step = steps.iter().find(|s| s.entry().is_some_and(|e| e.output == fused));
    let streamed = plan.slot(fused).is_some_and(|t| t.ring);
    step.filter(|_| streamed).map_or(0, |s| (s.rows().step as usize).saturating_mul(stride))
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
    /// Runs the strips of a band, handing each call with its rows to `run`. An error is the number of an operator that the
    /// plan's memory does not fit.
    pub(super) fn run(
        &self,
        band: &mut Band<'_>,
        images: Option<&Images<'_>>,
        mut observe: Option<&mut Observer<'_>>,
        mut run: impl FnMut(&Call<'_, '_>, Range<usize>, &mut [u8]),
    ) -> Result<(), usize> {
        let granted = band.granted;
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
                if let Some(observe) = &mut observe {
                    observe::tell(plan, step, granted, &rows, Moment::Before, *observe);
                }
                if !rows.is_empty() {
                    calls(plan, step, granted, &rows, |call| run(call, rows.clone(), band.scratch))
                        .ok_or(op)?;
                }
                if let Some(observe) = &mut observe {
                    observe::tell(plan, step, granted, &rows, Moment::After, *observe);
                }
            }
            if let Some(images) = images {
                self.store(k, granted, images, band.output).ok_or(0usize)?;
            }
        }
        Ok(())
    }

    /// What strip `k` computes of a step's output.
    fn rows(&self, step: &Step<'_>, k: isize, granted: Granted<'_>) -> Option<Range<usize>> {
        let slot = self.plan.slot(step.entry()?.output)?;
        let (height, strips) = (slot.layout.shape.height, granted.strips());
        let rows = step.rows().of_strip(k, strips.start, height);
        if slot.ring || granted.is_last() {
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
        let slot = self.plan.slot(step.entry()?.output)?;
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
