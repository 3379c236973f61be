//! Runs a planned network out of one arena.
//!
//! [`Executor::new`] checks once, with every operator's views, all that could fail; after it [`Executor::run`] allocates
//! nothing, locks nothing of its own, and fails only for an image of the wrong size. The arena is lent to the kernels as
//! cells, so that tensors may share memory as the [plan](crate::plan) laid them out; its last part is the workers'
//! scratch.
//!
//! Executors are independent: any number may run from one artifact, one plan and one pool of workers, each with an arena
//! of its own.
//!
//! ```
//! use fusionproxy_core::executor::Executor;
//! use fusionproxy_core::frame::Plane;
//! use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
//! use fusionproxy_format::Artifact;
//! use fusionproxy_kernels::{Inline, Scalar};
//!
//! /// Fuses two luma planes of 640 x 480 px.
//! fn fuse(
//!     artifact: &[u8],
//!     arena: &mut [u8],
//!     visible: &[u8],
//!     infrared: &[u8],
//!     fused: &mut [u8],
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let artifact = Artifact::new(artifact)?;
//!     let (mut tensors, mut steps) = ([TensorSlot::EMPTY; 64], [Step::EMPTY; 64]);
//!     let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
//!     let plan = Plan::new(&artifact, 480, 640, PlanOptions::default(), &Scalar::ALL, storage)?;
//!     let mut executor = Executor::new(&plan, arena, Scalar::ALL, &Inline)?;
//!     let visible = Plane::new(640, 480, 640, visible)?;
//!     let infrared = Plane::new(640, 480, 640, infrared)?;
//!     executor.run(visible, infrared, fused, 640)?;
//!     Ok(())
//! }
//! ```

mod chain;
mod error;
mod image;
mod memory;
mod observe;

use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

use fusionproxy_kernels::{Backend, Band, Call, Lent, Phase, Workers, run};

use crate::frame::{Plane, out_rows};
use crate::plan::{ARENA_ALIGNMENT, Chain, Plan, Step, scratch_needed};
use chain::{Images, Observer, Shared, Strips, output_strip};
use image::{Load, Store};
use memory::Kept;

pub use error::{ExecutorError, RunError};
pub use image::Visible;
pub use observe::{Moment, Observation, TensorReader};

/// Which rows of its images a run moves, where the backend computes some rows of each operator only.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Moved {
    /// Rows of the visible image that are loaded, of the padded frame's.
    pub visible: Range<usize>,
    /// The same of the infrared image.
    pub infrared: Range<usize>,
    /// Rows of the result that are stored, of the frame's.
    pub fused: Range<usize>,
}

/// A planned network with its arena, its kernels and its workers.
pub struct Executor<'a, 's, 'm, B, W: ?Sized> {
    plan: Plan<'a, 's>,
    arena: &'m mut [u8],
    backend: B,
    workers: &'m W,
}

impl<'a, 's, 'm, B: Backend, W: Workers + ?Sized> Executor<'a, 's, 'm, B, W> {
    /// Prepares `plan` to run in `arena`, which holds at least [`Plan::arena_bytes`] from an address that is a multiple
    /// of [`ARENA_ALIGNMENT`]; its contents do not matter.
    ///
    /// # Errors
    /// [`ExecutorError`] if arena, workers or backend are not those of the plan.
    pub fn new(
        plan: &Plan<'a, 's>,
        arena: &'m mut [u8],
        backend: B,
        workers: &'m W,
    ) -> Result<Self, ExecutorError> {
        let (found, needed) = (arena.len(), plan.arena_bytes());
        let arena = arena.get_mut(..needed).ok_or(ExecutorError::ArenaTooSmall { found, needed })?;
        let past = arena.as_ptr().addr() % ARENA_ALIGNMENT;
        if past != 0 {
            return Err(ExecutorError::ArenaMisaligned { past });
        }
        let (found, planned) = (workers.count(), plan.workers());
        if found > planned {
            return Err(ExecutorError::Workers { found, planned });
        }
        let planned = plan.scratch_bytes() / plan.workers();
        let needed = scratch_needed(plan, &backend).unwrap_or(usize::MAX);
        if needed > planned {
            return Err(ExecutorError::Scratch { needed, planned });
        }
        let mut executor = Self { plan: *plan, arena, backend, workers };
        executor.check()?;
        Ok(executor)
    }

