//! `fusionproxy validate`

mod baselines;
mod detector;
mod report;
mod row;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use fusionproxy_compiler::CalibrationPair;
use indicatif::ProgressBar;

use self::detector::Detector;
use self::row::{Judge, Row};
use super::frame::Runner;
use super::networks::{self, Network, PRECISIONS, Student};
use super::{in_one_line, pairs, write};
use crate::Pool;

/// Judge the students on a folder of pairs: distance to a reference, fusion metrics, a frozen detector.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  fusionproxy validate --pairs pairs/ --models all --html report.html
  fusionproxy validate --pairs pairs/ --models ultralight,net.onnx --reference ultralight --json rows.json
  fusionproxy validate --pairs pairs/ --teachers teachers/ --detector yolox.onnx

Every model is judged in f32 (its ONNX network, compiled), fp16 and int8 (as released beside it), beside the baselines
visible, infrared, average, maximum and, with --teachers, the teachers. PAIRS has the folders vis and ir, paired by file
name. --detector needs PAIRS/labels with classes.txt and NAME.txt in YOLO's format for some of the pairs; AP50 is the mean
over their classes, recall counts boxes with a score of at least 0.25. All metrics are means over the pairs, on luma of
8 bits; PSNR of equal frames counts as 100 dB. median_ms is the network's time, the median over the pairs: `bench` is more
exact.")]
pub(crate) struct Args {
    /// Folder with vis/ and ir/.
    #[arg(long, value_name = "DIR")]
    pairs: PathBuf,
    /// Models: `all`, names, .onnx or .fpx files.
    #[arg(long, value_delimiter = ',', default_value = "all")]
    models: Vec<String>,
    /// Model whose f32 frames the others are compared with.
    #[arg(long, default_value = "convnextv2")]
    reference: String,
    /// Folder of the released models, NAME/NAME.onnx and so on.
    #[arg(long, value_name = "DIR", default_value = "models")]
    model_dir: PathBuf,
    /// Folder with one folder a teacher: fused luma pictures NAME.png, or several samples NAME.SAMPLE.png.
    #[arg(long, value_name = "DIR")]
    teachers: Option<PathBuf>,
    /// ONNX object detector of the YOLOX or YOLOv8 kind.
    #[arg(long, value_name = "FILE")]
    detector: Option<PathBuf>,
    /// Pairs to calibrate by where no int8 artifact is beside an ONNX network.
    #[arg(long, value_name = "DIR")]
    calibrate: Option<PathBuf>,
    /// Scale the pairs down so that no side is longer, px.
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(41..))]
    long_side: Option<u32>,
    /// Threads of the networks.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Write the rows as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report with pictures and charts, one file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Pairs to show in the report, spread evenly.
    #[arg(long, default_value_t = 12)]
    pictures: usize,
}

/// Fused frames of all pairs by one method.
pub(crate) struct Frames {
    name: String,
    precision: Option<&'static str>,
    params: Option<u64>,
    artifact_bytes: Option<usize>,
    luma: Vec<Vec<u8>>,
    /// The network's time for each frame.
    times: Vec<Duration>,
    /// Infrared alone has no colour.
    grey: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    args.json.iter().chain(&args.html).try_for_each(|path| write::expect_folder(path))?;
    let students = networks::find(&args.models, &args.model_dir)?;
    let detector = args.detector.as_deref().map(Detector::open).transpose()?;
    let calibration = match &args.calibrate {
        Some(folder) => pairs::load("--calibrate", folder, 32, false)?,
        None => Vec::new(),
    };
    let mut pairs = pairs::load("--pairs", &args.pairs, usize::MAX, false)?;
    if let Some(most) = args.long_side {
        for pair in &mut pairs {
            *pair = baselines::scaled(pair, most as usize)?;
        }
    }
    let labels = detector.as_ref().map(|d| d.labels(&args.pairs.join("labels"), &pairs)).transpose()?;
    let teachers = match &args.teachers {
        Some(folder) => baselines::teachers(folder, &pairs)?,
        None => Vec::new(),
    };
    let pool = Pool::new(usize::from(args.threads))?;
    let bar = pairs::progress_bar(false)?;
    bar.set_length(((students.len() * PRECISIONS.len() + 5 + teachers.len()) * pairs.len()) as u64);

