//! The rows of a plan's tables.

use fusionproxy_format::{DType, OpEntry, Quant, TensorId};
use fusionproxy_kernels::{Layout, Rows, Shape};

use super::chain::Chain;

/// No tensor: the end of a list. The format's tables hold at most 65,535, so that this is no number of one.
pub(super) const NONE: TensorId = TensorId::MAX;

/// One tensor of a plan. Storage for [`super::Plan::new`], which fills it.
#[derive(Clone, Copy, Debug)]
pub struct TensorSlot<'a> {
    pub(crate) dtype: DType,
    pub(crate) quant: Quant,
    /// Elements of a constant.
    pub(crate) data: Option<&'a [u8]>,
    /// Shape and strides within the buffer. A height of 0 marks a tensor without a size at this frame.
    pub(crate) layout: Layout,
    /// First byte: in the arena, or in a worker's rings if `ring`.
    pub(crate) offset: usize,
    /// Whether it lies in a ring, of which every worker has one.
    pub(crate) ring: bool,
    /// Whether an operator or the frame path touches it.
    pub(super) used: bool,
    /// Operator that writes it, and the last one that reads it.
    pub(super) first: u32,
    pub(super) last: u32,
    /// Tensor whose buffer it lies in.
    pub(super) buffer: TensorId,
    /// Elements from the start of the buffer to the first one of this tensor.
    pub(super) start: usize,
    /// Next tensor in the same buffer; of the buffer's own tensor, the first, and `tail` is the last.
    pub(super) next: TensorId,
    pub(super) tail: TensorId,
    /// First and last operator that need the buffer.
    pub(super) from: u32,
    pub(super) until: u32,
    /// Whether the buffer holds a view that another pixel stride would break.
    pub(super) rigid: bool,
    pub(super) sharing: Sharing,
    /// The operator that computes it; `u32::MAX` for inputs and constants.
    pub(super) producer: u32,
    /// How long a chain needs its rows; of the tensor that a buffer is named after, the buffer's.
    pub(super) life: Life,
    /// The same of the tensor itself.
    pub(super) own: Life,
    /// Whether its operator is to run again where it is read late.
    pub(super) again: Again,
    /// Of a tensor that is computed again, its copy; of a copy, the artifact's tensor.
    pub(super) twin: TensorId,
    pub(super) work: Work,
}

/// How long the rows of a tensor are needed, counted from the last row that a strip of its chain brings to completion.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    /// It is needed outside of one chain: all rows are kept.
    pub(super) kept: bool,
    /// One past the last row that the strip computes.
    pub(super) ahead: i32,
    /// First row that a later strip reads.
    pub(super) low: i32,
    /// Rows that other chains need of an input image.
    pub(super) elsewhere: i32,
    /// Several chains read it: an input image, which each of them loads again.
    pub(super) reloaded: bool,
    /// An input image that is loaded strip by strip: it needs memory of its chain.
    pub(super) streamed: bool,
}

impl Life {
    pub(super) const KEPT: Self =
        Self { kept: true, ahead: 0, low: 0, elsewhere: 0, reloaded: false, streamed: false };

    /// That of two tensors in one buffer.
    pub(super) fn join(self, other: Self) -> Self {
        Self {
            kept: self.kept || other.kept,
            ahead: self.ahead.max(other.ahead),
            low: self.low.min(other.low),
            elsewhere: self.elsewhere.max(other.elsewhere),
            reloaded: self.reloaded || other.reloaded,
            streamed: self.streamed || other.streamed,
        }
    }

    /// Whether two tensors may lie in one buffer.
    pub(super) fn goes_with(self, other: Self) -> bool {
        !(self.streamed && other.kept || self.kept && other.streamed)
    }

    /// Rows that a ring has to hold of a tensor of `height`.
    pub(super) fn rows(&self, height: usize) -> usize {
        let rows = self.ahead.saturating_sub(self.low).max(self.elsewhere).max(1);
        if self.kept { height } else { (rows as usize).min(height) }
    }
}

/// Whether an operator runs again for those who read its result late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It does not.
    No,
    /// It does not, because that saved nothing.
    Never,
    /// The result that is not to be kept, in the arrangement under trial.
    Candidate,
    /// What has to run with it.
    Helper,
    /// It does.
    Yes,
}