    /// Goes through all that a run does without computing anything.
    fn check(&mut self) -> Result<(), ExecutorError> {
        let plan = &self.plan;
        let (kept, private) =
            self.arena.split_at_mut_checked(plan.kept_bytes()).ok_or(ExecutorError::Interface)?;
        for id in [plan.artifact().visible(), plan.artifact().infrared(), plan.artifact().fused()] {
            let slot = plan.slot(id).ok_or(ExecutorError::Interface)?;
            if !slot.ring {
                let cells = Cell::from_mut(&mut *kept).as_slice_of_cells();
                memory::tensor(plan, id, Kept(cells)).ok_or(ExecutorError::Interface)?;
            }
        }
        for (steps, chain) in groups(plan) {
            let Some(chain) = chain else {
                let cells = Cell::from_mut(&mut *kept).as_slice_of_cells();
                for step in steps {
                    whole(plan, step, cells, |_| ()).ok_or(ExecutorError::Step { op: step.op() })?;
                }
                continue;
            };
            let shared = Shared::of(plan, steps);
            let bands = shared.bands(&chain, self.workers.count(), 0);
            let strips = Strips { plan, steps, chain };
            let mut lent = lend(plan, kept, private, &mut []);
            for phase in shared.phases(&bands) {
                for worker in 0..bands.workers {
                    let band = bands.band(worker, *phase, &mut lent);
                    let mut band = band.ok_or(ExecutorError::Interface)?;
                    strips.run(&mut band, None, None, None::<&B>).map_err(|op| ExecutorError::Step { op })?;
                }
            }
            strips.clear_sums(1, &mut lent).ok_or(ExecutorError::Interface)?;
            strips.finish_sums(1, &mut lent, None).map_err(|op| ExecutorError::Step { op })?;
        }
        Ok(())
    }

    /// The plan.
    pub fn plan(&self) -> &Plan<'a, 's> {
        &self.plan
    }

