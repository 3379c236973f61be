//! The rows of a plan's tables.

use fusionproxy_format::{DType, OpEntry, Quant, TensorId};
use fusionproxy_kernels::{Layout, Shape};

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
    /// First byte in the arena.
    pub(crate) offset: usize,
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
    pub(super) work: Work,
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
    /// What the order of placement is sorted by.
    pub(super) key: u64,
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
        work: Work { offset: 0, key: 0, order: NONE, placed: NONE },
    };

    /// Whether it has memory in the arena.
    pub(super) fn in_arena(&self) -> bool {
        self.used && self.data.is_none()
    }

    /// Bytes of its elements; of the tensor that a buffer is named after, the buffer's size.
    pub(super) fn bytes(&self) -> usize {
        // `resolve` refused every tensor whose size is not far below the address space's.
        self.layout.shape.elements().saturating_mul(self.dtype.bytes())
    }
}

/// One step of a plan: an operator over all rows of its output. Storage for [`super::Plan::new`], which fills it.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    pub(super) entry: Option<OpEntry<'a>>,
    pub(super) elided: bool,
    pub(super) live: u64,
}

impl<'a> Step<'a> {
    /// A row without contents.
    pub const EMPTY: Self = Self { entry: None, elided: false, live: 0 };

    /// The operator; `None` only in unused storage.
    pub fn entry(&self) -> Option<&OpEntry<'a>> {
        self.entry.as_ref()
    }

    /// Whether there is nothing to compute: the operator's result lies in its place already.
    pub fn is_elided(&self) -> bool {
        self.elided
    }

    /// Bytes of all buffers that are alive while it runs.
    pub fn live_bytes(&self) -> u64 {
        self.live
    }

    /// The operator with its output.
    pub(super) fn output<'r>(
        &'r self,
        tensors: &'r [TensorSlot<'a>],
    ) -> Option<(&'r OpEntry<'a>, &'r TensorSlot<'a>)> {
        let entry = self.entry.as_ref()?;
        Some((entry, get(tensors, entry.output)?))
    }
}

/// The row of a tensor.
pub(super) fn get<'r, 'a>(tensors: &'r [TensorSlot<'a>], id: TensorId) -> Option<&'r TensorSlot<'a>> {
    tensors.get(usize::from(id))
}
