//! Where every activation of a network lies while it runs.
//!
//! [`Plan::new`] takes a checked artifact and the size of the frame and
//!
//! 1. resolves the tensors' relative sizes for the frame, padded to the network's stride, and checks every operator's
//!    geometry (`resolve`),
//! 2. orders the operators into chains that run depth-first, strip by strip (`order`, `chain`), some of them twice where
//!    memory is short (`again`),
//! 3. lets tensors share memory where no copy is needed: an element-wise operator writes over its input, a reshape or a
//!    slice is another view of its input, and what a concatenation joins is written in its place to begin with
//!    (`alias`),
//! 4. gives each buffer an offset in one arena, so that buffers that are alive at the same time do not overlap
//!    (`layout`).
//!
//! All of it works in storage that the caller provides, and depends on nothing but the artifact, the frame's size, the
//! workers and the backend: a host plans for a microcontroller and gets the bytes that the microcontroller will need.
//!
//! Cost: the artifact's reader admits at most 2²⁶ pairs of operators and inputs, and every pass here is linear in that
//! number or bounded by a fixed count of linear passes, so that a hostile artifact costs seconds at worst.

mod again;
mod alias;
mod chain;
mod draw;
mod error;
mod layout;
mod order;
mod resolve;
mod slot;

use fusionproxy_format::{Artifact, DType, TensorId};
use fusionproxy_kernels::{Backend, Layout};

use draw::{Drawing, Memory, scratch_per_worker};

pub use chain::Chain;
pub(crate) use chain::MAX_WRITTEN;
pub use error::{Label, PlanError};
pub use slot::{Step, TensorSlot};

/// Alignment of the arena, of every buffer in it and of every worker's scratch, bytes: a cache line, and the widest
/// vector.
pub const ARENA_ALIGNMENT: usize = 64;

/// In which order the rows of a network are computed. It changes no byte of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// One operator after the other, each over the whole frame: every tensor is there to be looked at when its operator
    /// has run.
    Whole,
    /// Chains of operators depth-first, in strips of rows, so that what passes between them stays in the cache. Where one
    /// worker has all whole tensors in its cache anyway, [`Schedule::Whole`] takes less memory and is what is planned;
    /// several workers still wait for one another less often between chains than between operators.
    Strips {
        /// Bytes of a worker's own cache (its second level, mostly). Strips are as long as their rows fit it, and
        /// operators whose weights do not are left out of chains. 0 where there is none that matters, as on a
        /// microcontroller: strips are then as short as possible, and so is the arena.
        cache: usize,
    },
    /// Strips, in an arena of so many bytes as far as that can be reached: strips become shorter, and then operators run
    /// twice instead of keeping what they computed. Compare [`Plan::arena_bytes`].
    Within {
        /// As of [`Schedule::Strips`].
        cache: usize,
        /// Bytes.
        arena: usize,
    },
}

impl Schedule {
    /// The smallest arena that runs every operator once.
    pub const SMALLEST: Self = Self::Strips { cache: 0 };

    /// The cache that strips are to fit; `None` without strips.
    fn cache(self) -> Option<usize> {
        match self {
            Self::Whole => None,
            Self::Strips { cache } | Self::Within { cache, .. } => Some(cache),
        }
    }
}

/// What a plan depends on besides the artifact and the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Workers that the executor may use; each has rings and scratch of its own. At least 1.
    pub workers: usize,
    /// The order of rows.
    pub schedule: Schedule,
}

impl Default for PlanOptions {
    /// One worker, strips for a cache of 1 MiB.
    fn default() -> Self {
        Self { workers: 1, schedule: Schedule::Strips { cache: 1 << 20 } }
    }
}

/// Memory for the tables of a plan: at least [`Artifact::tensor_count`] tensors and [`Artifact::op_count`] steps.
/// [`Schedule::Within`] needs one more of each for every operator that runs twice.
pub struct PlanStorage<'a, 's> {
    /// One per tensor.
    pub tensors: &'s mut [TensorSlot<'a>],
    /// One per operator.
    pub steps: &'s mut [Step<'a>],
}

/// The memory and the order of one network at one frame size.
///
/// Copying it copies pointers. Any number of executors, each with its own arena, may run from one plan.
#[derive(Clone, Copy)]
pub struct Plan<'a, 's> {
    artifact: Artifact<'a>,
    tensors: &'s [TensorSlot<'a>],
    steps: &'s [Step<'a>],
    frame: (usize, usize),
    padded: (usize, usize),
    memory: Memory,
}

