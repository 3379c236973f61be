//! The bytes of RAM that the released networks need, frozen: a change of the planner that costs memory shows here.
#![forbid(unsafe_code)]

use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::Artifact;
use fusionproxy_kernels::Scalar;

/// Bytes placed where an artifact may start.
#[repr(align(64))]
struct Aligned<const N: usize>([u8; N]);

static NANO: &Aligned<{ include_bytes!("../../../models/nano/nano.int8.fpx").len() }> =
    &Aligned(*include_bytes!("../../../models/nano/nano.int8.fpx"));
static ULTRALIGHT: &Aligned<{ include_bytes!("../../../models/ultralight/ultralight.int8.fpx").len() }> =
    &Aligned(*include_bytes!("../../../models/ultralight/ultralight.int8.fpx"));

/// Bytes of the arena without the scratch of a backend, of which the scalar kernels take none.
fn arena(artifact: &[u8], (height, width): (usize, usize), schedule: Schedule) -> usize {
    let artifact = Artifact::new(artifact).expect("a released artifact");
    let mut tensors = vec![TensorSlot::EMPTY; artifact.tensor_count() + artifact.op_count()];
    let mut steps = vec![Step::EMPTY; 2 * artifact.op_count()];
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let options = PlanOptions { workers: 1, schedule };
    let plan = Plan::new(&artifact, height, width, options, &Scalar::ALL, storage).expect("a plan");
    plan.arena_bytes()
}

#[test]
fn released_networks_take_these_bytes() {
    let default = PlanOptions::default().schedule;
    // Everything fits the cache that the default plans for: whole tensors.
    assert_eq!(arena(&NANO.0, (120, 160), default), 230_464);
    assert_eq!(arena(&NANO.0, (120, 160), Schedule::Whole), 230_464);
    assert_eq!(arena(&NANO.0, (120, 160), Schedule::SMALLEST), 168_448);
    assert_eq!(arena(&NANO.0, (480, 640), default), 2_738_560);
    // The features of the encoders, 3,763,200 bytes, wait for the means over all of them.
    assert_eq!(arena(&ULTRALIGHT.0, (480, 640), default), 4_435_520);
    assert_eq!(arena(&ULTRALIGHT.0, (480, 640), Schedule::Whole), 6_758_464);
    assert_eq!(arena(&ULTRALIGHT.0, (480, 640), Schedule::SMALLEST), 4_019_520);
    // Unless some of them are computed twice.
    let within = |arena| Schedule::Within { cache: 1 << 20, arena };
    assert_eq!(arena(&ULTRALIGHT.0, (480, 640), within(3 << 20)), 3_028_160);
    assert_eq!(arena(&ULTRALIGHT.0, (480, 640), within(0)), 631_360);
    assert_eq!(arena(&NANO.0, (120, 160), within(0)), 91_904);
}
