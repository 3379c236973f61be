//! The views and calls that a plan's offsets stand for.

use core::cell::Cell;

use fusionproxy_format::{DType, Op, TensorId};
use fusionproxy_kernels::{AnyDst, AnySrc, Call, Dst, Element, Layout, Operand, Shape, Src, cells_of};
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

fn view<'m>(arena: &'m [Cell<u8>], dtype: DType, offset: usize, layout: Layout) -> Option<AnyDst<'m>> {
    Some(match dtype {
        DType::U8 => AnyDst::U8(Dst::new(cells(arena, offset, &layout)?, layout)?),
        DType::F16 => AnyDst::F16(Dst::new(cells(arena, offset, &layout)?, layout)?),
        DType::F32 => AnyDst::F32(Dst::new(cells(arena, offset, &layout)?, layout)?),
    })
}

fn constant<'m>(data: &'m [u8], dtype: DType, layout: Layout) -> Option<AnySrc<'m>> {
    Some(match dtype {
        DType::U8 => AnySrc::U8(Src::new(data, layout)?),
        DType::F16 => AnySrc::F16(Src::new(<[f16]>::ref_from_bytes(data).ok()?, layout)?),
        DType::F32 => AnySrc::F32(Src::new(<[f32]>::ref_from_bytes(data).ok()?, layout)?),
    })
}

fn operand<'m>(slot: &TensorSlot<'m>, arena: &'m [Cell<u8>]) -> Option<Operand<'m>> {
    let data = match slot.data {
        Some(data) => constant(data, slot.dtype, slot.layout)?,
        None => view(arena, slot.dtype, slot.offset, slot.layout)?.as_src(),
    };
    Some(Operand { data, quant: slot.quant })
}

/// A tensor, for reading.
pub(super) fn tensor<'m>(plan: &Plan<'m, '_>, id: TensorId, arena: &'m [Cell<u8>]) -> Option<Operand<'m>> {
    operand(plan.slot(id)?, arena)
}

/// What a step writes, for reading.
pub(super) fn output<'m>(plan: &Plan<'m, '_>, step: &Step<'_>, arena: &'m [Cell<u8>]) -> Option<Operand<'m>> {
    tensor(plan, step.entry()?.output, arena)
}

/// Gives `each` the calls of a step: none if it is elided, one for each tensor that a concatenation has to copy, one for
/// any other operator. `None` if the plan's memory does not fit.
pub(super) fn calls<'m>(
    plan: &Plan<'m, '_>,
    step: &Step<'m>,
    arena: &'m [Cell<u8>],
    mut each: impl FnMut(&Call<'_, '_>),
) -> Option<()> {
    if step.is_elided() {
        return Some(());
    }
    let entry = step.entry()?;
    let out = plan.slot(entry.output)?;
    if let Op::Concat = entry.op {
        let mut channel = 0;
        for id in entry.inputs {
            let part = plan.slot(id.get())?;
            let Shape { height, width, channels } = part.layout.shape;
            let layout = Layout { shape: Shape { height, width, channels }, ..out.layout };
            let offset = out.offset + channel * out.dtype.bytes();
            channel += channels;
            if part.data.is_none() && (part.offset, part.layout) == (offset, layout) {
                continue;
            }
            let inputs = [operand(part, arena)?];
            let target = view(arena, out.dtype, offset, layout)?;
            each(&Call::new(entry.op, &inputs, target, out.quant).ok()?);
        }
        return Some(());
    }
    let mut inputs = [operand(plan.slot(entry.input(0)?)?, arena)?; MAX_INPUTS];
    for (i, input) in inputs.iter_mut().enumerate().take(entry.inputs.len()) {
        *input = operand(plan.slot(entry.input(i)?)?, arena)?;
    }
    let target = view(arena, out.dtype, out.offset, out.layout)?;
    each(&Call::new(entry.op, inputs.get(..entry.inputs.len())?, target, out.quant).ok()?);
    Some(())
}