/// Where one tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Element type.
    pub dtype: DType,
    /// Shape and strides, in elements.
    pub layout: Layout,
    /// First byte in the arena; of a ring, that of the first worker.
    pub offset: usize,
    /// Whether it lies in a ring of rows, of which every worker has its own; see [`Layout::ring`].
    pub ring: bool,
    /// The tensor whose buffer this one lies in; its own number unless it shares.
    pub buffer: TensorId,
    /// Operator that writes it; 0 for a network input, which is there before the first.
    pub first: usize,
    /// Last operator that reads it; the number of operators for the fused image, which is read after the last.
    pub last: usize,
}

/// One buffer of the arena, holding one tensor or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The tensor that is as large as the buffer; see [`Plan::origin`].
    pub tensor: TensorId,
    /// First byte in the arena; of a ring, that of the first worker.
    pub offset: usize,
    /// Size in bytes.
    pub bytes: usize,
    /// Rows of a ring; `None` where all rows are kept.
    pub rows: Option<usize>,
    /// First operator that needs it.
    pub first: usize,
    /// Last operator that needs it; the number of operators if it is needed after the last.
    pub last: usize,
}

impl<'a, 's> Plan<'a, 's> {
    /// Plans `artifact` for frames of `height` x `width` px, which need not be multiples of the network's stride; a network that
    /// is pinned to one size takes smaller frames too.
    ///
    /// `backend` says how much scratch its kernels need; an executor must use the same one, or one that needs no more.
    ///
    /// # Errors
    /// [`PlanError`] names the frame, the tensor or the operator at fault and what to do.
    pub fn new<B: Backend + ?Sized>(
        artifact: &Artifact<'a>,
        height: usize,
        width: usize,
        options: PlanOptions,
        backend: &B,
        storage: PlanStorage<'a, 's>,
    ) -> Result<Self, PlanError> {
        let padded = padded_frame(artifact, height, width)?;
        let PlanStorage { tensors, steps } = storage;
        let (needed, given) = (artifact.tensor_count(), tensors.len());
        if given < needed {
            return Err(PlanError::TensorSlots { needed, given });
        }
        let (needed, given) = (artifact.op_count(), steps.len());
        if given < needed {
            return Err(PlanError::Steps { needed, given });
        }
        let workers = options.workers.max(1);
        again::reset(tensors);
        let mut drawing = Drawing { artifact, padded, workers, backend, tensors, steps };
        let memory = match options.schedule {
            Schedule::Within { cache, arena } => drawing.within(cache, arena)?,
            Schedule::Strips { cache } if workers == 1 && drawing.all_below(cache)? => {
                let whole = drawing.lay_out(Schedule::Whole);
                match whole.ok().filter(|memory| memory.arena().is_some_and(|bytes| bytes <= cache)) {
                    Some(memory) => memory,
                    None => drawing.lay_out(options.schedule)?,
                }
            }
            schedule => drawing.lay_out(schedule)?,
        };
        memory.arena().ok_or(PlanError::ArenaTooLarge)?;
        let Drawing { tensors, steps, .. } = drawing;
        let tensors = tensors.get(..memory.counts.0).unwrap_or_default();
        let steps = steps.get(..memory.counts.1).unwrap_or_default();
        Ok(Self { artifact: *artifact, tensors, steps, frame: (height, width), padded, memory })
    }