    /// The kernels.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Fuses one pair of images of [`Plan::frame_size`]. Row `y` of the result goes to `fused[y * stride..]`, as luma or as
    /// interleaved RGB by the network's output.
    ///
    /// Images are full range: a float tensor holds byte / 255, a quantised one the byte (or, where its scale is not
    /// 1 / 255, the nearest value to it). Beyond the frame's edge the last column and row are repeated. The result is
    /// rounded to nearest, ties to even.
    ///
    /// # Errors
    /// [`RunError`] if an image or the output does not fit the plan. Nothing is written then.
    pub fn run<'i>(
        &mut self,
        visible: impl Into<Visible<'i>>,
        infrared: Plane<'_>,
        fused: &mut [u8],
        stride: usize,
    ) -> Result<(), RunError> {
        let (height, width) = self.plan.frame_size();
        // The output is checked before anything is computed.
        drop(out_rows(0..height, height, width * self.fused_channels(), fused, stride)?);
        self.forward(visible.into(), infrared, fused, stride, None, None)
    }

    /// As [`Self::run`] of a plan with [`crate::plan::Schedule::Whole`], moving no other rows than `moved`: what the arena has
    /// from earlier runs stays there. For backends that compute some rows of each operator, or some operators.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_rows<'i>(
        &mut self,
        visible: impl Into<Visible<'i>>,
        infrared: Plane<'_>,
        fused: &mut [u8],
        stride: usize,
        moved: &Moved,
    ) -> Result<(), RunError> {
        self.forward(visible.into(), infrared, fused, stride, Some(moved), None)
    }

    /// As [`Self::run`] without output, calling `observe` before and after each operator, elided ones included: for
    /// verification and for timing. In a chain that is once for each strip, on the calling thread alone. A plan with
    /// [`crate::plan::Schedule::Whole`] has whole tensors to show, and the result for [`Self::read_fused_f32`].
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_observed<'i>(
        &mut self,
        visible: impl Into<Visible<'i>>,
        infrared: Plane<'_>,
        observe: &mut dyn FnMut(Observation<'_>),
    ) -> Result<(), RunError> {
        self.forward(visible.into(), infrared, &mut [], 1, None, Some(observe))
    }

    /// Channels of the fused image: 1 for luma, 3 for RGB.
    pub fn fused_channels(&self) -> usize {
        self.plan.placement(self.plan.artifact().fused()).map_or(0, |p| p.layout.shape.channels)
    }

    /// The fused image of the last run before it is rounded to 8 bits, 0…1, without gaps: height x width x channels of
    /// the unpadded frame.
    ///
    /// # Errors
    /// [`RunError::Length`] if `out` has another length; [`RunError::NotKept`] if the plan hands the fused image out strip by
    /// strip.
    pub fn read_fused_f32(&mut self, out: &mut [f32]) -> Result<(), RunError> {
        let (height, width) = self.plan.frame_size();
        let (found, needed) = (out.len(), height * width * self.fused_channels());
        if found != needed {
            return Err(RunError::Length { found, needed });
        }
        let id = self.plan.artifact().fused();
        if self.plan.placement(id).is_some_and(|p| p.ring) {
            return Err(RunError::NotKept);
        }
        let kept = self.arena.get_mut(..self.plan.kept_bytes()).ok_or(RunError::Interface)?;
        let cells = Cell::from_mut(kept).as_slice_of_cells();
        let fused = memory::tensor(&self.plan, id, Kept(cells)).ok_or(RunError::Interface)?;
        observe::read(&fused, (height, width), out);
        Ok(())
    }

    fn forward(
        &mut self,
        visible: Visible<'_>,
        infrared: Plane<'_>,
        fused: &mut [u8],
        stride: usize,
        moved: Option<&Moved>,
        mut observe: Option<&mut Observer<'_>>,
    ) -> Result<(), RunError> {
        let plan = &self.plan;
        let (height, width) = plan.frame_size();
        visible.expect_size((width, height))?;
        infrared.expect_size("infrared image", (width, height))?;
        let needed = plan.placement(plan.artifact().visible()).map_or(0, |p| p.layout.shape.channels);
        if visible.channels() != needed {
            return Err(RunError::Channels { found: visible.channels(), needed });
        }
        let slot = |id| plan.slot(id).ok_or(RunError::Interface);
        let artifact = plan.artifact();
        let inputs = [slot(artifact.visible())?, slot(artifact.infrared())?];
        let output = slot(artifact.fused())?;
        let images = Images {
            visible,
            infrared,
            load: [Load::new(inputs[0]), Load::new(inputs[1])],
            store: Store::new(output),
            stride,
        };
        // The executor took exactly the plan's bytes.
        let (kept, private) =
            self.arena.split_at_mut_checked(plan.kept_bytes()).ok_or(RunError::Interface)?;
        let cells = Cell::from_mut(&mut *kept).as_slice_of_cells();
        for (i, slot) in inputs.into_iter().enumerate().filter(|(_, slot)| !slot.ring) {
            let all = 0..slot.layout.shape.height;
            let rows =
                moved.map_or(all.clone(), |m| if i == 0 { m.visible.clone() } else { m.infrared.clone() });
            images.load(i, cells, slot, rows.start..rows.end.min(all.end)).ok_or(RunError::Interface)?;
        }
        for (steps, chain) in groups(plan) {
            if let Some(chain) = chain {
                let strips = Strips { plan, steps, chain };
                self::strips(
                    &strips,
                    &self.backend,
                    self.workers,
                    (kept, private),
                    fused,
                    &images,
                    &mut observe,
                )?;
                continue;
            }
            let cells = Cell::from_mut(&mut *kept).as_slice_of_cells();
            for step in steps {
                let rows = step.target().and_then(|id| plan.slot(id)).map_or(0, |t| t.layout.shape.height);
                if let Some(observe) = &mut observe {
                    observe::tell(plan, step, Kept(cells), &(0..rows), Moment::Before, *observe);
                }
                whole(plan, step, cells, |call| run(&self.backend, self.workers, call, private))
                    .ok_or(RunError::Step { op: step.op() })?;
                if let Some(observe) = &mut observe {
                    observe::tell(plan, step, Kept(cells), &(0..rows), Moment::After, *observe);
                }
            }
        }
        if !output.ring && !fused.is_empty() {
            let rows = moved.map_or(0..height, |m| m.fused.clone());
            let fused = fused.get_mut(rows.start * stride..).unwrap_or_default();
            let rows = out_rows(rows, height, width * output.layout.shape.channels, fused, stride)?;
            let cells = Cell::from_mut(kept).as_slice_of_cells();
            images.store.rows(cells, output, rows).ok_or(RunError::Interface)?;
        }
        Ok(())
    }
}