/// How a tensor shares memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sharing {
    /// It lies in its operator's input (in place, or as a view).
    pub(super) with_input: bool,
    /// It lies in a concatenation.
    pub(super) in_concat: bool,
    /// It must not, since that would make the arena larger.
    pub(super) never_with_input: bool,
    /// See `never_with_input`.
    pub(super) never_in_concat: bool,
}

/// Columns that the placement works in; row `k` of the lists does not belong to tensor `k`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// Offset in the arrangement under trial.
    pub(super) offset: u64,
    /// What the order of placement is sorted by; before, the rows of a strip in some unit.
    pub(super) key: u64,
    /// In the chain under way: see [`Rows`] and [`Life`].
    pub(super) lead: i32,
    pub(super) back: i32,
    pub(super) low: i32,
    /// List: the `k`-th tensor to place.
    pub(super) order: TensorId,
    /// List: the `k`-th placed tensor by offset.
    pub(super) placed: TensorId,
}

impl TensorSlot<'_> {
    /// A row without contents.
    pub const EMPTY: Self = Self {
        dtype: DType::U8,
        quant: Quant { scale: 0.0, zero_point: 0 },
        data: None,
        layout: Layout::dense(Shape::new(0, 0, 0)),
        offset: 0,
        ring: false,
        used: false,
        first: 0,
        last: 0,
        buffer: NONE,
        start: 0,
        next: NONE,
        tail: NONE,
        from: 0,
        until: 0,
        rigid: false,
        sharing: Sharing {
            with_input: false,
            in_concat: false,
            never_with_input: false,
            never_in_concat: false,
        },
        producer: NO_STEP,
        life: Life::KEPT,
        own: Life::KEPT,
        again: Again::No,
        twin: NONE,
        work: Work { offset: 0, key: 0, lead: 0, back: 0, low: 0, order: NONE, placed: NONE },
    };

    /// The tensor whose buffer it lies in.
    pub(crate) fn buffer(&self) -> TensorId {
        self.buffer
    }

    /// Whether it has memory in the arena.
    pub(super) fn in_arena(&self) -> bool {
        self.used && self.data.is_none()
    }

    /// Bytes of its elements.
    pub(super) fn bytes(&self) -> usize {
        // `resolve` refused every tensor whose size is not far below the address space's.
        self.layout.shape.elements().saturating_mul(self.dtype.bytes())
    }

    /// Of the tensor that a buffer is named after, the buffer's size: a ring's rows, or all.
    pub(super) fn buffer_bytes(&self) -> usize {
        let Shape { height, width, channels } = self.layout.shape;
        let shape = Shape { height: self.life.rows(height), width, channels };
        shape.elements().saturating_mul(self.dtype.bytes())
    }
}

/// Most different inputs that a step reads from copies.
pub(super) const MAX_COPIES: usize = 3;

/// No sums.
const NO_SUMS: u32 = u32::MAX;

/// No step.
pub(super) const NO_STEP: u32 = u32::MAX;

/// One step of a plan: an operator. Storage for [`super::Plan::new`], which fills it.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    pub(super) entry: Option<OpEntry<'a>>,
    /// Number of the operator in the artifact.
    pub(super) op: u32,
    /// The tensor that it computes: the operator's output, or a copy of it.
    pub(super) target: TensorId,
    /// Inputs that it reads from copies, and the copies.
    pub(super) copies: [(TensorId, TensorId); MAX_COPIES],
    /// First of the sums of its chain that it adds up; [`NO_SUMS`] if it adds up none.
    pub(super) sums: u32,
    pub(super) elided: bool,
    pub(super) live: u64,
    /// First and one past the last step of the group that it runs with; until the order is found, the first is the step's
    /// place in it.
    pub(super) group: (u32, u32),
    /// How the group runs, if it is a chain; on every step of it.
    pub(super) chain: Option<Chain>,
    /// Rows of the output that a strip of the chain computes.
    pub(super) rows: Rows,
    pub(super) order: Order,
}

