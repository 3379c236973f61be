//! `fusionproxy demo`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fusionproxy_eval::scene::Condition;
use image::{DynamicImage, RgbImage};
use serde::Serialize;

use super::{Size, model, sheet, synthetic, table, write};
use crate::{
    CountingAllocator, Follow, FrameInfo, Fuser, FuserOptions, GainSettings, InfraredFormat, InfraredFrame,
    Memory, Pool, VisibleFormat, VisibleFrame, threads,
};

/// Frames that are timed.
const FRAMES: u32 = 31;

/// Fuse a built-in synthetic pair and write the pictures.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  fusionproxy demo\n  fusionproxy demo --condition fog --output fog/")]
pub(crate) struct Args {
    /// Folder for the pictures.
    #[arg(short, long, default_value = "fusionproxy-demo")]
    output: PathBuf,
    /// Weather and light: day, dusk, night, fog or glare.
    #[arg(long, default_value = "night", value_parser = condition)]
    condition: Condition,
    /// An .fpx file, or the name of a built-in model.
    #[arg(long, default_value = "ultralight")]
    model: String,
    /// Frame size, HEIGHTxWIDTH in px.
    #[arg(long, default_value = "480x640")]
    size: Size,
    /// Threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    model: String,
    precision: &'static str,
    condition: &'static str,
    height: usize,
    width: usize,
    threads: u16,
    backend: &'static str,
    network_and_frame_path_median_ms: f64,
    arena_bytes: usize,
    allocations_per_frame: f64,
    pictures: Vec<PathBuf>,
}

fn condition(word: &str) -> Result<Condition, String> {
    let names = || Condition::ALL.map(Condition::name).join(", ");
    Condition::ALL.into_iter().find(|c| c.name() == word).ok_or_else(|| format!("there are {}", names()))
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let model = model::open(&args.model)?;
    let artifact = model.artifact()?;
    let Size { height, width } = args.size;
    let pair = synthetic::draw(args.size, args.condition)?;
    let words: Vec<u8> = pair.centikelvin.iter().flat_map(|v| v.to_le_bytes()).collect();
    let visible =
        VisibleFrame::new(VisibleFormat::Rgb8, width, height, width * 3, &pair.visible, FrameInfo::STILL)?;
    let infrared =
        InfraredFrame::new(InfraredFormat::Y16, width, height, width * 2, &words, FrameInfo::STILL)?;

    let pool = Pool::new(usize::from(args.threads))?;
    let mut memory = Memory::default();
    let options = FuserOptions {
        gain: GainSettings { curve: GainSettings::DEFAULT.curve, ..GainSettings::STILL },
        ..FuserOptions::sizes((width, height), (width, height))
    };
    let backend = options.backend.name();
    let mut fuser = Fuser::new(&artifact, &pool, options, &mut memory)?;
    let mut rgb = vec![0; width * height * 3];
    fuser.fuse_following(&visible, &infrared, Follow::Afresh, &mut rgb)?;

    let mut times = [Duration::ZERO; FRAMES as usize];
    let before = CountingAllocator::allocations();
    for time in &mut times {
        let start = Instant::now();
        fuser.fuse_following(&visible, &infrared, Follow::Afresh, &mut rgb)?;
        *time = start.elapsed();
    }
    let allocations = CountingAllocator::allocations() - before;
    times.sort_unstable();

    let picture = |bytes: Vec<u8>| {
        RgbImage::from_raw(width as u32, height as u32, bytes)
            .context("a picture has another size than its frame")
    };
    let grey: Vec<u8> = fuser.infrared()?.data()[..width * height].iter().flat_map(|v| [*v; 3]).collect();
    let [visible, infrared, fused] = [picture(pair.visible)?, picture(grey)?, picture(rgb)?];
    let all = sheet::side_by_side(&[("visible", &visible), ("infrared", &infrared), ("fused", &fused)]);
    let folder = write::make_folder(&args.output)?;
    let mut pictures = Vec::new();
    for (name, image) in [("visible", visible), ("infrared", infrared), ("fused", fused), ("sheet", all)] {
        let path = folder.join(format!("{name}.png"));
        write::picture(&path, &DynamicImage::ImageRgb8(image))?;
        pictures.push(path);
    }

    let report = Report {
        model: artifact.name().to_owned(),
        precision: artifact.precision().name(),
        condition: args.condition.name(),
        height,
        width,
        threads: args.threads,
        backend,
        network_and_frame_path_median_ms: times[times.len() / 2].as_secs_f64() * 1e3,
        arena_bytes: fuser.plan().arena_bytes(),
        allocations_per_frame: allocations as f64 / f64::from(FRAMES),
        pictures,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let r = &report;
    println!(
        "Fused a synthetic {} street with {} {} at {} px.",
        r.condition, r.model, r.precision, args.size
    );
    println!(
        "  latency      {:.2} ms a frame, gain control to RGB (median of {FRAMES}, {} thread(s) of {}, {} kernels)",
        r.network_and_frame_path_median_ms,
        r.threads,
        threads(),
        r.backend
    );
    println!("  arena        {}", table::bytes(r.arena_bytes as u64));
    println!("  allocations  {} per frame", r.allocations_per_frame);
    for path in &r.pictures {
        println!("  wrote        {}", path.display());
    }
    Ok(())
}
