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

/// What a frame costs on any machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Multiply-accumulates.
    pub(crate) macs: u64,
    /// Bytes that operators read and write, weights included, whatever cache they are in.
    pub(crate) bytes_moved: u64,
}

/// What a frame costs under a plan.
pub(crate) fn cost(plan: &Plan<'_, '_>) -> Cost {
    let artifact = plan.artifact();
    let mut cost = Cost { macs: 0, bytes_moved: artifact.data_bytes() as u64 };
    for step in plan.steps().iter().filter(|s| !s.is_elided()) {
        if let Ok(entry) = artifact.op(step.op()) {
            cost.macs += op_macs(plan, &entry);
            cost.bytes_moved += op_bytes(plan, &entry);
        }
    }
    cost
}

/// The frame size that a report uses unless told: the pinned one, or 480x640.
pub(crate) fn default_size(artifact: &Artifact<'_>) -> Size {
    let (height, width) = artifact.fixed_size().unwrap_or((480, 640));
    Size { height, width }
}
