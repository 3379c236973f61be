//! A pipeline with memory, kernels and threads of this machine.

use fusionproxy_core::align::{GeometryError, Warp};
use fusionproxy_core::executor::{Executor, ExecutorError};
use fusionproxy_core::frame::{FrameError, InfraredFrame, Plane, VisibleFrame};
use fusionproxy_core::gain::{Follow, GainControl, GainError, GainSettings};
use fusionproxy_core::pipeline::{Pipeline, PipelineError, PipelineShape};
use fusionproxy_core::plan::{Plan, PlanError, PlanOptions, PlanStorage, Step, TensorSlot};
use fusionproxy_format::{Artifact, LoadError};
use fusionproxy_kernels::{Backend, Pool, Workers};

use crate::{AlignedBytes, best_backend};

/// What a [`Fuser`] works in. Lent to one fuser at a time; keeping it saves the allocations of the next.
#[derive(Default)]
pub struct Memory<'a> {
    tensors: Vec<TensorSlot<'a>>,
    steps: Vec<Step<'a>>,
    arena: AlignedBytes,
    buffer: Vec<u8>,
}

/// What a [`Fuser`] is made for.
#[derive(Clone)]
pub struct FuserOptions {
    /// Width and height of visible frames, px.
    pub visible: (usize, usize),
    /// Width and height of infrared frames, px.
    pub infrared: (usize, usize),
    /// How 14 and 16 bit infrared becomes 8 bit.
    pub gain: GainSettings,
    /// Infrared to visible geometry; without one, an infrared frame of another size is stretched.
    pub warp: Option<Warp>,
    /// Kernels.
    pub backend: &'static dyn Backend,
}

impl FuserOptions {
    /// Video of these sizes (width, height; px), with the fastest kernels of this CPU.
    pub fn sizes(visible: (usize, usize), infrared: (usize, usize)) -> Self {
        Self { visible, infrared, gain: GainSettings::DEFAULT, warp: None, backend: best_backend() }
    }
}

/// Why a fuser cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FuserError {
    /// The frame size does not suit the network.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Executor and plan do not match.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// Warp and frame sizes do not match.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A gain setting is out of range.
    #[error(transparent)]
    Gain(#[from] GainError),
    /// No warp between these sizes.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The artifact has no such tensor.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Fuses frames of one size, without allocating.
pub struct Fuser<'a, 'm> {
    executor: Executor<'a, 'm, 'm, &'static dyn Backend, Pool>,
    pipeline: Pipeline<'m>,
    size: (usize, usize),
}

impl<'a, 'm> Fuser<'a, 'm> {
    /// Plans and allocates everything.
    ///
    /// # Errors
    /// [`FuserError`] says what does not fit what.
    pub fn new(
        artifact: &Artifact<'a>,
        pool: &'m Pool,
        options: FuserOptions,
        memory: &'m mut Memory<'a>,
    ) -> Result<Self, FuserError> {
        let FuserOptions { visible, infrared, gain, warp, backend } = options;
        let Memory { tensors, steps, arena, buffer } = memory;
        tensors.resize(artifact.tensor_count(), TensorSlot::EMPTY);
        steps.resize(artifact.op_count(), Step::EMPTY);
        let plan_options = PlanOptions { workers: pool.count(), ..PlanOptions::default() };
        let storage = PlanStorage { tensors, steps };
        let plan = Plan::new(artifact, visible.1, visible.0, plan_options, backend, storage)?;
        *arena = AlignedBytes::zeroed(plan.arena_bytes());
        let executor = Executor::new(&plan, arena.as_mut(), backend, pool)?;
        let shape = PipelineShape {
            visible,
            infrared,
            input_channels: artifact.tensor(artifact.visible())?.channels,
            fused_channels: artifact.tensor(artifact.fused())?.channels,
        };
        let warp = match warp {
            None if infrared != visible => Some(Warp::resize(infrared, visible)?),
            given => given,
        };
        buffer.resize(shape.buffer_bytes(), 0);
        let pipeline = Pipeline::new(shape, GainControl::new(gain)?, warp, buffer)?;
        Ok(Self { executor, pipeline, size: visible })
    }

    /// Fuses a frame pair of a video into `rgb`, `height * width * 3` bytes.
    ///
    /// # Errors
    /// [`PipelineError`] when a frame has not the size that this was made for, or `rgb` is too short.
    pub fn fuse(
        &mut self,
        visible: &VisibleFrame<'_>,
        infrared: &InfraredFrame<'_>,
        rgb: &mut [u8],
    ) -> Result<(), PipelineError> {
        self.fuse_following(visible, infrared, Follow::Smoothly, rgb)
    }

    /// As [`Self::fuse`], saying how gain control takes the infrared frame; [`Follow::Afresh`] for stills.
    ///
    /// # Errors
    /// As [`Self::fuse`].
    pub fn fuse_following(
        &mut self,
        visible: &VisibleFrame<'_>,
        infrared: &InfraredFrame<'_>,
        follow: Follow,
        rgb: &mut [u8],
    ) -> Result<(), PipelineError> {
        self.pipeline.fuse(visible, infrared, follow, &mut self.executor, rgb, self.size.0 * 3)
    }

    /// Shows an infrared frame alone, in grey, where there is no visible frame, in the same geometry and with the same gain
    /// control. `rgb` is as in [`Self::fuse`].
    ///
    /// # Errors
    /// [`PipelineError`] when the frame has not the size that this was made for, or `rgb` is too short.
    pub fn infrared_alone(
        &mut self,
        infrared: &InfraredFrame<'_>,
        follow: Follow,
        rgb: &mut [u8],
    ) -> Result<(), PipelineError> {
        self.pipeline.infrared_alone(infrared, follow, rgb, self.size.0 * 3)
    }

    /// The infrared of the last pair, 8 bit, in visible geometry.
    ///
    /// # Errors
    /// None after a pair was fused.
    pub fn infrared(&self) -> Result<Plane<'_>, FrameError> {
        self.pipeline.infrared()
    }

    /// The plan, for reports.
    pub fn plan(&self) -> &Plan<'a, 'm> {
        self.executor.plan()
    }
}
