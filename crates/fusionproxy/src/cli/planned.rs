//! A plan with its storage, for commands that report on one.

use anyhow::Result;
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::{Artifact, OpEntry};
use fusionproxy_kernels::{Backend, Shape, macs};

use super::Size;

/// The tables that a plan borrows.
#[derive(Default)]
pub(crate) struct Tables<'a> {
    tensors: Vec<TensorSlot<'a>>,
    steps: Vec<Step<'a>>,
}

impl<'a> Tables<'a> {
    /// Plans `artifact` for frames of `size`.
    pub(crate) fn plan<'s>(
        &'s mut self,
        artifact: &Artifact<'a>,
        size: Size,
        workers: usize,
        backend: &dyn Backend,
    ) -> Result<Plan<'a, 's>> {
        self.plan_with(artifact, size, PlanOptions { workers, ..PlanOptions::default() }, backend)
    }

    /// Plans `artifact` for frames of `size`, as `options` say.
    pub(crate) fn plan_with<'s>(
        &'s mut self,
        artifact: &Artifact<'a>,
        size: Size,
        options: PlanOptions,
        backend: &dyn Backend,
    ) -> Result<Plan<'a, 's>> {
        // At most every operator runs twice.
        let again = if matches!(options.schedule, Schedule::Within { .. }) { artifact.op_count() } else { 0 };
        self.tensors.resize(artifact.tensor_count() + again, TensorSlot::EMPTY);
        self.steps.resize(artifact.op_count() + again, Step::EMPTY);
        let storage = PlanStorage { tensors: &mut self.tensors, steps: &mut self.steps };
        Ok(Plan::new(artifact, size.height, size.width, options, backend, storage)?)
    }
}

/// Size of a tensor under a plan: arena tensors and constants.
pub(crate) fn shape(plan: &Plan<'_, '_>, tensor: u16) -> Option<Shape> {
    if let Some(placement) = plan.placement(tensor) {
        return Some(placement.layout.shape);
    }
    let (height, width) = plan.padded_size();
    let (h, w, c) = plan.artifact().tensor(tensor).ok()?.resolve(height, width)?;
    Some(Shape::new(h, w, c))
}

/// Multiply-accumulates of one operator.
pub(crate) fn op_macs(plan: &Plan<'_, '_>, entry: &OpEntry<'_>) -> u64 {
    let input = entry.input(0).and_then(|id| shape(plan, id));
    input.zip(shape(plan, entry.output)).map_or(0, |(i, o)| macs(&entry.op, i, o))
}

/// Bytes that one operator reads and writes in a frame, weights left out.
pub(crate) fn op_bytes(plan: &Plan<'_, '_>, entry: &OpEntry<'_>) -> u64 {
    let bytes = |id: u16| {
        let dtype = plan.artifact().tensor(id).ok()?.dtype;
        Some((shape(plan, id)?.elements() * dtype.bytes()) as u64)
    };
    entry.inputs.iter().map(|id| id.get()).chain([entry.output]).filter_map(bytes).sum()
}

/// Multiply-accumulates of a frame.
pub(crate) fn total_macs(plan: &Plan<'_, '_>) -> u64 {
    let artifact = plan.artifact();
    (0..artifact.op_count()).filter_map(|i| artifact.op(i).ok()).map(|e| op_macs(plan, &e)).sum()
}

/// The frame size that a report uses unless told: the pinned one, or 480x640.
pub(crate) fn default_size(artifact: &Artifact<'_>) -> Size {
    let (height, width) = artifact.fixed_size().unwrap_or((480, 640));
    Size { height, width }
}
