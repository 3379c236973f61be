//! Why an executor cannot be made, or cannot run.

use core::fmt;

use crate::frame::FrameError;
use crate::plan::ARENA_ALIGNMENT;

/// Why [`super::Executor::new`] refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The arena is shorter than [`crate::plan::Plan::arena_bytes`].
    ArenaTooSmall {
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// The arena does not start at a multiple of [`ARENA_ALIGNMENT`].
    ArenaMisaligned {
        /// Bytes past one.
        past: usize,
    },
    /// More workers than the plan has scratch for.
    Workers {
        /// Workers given.
        found: usize,
        /// Workers planned.
        planned: usize,
    },
    /// The backend needs more scratch than the one that the plan was made with.
    Scratch {
        /// Bytes that a worker needs.
        needed: usize,
        /// Bytes planned for it.
        planned: usize,
    },
    /// The plan's memory does not fit an operator; no plan made by this version does that.
    Step {
        /// Number of the operator.
        op: usize,
    },
    /// The plan has no memory for the network's inputs or output; no plan made by this version does that.
    Interface,
}

impl fmt::Display for ExecutorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ArenaTooSmall { found, needed } => {
                write!(f, "the arena has {found} bytes, the plan needs {needed}: give `Plan::arena_bytes`")
            }
            Self::ArenaMisaligned { past } => write!(
                f,
                "the arena starts {past} bytes past a multiple of {ARENA_ALIGNMENT}: align it to {ARENA_ALIGNMENT} bytes"
            ),
            Self::Workers { found, planned } => {
                write!(f, "{found} workers, planned for {planned}: plan for {found} workers")
            }
            Self::Scratch { needed, planned } => write!(
                f,
                "the backend needs {needed} bytes of scratch a worker, planned are {planned}: plan with this backend"
            ),
            Self::Step { op } => {
                write!(
                    f,
                    "the plan's memory does not fit operator {op}: this is a defect of the planner, report it"
                )
            }
            Self::Interface => f.write_str(
                "the plan's memory does not fit the inputs: this is a defect of the planner, report it",
            ),
        }
    }
}

impl core::error::Error for ExecutorError {}

/// Why [`super::Executor::run`] refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// An image or the output does not fit the plan.
    Frame(FrameError),
    /// The visible image has the wrong number of channels.
    Channels {
        /// Its channels.
        found: usize,
        /// The network's.
        needed: usize,
    },
    /// A buffer of the wrong length for the fused image.
    Length {
        /// Elements given.
        found: usize,
        /// Elements needed.
        needed: usize,
    },
    /// The plan's memory does not fit an operator. [`super::Executor::new`] has ruled it out.
    Step {
        /// Number of the operator.
        op: usize,
    },
    /// The plan's memory does not fit the inputs or the output. [`super::Executor::new`] has ruled it out.
    Interface,
    /// The fused image went to the caller strip by strip and is not in the arena.
    NotKept,
}

impl From<FrameError> for RunError {
    fn from(e: FrameError) -> Self {
        Self::Frame(e)
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Frame(e) => e.fmt(f),
            Self::Channels { found, needed } => {
                let kind = if needed == 1 { "luma" } else { "RGB" };
                write!(
                    f,
                    "the visible image has {found} channels, the network takes {needed}: convert it to {kind}"
                )
            }
            Self::Length { found, needed } => {
                write!(f, "room for {found} elements of the fused image, which has {needed}: give {needed}")
            }
            Self::Step { op } => {
                write!(
                    f,
                    "the plan's memory does not fit operator {op}: this is a defect of the planner, report it"
                )
            }
            Self::Interface => f.write_str(
                "the plan's memory does not fit the images: this is a defect of the planner, report it",
            ),
            Self::NotKept => f.write_str(
                "the fused image was handed out strip by strip and is not kept: plan with `Schedule::Whole`",
            ),
        }
    }
}

impl core::error::Error for RunError {}
