//! The released artifacts give the same bytes on every backend, with any number of workers, on every architecture.
//!
//! `golden.txt` holds one CRC-32 of the fused luma per model, precision and size; this suite is run on x86-64, on
//! aarch64 and on wasm32. After an intended change of the numbers: `FUSIONPROXY_BLESS=1 cargo test -p conformance`.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::path::Path;

use fusionproxy_core::colour::luma_of;
use fusionproxy_core::executor::Executor;
use fusionproxy_core::frame::Plane;
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_eval::scene::{Condition, Scene, View, linear8};
use fusionproxy_format::Artifact;
use fusionproxy_kernels::{Backend, Pool, Scalar, Workers};

/// Bytes placed where an artifact may start, as firmware places them in flash.
#[repr(align(64))]
struct Aligned<const N: usize>([u8; N]);

macro_rules! model {
    ($name:literal) => {{
        static BYTES: &Aligned<{ include_bytes!(concat!("../../../models/", $name, ".fpx")).len() }> =
            &Aligned(*include_bytes!(concat!("../../../models/", $name, ".fpx")));
        ($name, &BYTES.0[..])
    }};
}

/// An artifact with its name.
type NamedBytes = (&'static str, &'static [u8]);

/// What is shown to a network.
#[derive(Clone, Copy, Debug)]
enum Picture {
    /// A synthetic night street.
    Street,
    /// The firmware's pattern.
    Pattern,
}

/// Models whose bytes are golden, with frame sizes (height, width): the usual one, a small one, one that is no multiple of
/// any stride, and the firmware's frame.
fn cases() -> Vec<(NamedBytes, (usize, usize), Picture)> {
    let nano = model!("nano/nano.int8");
    let sizes = [(480, 640), (120, 160), (75, 101)];
    let streets = [model!("ultralight/ultralight.int8"), nano]
        .into_iter()
        .flat_map(|m| sizes.map(|s| (m, s, Picture::Street)));
    streets.chain([(nano, (120, 160), Picture::Pattern)]).collect()
}

/// The backends of this architecture, the specification first.
fn backends() -> Vec<&'static dyn Backend> {
    let mut backends: Vec<&dyn Backend> = vec![&Scalar::ALL];
    #[cfg(target_arch = "x86_64")]
    backends.extend(fusionproxy_kernels::x86::backends());
    #[cfg(target_arch = "aarch64")]
    backends.extend(fusionproxy_kernels::aarch64::backends());
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    backends.extend(fusionproxy_kernels::wasm::backends());
    backends
}

fn hash(bytes: &[u8]) -> u32 {
    let mut crc = conformance::Crc32::new();
    crc.update(bytes);
    crc.finalize()
}

/// Whole tensors, the shortest strips, two others, and operators that run twice.
const SCHEDULES: [Schedule; 5] = [
    Schedule::Whole,
    Schedule::SMALLEST,
    Schedule::Strips { cache: 256 << 10 },
    Schedule::Strips { cache: 1 << 20 },
    Schedule::Within { cache: 256 << 10, arena: 0 },
];

/// Numbers of workers to run with; each meets another schedule.
fn pools() -> Vec<Pool> {
    let counts: &[usize] = if cfg!(target_family = "wasm") { &[1; 5] } else { &[1, 1, 2, 2, 3, 3, 1] };
    counts.iter().map(|n| Pool::new(*n).expect("threads")).collect()
}

/// Luma and infrared of a picture.
fn pair(picture: Picture, height: usize, width: usize) -> (Vec<u8>, Vec<u8>) {
    if matches!(picture, Picture::Pattern) {
        let (mut visible, mut infrared) = (vec![0; height * width], vec![0; height * width]);
        conformance::pattern(width, 7, &mut visible);
        conformance::pattern(width, 11, &mut infrared);
        return (visible, infrared);
    }
    let view = View::new(width, height);
    let (mut rgb, mut centikelvin) = (vec![0; view.pixels() * 3], vec![0; view.pixels()]);
    Scene::new(7, Condition::Night).render(&view, &mut rgb, &mut centikelvin).expect("a scene of this size");
    let mut infrared = vec![0; view.pixels()];
    linear8(&centikelvin, 270.0, 320.0, &mut infrared);
    (rgb.as_chunks::<3>().0.iter().map(|p| luma_of(*p)).collect(), infrared)
}

fn fuse(
    artifact: &Artifact<'_>,
    (visible, infrared): (&[u8], &[u8]),
    (height, width): (usize, usize),
    backend: &dyn Backend,
    pool: &Pool,
    schedule: Schedule,
) -> Vec<u8> {
    let mut tensors = vec![TensorSlot::EMPTY; artifact.tensor_count() + artifact.op_count()];
    let mut steps = vec![Step::EMPTY; 2 * artifact.op_count()];
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let options = PlanOptions { workers: pool.count(), schedule };
    let plan = Plan::new(artifact, height, width, options, backend, storage).expect("a plan");
    let mut arena = vec![0u8; plan.arena_bytes() + 63];
    let start = arena.as_ptr().align_offset(64);
    let mut executor = Executor::new(&plan, &mut arena[start..], backend, pool).expect("an executor");
    let mut fused = vec![0; height * width];
    let plane = |data| Plane::new(width, height, width, data).expect("a plane");
    executor.run(plane(visible), plane(infrared), &mut fused, width).expect("a fused frame");
    fused
}

#[test]
fn every_backend_gives_the_golden_bytes() {
    let path = Path::new("golden.txt");
    let golden = std::fs::read_to_string(path)
        .or_else(|_| std::fs::read_to_string(Path::new("tests/conformance").join(path)))
        .unwrap_or_default();
    let mut found = String::new();
    for ((name, bytes), size, picture) in cases() {
        let artifact = Artifact::new(bytes).expect(name);
        let (visible, infrared) = pair(picture, size.0, size.1);
        let mut first = None;
        for backend in backends() {
            for (pool, schedule) in pools().iter().zip(SCHEDULES.into_iter().cycle()) {
                let hash = hash(&fuse(&artifact, (&visible, &infrared), size, backend, pool, schedule));
                let expected = *first.get_or_insert(hash);
                let (backend, workers) = (backend.name(), pool.count());
                assert_eq!(
                    hash, expected,
                    "{name} at {size:?} on {backend}, {workers} workers, {schedule:?}"
                );
            }
        }
        writeln!(found, "{name} {}x{} {picture:?} {:08x}", size.0, size.1, first.unwrap_or(0))
            .expect("memory");
    }
    if std::env::var_os("FUSIONPROXY_BLESS").is_some() {
        std::fs::write(path, &found).expect("golden.txt is writable");
        return;
    }
    assert_eq!(
        found, golden,
        "the bytes changed; if that is intended: FUSIONPROXY_BLESS=1 cargo test -p conformance"
    );
}
