//! Released artifacts, pictures, and the CPU's results.

#![allow(dead_code, unused_imports, unused_macros)] // Each test takes what it needs.

#[cfg(feature = "native")]
pub(crate) mod bench;
pub(crate) mod net;

use fusionproxy_core::colour::luma_of;
use fusionproxy_core::executor::Executor;
use fusionproxy_core::frame::Plane;
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
use fusionproxy_eval::scene::{Condition, Scene, View, linear8};
use fusionproxy_format::Artifact;
use fusionproxy_kernels::{Inline, Scalar};

/// Bytes placed where an artifact may start, as a static.
#[repr(align(64))]
pub(crate) struct Aligned<const N: usize>(pub(crate) [u8; N]);

/// A released artifact, by `name/name.precision`.
macro_rules! model {
    ($name:literal) => {{
        static BYTES: &$crate::support::Aligned<
            { include_bytes!(concat!("../../../models/", $name, ".fpx")).len() },
        > = &$crate::support::Aligned(*include_bytes!(concat!("../../../models/", $name, ".fpx")));
        fusionproxy_format::Artifact::new(&BYTES.0).expect($name)
    }};
}
pub(crate) use model;

/// RGB and infrared of a synthetic night street.
pub(crate) fn street(height: usize, width: usize) -> (Vec<u8>, Vec<u8>) {
    let view = View::new(width, height);
    let (mut rgb, mut centikelvin) = (vec![0; view.pixels() * 3], vec![0; view.pixels()]);
    Scene::new(7, Condition::Night).render(&view, &mut rgb, &mut centikelvin).expect("a scene of this size");
    let mut infrared = vec![0; view.pixels()];
    linear8(&centikelvin, 270.0, 320.0, &mut infrared);
    (rgb, infrared)
}

/// The same in luma.
pub(crate) fn grey_street((height, width): (usize, usize)) -> (Vec<u8>, Vec<u8>) {
    let (rgb, infrared) = street(height, width);
    (luma(&rgb), infrared)
}

/// Luma of RGB.
pub(crate) fn luma(rgb: &[u8]) -> Vec<u8> {
    rgb.as_chunks::<3>().0.iter().map(|p| luma_of(*p)).collect()
}

/// RGB with a fourth byte that says nothing.
pub(crate) fn rgba(rgb: &[u8]) -> Vec<u8> {
    rgb.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 77]).collect()
}

/// The fused luma as the scalar kernels compute it.
pub(crate) fn fuse_on_cpu(
    artifact: &Artifact<'_>,
    visible: &[u8],
    infrared: &[u8],
    (h, w): (usize, usize),
) -> Vec<u8> {
    let mut tensors = vec![TensorSlot::EMPTY; artifact.tensor_count()];
    let mut steps = vec![Step::EMPTY; artifact.op_count()];
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let backend: &dyn fusionproxy_kernels::Backend = &Scalar::ALL;
    let plan = Plan::new(artifact, h, w, PlanOptions::default(), backend, storage).expect("a plan");
    let mut arena = vec![0u8; plan.arena_bytes() + 63];
    let start = arena.as_ptr().align_offset(64);
    let mut executor = Executor::new(&plan, &mut arena[start..], backend, &Inline).expect("an executor");
    let channels = executor.fused_channels();
    let mut fused = vec![0; h * w * channels];
    let plane = |data| Plane::new(w, h, w, data).expect("a plane");
    executor.run(plane(visible), plane(infrared), &mut fused, w * channels).expect("a fused frame");
    fused
}

/// A device, unless there is none.
#[cfg(feature = "native")]
pub(crate) fn device() -> Option<fusionproxy_gpu::native::Device> {
    match fusionproxy_gpu::native::Device::open() {
        Ok(device) => Some(device),
        Err(fusionproxy_gpu::native::DeviceError::NoAdapter(e)) => {
            eprintln!("SKIPPED: {e}; `cargo xtask setup` installs Mesa's lavapipe, which is one");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

/// The fused frame, RGBA.
#[cfg(feature = "native")]
pub(crate) fn fuse_on_gpu(
    device: &fusionproxy_gpu::native::Device,
    artifact: &Artifact<'_>,
    options: fusionproxy_gpu::Options,
    visible: &[u8],
    infrared: &[u8],
) -> Vec<u8> {
    let program = fusionproxy_gpu::Program::new(artifact, options).unwrap_or_else(|e| panic!("{e}"));
    let mut runner = fusionproxy_gpu::native::Runner::new(device, &program).unwrap_or_else(|e| panic!("{e}"));
    let mut fused = vec![0; options.width * options.height * 4];
    runner.run(visible, infrared, &mut fused).unwrap_or_else(|e| panic!("{e}"));
    fused
}
