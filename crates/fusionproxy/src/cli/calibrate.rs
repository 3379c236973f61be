//! `fusionproxy calibrate`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use fusionproxy_calibrate::{BLOCKS, Pair, Picture, calibrate};
use fusionproxy_core::align::Model;
use fusionproxy_core::frame::Plane;
use fusionproxy_eval::pairs::{Infrared, Pairing, Rgb8, Samples};
use image::{DynamicImage, Rgb, RgbImage};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{sheet, write};
use crate::{Calibration, Warp};

/// Find where the infrared camera looks within the visible one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  fusionproxy calibrate --vis vis/ --ir ir/ -o rig.txt
  fusionproxy calibrate --vis vis/ --ir ir/ -o rig.txt --model affine --picture check.png
  fusionproxy fuse --vis street.jpg --ir street_ir.png --calibration rig.txt -o fused.png

The two folders hold a few frames of one rig, paired by file name: no target is needed, but people, cars or buildings
all over the frame, at the distance that matters. Firmware, daemon and `fuse` read the file that this writes.")]
pub(crate) struct Args {
    /// Folder of visible frames.
    #[arg(long)]
    vis: PathBuf,
    /// Folder of infrared frames (8 or 16 bit grey), of the same names.
    #[arg(long)]
    ir: PathBuf,
    /// Calibration file to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Kind of map.
    #[arg(long, value_enum, default_value_t = Kind::Homography)]
    model: Kind,
    /// Pairs to use, spread evenly over the folders.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=200))]
    pairs: u16,
    /// Picture to write: one pair before and after, infrared in red over the visible frame in cyan.
    #[arg(long)]
    picture: Option<PathBuf>,
    /// Print a JSON report.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Shift, scale, rotation and shear.
    Affine,
    /// Perspective too.
    Homography,
}

#[derive(Serialize)]
struct Report {
    output: PathBuf,
    pairs: usize,
    model: &'static str,
    infrared: (usize, usize),
    visible: (usize, usize),
    matrix: [f32; 9],
    rms_error_px: f32,
    correlation: f64,
    blocks: usize,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(picture) = &args.picture {
        write::picture_format(picture)?;
    }
    args.picture.iter().chain([&args.output]).try_for_each(|path| write::expect_folder(path))?;
    let found = Pairing::of(&args.vis, &args.ir)?;
    if let Some(notice) = found.notice() {
        eprintln!("notice: {notice}");
    }
    let step = found.pairs.len().div_ceil(usize::from(args.pairs)).max(1);
    let loaded: Vec<_> =
        found.pairs.iter().step_by(step).map(|p| Ok((p.name.clone(), p.load()?))).collect::<Result<_>>()?;
    let pairs: Vec<Pair> =
        loaded.iter().map(|(name, (vis, ir))| pair(name, vis, ir)).collect::<Result<_>>()?;
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(1) };
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} resolutions ({elapsed})")?);
    let (model, name) = match args.model {
        Kind::Affine => (Model::Affine, "affine"),
        Kind::Homography => (Model::Homography, "homography"),
    };
    let found = calibrate(&pairs, model, &mut |step, of| {
        bar.set_length(of as u64);
        bar.set_position(step as u64);
    })?;
    bar.finish_and_clear();
    write::file(&args.output, found.calibration.to_string().as_bytes())?;
    if let Some(path) = &args.picture {
        let (_, (vis, ir)) = &loaded[loaded.len() / 2];
        write::picture(path, &DynamicImage::ImageRgb8(before_and_after(vis, ir, &found.calibration)?))?;
    }
    let c = &found.calibration;
    let report = Report {
        output: args.output.clone(),
        pairs: pairs.len(),
        model: name,
        infrared: c.infrared(),
        visible: c.visible(),
        matrix: c.matrix(),
        rms_error_px: c.rms_error_px(),
        correlation: found.correlation,
        blocks: found.blocks,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let [a, _, x, d, _, y, ..] = report.matrix;
    println!("{}: {name} of {} pairs", args.output.display(), report.pairs);
    println!(
        "  error         {:.1} px of the visible frame (root mean square of {} of {BLOCKS} parts)",
        report.rms_error_px, report.blocks
    );
    println!(
        "  infrared px   {:.3} visible px, turned by {:.2} degrees",
        a.hypot(d),
        d.atan2(a).to_degrees()
    );
    println!("  its corner    at {x:.1}, {y:.1} px of the visible frame");
    if report.correlation < 0.1 {
        println!("  the edges of the two bands agree weakly ({:.2}): look at --picture", report.correlation);
    }
    Ok(())
}

fn pair(name: &str, visible: &Rgb8, infrared: &Infrared) -> Result<Pair> {
    let damaged = || format!("{name}: a frame with another number of pixels than its size says");
    let thermal = match &infrared.samples {
        Samples::Grey8(v) => Picture::new(infrared.width, infrared.height, v.iter().copied()),
        Samples::Grey16(v) => Picture::new(infrared.width, infrared.height, v.iter().copied()),
    };
    Ok(Pair {
        name: name.to_owned(),
        visible: Picture::new(visible.width, visible.height, visible.luma()).with_context(damaged)?,
        infrared: thermal.with_context(damaged)?,
    })
}

/// The pair stretched and the pair aligned.
fn before_and_after(visible: &Rgb8, infrared: &Infrared, calibration: &Calibration) -> Result<RgbImage> {
    let thermal = (infrared.width, infrared.height);
    let bytes: Vec<u8> = match &infrared.samples {
        Samples::Grey8(v) => v.clone(),
        Samples::Grey16(v) => {
            let (lo, hi) = v.iter().fold((u16::MAX, 0), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
            let range = u32::from(hi.saturating_sub(lo)).max(1);
            v.iter().map(|v| (u32::from(v - lo) * 255 / range) as u8).collect()
        }
    };
    let plane = Plane::new(thermal.0, thermal.1, thermal.0, &bytes)?;
    let (width, height) = (visible.width, visible.height);
    let luma = visible.luma();
    let over = |warp: &Warp| -> Result<RgbImage> {
        let mut warped = vec![0; width * height];
        warp.run(&plane, 0..height, &mut warped, width)?;
        Ok(RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let i = y as usize * width + x as usize;
            Rgb([warped[i], luma[i], luma[i]])
        }))
    };
    let before = over(&Warp::resize(thermal, (width, height))?)?;
    let after = over(&Warp::new(calibration))?;
    Ok(sheet::side_by_side(&[("stretched", &before), ("calibrated", &after)]))
}
