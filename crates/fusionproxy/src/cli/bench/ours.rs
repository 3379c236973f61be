//! Our own runtime.

use std::time::Instant;

use anyhow::Result;
use fusionproxy_core::executor::{Executor, Visible};
use fusionproxy_core::frame::{Plane, RgbImage};
use fusionproxy_core::plan::{PlanOptions, Schedule};
use fusionproxy_format::Artifact;
use fusionproxy_kernels::Workers;

use super::contender::Contender;
use crate::cli::networks::Network;
use crate::cli::planned::{Cost, Tables, cost};
use crate::cli::{Size, synthetic};
use crate::{AlignedBytes, Backend, CountingAllocator, Pool, best_backend};

/// What an executor borrows.
pub(super) struct Prepared<'n> {
    precision: &'static str,
    artifact: Artifact<'n>,
    pool: &'n Pool,
    tables: Tables<'n>,
    arena: AlignedBytes,
}

impl<'n> Prepared<'n> {
    pub(super) fn new(network: &'n Network, pool: &'n Pool) -> Result<Self> {
        let artifact = network.model.artifact()?;
        let (tables, arena) = (Tables::default(), AlignedBytes::default());
        Ok(Self { precision: network.precision, artifact, pool, tables, arena })
    }
}

/// The fused frame before it is rounded to 8 bits, which only a plan of whole tensors keeps.
fn unrounded(
    artifact: &Artifact<'_>,
    pool: &Pool,
    size: Size,
    visible: Visible<'_>,
    infrared: Plane<'_>,
) -> Result<Vec<f32>> {
    let mut tables = Tables::default();
    let options = PlanOptions { workers: pool.count(), schedule: Schedule::Whole };
    let plan = tables.plan_with(artifact, size, options, best_backend())?;
    let mut arena = AlignedBytes::zeroed(plan.arena_bytes());
    let mut executor = Executor::new(&plan, arena.as_mut(), best_backend(), pool)?;
    let stride = size.width * executor.fused_channels();
    executor.run(visible, infrared, &mut vec![0; size.height * stride], stride)?;
    let mut out = vec![0.0; size.height * stride];
    executor.read_fused_f32(&mut out)?;
    Ok(out)
}

/// An executor with the frame that it fuses.
pub(super) struct Ours<'p> {
    pub(super) precision: &'static str,
    pub(super) weights_bytes: usize,
    pub(super) cost: Cost,
    executor: Executor<'p, 'p, 'p, &'static dyn Backend, Pool>,
    visible: Visible<'p>,
    infrared: Plane<'p>,
    fused: Vec<u8>,
    stride: usize,
    /// The result before it is rounded to 8 bits.
    exact: Vec<f32>,
    frames: usize,
    allocations: u64,
}

impl<'p> Ours<'p> {
    /// Plans for frames of `size`.
    pub(super) fn new(prepared: &'p mut Prepared<'_>, size: Size, pair: &'p synthetic::Pair) -> Result<Self> {
        let Size { height, width } = size;
        let Prepared { precision, artifact, pool, tables, arena } = prepared;
        let visible = match artifact.tensor(artifact.visible())?.channels {
            3 => Visible::Rgb(RgbImage::new(width, height, width * 3, &pair.visible)?),
            _ => Visible::Luma(Plane::new(width, height, width, &pair.luma)?),
        };
        let infrared = Plane::new(width, height, width, &pair.infrared)?;
        let exact = unrounded(artifact, pool, size, visible, infrared)?;
        let plan = tables.plan(artifact, size, pool.count(), best_backend())?;
        *arena = AlignedBytes::zeroed(plan.arena_bytes());
        let executor = Executor::new(&plan, arena.as_mut(), best_backend(), *pool)?;
        let stride = width * executor.fused_channels();
        Ok(Self {
            precision: *precision,
            weights_bytes: artifact.data_bytes(),
            cost: cost(&plan),
            executor,
            visible,
            infrared,
            fused: vec![0; height * stride],
            stride,
            exact,
            frames: 0,
            allocations: 0,
        })
    }

    /// Size of the arena.
    pub(super) fn arena_bytes(&self) -> usize {
        self.executor.plan().arena_bytes()
    }
}

impl Contender for Ours<'_> {
    fn run(&mut self, frames: usize, times: &mut Vec<f64>) -> Result<()> {
        times.reserve(frames);
        let before = CountingAllocator::allocations();
        for _ in 0..frames {
            let start = Instant::now();
            self.executor.run(self.visible, self.infrared, &mut self.fused, self.stride)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        self.allocations += CountingAllocator::allocations() - before;
        self.frames += frames;
        Ok(())
    }

    fn output(&mut self) -> Result<Vec<f32>> {
        Ok(self.exact.clone())
    }

    fn allocations(&self) -> Option<f64> {
        Some(self.allocations as f64 / self.frames.max(1) as f64)
    }
}
