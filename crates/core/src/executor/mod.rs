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

mod error;
mod image;
mod memory;
mod observe;

use core::cell::Cell;

use fusionproxy_kernels::{Backend, Workers, run};

use crate::frame::{Plane, out_rows};
use crate::plan::{ARENA_ALIGNMENT, Plan, scratch_needed};

pub use error::{ExecutorError, RunError};
pub use image::Visible;
pub use observe::{Moment, Observation, TensorReader};

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
        let cells = Cell::from_mut(&mut *arena).as_slice_of_cells();
        for (op, step) in plan.steps().iter().enumerate() {
            let known = memory::calls(plan, step, cells, |_| ());
            known.and_then(|()| memory::output(plan, step, cells)).ok_or(ExecutorError::Step { op })?;
        }
        for id in [plan.artifact().visible(), plan.artifact().infrared(), plan.artifact().fused()] {
            memory::tensor(plan, id, cells).ok_or(ExecutorError::Interface)?;
        }
        Ok(Self { plan: *plan, arena, backend, workers })
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
        self.forward(visible.into(), infrared, None)?;
        self.read_fused(fused, stride)
    }

    /// As [`Self::run`] without output, calling `observe` before and after each operator, elided ones included: for
    /// verification and for timing. Read the result by [`Self::read_fused`] or [`Self::read_fused_f32`].
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_observed<'i>(
        &mut self,
        visible: impl Into<Visible<'i>>,
        infrared: Plane<'_>,
        observe: &mut dyn FnMut(Observation<'_>),
    ) -> Result<(), RunError> {
        self.forward(visible.into(), infrared, Some(observe))
    }

    /// Channels of the fused image: 1 for luma, 3 for RGB.
    pub fn fused_channels(&self) -> usize {
        self.plan.placement(self.plan.artifact().fused()).map_or(0, |p| p.layout.shape.channels)
    }

    /// The fused image of the last run, as by [`Self::run`].
    ///
    /// # Errors
    /// [`RunError`] if it does not fit the output.
    pub fn read_fused(&mut self, out: &mut [u8], stride: usize) -> Result<(), RunError> {
        let (height, width) = self.plan.frame_size();
        let row = width * self.fused_channels();
        let rows = out_rows(0..height, height, row, out, stride)?;
        let cells = Cell::from_mut(&mut *self.arena).as_slice_of_cells();
        image::store(&self.plan, cells, rows).ok_or(RunError::Interface)
    }

    /// The fused image of the last run before it is rounded to 8 bits, 0…1, without gaps: height x width x channels of
    /// the unpadded frame.
    ///
    /// # Errors
    /// [`RunError::Length`] if `out` has another length.
    pub fn read_fused_f32(&mut self, out: &mut [f32]) -> Result<(), RunError> {
        let (height, width) = self.plan.frame_size();
        let (found, needed) = (out.len(), height * width * self.fused_channels());
        if found != needed {
            return Err(RunError::Length { found, needed });
        }
        let cells = Cell::from_mut(&mut *self.arena).as_slice_of_cells();
        let fused = memory::tensor(&self.plan, self.plan.artifact().fused(), cells);
        observe::read(&fused.ok_or(RunError::Interface)?, (height, width), out);
        Ok(())
    }

    fn forward(
        &mut self,
        visible: Visible<'_>,
        infrared: Plane<'_>,
        mut observe: Option<&mut dyn FnMut(Observation<'_>)>,
    ) -> Result<(), RunError> {
        let plan = &self.plan;
        let (height, width) = plan.frame_size();
        visible.expect_size((width, height))?;
        infrared.expect_size("infrared image", (width, height))?;
        let needed = plan.placement(plan.artifact().visible()).map_or(0, |p| p.layout.shape.channels);
        if visible.channels() != needed {
            return Err(RunError::Channels { found: visible.channels(), needed });
        }
        // The executor took exactly the plan's bytes.
        let (arena, scratch) =
            self.arena.split_at_mut_checked(plan.activation_bytes()).ok_or(RunError::Interface)?;
        let cells = Cell::from_mut(arena).as_slice_of_cells();
        match visible {
            Visible::Luma(image) => image::load(plan, plan.artifact().visible(), cells, &image),
            Visible::Rgb(image) => image::load(plan, plan.artifact().visible(), cells, &image),
        }
        .and_then(|()| image::load(plan, plan.artifact().infrared(), cells, &infrared))
        .ok_or(RunError::Interface)?;
        for (op, step) in plan.steps().iter().enumerate() {
            if let Some(observe) = &mut observe {
                observe::tell(plan, op, step, cells, Moment::Before, *observe);
            }
            memory::calls(plan, step, cells, |call| run(&self.backend, self.workers, call, scratch))
                .ok_or(RunError::Step { op })?;
            if let Some(observe) = &mut observe {
                observe::tell(plan, op, step, cells, Moment::After, *observe);
            }
        }
        Ok(())
    }
}
