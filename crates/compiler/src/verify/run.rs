//! Runs an artifact on samples, as a device would.

use fusionproxy_core::executor::{Executor, Observation, Visible};
use fusionproxy_core::frame::{Plane, RgbImage};
use fusionproxy_core::plan::{ARENA_ALIGNMENT, Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::Artifact;
use fusionproxy_kernels::{Backend, Inline, Scalar};

use crate::CompileError;
use crate::calibrate::Sample;
use crate::emit::Aligned;

/// The fastest kernels of this machine; every backend gives the bytes of the scalar one.
pub(crate) fn backend() -> &'static dyn Backend {
    #[cfg(target_arch = "x86_64")]
    if let Some(fast) = fusionproxy_kernels::x86::backends().next() {
        return fast;
    }
    &Scalar::ALL
}

fn failed(e: impl std::fmt::Display) -> CompileError {
    CompileError::Run(e.to_string())
}

/// Sees every operator of a sample.
pub(crate) type Observe<'f> = dyn FnMut(usize, Observation<'_>) + 'f;
/// Takes the fused image of a sample.
pub(crate) type Take<'f> = dyn FnMut(usize, &[f32]) -> Result<(), CompileError> + 'f;

/// Every tensor is looked at when its operator has run.
const WHOLE: PlanOptions = PlanOptions { workers: 1, schedule: Schedule::Whole };

/// Fuses each sample; all have one size. `observe` sees every operator of every sample, `fused` the number of the sample
/// and its result, `[height][width][channels]`, 0..=1, before it is rounded to an image.
pub(crate) fn run(
    artifact: &[u8],
    samples: &[Sample],
    mut observe: Option<&mut Observe<'_>>,
    fused: &mut Take<'_>,
) -> Result<(), CompileError> {
    let Some(first) = samples.first() else { return Ok(()) };
    let aligned = Aligned::new(artifact);
    let a = Artifact::new(aligned.bytes())?;
    let (mut tensors, mut steps) =
        (vec![TensorSlot::EMPTY; a.tensor_count()], vec![Step::EMPTY; a.op_count()]);
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let (height, width) = (first.height, first.width);
    let backend = backend();
    let plan = Plan::new(&a, height, width, WHOLE, backend, storage).map_err(failed)?;
    let mut memory = vec![0u8; plan.arena_bytes() + ARENA_ALIGNMENT];
    let start = memory.as_ptr().addr().wrapping_neg() % ARENA_ALIGNMENT;
    let mut executor = Executor::new(&plan, &mut memory[start..], backend, &Inline).map_err(failed)?;
    let mut out = vec![0.0; height * width * executor.fused_channels()];
    for (i, s) in samples.iter().enumerate() {
        let infrared = Plane::new(width, height, width, &s.infrared).map_err(failed)?;
        let visible = if s.visible.len() == 3 * height * width {
            Visible::Rgb(RgbImage::new(width, height, 3 * width, &s.visible).map_err(failed)?)
        } else {
            Visible::Luma(Plane::new(width, height, width, &s.visible).map_err(failed)?)
        };
        executor
            .run_observed(visible, infrared, &mut |o| {
                if let Some(observe) = &mut observe {
                    observe(i, o);
                }
            })
            .map_err(failed)?;
        executor.read_fused_f32(&mut out).map_err(failed)?;
        fused(i, &out)?;
    }
    Ok(())
}
