//! Times every operator of an artifact on one thread, without a compiler at hand:
//! `cargo run --release -p conformance --example profile -- MODEL [HEIGHTxWIDTH [FRAMES]]`.
//!
//! Each line is the shortest time that an operator took in any frame, which a busy machine disturbs least.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::{Duration, Instant};

use fusionproxy_core::executor::{Executor, Moment, Visible};
use fusionproxy_core::frame::{Plane, RgbImage};
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::{Artifact, DType, Op};
use fusionproxy_kernels::{Backend, Pool, Scalar, Shape, macs};

/// The best backend, or the one whose name contains `FUSIONPROXY_BACKEND`.
fn backend() -> &'static dyn Backend {
    let wanted = std::env::var("FUSIONPROXY_BACKEND").unwrap_or_default();
    #[cfg(target_arch = "x86_64")]
    let all = fusionproxy_kernels::x86::backends();
    #[cfg(not(target_arch = "x86_64"))]
    let all = std::iter::empty();
    let scalar: &'static dyn Backend = &Scalar::ALL;
    all.chain([scalar]).find(|b| b.name().contains(&wanted)).unwrap_or(scalar)
}

fn size(text: &str) -> Option<(usize, usize)> {
    let (height, width) = text.split_once('x')?;
    Some((height.parse().ok()?, width.parse().ok()?))
}

/// Window, stride and groups of a convolution.
fn window(op: &Op<'_>) -> String {
    let Op::Conv(c) = op else { return String::new() };
    let w = &c.geometry.window;
    let groups = if c.geometry.groups > 1 { format!(" g{}", c.geometry.groups) } else { String::new() };
    format!("{}x{} s{}{groups}", w.kernel[0], w.kernel[1], w.stride[0])
}

/// `FUSIONPROXY_CACHE`: bytes, or `whole` for no strips. `FUSIONPROXY_ARENA`: bytes that the arena should stay within.
fn schedule() -> Result<Schedule, Box<dyn Error>> {
    let schedule = match std::env::var("FUSIONPROXY_CACHE") {
        Ok(text) if text == "whole" => Schedule::Whole,
        Ok(text) => Schedule::Strips { cache: text.parse()? },
        Err(_) => PlanOptions::default().schedule,
    };
    Ok(match (schedule, std::env::var("FUSIONPROXY_ARENA")) {
        (Schedule::Strips { cache }, Ok(arena)) => Schedule::Within { cache, arena: arena.parse()? },
        _ => schedule,
    })
}

