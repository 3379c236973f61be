//! The views and calls that a plan's offsets stand for.

use core::cell::Cell;
use core::ops::Range;

use fusionproxy_format::{DType, Op, TensorId};
use fusionproxy_kernels::{
    Access, AnyDst, AnySrc, Call, Dst, Element, Granted, Layout, Operand, Place, Shape, Src, cells_of, reads,
};
use half::f16;
use zerocopy::FromBytes;

use crate::plan::{Plan, Step, TensorSlot};

/// Most inputs of an operator other than a concatenation.
const MAX_INPUTS: usize = 3;

/// The cells of a view that starts at byte `offset`.
pub(super) fn cells<'m, T: Element>(
    arena: &'m [Cell<u8>],
    offset: usize,
    layout: &Layout,
) -> Option<&'m [Cell<T>]> {
    let bytes = layout.span()?.checked_mul(size_of::<T>())?;
    cells_of(arena.get(offset..offset.checked_add(bytes)?)?)
}

/// Memory that tensors lie in.
pub(super) trait Memory<'m>: Copy {
    /// A tensor of which `rows` are read.
    fn source(&self, tensor: &Access<'m>, rows: Range<usize>) -> Option<Operand<'m>>;

    /// A tensor of which `rows` are written.
    fn target(&self, tensor: &Access<'m>, rows: Range<usize>) -> Option<AnyDst<'m>>;
}

/// The kept part of the arena, for operators that run over whole tensors.
#[derive(Clone, Copy)]
pub(super) struct Kept<'m>(pub(super) &'m [Cell<u8>]);

impl<'m> Memory<'m> for Kept<'m> {
    fn source(&self, tensor: &Access<'m>, rows: Range<usize>) -> Option<Operand<'m>> {
        let data = match tensor.place {
            Place::Constant(data) => data,
            _ => self.target(tensor, rows)?.as_src(),
        };
        Some(Operand { data, quant: tensor.quant })
    }

    fn target(&self, tensor: &Access<'m>, _: Range<usize>) -> Option<AnyDst<'m>> {
        let Access { dtype, layout, place: Place::Shared(at), .. } = *tensor else { return None };
        Some(match dtype {
            DType::U8 => AnyDst::U8(Dst::new(cells(self.0, at, &layout)?, layout)?),
            DType::F16 => AnyDst::F16(Dst::new(cells(self.0, at, &layout)?, layout)?),
            DType::F32 => AnyDst::F32(Dst::new(cells(self.0, at, &layout)?, layout)?),
        })
    }
}

impl<'m> Memory<'m> for Granted<'m> {
    fn source(&self, tensor: &Access<'m>, rows: Range<usize>) -> Option<Operand<'m>> {
        Granted::source(self, tensor, rows)
    }

    fn target(&self, tensor: &Access<'m>, rows: Range<usize>) -> Option<AnyDst<'m>> {
        Granted::target(self, tensor, rows)
    }
}

/// Where a tensor lies.
pub(super) fn access<'m>(slot: &TensorSlot<'m>) -> Option<Access<'m>> {
    let TensorSlot { dtype, quant, layout, .. } = *slot;
    let place = match slot.data {
        Some(data) => Place::Constant(match dtype {
            DType::U8 => AnySrc::U8(Src::new(data, layout)?),
            DType::F16 => AnySrc::F16(Src::new(<[f16]>::ref_from_bytes(data).ok()?, layout)?),
            DType::F32 => AnySrc::F32(Src::new(<[f32]>::ref_from_bytes(data).ok()?, layout)?),
        }),
        None if slot.ring => Place::Private(slot.offset),
        None => Place::Shared(slot.offset),
    };
    Some(Access { dtype, place, layout, quant })
}

/// A tensor, for reading.
pub(super) fn tensor<'m>(plan: &Plan<'m, '_>, id: TensorId, memory: impl Memory<'m>) -> Option<Operand<'m>> {
    let slot = plan.slot(id)?;
    memory.source(&access(slot)?, 0..slot.layout.shape.height)
}

/// Gives `each` the calls that compute `rows` of what a step writes: none if it is elided, one for each tensor that a
/// concatenation has to copy, one for any other operator. `None` if the plan's memory does not fit.
pub(super) fn calls<'m>(
    plan: &Plan<'m, '_>,
    step: &Step<'m>,
    memory: impl Memory<'m>,
    rows: &Range<usize>,
    mut each: impl FnMut(&Call<'_, '_>),
) -> Option<()> {
    if step.is_elided() {
        return Some(());
    }
    let entry = step.entry()?;
    let out = plan.slot(step.target()?)?;
    let input = |index: usize| {
        let slot = plan.slot(step.input(index)?)?;
        let shape = slot.layout.shape;
        let reach = reads(&entry.op, index, shape, out.layout.shape);
        let needed = reach.map_or(0..shape.height, |r| r.rows(rows, shape.height));
        memory.source(&access(slot)?, needed)
    };
    let whole = access(out)?;
    if let Op::Concat = entry.op {
        let mut channel = 0;
        for (index, id) in step.inputs().enumerate() {
            let part = plan.slot(id)?;
            let Shape { height, width, channels } = part.layout.shape;
            let layout = Layout { shape: Shape { height, width, channels }, ..out.layout };
            let at = |offset: usize| offset + channel * out.dtype.bytes();
            let place = match whole.place {
                Place::Shared(offset) => Place::Shared(at(offset)),
                Place::Private(offset) => Place::Private(at(offset)),
                constant @ Place::Constant(_) => constant,
            };
            let there = part.data.is_none() && part.ring == out.ring;
            if !(there && (part.offset, part.layout) == (at(out.offset), layout)) {
                let target = memory.target(&Access { place, layout, ..whole }, rows.clone())?;
                each(&Call::new(entry.op, &[input(index)?], target, out.quant).ok()?);
            }
            channel += channels;
        }
        return Some(());
    }
    let mut inputs = [input(0)?; MAX_INPUTS];
    for (i, slot) in inputs.iter_mut().enumerate().take(entry.inputs.len()).skip(1) {
        *slot = input(i)?;
    }
    let target = memory.target(&whole, rows.clone())?;
    each(&Call::new(entry.op, inputs.get(..entry.inputs.len())?, target, out.quant).ok()?);
    Some(())
}