    let reference = reference(args, &students, &pairs, &pool, &bar)?;
    let mean = baselines::mean(&teachers, pairs.len());
    let baselines: Vec<Frames> = baselines::simple(&pairs).into_iter().chain(teachers).chain(mean).collect();
    let judge = Judge {
        pairs: &pairs,
        reference: reference.as_ref().map(|f| &f.luma[..]),
        mean: baselines.iter().find(|f| f.name == baselines::MEAN).map(|f| &f.luma[..]),
        detector: detector.as_ref().zip(labels.as_deref()),
        bar: &bar,
    };
    let mut rows = baselines.iter().map(|f| judge.row(f, None)).collect::<Result<Vec<Row>>>()?;
    let mut shipped = Vec::new();
    for student in &students {
        let mut done: Vec<Frames> = Vec::new();
        for precision in PRECISIONS {
            let Some(network) = student.network(precision, &calibration)? else {
                bar.suspend(|| eprintln!("notice: {}", missing(student, precision)));
                continue;
            };
            let frames = fuse(&student.name, &network, &pairs, &pool, &bar)?;
            // f32 comes first; its frames are the measure of the student's own precisions, itself included.
            let exact = if precision == "f32" { Some(&frames) } else { done.first().filter(|f| f.is_f32()) };
            rows.push(judge.row(&frames, exact.map(|f| &f.luma[..]))?);
            done.push(frames);
        }
        // What ships is shown: int8 where there is one.
        shipped.extend(done.pop());
    }
    bar.finish_and_clear();
    let report = report::Report { rows: &rows, pairs: &pairs, reference: reference.as_ref(), args };
    // Before anything is printed: whoever reads that may have left.
    if let Some(path) = &args.json {
        write::file(path, &serde_json::to_vec_pretty(&rows)?)?;
    }
    if let Some(path) = &args.html {
        write::file(path, report.html(baselines.iter().chain(&shipped))?.as_bytes())?;
    }
    print!("{}", report.markdown());
    Ok(())
}

impl Frames {
    fn is_f32(&self) -> bool {
        self.precision == Some("f32")
    }
}

/// The f32 frames that all are compared with: those of `--reference`, or of the first model that has any.
fn reference(
    args: &Args,
    students: &[Student],
    pairs: &[CalibrationPair],
    pool: &Pool,
    bar: &ProgressBar,
) -> Result<Option<Frames>> {
    let own = students.iter().find(|s| s.name == args.reference).cloned();
    let asked = match own {
        Some(student) => Ok(student),
        None => networks::find(std::slice::from_ref(&args.reference), &args.model_dir)
            .and_then(|found| found.into_iter().next().context("no such model")),
    };
    let usable = |s: &Student| s.onnx.is_some();
    let (student, why) = match asked {
        Ok(student) if usable(&student) => (Some(student), None),
        Ok(_) => (students.iter().find(|s| usable(s)).cloned(), Some("has no ONNX network here".to_owned())),
        Err(error) => (
            students.iter().find(|s| usable(s)).cloned(),
            Some(format!("is not released ({})", in_one_line(&error))),
        ),
    };
    if let Some(why) = why {
        let instead = student.as_ref().map_or_else(
            || "no model here has one, so the columns to the reference stay empty".to_owned(),
            |s| format!("`{}` is the reference instead", s.name),
        );
        eprintln!("notice: the reference `{}` {why}; {instead}", args.reference);
    }
    let Some(student) = student else { return Ok(None) };
    let network = student.network("f32", &[])?.context("an ONNX network compiles for f32")?;
    bar.inc_length(pairs.len() as u64);
    Ok(Some(fuse(&student.name, &network, pairs, pool, bar)?))
}

/// Why a student has no row in `precision`.
fn missing(student: &Student, precision: &str) -> String {
    let name = &student.name;
    match &student.onnx {
        None => format!(
            "{name} is not judged in {precision}: no ONNX network and no {precision} artifact are at hand"
        ),
        Some(onnx) => format!(
            "{name} is not judged in {precision}: there is no {} and no --calibrate to make one by",
            onnx.with_extension(format!("{precision}.fpx")).display()
        ),
    }
}

fn fuse(
    name: &str,
    network: &Network,
    pairs: &[CalibrationPair],
    pool: &Pool,
    bar: &ProgressBar,
) -> Result<Frames> {
    let artifact = network.model.artifact()?;
    bar.set_message(format!("{name} {}", network.precision));
    let mut runner = Runner::new(&network.model, pool);
    let (mut luma, mut times) = (Vec::with_capacity(pairs.len()), Vec::with_capacity(pairs.len()));
    for pair in pairs {
        let fused =
            runner.fuse(pair).with_context(|| format!("{name} {} on {}", network.precision, pair.name))?;
        luma.push(fused.luma);
        times.push(fused.time);
    }
    Ok(Frames {
        name: name.to_owned(),
        precision: Some(network.precision),
        params: Some(artifact.params()),
        artifact_bytes: Some(artifact.bytes()),
        luma,
        times,
        grey: false,
    })
}