/// Steps that run together, and how.
fn groups<'a, 's>(
    plan: &Plan<'a, 's>,
) -> impl Iterator<Item = (&'s [Step<'a>], Option<Chain>)> + use<'a, 's> {
    let steps = plan.steps();
    let mut next = 0;
    core::iter::from_fn(move || {
        let first = steps.get(next)?;
        let members = steps.get(first.group())?;
        next = first.group().end;
        Some((members, first.chain().copied()))
    })
}

/// Gives `each` the calls of a step over whole tensors.
fn whole<'m>(
    plan: &Plan<'m, '_>,
    step: &Step<'m>,
    kept: &'m [Cell<u8>],
    each: impl FnMut(&Call<'_, '_>),
) -> Option<()> {
    let height = plan.slot(step.target()?)?.layout.shape.height;
    memory::calls(plan, step, Kept(kept), &(0..height), each)
}

/// The arena as a chain takes it.
fn lend<'m>(
    plan: &Plan<'_, '_>,
    shared: &'m mut [u8],
    private: &'m mut [u8],
    output: &'m mut [u8],
) -> Lent<'m> {
    Lent { shared, private, per_worker: plan.worker_bytes(), rings: plan.ring_bytes(), output }
}

/// Runs a chain on all workers, or, if it is observed, on the calling thread alone.
fn strips<B: Backend, W: Workers + ?Sized>(
    strips: &Strips<'_, '_, '_>,
    backend: &B,
    workers: &W,
    (kept, private): (&mut [u8], &mut [u8]),
    fused: &mut [u8],
    images: &Images<'_>,
    observe: &mut Option<&mut Observer<'_>>,
) -> Result<(), RunError> {
    let plan = strips.plan;
    let shared = Shared::of(plan, strips.steps);
    let mut lent = lend(plan, kept, private, fused);
    let output_strip = output_strip(plan, strips.steps, images.stride);
    let count = if observe.is_some() { 1 } else { workers.count() };
    let bands = shared.bands(&strips.chain, count, output_strip);
    strips.clear_sums(bands.workers, &mut lent).ok_or(RunError::Interface)?;
    let step = |op| RunError::Step { op };
    if bands.workers == 1 {
        let mut band = bands.band(0, Phase::All, &mut lent).ok_or(RunError::Interface)?;
        let observer = observe.as_mut().map(|o| &mut **o);
        strips.run(&mut band, Some(images), observer, Some(backend)).map_err(step)?;
        return strips.finish_sums(1, &mut lent, observe.as_mut().map(|o| &mut **o)).map_err(step);
    }
    let failed = AtomicUsize::new(usize::MAX);
    let task = |band: &mut Band<'_>| {
        if let Err(op) = strips.run(band, Some(images), None, Some(backend)) {
            failed.store(op, Ordering::Relaxed);
        }
    };
    for phase in shared.phases(&bands) {
        if !bands.scatter(workers, *phase, &mut lent, &task) {
            return Err(RunError::Interface);
        }
    }
    match failed.into_inner() {
        usize::MAX => strips.finish_sums(bands.workers, &mut lent, None).map_err(step),
        op => Err(step(op)),
    }
}