/// Columns that the order of the steps is found in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    /// Whole tensors that must be complete, one after the other, before the step can begin.
    pub(super) level: u32,
    /// A step of the same group, or itself.
    pub(super) parent: u32,
    /// Of a group's first step: inputs that other groups have yet to compute.
    pub(super) blocked: u32,
    /// Rows that windows have reached since the group began, in 2^-16 of the height.
    pub(super) reach: u32,
    /// Whether it waits for its inputs although it is linked with them: windows have reached too far.
    pub(super) cut: bool,
}

impl<'a> Step<'a> {
    /// A row without contents.
    pub const EMPTY: Self = Self {
        entry: None,
        op: 0,
        target: NONE,
        copies: [(NONE, NONE); MAX_COPIES],
        sums: NO_SUMS,
        elided: false,
        live: 0,
        group: (0, 0),
        chain: None,
        rows: Rows { step: 0, lead: 0, back: 0 },
        order: Order { level: 0, parent: 0, blocked: 0, reach: 0, cut: false },
    };

    /// The operator; `None` only in unused storage.
    pub fn entry(&self) -> Option<&OpEntry<'a>> {
        self.entry.as_ref()
    }

    /// Number of the operator in the artifact.
    pub fn op(&self) -> usize {
        self.op as usize
    }

    /// Whether there is nothing to compute: the operator's result lies in its place already.
    pub fn is_elided(&self) -> bool {
        self.elided
    }

    /// Whether the operator has run before in this frame, and runs again so that its result need not be kept.
    pub fn is_repeated(&self) -> bool {
        self.entry.is_some_and(|e| e.output != self.target)
    }

    /// The first of its sums among those of its chain, if it adds up the rows of its input as the chain computes them.
    pub(crate) fn sums(&self) -> Option<usize> {
        Some(self.sums).filter(|first| *first != NO_SUMS).map(|first| first as usize)
    }

    /// The tensor that it computes.
    pub(crate) fn target(&self) -> Option<TensorId> {
        self.entry.map(|_| self.target)
    }

    /// Its `index`-th input.
    pub(crate) fn input(&self, index: usize) -> Option<TensorId> {
        Some(read_for(&self.copies, self.entry?.input(index)?))
    }

    /// Bytes of all buffers that are alive while it runs.
    pub fn live_bytes(&self) -> u64 {
        self.live
    }

    /// The steps that run depth-first together with this one, itself among them.
    pub fn group(&self) -> core::ops::Range<usize> {
        self.group.0 as usize..self.group.1 as usize
    }

    /// How its group runs, if strip by strip.
    pub fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// Rows of its output that a strip computes; meaningless outside of a chain.
    pub fn rows(&self) -> Rows {
        self.rows
    }

    /// The operator with its output.
    pub(super) fn output<'r>(
        &'r self,
        tensors: &'r [TensorSlot<'a>],
    ) -> Option<(&'r OpEntry<'a>, &'r TensorSlot<'a>)> {
        let entry = self.entry.as_ref()?;
        Some((entry, get(tensors, self.target)?))
    }

    /// Its inputs, then its output.
    pub(super) fn touched(&self) -> impl Iterator<Item = TensorId> + use<'a> {
        self.inputs().chain(self.target())
    }

    /// Its inputs.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = TensorId> + use<'a> {
        let copies = self.copies;
        self.entry.map(|e| e.inputs).into_iter().flatten().map(move |id| read_for(&copies, id.get()))
    }
}

/// What a step with these copies reads for an input of its operator.
fn read_for(copies: &[(TensorId, TensorId)], input: TensorId) -> TensorId {
    copies.iter().find(|(from, _)| *from == input).map_or(input, |(_, copy)| *copy)
}

/// The row of a tensor.
pub(super) fn get<'r, 'a>(tensors: &'r [TensorSlot<'a>], id: TensorId) -> Option<&'r TensorSlot<'a>> {
    tensors.get(usize::from(id))
}

/// The row of a tensor, to be changed.
pub(super) fn get_mut<'r, 'a>(
    tensors: &'r mut [TensorSlot<'a>],
    id: TensorId,
) -> Option<&'r mut TensorSlot<'a>> {
    tensors.get_mut(usize::from(id))
}
