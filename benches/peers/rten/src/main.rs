//! rten as a program that `fusionproxy bench` drives by lines; see ../README.md.
//!
//!     rten MODEL.onnx PRECISION HEIGHT WIDTH THREADS FRAMES CACHE
#![forbid(unsafe_code)]

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use fusionproxy_kernels::CountingAllocator;
use rten::{Model, NodeId, RunOptions, ThreadPool, ValueView};
use rten_tensor::NdTensor;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    if let Err(error) = run() {
        println!("error {error:#}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, precision, height, width, threads, frames, _] = &args[..] else {
        bail!("seven arguments are needed");
    };
    if precision != "f32" {
        bail!("rten is measured in f32 only");
    }
    let mut rten = Rten::load(model, [height.parse()?, width.parse()?], threads.parse()?, Path::new(frames))?;
    rten.fuse()?;
    answer("ready 0.27.0")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("run", n) => rten.timed(n.parse()?)?,
            ("allocations", _) => {
                answer(&format!("allocations {}", rten.allocations as f64 / rten.frames.max(1) as f64))?;
            }
            ("output", path) => {
                let bytes: Vec<u8> = rten.fuse()?.iter().flat_map(|v| v.to_le_bytes()).collect();
                std::fs::write(path, bytes)?;
                answer("done")?;
            }
            (word, _) => answer(&format!("error no such question: {word}"))?,
        }
    }
    Ok(())
}

fn answer(line: &str) -> Result<()> {
    println!("{line}");
    Ok(std::io::stdout().flush()?)
}

/// A network with its frame.
struct Rten {
    model: Model,
    inputs: [NodeId; 2],
    output: NodeId,
    bands: [Vec<f32>; 2],
    shape: [usize; 4],
    options: RunOptions,
    frames: u64,
    allocations: u64,
}

impl Rten {
    fn load(model: &str, [height, width]: [usize; 2], threads: usize, frames: &Path) -> Result<Self> {
        let model = Model::load_file(model)?;
        let band = |name: &str| -> Result<Vec<f32>> {
            let path = frames.join(format!("0.{name}.f32"));
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            Ok(bytes.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect())
        };
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        Ok(Self {
            inputs: [model.node_id("vis")?, model.node_id("ir")?],
            output: model.node_id("fused")?,
            bands: [band("vis")?, band("ir")?],
            shape: [1, 1, height, width],
            options: RunOptions::default().with_thread_pool(Some(pool)),
            model,
            frames: 0,
            allocations: 0,
        })
    }

    fn fuse(&self) -> Result<Vec<f32>> {
        let mut inputs = Vec::with_capacity(2);
        for (id, band) in self.inputs.into_iter().zip(&self.bands) {
            inputs.push((id, ValueView::from_shape(self.shape, &band[..])?.into()));
        }
        let [fused] = self.model.run_n(inputs, [self.output], Some(self.options.clone()))?;
        let fused: NdTensor<f32, 4> = fused.try_into()?;
        Ok(fused.into_data())
    }

    /// Fuses `frames` times and answers with the milliseconds of each.
    fn timed(&mut self, frames: u64) -> Result<()> {
        let mut line = String::from("ms");
        for _ in 0..frames {
            let before = CountingAllocator::allocations();
            let start = Instant::now();
            let fused = self.fuse()?;
            let ms = start.elapsed().as_secs_f64() * 1e3;
            drop(fused);
            self.allocations += CountingAllocator::allocations() - before;
            line += &format!(" {ms:.4}");
        }
        self.frames += frames;
        answer(&line)
    }
}
