//! `fusionproxy fuse`

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use fusionproxy_eval::pairs::{Infrared, Pairing, Rgb8, Samples, load_infrared, load_visible};
use image::{DynamicImage, RgbImage};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{model, pairs, write};
use crate::{
    Artifact, Calibration, Follow, FrameInfo, Fuser, FuserOptions, GainSettings, InfraredFormat,
    InfraredFrame, Memory, Pool, VisibleFormat, VisibleFrame, Warp, threads,
};

/// Fuse image files: one pair, or two folders of pairs with equal names.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  fusionproxy fuse --vis street.jpg --ir street_ir.png -o fused.png
  fusionproxy fuse --vis vis/ --ir ir/ -o fused/
  fusionproxy fuse --vis a.png --ir a16.tiff -o f.png --gain plateau --calibration rig.txt

Folders are paired by file name without ending. Results that are already there are kept, so an interrupted run goes on
where it stopped; --force fuses them again.")]
pub(crate) struct Args {
    /// Visible image, or a folder of them.
    #[arg(long)]
    vis: PathBuf,
    /// Infrared image (8 or 16 bit grey), or a folder of them.
    #[arg(long)]
    ir: PathBuf,
    /// Fused image, or a folder for them.
    #[arg(short, long)]
    output: PathBuf,
    /// An .fpx file, or the name of a built-in model.
    #[arg(long, default_value = "ultralight")]
    model: String,
    /// Threads [default: all].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Infrared-to-visible calibration file.
    #[arg(long)]
    calibration: Option<PathBuf>,
    /// How 16 bit infrared becomes 8 bit.
    #[arg(long, value_enum, default_value_t = Gain::Linear)]
    gain: Gain,
    /// Fuse pairs again whose result is already there.
    #[arg(long)]
    force: bool,
    /// Print a JSON report.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Gain {
    /// Between two percentiles.
    Linear,
    /// Plateau equalisation.
    Plateau,
}

#[derive(Serialize)]
struct Report {
    model: String,
    precision: &'static str,
    pairs: Vec<Row>,
    unpaired: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    output: PathBuf,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase", tag = "status")]
enum Outcome {
    /// Newly written.
    Fused {
        width: usize,
        height: usize,
        ms: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        notice: Option<String>,
    },
    /// Was there already.
    Kept,
    /// Could not be fused.
    Failed { error: String },
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let model = model::open(&args.model)?;
    let artifact = model.artifact()?;
    let calibration = args.calibration.as_deref().map(read_calibration).transpose()?;
    let pool = Pool::new(args.threads.map_or_else(threads, usize::from))?;
    let mut settings = GainSettings::STILL;
    if matches!(args.gain, Gain::Plateau) {
        settings.curve = GainSettings::DEFAULT.curve;
    }
    let job = Job { artifact, calibration, pool, settings };
    match (args.vis.is_dir(), args.ir.is_dir()) {
        (true, true) => folders(args, &job),
        (false, false) => single(args, &job),
        (true, false) => bail!("--vis is a folder and --ir is not; give two files or two folders"),
        (false, true) => bail!("--ir is a folder and --vis is not; give two files or two folders"),
    }
}

/// What all pairs of a run share.
struct Job<'a> {
    artifact: Artifact<'a>,
    calibration: Option<Calibration>,
    pool: Pool,
    settings: GainSettings,
}

