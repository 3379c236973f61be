//! Any bytes as an artifact: the checks refuse them, or everything behind the checks works: planning at a small frame size
//! and one run with the kernels of every backend of this machine, without a panic, a hang or much memory. Networks of bytes
//! alone give the same bytes with all of them.
#![no_main]

use fusionproxy_core::executor::{Executor, Visible};
use fusionproxy_core::frame::{Plane, RgbImage};
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
use fusionproxy_format::{Artifact, DType};
use fusionproxy_kernels::{Backend, Inline, Scalar};
use libfuzzer_sys::fuzz_target;

/// Arena beyond which a case is not run.
const MEMORY: usize = 16 << 20;
/// Multiply-accumulates beyond which a case is not run.
const MACS: u64 = 1 << 24;

/// The SIMD kernels that this machine runs; those for Cortex-M have a twin for every machine.
fn backends() -> Vec<&'static dyn Backend> {
    let mut backends: Vec<_> = fusionproxy_kernels::arm::backends().collect();
    #[cfg(target_arch = "x86_64")]
    backends.extend(fusionproxy_kernels::x86::backends());
    #[cfg(target_arch = "aarch64")]
    backends.extend(fusionproxy_kernels::aarch64::backends());
    backends
}

/// The fused image; nothing if the network cannot be planned, or is too large to be run here.
fn fuse(artifact: &Artifact<'_>, backend: &dyn Backend) -> Option<Vec<u8>> {
    let (height, width) = artifact.fixed_size().unwrap_or((24, 40));
    if height * width > 1 << 14 {
        return None;
    }
    let mut tensors = vec![TensorSlot::EMPTY; artifact.tensor_count()];
    let mut steps = vec![Step::EMPTY; artifact.op_count()];
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let plan = Plan::new(artifact, height, width, PlanOptions::default(), backend, storage).ok()?;
    assert!(plan.activation_bytes() as u64 >= plan.lower_bound_bytes());
    let work: u64 = (0..artifact.op_count())
        .filter_map(|i| {
            let entry = artifact.op(i).ok()?;
            let shape = |id| plan.placement(id).map(|p| p.layout.shape);
            let (input, output) = (shape(entry.input(0)?)?, shape(entry.output)?);
            Some(fusionproxy_kernels::macs(&entry.op, input, output) + output.elements() as u64)
        })
        .sum();
    if plan.arena_bytes() > MEMORY || work > MACS {
        return None;
    }
    let mut arena = vec![0u8; plan.arena_bytes() + 63];
    let start = arena.as_ptr().align_offset(64);
    let mut executor = Executor::new(&plan, &mut arena[start..], backend, &Inline).expect("a plan that runs");
    let image: Vec<u8> = (0..height * width * 3).map(|i| (i * 37 % 251) as u8).collect();
    let plane = Plane::new(width, height, width, &image).expect("a plane");
    let visible = match artifact.tensor(artifact.visible()).map(|t| t.channels) {
        Ok(3) => Visible::Rgb(RgbImage::new(width, height, width * 3, &image).expect("an image")),
        _ => Visible::Luma(plane),
    };
    let mut fused = vec![0u8; height * width * 3];
    let stride = width * executor.fused_channels();
    executor.run(visible, plane, &mut fused, stride).expect("a validated artifact runs");
    Some(fused)
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = vec![0u8; data.len() + 15];
    let start = bytes.as_ptr().align_offset(16);
    let bytes = &mut bytes[start..start + data.len()];
    bytes.copy_from_slice(data);
    // The checksum would stop nearly every mutation at the door.
    let Ok(artifact) = Artifact::new_ignoring_checksum(bytes) else { return };
    let Some(expected) = fuse(&artifact, &Scalar::ALL) else { return };
    let mut tensors = (0..artifact.tensor_count()).filter_map(|id| artifact.tensor(id as _).ok());
    let exact = tensors.all(|t| t.dtype == DType::U8);
    for backend in backends() {
        // More scratch can make a network too large.
        let Some(fused) = fuse(&artifact, backend) else { continue };
        assert!(!exact || fused == expected, "{} gives other bytes", backend.name());
    }
});
