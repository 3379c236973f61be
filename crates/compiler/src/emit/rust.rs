//! Constants for firmware: sizes that make a wrong arena a compile error, and the operators that an image must link.

use std::fmt::Write;

use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::{Artifact, DType, OpKind};
use fusionproxy_kernels::Backend;
use fusionproxy_kernels::scalar::kernel_set;

use super::Aligned;
use crate::CompileError;

/// What [`constants`] writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RustConstants {
    /// Rust source, to be included as a module.
    pub source: String,
    /// The arena's size.
    pub arena_bytes: usize,
}

/// Rust constants for running `artifact` on frames of `height` x `width` px with `workers` workers of `backend`'s
/// kernels: sizes, and the set of kernels that firmware links.
///
/// # Errors
/// [`CompileError`] if the artifact does not load or has no plan at that size.
pub fn constants<B: Backend + ?Sized>(
    artifact: &[u8],
    height: usize,
    width: usize,
    workers: usize,
    backend: &B,
) -> Result<RustConstants, CompileError> {
    let aligned = Aligned::new(artifact);
    let a = Artifact::new(aligned.bytes())?;
    let (mut tensors, mut steps) =
        (vec![TensorSlot::EMPTY; a.tensor_count()], vec![Step::EMPTY; a.op_count()]);
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let plan =
        Plan::new(&a, height, width, PlanOptions { workers, schedule: Schedule::SMALLEST }, backend, storage)
            .map_err(|e| CompileError::Run(e.to_string()))?;
    let (mut kinds, mut types): (Vec<OpKind>, Vec<DType>) = (vec![], vec![]);
    for i in 0..a.op_count() {
        let entry = a.op(i)?;
        let (kind, dtype) = (entry.op.kind(), a.tensor(entry.output)?.dtype);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
        if !types.contains(&dtype) {
            types.push(dtype);
        }
    }
    kinds.sort_by_key(|k| *k as u8);
    let set = kernel_set(&kinds, &types);
    let names = kinds.iter().map(|k| format!("{:?}", k.name())).collect::<Vec<_>>().join(", ");
    let mut s = String::new();
    let mut line = |doc: &str, item: String| {
        // Writing to a string cannot fail.
        let _ = write!(s, "/// {doc}\n{item}\n");
    };
    line("Name of the network.", format!("pub const NAME: &str = {:?};", a.name()));
    line("Precision.", format!("pub const PRECISION: &str = {:?};", a.precision().name()));
    line("Height of the frame in px.", format!("pub const HEIGHT: usize = {height};"));
    line("Width of the frame in px.", format!("pub const WIDTH: usize = {width};"));
    line("Size of the artifact in bytes.", format!("pub const ARTIFACT_BYTES: usize = {};", artifact.len()));
    line(
        "Size of the arena in bytes, planned with `Schedule::SMALLEST`.",
        format!("pub const ARENA_BYTES: usize = {};", plan.arena_bytes()),
    );
    line("Slots of the plan's tensor table.", format!("pub const TENSORS: usize = {};", a.tensor_count()));
    line("Steps of the plan.", format!("pub const STEPS: usize = {};", a.op_count()));
    line("Workers that the arena has scratch for.", format!("pub const WORKERS: usize = {workers};"));
    line(
        "Kernels to link: the parameter of `Scalar`, `arm::Dsp` and `arm::Helium` in `fusionproxy_kernels`.",
        format!("pub const KERNELS: u32 = {set:#x};"),
    );
    line(
        "Kernels that the arena has scratch for: the name of their `Backend`.",
        format!("pub const BACKEND: &str = {:?};", backend.name()),
    );
    line(
        "Names of the operators.",
        format!("pub const OPERATOR_NAMES: [&str; {}] = [{names}];", kinds.len()),
    );
    let arena_bytes = plan.arena_bytes();
    Ok(RustConstants { source: s, arena_bytes })
}
