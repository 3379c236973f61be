//! The ultralight student against tract's f32 of the same network, one thread, frames of both in turn.
//!
//! `cargo bench -p fusionproxy --bench tract`
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::{Duration, Instant};

use fusionproxy::{AlignedBytes, Model, Pool, best_backend};
use fusionproxy_core::executor::Executor;
use fusionproxy_core::frame::Plane;
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
use tract_onnx::prelude::*;

const HEIGHT: usize = 480;
const WIDTH: usize = 640;
const FRAMES: usize = 31;

fn main() -> TractResult<()> {
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/ultralight/ultralight.onnx");
    let image = || InferenceFact::dt_shape(f32::datum_type(), [1, 1, HEIGHT, WIDTH]);
    let plan = tract_onnx::onnx()
        .model_for_path(onnx)?
        .with_input_fact(0, image())?
        .with_input_fact(1, image())?
        .into_optimized()?
        .into_runnable()?;
    let pixels: Vec<u8> = (0..HEIGHT * WIDTH).map(|i| (i * 31 % 251) as u8).collect();
    let floats: Vec<f32> = pixels.iter().map(|v| f32::from(*v) / 255.0).collect();
    let tensor: TValue = Tensor::from_shape(&[1, 1, HEIGHT, WIDTH], &floats)?.into();

    let pool = Pool::new(1)?;
    let plane = Plane::new(WIDTH, HEIGHT, WIDTH, &pixels)?;
    let mut fused = vec![0; HEIGHT * WIDTH];
    for precision in ["int8", "fp16"] {
        let model = Model::built_in(&format!("ultralight.{precision}"))?;
        let artifact = model.artifact()?;
        let (mut tensors, mut steps) =
            (vec![TensorSlot::EMPTY; artifact.tensor_count()], vec![Step::EMPTY; artifact.op_count()]);
        let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
        let ours = Plan::new(&artifact, HEIGHT, WIDTH, PlanOptions::default(), best_backend(), storage)?;
        let mut arena = AlignedBytes::zeroed(ours.arena_bytes());
        let mut executor = Executor::new(&ours, arena.as_mut(), best_backend(), &pool)?;
        let (mut own, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..FRAMES {
            let start = Instant::now();
            executor.run(plane, plane, &mut fused, WIDTH)?;
            own.push(start.elapsed());
            let start = Instant::now();
            plan.run(tvec!(tensor.clone(), tensor.clone()))?;
            peer.push(start.elapsed());
        }
        let (own, peer) = (median_ms(own), median_ms(peer));
        println!(
            "ultralight {HEIGHT}x{WIDTH}, 1 thread: fusionproxy {precision} {own:.2} ms, tract f32 {peer:.2} ms, ratio {:.3}",
            own / peer
        );
    }
    Ok(())
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
