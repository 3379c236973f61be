//! `fusionproxy explain`

use std::time::{Duration, Instant};

use anyhow::Result;
use fusionproxy_core::executor::{Executor, Moment, Visible};
use fusionproxy_core::frame::{Plane, RgbImage};
use fusionproxy_core::plan::{Plan, Step};
use serde::Serialize;

use super::peak;
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
    peak_gmac_per_s: f64,
    chains: Vec<Chain>,
    operators: Vec<Row>,
}

/// Operators that run depth-first, strip by strip.
#[derive(Serialize)]
struct Chain {
    operators: Vec<usize>,
    strips: u32,
    ms: f64,
}

#[derive(Serialize)]
struct Row {
    op: usize,
    name: String,
    kind: &'static str,
    dtype: &'static str,
    kernel: &'static str,
    output: [usize; 3],
    /// Number of its chain; none if it runs over the whole frame at once.
    chain: Option<usize>,
    ms: f64,
    gmac_per_s: f64,
    /// Bytes read and written a second.
    gb_per_s: f64,
    /// Of `peak_gmac_per_s`.
    share_of_peak: f64,
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
        let mut taken = vec![Duration::ZERO; ops];
        executor.run_observed(visible, infrared, &mut |o| match o.moment {
            Moment::Before => started = Instant::now(),
            Moment::After if o.elided => {}
            Moment::After => taken[o.op] += started.elapsed(),
        })?;
        for (times, taken) in times.iter_mut().zip(taken) {
            times.push(taken);
        }
    }
    let times: Vec<f64> = times.iter_mut().map(|times| median_ms(times)).collect();
    let precision = artifact.tensor(artifact.fused())?.dtype;
    let peak = peak::gmac_per_s(backend, precision)?;
    let (chains, in_chain) = chains(&plan, &times);

    let mut operators = Vec::with_capacity(ops);
    for step in plan.steps() {
        let op = step.op();
        let (entry, ms) = (artifact.op(op)?, times[op]);
        let shape = planned::shape(&plan, entry.output).map_or([0; 3], |s| [s.height, s.width, s.channels]);
        let dtype = artifact.tensor(entry.output)?.dtype;
        let per_s = |amount: u64| if ms > 0.0 { amount as f64 / ms / 1e6 } else { 0.0 };
        let gmac_per_s = per_s(planned::op_macs(&plan, &entry));
        operators.push(Row {
            op,
            name: entry.name.to_owned(),
            kind: entry.op.kind().name(),
            dtype: dtype.name(),
            kernel: if step.is_elided() { "none (in place)" } else { backend.kernel(&entry.op, dtype) },
            output: shape,
            chain: in_chain[op],
            ms,
            gmac_per_s,
            gb_per_s: per_s(planned::op_bytes(&plan, &entry)),
            share_of_peak: gmac_per_s / peak,
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
        peak_gmac_per_s: peak,
        chains,
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
    println!(
        "chains run strip by strip; operators outside of them, over the whole frame. Peak: {:.0} GMAC/s in a 1x1 convolution \
         of 256 channels out of the cache, one thread\n",
        r.peak_gmac_per_s
    );
    let total: f64 = r.operators.iter().map(|o| o.ms).sum();
    let share = |ms: f64| format!("{:.1}", 100.0 * ms / total.max(f64::MIN_POSITIVE));
    let mut t = Table::new(&["chain", ">operators", ">strips", ">ms", ">%"]);
    for (i, c) in r.chains.iter().enumerate() {
        let cells =
            [c.operators.len().to_string(), c.strips.to_string(), format!("{:.3}", c.ms), share(c.ms)];
        t.row([letter(i)].into_iter().chain(cells));
    }
    println!("{t}");
    let mut t = Table::new(&[
        ">#",
        "chain",
        "operator",
        "type",
        "output",
        "kernel",
        ">ms",
        ">%",
        ">GMAC/s",
        ">of peak",
        ">GB/s",
        "ONNX node",
    ]);
    for o in &r.operators {
        let [h, w, c] = o.output;
        let positive = |v: f64, text: String| if v > 0.0 { text } else { String::new() };
        t.row([
            o.op.to_string(),
            o.chain.map_or_else(String::new, letter),
            o.kind.into(),
            o.dtype.into(),
            format!("{h}x{w}x{c}"),
            o.kernel.into(),
            format!("{:.3}", o.ms),
            share(o.ms),
            positive(o.gmac_per_s, format!("{:.1}", o.gmac_per_s)),
            positive(o.gmac_per_s, format!("{:.0} %", 100.0 * o.share_of_peak)),
            positive(o.gb_per_s, format!("{:.1}", o.gb_per_s)),
            o.name.clone(),
        ]);
    }
    print!("{t}");
}

/// Chains by letter.
fn letter(i: usize) -> String {
    super::plan::letter(i).to_string()
}

/// The plan's chains, and for each operator the number of its chain.
fn chains(plan: &Plan<'_, '_>, times: &[f64]) -> (Vec<Chain>, Vec<Option<usize>>) {
    let steps = plan.steps();
    let (mut chains, mut of): (Vec<Chain>, _) = (Vec::new(), vec![None; times.len()]);
    let mut next = 0;
    while let Some(step) = steps.get(next) {
        if let Some(chain) = step.chain() {
            let operators: Vec<usize> = steps[step.group()].iter().map(Step::op).collect();
            for op in &operators {
                of[*op] = Some(chains.len());
            }
            let ms = operators.iter().map(|op| times[*op]).sum();
            chains.push(Chain { operators, strips: chain.strips, ms });
        }
        next = step.group().end;
    }
    (chains, of)
}

/// The median in ms; sorts.
fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |d| d.as_secs_f64() * 1e3)
}
