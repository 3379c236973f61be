//! `fusionproxy explain`

use std::time::{Duration, Instant};

use anyhow::Result;
use fusionproxy_core::executor::{Executor, Moment, Visible};
use fusionproxy_core::frame::{Plane, RgbImage};
use serde::Serialize;

use super::planned::{self, Tables, default_size};
use super::table::Table;
use super::{Size, model, synthetic};
use crate::{AlignedBytes, CountingAllocator, Pool, best_backend};

/// Show which kernel runs each operator, and where the time goes.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  fusionproxy explain ultralight --size 480x640\n  fusionproxy explain net.fpx --threads 2 --json"
)]
pub(crate) struct Args {
    /// An .fpx file, or the name of a built-in model.
    model: String,
    /// Frame size, HEIGHTxWIDTH in px [default: 480x640, or what the model is pinned to].
    #[arg(long)]
    size: Option<Size>,
    /// Threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Frames to time; the median counts.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    frames: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    model: String,
    precision: &'static str,
    height: usize,
    width: usize,
    threads: u16,
    backend: &'static str,
    median_ms: f64,
    min_ms: f64,
    allocations_per_frame: f64,
    arena_bytes: usize,
    operators: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    kind: &'static str,
    dtype: &'static str,
    kernel: &'static str,
    output: [usize; 3],
    ms: f64,
    gmac_per_s: f64,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let model = model::open(&args.model)?;
    let artifact = model.artifact()?;
    let size = args.size.unwrap_or_else(|| default_size(&artifact));
    let backend = best_backend();
    let pool = Pool::new(usize::from(args.threads))?;
    let mut tables = Tables::default();
    let plan = tables.plan(&artifact, size, usize::from(args.threads), backend)?;
    let mut arena = AlignedBytes::zeroed(plan.arena_bytes());
    let mut executor = Executor::new(&plan, arena.as_mut(), backend, &pool)?;

    let Size { height, width } = size;
    let pair = synthetic::pair(size)?;
    let infrared = Plane::new(width, height, width, &pair.infrared)?;
    let visible = match artifact.tensor(artifact.visible())?.channels {
        3 => Visible::Rgb(RgbImage::new(width, height, width * 3, &pair.visible)?),
        _ => Visible::Luma(Plane::new(width, height, width, &pair.luma)?),
    };
    let mut fused = vec![0; width * height * executor.fused_channels()];
    let stride = width * executor.fused_channels();
    executor.run(visible, infrared, &mut fused, stride)?;

    // Whole frames, undisturbed by observers.
    let mut whole = Vec::with_capacity(args.frames as usize);
    let before = CountingAllocator::allocations();
    for _ in 0..args.frames {
        let start = Instant::now();
        executor.run(visible, infrared, &mut fused, stride)?;
        whole.push(start.elapsed());
    }
    let allocations = CountingAllocator::allocations() - before;
    let ops = artifact.op_count();
    let mut times = vec![Vec::with_capacity(args.frames as usize); ops];
    let mut started = Instant::now();
    for _ in 0..args.frames {
        executor.run_observed(visible, infrared, &mut |o| match o.moment {
            Moment::Before => started = Instant::now(),
            Moment::After => times[o.op].push(if o.elided { Duration::ZERO } else { started.elapsed() }),
        })?;
    }

    let mut operators = Vec::with_capacity(ops);
    for (i, times) in times.iter_mut().enumerate() {
        let entry = artifact.op(i)?;
        let shape = planned::shape(&plan, entry.output).map_or([0; 3], |s| [s.height, s.width, s.channels]);
        let dtype = artifact.tensor(entry.output)?.dtype;
        let ms = median_ms(times);
        let elided = plan.steps()[i].is_elided();
        operators.push(Row {
            name: entry.name.to_owned(),
            kind: entry.op.kind().name(),
            dtype: dtype.name(),
            kernel: if elided { "none (in place)" } else { backend.kernel(&entry.op, dtype) },
            output: shape,
            ms,
            gmac_per_s: if ms > 0.0 { planned::op_macs(&plan, &entry) as f64 / ms / 1e6 } else { 0.0 },
        });
    }
    let report = Report {
        model: artifact.name().to_owned(),
        precision: artifact.precision().name(),
        height,
        width,
        threads: args.threads,
        backend: backend.name(),
        median_ms: median_ms(&mut whole),
        min_ms: whole.first().map_or(0.0, |d| d.as_secs_f64() * 1e3),
        allocations_per_frame: allocations as f64 / f64::from(args.frames),
        arena_bytes: plan.arena_bytes(),
        operators,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn print(r: &Report) {
    println!(
        "{} {} at {}x{} px, {} kernels, {} thread(s): {:.2} ms a frame (median), {:.2} ms (min), {} allocations",
        r.model,
        r.precision,
        r.height,
        r.width,
        r.backend,
        r.threads,
        r.median_ms,
        r.min_ms,
        r.allocations_per_frame
    );
    let total: f64 = r.operators.iter().map(|o| o.ms).sum();
    let mut t =
        Table::new(&[">#", "operator", "type", "output", "kernel", ">ms", ">%", ">GMAC/s", "ONNX node"]);
    for (i, o) in r.operators.iter().enumerate() {
        let [h, w, c] = o.output;
        t.row([
            i.to_string(),
            o.kind.into(),
            o.dtype.into(),
            format!("{h}x{w}x{c}"),
            o.kernel.into(),
            format!("{:.3}", o.ms),
            format!("{:.1}", 100.0 * o.ms / total.max(f64::MIN_POSITIVE)),
            if o.gmac_per_s > 0.0 { format!("{:.1}", o.gmac_per_s) } else { String::new() },
            o.name.clone(),
        ]);
    }
    print!("{t}");
}

/// The median in ms; sorts.
fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |d| d.as_secs_f64() * 1e3)
}