/// `FUSIONPROXY_THREADS`.
fn threads() -> Result<usize, Box<dyn Error>> {
    Ok(std::env::var("FUSIONPROXY_THREADS").map_or(Ok(1), |n| n.parse())?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the path of an .fpx")?;
    let (height, width) = arguments.next().map_or(Some((480, 640)), |s| size(&s)).ok_or("size is HxW")?;
    let frames: usize = arguments.next().map_or(Ok(60), |n| n.parse())?;
    let file = std::fs::read(&path)?;
    let mut memory = vec![0u8; file.len() + 63];
    let start = memory.as_ptr().align_offset(64);
    memory[start..start + file.len()].copy_from_slice(&file);
    let artifact = Artifact::new(&memory[start..start + file.len()])?;
    let backend = backend();

    // Room for every operator to run twice.
    let mut tensors = vec![TensorSlot::EMPTY; artifact.tensor_count() + artifact.op_count()];
    let mut steps = vec![Step::EMPTY; 2 * artifact.op_count()];
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let options = PlanOptions { schedule: schedule()?, workers: threads()? };
    let start = Instant::now();
    let plan = Plan::new(&artifact, height, width, options, backend, storage)?;
    let planned = start.elapsed();
    let pool = Pool::new(options.workers)?;
    let mut arena = vec![0u8; plan.arena_bytes() + 63];
    let start = arena.as_ptr().align_offset(64);
    let mut executor = Executor::new(&plan, &mut arena[start..], backend, &pool)?;

    let (mut visible, mut infrared) = (vec![0; height * width], vec![0; height * width]);
    conformance::pattern(width, 7, &mut visible);
    conformance::pattern(width, 11, &mut infrared);
    let rgb: Vec<u8> = visible.iter().flat_map(|v| [*v; 3]).collect();
    let colour = plan.placement(artifact.visible()).is_some_and(|p| p.layout.shape.channels == 3);

    let mut best = vec![Duration::MAX; artifact.op_count()];
    let mut whole = Duration::MAX;
    let channels = executor.fused_channels();
    let mut fused = vec![0; height * width * channels];
    for _ in 0..frames {
        let infrared = Plane::new(width, height, width, &infrared)?;
        let visible = if colour {
            Visible::from(RgbImage::new(width, height, width * 3, &rgb)?)
        } else {
            Visible::from(Plane::new(width, height, width, &visible)?)
        };
        let mut begun = Instant::now();
        let mut taken = vec![Duration::ZERO; artifact.op_count()];
        executor.run_observed(visible, infrared, &mut |o| match o.moment {
            Moment::Before => begun = Instant::now(),
            Moment::After => taken[o.op] += begun.elapsed(),
        })?;
        for (best, taken) in best.iter_mut().zip(taken) {
            *best = taken.min(*best);
        }
        let start = Instant::now();
        executor.run(visible, infrared, &mut fused, width * channels)?;
        whole = whole.min(start.elapsed());
    }

    println!(
        "{:>9} {:>7} {:>6}  {:<24} {:>15} {:<15} window",
        "us", "GMAC/s", "GB/s", "kernel", "input", "output"
    );
    let shape =
        |id| plan.placement(id).map(|p| (p.layout.shape, p.layout.shape.elements() * p.dtype.bytes()));
    let text = |s: Shape| format!("{}x{}x{}", s.height, s.width, s.channels);
    let mut sum = Duration::ZERO;
    for step in plan.steps() {
        let time = best[step.op()];
        // An operator that runs twice has one time for both.
        let once = !step.is_elided() && !step.is_repeated();
        let Some(entry) = step.entry().filter(|_| once) else { continue };
        let Some((output, mut bytes)) = shape(entry.output) else { continue };
        let input = entry.input(0).and_then(shape).map_or(output, |(s, _)| s);
        bytes += entry.inputs.iter().filter_map(|id| shape(id.get())).map(|(_, b)| b).sum::<usize>();
        let per_nanosecond = |n: f64| n / time.as_nanos().max(1) as f64;
        println!(
            "{:>9.1} {:>7.1} {:>6.1}  {:<24} {:>15} {:<15} {}",
            time.as_nanos() as f64 / 1e3,
            per_nanosecond(macs(&entry.op, input, output) as f64),
            per_nanosecond(bytes as f64),
            backend.kernel(&entry.op, plan.placement(entry.output).map_or(DType::U8, |p| p.dtype)),
            text(input),
            text(output),
            window(&entry.op),
        );
        sum += time;
    }
    println!("operators {:.3} ms, frame {:.3} ms", sum.as_secs_f64() * 1e3, whole.as_secs_f64() * 1e3);
    println!(
        "arena {} B: {} kept, {} of rings and {} of scratch for each of {} workers; planned in {:.3} ms",
        plan.arena_bytes(),
        plan.kept_bytes(),
        plan.ring_bytes(),
        plan.worker_bytes() - plan.ring_bytes(),
        plan.workers(),
        planned.as_secs_f64() * 1e3
    );
    let mut next = 0;
    while let Some(step) = plan.steps().get(next) {
        if let Some(chain) = step.chain() {
            let members = plan.steps().get(step.group()).unwrap_or_default();
            let twice = members.iter().filter(|s| s.is_repeated()).count();
            println!(
                "operators {:?} in {} strips, {twice} of them a second time",
                step.group(),
                chain.strips
            );
        }
        next = step.group().end;
    }
    Ok(())
}
