//! Sizes for one frame, geometry of every operator, first and last use of every tensor.

use fusionproxy_format::{Artifact, LoadError, TensorId};
use fusionproxy_kernels::{Layout, Shape, check_geometry};

use super::slot;
use super::{Label, PlanError, Step, TensorSlot};

/// Largest height, width or number of channels. Far above any frame, and low enough that the products of the geometry
/// checks stay within 32 bits.
const MAX_DIMENSION: usize = 1 << 20;

/// Largest tensor in bytes, so that every offset into one fits 32 bits with a sign.
const MAX_TENSOR_BYTES: u64 = i32::MAX as u64;

/// Fills both tables for a padded frame of `frame` (height, width) px, up to how tensors share memory.
pub(super) fn resolve<'a>(
    artifact: &Artifact<'a>,
    frame: (usize, usize),
    tensors: &mut [TensorSlot<'a>],
    steps: &mut [Step<'a>],
) -> Result<(), PlanError> {
    for (id, slot) in tensors.iter_mut().enumerate() {
        let t = artifact.tensor(id as TensorId)?;
        let (height, width, channels) = t.resolve(frame.0, frame.1).unwrap_or((0, 0, 0));
        // Strides follow when the tensor is first used and its size found to be sound.
        let layout = Layout { shape: Shape { height, width, channels }, pixel: 0, row: 0, ring: 0 };
        let again = slot.again;
        *slot =
            TensorSlot { dtype: t.dtype, quant: t.quant, data: t.data, layout, again, ..TensorSlot::EMPTY };
    }
    for id in [artifact.visible(), artifact.infrared(), artifact.fused()] {
        let Shape { height, width, .. } = touch(artifact, frame, tensors, id, 0)?;
        if (height, width) != frame {
            let name = name(artifact, id);
            return Err(PlanError::Interface { name, found: (height, width), needed: frame });
        }
    }
    for (index, step) in steps.iter_mut().enumerate() {
        let entry = artifact.op(index)?;
        for id in entry.inputs {
            touch(artifact, frame, tensors, id.get(), index)?;
        }
        let output = touch(artifact, frame, tensors, entry.output, index)?;
        if let Some(slot) = tensors.get_mut(usize::from(entry.output)) {
            (slot.first, slot.producer) = (index as u32, index as u32);
        }
        let shape = |id: TensorId| slot::get(tensors, id).map_or(Shape::new(0, 0, 0), |t| t.layout.shape);
        check_geometry(&entry.op, entry.inputs.iter().map(|id| shape(id.get())), output)
            .map_err(|error| PlanError::Geometry { index, name: Label::new(entry.name), error })?;
        *step = Step { entry: Some(entry), op: index as u32, target: entry.output, ..Step::EMPTY };
    }
    if let Some(slot) = tensors.get_mut(usize::from(artifact.fused())) {
        slot.last = steps.len() as u32;
    }
    Ok(())
}

/// Notes a use of a tensor and gives its shape; the first use checks its size.
fn touch(
    artifact: &Artifact<'_>,
    frame: (usize, usize),
    tensors: &mut [TensorSlot<'_>],
    id: TensorId,
    op: usize,
) -> Result<Shape, PlanError> {
    let index = usize::from(id);
    let slot = tensors.get_mut(index).ok_or(LoadError::Tensor { index, field: "no such tensor" })?;
    slot.last = slot.last.max(op as u32);
    let shape = slot.layout.shape;
    if slot.used {
        return Ok(shape);
    }
    if shape.height == 0 {
        return Err(PlanError::Extent { index, name: name(artifact, id), frame });
    }
    let Shape { height, width, channels } = shape;
    let bytes = [height, width, channels, slot.dtype.bytes()]
        .iter()
        .try_fold(1u64, |product, n| product.checked_mul(*n as u64))
        .filter(|bytes| *bytes <= MAX_TENSOR_BYTES);
    if bytes.is_none() || [height, width, channels].iter().any(|n| *n > MAX_DIMENSION) {
        return Err(PlanError::TensorTooLarge { index, name: name(artifact, id) });
    }
    slot.used = true;
    slot.layout = Layout::dense(shape);
    Ok(shape)
}

fn name(artifact: &Artifact<'_>, id: TensorId) -> Label {
    Label::new(artifact.tensor(id).map_or("", |t| t.name))
}
