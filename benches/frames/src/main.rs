//! Fuses frames with one artifact and prints the last CRC-32 and the kernels: one program for every target that the suite
//! counts instructions on, or, with `--time`, measures.
//!
//!     frames MODEL.fpx HEIGHTxWIDTH FRAMES [--time]
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use conformance::{Crc32, pattern};
use fusionproxy::{AlignedBytes, Model, Pool, best_backend};
use fusionproxy_core::executor::{Executor, Visible};
use fusionproxy_core::frame::{Plane, RgbImage};
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (path, size, frames, timed) = match &args[..] {
        [path, size, frames] => (path, size, frames, false),
        [path, size, frames, flag] if flag == "--time" => (path, size, frames, true),
        _ => return Err("usage: frames MODEL.fpx HEIGHTxWIDTH FRAMES [--time]".into()),
    };
    let (height, width) = size.split_once('x').ok_or("the size is HEIGHTxWIDTH")?;
    let (height, width) = (height.parse()?, width.parse()?);

    let model = Model::open(Path::new(path))?;
    let artifact = model.artifact()?;
    let mut tensors = vec![TensorSlot::EMPTY; artifact.tensor_count()];
    let mut steps = vec![Step::EMPTY; artifact.op_count()];
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let (backend, pool) = (best_backend(), Pool::new(1)?);
    let plan = Plan::new(&artifact, height, width, PlanOptions::default(), backend, storage)?;
    let mut arena = AlignedBytes::zeroed(plan.arena_bytes());
    let mut executor = Executor::new(&plan, arena.as_mut(), backend, &pool)?;

    let colours = artifact.tensor(artifact.visible())?.channels;
    let (mut visible, mut infrared) = (vec![0; height * width * colours], vec![0; height * width]);
    pattern(width * colours, 7, &mut visible);
    pattern(width, 11, &mut infrared);
    let visible = match colours {
        3 => Visible::Rgb(RgbImage::new(width, height, width * 3, &visible)?),
        _ => Visible::Luma(Plane::new(width, height, width, &visible)?),
    };
    let infrared = Plane::new(width, height, width, &infrared)?;
    let stride = width * executor.fused_channels();
    let mut fused = vec![0; height * stride];
    let mut times = Vec::new();
    for _ in 0..frames.parse::<usize>()? {
        // Not asked for the time unless it is wanted: emulated instructions are counted exactly.
        let begun = timed.then(Instant::now);
        executor.run(visible, infrared, &mut fused, stride)?;
        times.extend(begun.map(|t| t.elapsed()));
    }
    let mut crc = Crc32::new();
    crc.update(&fused);
    println!("kernels {}", backend.name());
    println!("crc32 {:08x}", crc.finalize());
    // The first frame fills the caches.
    let mut times = times.split_off(times.len().min(1));
    times.sort_unstable();
    if let (Some(median), Some(min)) = (times.get(times.len() / 2), times.first()) {
        println!("median_ms {:.3}", median.as_secs_f64() * 1e3);
        println!("min_ms {:.3}", min.as_secs_f64() * 1e3);
    }
    Ok(())
}