fn single(args: &Args, job: &Job<'_>) -> Result<()> {
    let output = if args.output.is_dir() {
        let stem = args.vis.file_stem().context("--vis has no file name")?;
        args.output.join(stem).with_extension("png")
    } else {
        args.output.clone()
    };
    write::picture_format(&output)?;
    for input in [&args.vis, &args.ir] {
        refuse_overwriting(input, &output)?;
    }
    let outcome = job.fuse(&args.vis, &args.ir, &output)?;
    if let Outcome::Fused { notice: Some(notice), .. } = &outcome {
        eprintln!("notice: {notice}");
    }
    let name = args.vis.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let (model, precision) = (job.artifact.name().to_owned(), job.artifact.precision().name());
    let row = Row { name, output, outcome };
    if args.json {
        let report = Report { model, precision, pairs: vec![row], unpaired: Vec::new() };
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else if let Outcome::Fused { ms, width, height, .. } = row.outcome {
        println!("{}: {width}x{height} px, {model} {precision}, {ms:.1} ms", row.output.display());
    }
    Ok(())
}

fn folders(args: &Args, job: &Job<'_>) -> Result<()> {
    for input in [&args.vis, &args.ir] {
        refuse_overwriting(input, &args.output)?;
    }
    let found = Pairing::of(&args.vis, &args.ir)?;
    if let Some(notice) = found.notice() {
        eprintln!("notice: {notice}");
    }
    let folder = write::make_folder(&args.output)?;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({eta} left)")?;
    let bar = if args.json {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(found.pairs.len() as u64).with_style(style)
    };
    let mut rows = Vec::with_capacity(found.pairs.len());
    for pair in &found.pairs {
        bar.set_message(pair.name.clone());
        let output = folder.join(format!("{}.png", pair.name));
        let outcome = if output.is_file() && !args.force {
            Outcome::Kept
        } else {
            match job.fuse(&pair.visible, &pair.infrared, &output) {
                Ok(outcome) => outcome,
                Err(error) => Outcome::Failed { error: super::in_one_line(&error) },
            }
        };
        match &outcome {
            Outcome::Failed { error } => bar.suspend(|| eprintln!("error: {}: {error}", pair.name)),
            Outcome::Fused { notice: Some(n), .. } => bar.suspend(|| eprintln!("notice: {}: {n}", pair.name)),
            _ => {}
        }
        rows.push(Row { name: pair.name.clone(), output, outcome });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let count = |f: fn(&Outcome) -> bool| rows.iter().filter(|r| f(&r.outcome)).count();
    let failed = count(|o| matches!(o, Outcome::Failed { .. }));
    let fused = count(|o| matches!(o, Outcome::Fused { .. }));
    let kept = count(|o| matches!(o, Outcome::Kept));
    if args.json {
        let (model, precision) = (job.artifact.name().to_owned(), job.artifact.precision().name());
        let report = Report {
            model,
            precision,
            pairs: rows,
            unpaired: [found.only_visible, found.only_infrared].concat(),
        };
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}: {fused} fused, {kept} kept, {failed} failed", folder.display());
    }
    if failed > 0 {
        bail!("{failed} of {} pairs could not be fused", found.pairs.len());
    }
    Ok(())
}

impl Job<'_> {
    fn fuse(&self, visible: &Path, infrared: &Path, output: &Path) -> Result<Outcome> {
        let visible = load_visible(visible)?;
        let infrared = load_infrared(infrared)?;
        let (width, height) = (visible.width, visible.height);
        let notice = self.notice(&infrared, (width, height));
        let start = Instant::now();
        let rgb = self.run(&visible, &infrared)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let image = RgbImage::from_raw(width as u32, height as u32, rgb)
            .context("the fused frame has another size")?;
        write::picture(output, &DynamicImage::ImageRgb8(image))?;
        Ok(Outcome::Fused { width, height, ms, notice })
    }

    /// What a user should know about an infrared image.
    fn notice(&self, infrared: &Infrared, size: (usize, usize)) -> Option<String> {
        let stretched = (infrared.width, infrared.height) != size;
        match (pairs::notice(infrared, size)?, stretched, &self.calibration) {
            (_, true, Some(_)) => None,
            (text, true, None) => Some(text + "; give --calibration if they do not show the same view"),
            (text, false, _) => Some(text),
        }
    }

    fn run(&self, visible: &Rgb8, infrared: &Infrared) -> Result<Vec<u8>> {
        let (size, thermal) = ((visible.width, visible.height), (infrared.width, infrared.height));
        let warp = match &self.calibration {
            Some(c) => Some(Warp::new(&c.rescaled(thermal, size)?)),
            None => None,
        };
        let frame = VisibleFrame::new(
            VisibleFormat::Rgb8,
            size.0,
            size.1,
            size.0 * 3,
            &visible.data,
            FrameInfo::STILL,
        )?;
        let words: Vec<u8>;
        let (format, stride, bytes) = match &infrared.samples {
            Samples::Grey8(bytes) => (InfraredFormat::Grey8, thermal.0, bytes),
            Samples::Grey16(samples) => {
                words = samples.iter().flat_map(|v| v.to_le_bytes()).collect();
                (InfraredFormat::Y16, thermal.0 * 2, &words)
            }
        };
        let infrared = InfraredFrame::new(format, thermal.0, thermal.1, stride, bytes, FrameInfo::STILL)?;
        let mut memory = Memory::default();
        let options = FuserOptions { gain: self.settings, warp, ..FuserOptions::sizes(size, thermal) };
        let mut fuser = Fuser::new(&self.artifact, &self.pool, options, &mut memory)?;
        let mut rgb = vec![0; size.0 * size.1 * 3];
        fuser.fuse_following(&frame, &infrared, Follow::Afresh, &mut rgb)?;
        Ok(rgb)
    }
}

fn read_calibration(path: &Path) -> Result<Calibration> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read calibration {}", path.display()))?;
    text.parse().map_err(|e| anyhow::anyhow!("calibration {}: {e}", path.display()))
}

/// An output that is an input would destroy it.
fn refuse_overwriting(input: &Path, output: &Path) -> Result<()> {
    if let (Ok(i), Ok(o)) = (input.canonicalize(), output.canonicalize())
        && i == o
    {
        bail!("the output {} is an input; name another", output.display());
    }
    Ok(())
}