    /// The artifact.
    pub fn artifact(&self) -> &Artifact<'a> {
        &self.artifact
    }

    /// Height and width of the frame, px.
    pub fn frame_size(&self) -> (usize, usize) {
        self.frame
    }

    /// Height and width that the frame is padded to, px: the next multiples of the network's stride, or the size that the
    /// network is pinned to.
    pub fn padded_size(&self) -> (usize, usize) {
        self.padded
    }

    /// Bytes of the arena: the kept activations, then each worker's rings and scratch.
    pub fn arena_bytes(&self) -> usize {
        self.memory.kept + self.worker_bytes() * self.memory.workers
    }

    /// Bytes of the arena's activations, the rings of all workers among them.
    pub fn activation_bytes(&self) -> usize {
        self.memory.kept + self.memory.rings * self.memory.workers
    }

    /// Bytes of the activations that outlive a chain; they come first in the arena.
    pub fn kept_bytes(&self) -> usize {
        self.memory.kept
    }

    /// Bytes of one worker's rings.
    pub fn ring_bytes(&self) -> usize {
        self.memory.rings
    }

    /// Bytes of one worker's rings and scratch.
    pub fn worker_bytes(&self) -> usize {
        self.memory.rings + self.memory.scratch
    }

    /// Bytes of the arena's scratch, all workers together.
    pub fn scratch_bytes(&self) -> usize {
        self.memory.scratch * self.memory.workers
    }

    /// Bytes of one worker's scratch that hold the sums of a chain.
    pub(crate) fn sum_bytes(&self) -> usize {
        self.memory.sums
    }

    /// The artifact's tensor that a tensor of the plan is computed for: itself, or, if it is computed a second time, the
    /// first.
    pub fn origin(&self, tensor: TensorId) -> TensorId {
        match self.slot(tensor) {
            Some(slot) if usize::from(tensor) >= self.artifact.tensor_count() => slot.twin,
            _ => tensor,
        }
    }

    /// Workers that the scratch suffices for.
    pub fn workers(&self) -> usize {
        self.memory.workers
    }

    /// The largest sum, over the operators, of the bytes of the buffers that are alive while it runs: no placement of
    /// these buffers takes less. Never above [`Self::unshared_bound_bytes`].
    pub fn lower_bound_bytes(&self) -> u64 {
        self.memory.bounds.shared
    }

    /// The largest sum, over the operators, of the bytes of the tensors that are alive while it runs, each in memory of
    /// its own: what no planner goes below that shares no memory.
    pub fn unshared_bound_bytes(&self) -> u64 {
        self.memory.bounds.unshared
    }

    /// The first operator at which the lower bound is reached.
    pub fn peak(&self) -> usize {
        self.memory.bounds.peak
    }

    /// What the executor does, one step per operator, in order.
    pub fn steps(&self) -> &'s [Step<'a>] {
        self.steps
    }

    /// Where a tensor lies; `None` for a constant, and for a tensor that no operator touches.
    pub fn placement(&self, tensor: TensorId) -> Option<Placement> {
        let slot = self.tensors.get(usize::from(tensor)).filter(|t| t.in_arena())?;
        Some(Placement {
            dtype: slot.dtype,
            layout: slot.layout,
            offset: self.offset(slot),
            ring: slot.ring,
            buffer: slot.buffer,
            first: slot.first as usize,
            last: slot.last as usize,
        })
    }

    /// The buffers, in order of their tensors.
    pub fn buffers(&self) -> impl Iterator<Item = Buffer> + use<'a, 's> {
        let tensors = self.tensors;
        let this = *self;
        layout::roots(tensors).filter_map(move |id| {
            let slot = tensors.get(usize::from(id))?;
            Some(Buffer {
                tensor: id,
                offset: this.offset(slot),
                bytes: slot.buffer_bytes(),
                rows: slot.ring.then_some(slot.layout.ring),
                first: slot.from as usize,
                last: slot.until as usize,
            })
        })
    }

    /// First byte of a tensor in the arena; of a ring, that of the first worker.
    fn offset(&self, slot: &TensorSlot<'_>) -> usize {
        if slot.ring { self.memory.kept + slot.offset } else { slot.offset }
    }

    /// A tensor's row.
    pub(crate) fn slot(&self, id: TensorId) -> Option<&'s TensorSlot<'a>> {
        slot::get(self.tensors, id)
    }
}

/// Checks the frame and gives the size that the network runs at.
fn padded_frame(artifact: &Artifact<'_>, height: usize, width: usize) -> Result<(usize, usize), PlanError> {
    crate::frame::check_side(width, height).map_err(PlanError::Frame)?;
    let stride = artifact.stride();
    let padded = (crate::pad::padded(height, stride), crate::pad::padded(width, stride));
    match artifact.fixed_size() {
        None => Ok(padded),
        Some(fixed) if height <= fixed.0 && width <= fixed.1 => Ok(fixed),
        Some(needed) => Err(PlanError::Pinned { needed, found: (height, width) }),
    }
}

/// What the executor compares with the plan: a backend must not need more scratch than was planned.
pub(crate) fn scratch_needed<B: Backend + ?Sized>(plan: &Plan<'_, '_>, backend: &B) -> Option<usize> {
    scratch_per_worker(plan.tensors, plan.steps, backend)?.checked_add(plan.memory.sums)
}
