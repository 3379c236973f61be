//! Plans the network for the kernels of each firmware, on the host: the arena that each needs becomes a constant.

use std::path::Path;

use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::{Artifact, DType};
use fusionproxy_kernels::scalar::kernel_set;
use fusionproxy_kernels::{Backend, Scalar, arm};

const MODEL: &str = "../../models/nano/nano.int8.fpx";
const HEIGHT: usize = 120;
const WIDTH: usize = 160;

/// Bytes placed where an artifact may start.
#[repr(align(64))]
struct Aligned([u8; 1 << 17]);

fn main() {
    println!("cargo::rerun-if-changed={MODEL}");
    let bytes = std::fs::read(MODEL).unwrap_or_else(|e| panic!("cannot read {MODEL}: {e}"));
    let mut memory = Box::new(Aligned([0; 1 << 17]));
    memory.0[..bytes.len()].copy_from_slice(&bytes);
    let artifact = Artifact::new(&memory.0[..bytes.len()]).unwrap_or_else(|e| panic!("{MODEL}: {e}"));
    let kinds: Vec<_> =
        (0..artifact.op_count()).filter_map(|i| Some(artifact.op(i).ok()?.op.kind())).collect();
    let backends: [(&str, &dyn Backend); 3] = [
        ("SCALAR", &Scalar::ALL),
        ("DSP", &arm::Dsp::<{ u32::MAX }>),
        ("HELIUM", &arm::Helium::<{ u32::MAX }>),
    ];
    let mut source = format!(
        "/// The artifact.\npub const MODEL: &str = {MODEL:?};\n\
         /// Height of the frame, px.\npub const HEIGHT: usize = {HEIGHT};\n\
         /// Width of the frame, px.\npub const WIDTH: usize = {WIDTH};\n\
         /// Size of the artifact, bytes.\npub const ARTIFACT_BYTES: usize = {};\n\
         /// Slots of the plan's tensor table.\npub const TENSORS: usize = {};\n\
         /// Steps of the plan.\npub const STEPS: usize = {};\n\
         /// Kernels to link.\npub const KERNELS: u32 = {:#x};\n",
        bytes.len(),
        artifact.tensor_count(),
        artifact.op_count(),
        kernel_set(&kinds, &[DType::U8]),
    );
    // Whole tensors take the fewest instructions, the shortest strips the least memory.
    let schedules = [("", Schedule::Whole), ("_SMALLEST", Schedule::SMALLEST)];
    for ((name, backend), (suffix, schedule)) in backends.iter().flat_map(|b| schedules.map(|s| (b, s))) {
        let mut tensors = vec![TensorSlot::EMPTY; artifact.tensor_count()];
        let mut steps = vec![Step::EMPTY; artifact.op_count()];
        let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
        let options = PlanOptions { workers: 1, schedule };
        let plan = Plan::new(&artifact, HEIGHT, WIDTH, options, *backend, storage)
            .unwrap_or_else(|e| panic!("{MODEL}: {e}"));
        source += &format!(
            "/// Bytes of the arena for the backend `{}`, {schedule:?}.\npub const ARENA_{name}{suffix}: usize = {};\n",
            backend.name(),
            plan.arena_bytes()
        );
    }
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("model.rs"), source).expect("OUT_DIR is writable");
}
