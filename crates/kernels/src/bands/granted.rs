//! What one worker may read and write.

use core::cell::Cell;
use core::ops::Range;
use core::ptr::NonNull;

use fusionproxy_format::{DType, Quant};

use super::{Bands, Phase, Written};
use crate::{AnyDst, AnySrc, Dst, Element, Layout, Operand, Src, cells_of};

/// Where a tensor's first element lies.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// In the artifact.
    Constant(AnySrc<'a>),
    /// At this byte of the memory that the workers share.
    Shared(usize),
    /// At this byte of the worker's rings.
    Private(usize),
}

/// A tensor as a plan describes it.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// Element type.
    pub dtype: DType,
    /// Where.
    pub place: Place<'a>,
    /// Shape and strides.
    pub layout: Layout,
    /// Quantisation of 8-bit elements.
    pub quant: Quant,
}

/// The rights of one worker.
#[derive(Clone, Copy)]
pub struct Granted<'m> {
    pub(super) bands: &'m Bands<'m>,
    pub(super) worker: usize,
    pub(super) phase: Phase,
    pub(super) memory: (NonNull<u8>, usize),
    pub(super) rings: &'m [Cell<u8>],
}

impl<'m> Granted<'m> {
    /// The band's strips.
    pub fn strips(&self) -> Range<usize> {
        self.bands.strips_of(self.worker)
    }

    /// Whether no other band lies below this one.
    pub fn is_last(&self) -> bool {
        self.worker + 1 == self.bands.workers
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The memory of the worker's rings.
    pub fn rings(&self) -> &'m [Cell<u8>] {
        self.rings
    }

    /// A tensor of which `rows` may be read. `None` if it lies outside of the memory, or another worker writes some of these
    /// rows in this phase.
    pub fn source<'a>(&self, tensor: &Access<'a>, rows: Range<usize>) -> Option<Operand<'a>>
    where
        'm: 'a,
    {
        let data = match (tensor.place, tensor.dtype) {
            (Place::Constant(data), _) => data,
            (_, DType::U8) => AnySrc::U8(self.read(tensor, rows)?),
            (_, DType::F16) => AnySrc::F16(self.read(tensor, rows)?),
            (_, DType::F32) => AnySrc::F32(self.read(tensor, rows)?),
        };
        Some(Operand { data, quant: tensor.quant })
    }

    /// A tensor of which `rows` may be written. `None` if it lies outside of the memory, or some of these rows belong to
    /// another worker or to none in this phase.
    pub fn target<'a>(&self, tensor: &Access<'a>, rows: Range<usize>) -> Option<AnyDst<'a>>
    where
        'm: 'a,
    {
        Some(match tensor.dtype {
            DType::U8 => AnyDst::U8(self.write(tensor, rows)?),
            DType::F16 => AnyDst::F16(self.write(tensor, rows)?),
            DType::F32 => AnyDst::F32(self.write(tensor, rows)?),
        })
    }

    fn read<'a, T: Element>(&self, tensor: &Access<'a>, rows: Range<usize>) -> Option<Src<'a, T>>
    where
        'm: 'a,
    {
        let layout = tensor.layout;
        match tensor.place {
            Place::Constant(data) => T::of(&data),
            Place::Private(at) => self.private(at, layout, rows),
            Place::Shared(at) => {
                let bytes = bytes_of::<T>(&layout, at, &rows)?;
                let apart = |range: Range<usize>| bytes.end <= range.start || range.end <= bytes.start;
                let others = (0..self.bands.workers).filter(|w| *w != self.worker);
                let mut written = others.flat_map(|worker| {
                    self.bands.written.iter().map(move |w| self.bands.bytes_of(w, worker, self.phase))
                });
                if !bytes.is_empty() && !written.all(apart) {
                    return None;
                }
                self.shared(at, layout, rows)
            }
        }
    }

    fn write<'a, T: Element>(&self, tensor: &Access<'a>, rows: Range<usize>) -> Option<Dst<'a, T>>
    where
        'm: 'a,
    {
        let layout = tensor.layout;
        match tensor.place {
            Place::Constant(_) => None,
            Place::Private(at) => self.private(at, layout, rows).map(Dst),
            Place::Shared(at) => {
                let bytes = bytes_of::<T>(&layout, at, &rows)?;
                let own = |w: &Written| {
                    let own = self.bands.bytes_of(w, self.worker, self.phase);
                    own.start <= bytes.start && bytes.end <= own.end
                };
                if self.bands.workers > 1 && !bytes.is_empty() && !self.bands.written.iter().any(own) {
                    return None;
                }
                self.shared(at, layout, rows).map(Dst)
            }
        }
    }

    fn private<'a, T: Element>(&self, at: usize, layout: Layout, rows: Range<usize>) -> Option<Src<'a, T>>
    where
        'm: 'a,
    {
        Some(Src::of_cells(cells_of(self.rings.get(at..)?)?, layout)?.window(rows))
    }

    /// Rows of shared memory; the caller has found that nobody else writes them, nor reads them if they are to be written.
    fn shared<'a, T: Element>(&self, at: usize, layout: Layout, rows: Range<usize>) -> Option<Src<'a, T>>
    where
        'm: 'a,
    {
        let (memory, len) = self.memory;
        let rest = len.checked_sub(at)?;
        // SAFETY: `at` is at most the length of the memory, which is lent for 'm. Rows of a layout without a ring take the
        // bytes of `bytes_of`; other workers write none of them by the caller's checks, and by `Bands::apart`, which
        // proved that the rows of different workers do not overlap.
        unsafe { Src::of_rows(memory.add(at), rest, layout, rows) }
    }
}

/// The bytes of some rows of a tensor that begins at byte `at`; `None` for a ring, which has no order of rows.
fn bytes_of<T>(layout: &Layout, at: usize, rows: &Range<usize>) -> Option<Range<usize>> {
    let span = layout.span().filter(|_| layout.ring >= layout.shape.height)?;
    at.checked_add(span.checked_mul(size_of::<T>())?)?;
    let end = rows.end.min(layout.shape.height);
    if rows.start >= end {
        return Some(at..at);
    }
    let in_row = (layout.shape.width - 1) * layout.pixel + layout.shape.channels;
    let last = (end - 1) * layout.row + in_row;
    Some(at + rows.start * layout.row * size_of::<T>()..at + last * size_of::<T>())
}
