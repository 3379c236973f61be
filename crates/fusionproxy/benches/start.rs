//! From the bytes of an artifact to its first frame, beside the frames after it: one thread, 480x640, medians of several starts.
//!
//! `cargo bench -p fusionproxy --bench start`
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use fusionproxy::{AlignedBytes, Pool, best_backend};
use fusionproxy_core::executor::Executor;
use fusionproxy_core::frame::Plane;
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
use fusionproxy_format::Artifact;

const HEIGHT: usize = 480;
const WIDTH: usize = 640;
const STARTS: usize = 9;
const FRAMES: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "| student | precision | check ms | plan ms | executor ms | first frame ms | frame ms | first / frame |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for student in ["nano", "ultralight", "mobilenetv4", "efficientformerv2", "convnextv2"] {
        for precision in ["int8", "fp16"] {
            let file = format!("../../models/{student}/{student}.{precision}.fpx");
            let bytes = AlignedBytes::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file))?;
            let starts = (0..STARTS).map(|_| start(bytes.as_ref())).collect::<Result<Vec<_>, _>>()?;
            let [check, plan, executor, first, frame] =
                std::array::from_fn(|i| median(starts.iter().map(|s| s[i]).collect()));
            println!(
                "| {student} | {precision} | {check:.2} | {plan:.2} | {executor:.2} | {first:.2} | {frame:.2} | {:.2} |",
                first / frame
            );
        }
    }
    Ok(())
}

/// Milliseconds of the artifact's check, the plan, the executor, its first frame in an arena that nobody touched, and the
/// median of the frames after it.
fn start(bytes: &[u8]) -> Result<[f64; 5], Box<dyn Error>> {
    let (pool, backend) = (Pool::new(1)?, best_backend());
    let pixels: Vec<u8> = (0..HEIGHT * WIDTH).map(|i| (i * 31 % 251) as u8).collect();
    let plane = Plane::new(WIDTH, HEIGHT, WIDTH, &pixels)?;
    let mut fused = vec![0; HEIGHT * WIDTH];
    let ms = |from: Instant| from.elapsed().as_secs_f64() * 1e3;

    let clock = Instant::now();
    let artifact = Artifact::new(bytes)?;
    let check = ms(clock);
    let (mut tensors, mut steps) =
        (vec![TensorSlot::EMPTY; artifact.tensor_count()], vec![Step::EMPTY; artifact.op_count()]);
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let clock = Instant::now();
    let plan = Plan::new(&artifact, HEIGHT, WIDTH, PlanOptions::default(), backend, storage)?;
    let planned = ms(clock);
    let clock = Instant::now();
    let mut arena = AlignedBytes::zeroed(plan.arena_bytes());
    let mut executor = Executor::new(&plan, arena.as_mut(), backend, &pool)?;
    let made = ms(clock);
    let mut frame = || {
        let clock = Instant::now();
        executor.run(plane, plane, &mut fused, WIDTH).map(|()| ms(clock))
    };
    let first = frame()?;
    let later = (0..FRAMES).map(|_| frame()).collect::<Result<Vec<_>, _>>()?;
    Ok([check, planned, made, first, median(later)])
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
