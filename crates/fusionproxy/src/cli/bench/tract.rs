//! tract's f32, in this process, on one thread: its thread pool would be one more dependency of every build.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use tract_onnx::prelude::*;

use super::contender::Contender;
use super::peer::Work;
use crate::CountingAllocator;

/// tract with a network and a frame.
pub(super) struct Tract {
    plan: Arc<TypedRunnableModel>,
    inputs: TVec<TValue>,
    output: Option<TValue>,
    frames: usize,
    allocations: u64,
}

impl Tract {
    pub(super) fn start(work: &Work<'_>) -> Result<Self> {
        if work.threads > 1 {
            bail!("tract is built here without its thread pool");
        }
        let onnx = work.student.onnx.as_deref().context("there is no ONNX network")?;
        Self::load(onnx, work).map_err(|e| anyhow!("{}", e.root_cause()))
    }

    fn load(path: &Path, work: &Work<'_>) -> TractResult<Self> {
        let shape = [1, 1, work.size.height, work.size.width];
        let image = || InferenceFact::dt_shape(f32::datum_type(), shape);
        let plan = onnx()
            .model_for_path(path)?
            .with_input_fact(0, image())?
            .with_input_fact(1, image())?
            .into_optimized()?
            .into_runnable()?;
        let read = |band: &str| -> TractResult<TValue> {
            let bytes = std::fs::read(work.frames.join(format!("0.{band}.f32")))?;
            let floats: Vec<f32> = bytes.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect();
            Ok(Tensor::from_shape(&shape, &floats)?.into())
        };
        let inputs = tvec!(read("vis")?, read("ir")?);
        Ok(Self { plan, inputs, output: None, frames: 0, allocations: 0 })
    }

    fn frame(&self) -> TractResult<TValue> {
        Ok(self.plan.run(self.inputs.clone())?.swap_remove(0))
    }
}

impl Contender for Tract {
    fn run(&mut self, frames: usize, times: &mut Vec<f64>) -> Result<()> {
        times.reserve(frames);
        let before = CountingAllocator::allocations();
        for _ in 0..frames {
            let start = Instant::now();
            let output = self.frame().map_err(|e| anyhow!("{}", e.root_cause()))?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            self.output = Some(output);
        }
        self.allocations += CountingAllocator::allocations() - before;
        self.frames += frames;
        Ok(())
    }

    fn output(&mut self) -> Result<Vec<f32>> {
        let failed = |e: TractError| anyhow!("{}", e.root_cause());
        let out = match &self.output {
            Some(out) => out.clone(),
            None => self.frame().map_err(failed)?,
        };
        Ok(out.try_as_plain_ram().map_err(failed)?.as_slice::<f32>().map_err(failed)?.to_vec())
    }

    fn allocations(&self) -> Option<f64> {
        Some(self.allocations as f64 / self.frames.max(1) as f64)
    }
}
