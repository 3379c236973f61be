//! `fusionproxy bench`

mod contender;
mod gate;
mod limits;
mod ours;
mod peer;
mod pin;
mod report;
mod row;
mod tract;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use fusionproxy_eval::scene::Condition;

use self::contender::{Entry, OURS, interleave};
use self::limits::Limits;
use self::ours::{Ours, Prepared};
use self::peer::{Peer, Work};
use self::row::{Row, psnr};
use super::networks::{self, Network, PRECISIONS, Student};
use super::{Size, in_one_line, pairs, synthetic, write};
use crate::{Pool, best_backend};

/// Time the students beside other runtimes and the limits of this machine.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  fusionproxy bench --model ultralight
  fusionproxy bench --model all --size 480x640 --threads 1,2 --peers tract,ort,openvino --html bench.html
  fusionproxy bench --peers tract --json now.json --assert baseline.json

All runtimes take turns frame by frame, pinned to the same cores, on the same picture; the output of each is compared with
the f32 network. tract is built in; the other peers are programs in --peer-dir, which `cargo xtask suite` installs.
--assert compares with an earlier --json: ratios to the fastest peer, allocations, memory and PSNR, not milliseconds.")]
pub(crate) struct Args {
    /// Models: `all`, names, .onnx or .fpx files.
    #[arg(long, value_delimiter = ',', default_value = "all")]
    model: Vec<String>,
    /// Folder of the released models, NAME/NAME.onnx and so on.
    #[arg(long, value_name = "DIR", default_value = "models")]
    model_dir: PathBuf,
    /// Frame size, HEIGHTxWIDTH in px.
    #[arg(long, default_value = "480x640")]
    size: Size,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Vec<u16>,
    /// Runtimes to compare with.
    #[arg(long, value_delimiter = ',', value_enum)]
    peers: Vec<Peer>,
    /// Folder of the peers' programs.
    #[arg(long, value_name = "DIR", default_value = "target/peers")]
    peer_dir: PathBuf,
    /// Frames to time; median and minimum count.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    frames: u32,
    /// Write the rows as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report with charts, one file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Fail where ratios to the peers or exact counts are worse than in this earlier --json.
    #[arg(long, value_name = "FILE")]
    assert: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    args.json.iter().chain(&args.html).try_for_each(|path| write::expect_folder(path))?;
    let baseline = args.assert.as_deref().map(gate::read).transpose()?;
    let students = networks::find(&args.model, &args.model_dir)?;
    let cores = pin::Cores::of_this_process();
    let most = args.threads.iter().copied().max().unwrap_or(1);
    if cores.count() < usize::from(most) {
        bail!(
            "{most} threads are asked for and this process may use {} cores; give fewer --threads",
            cores.count()
        );
    }
    let folder = tempfile::tempdir()?;
    let frames = write_frames(args.size, folder.path())?;
    let bar = pairs::progress_bar(false)?;
    bar.set_message("limits of this machine");
    cores.pin_this(1);
    let limits = Limits::measure()?;

    let mut rows: Vec<Row> = Vec::new();
    for student in &students {
        let mut networks = Vec::new();
        for precision in PRECISIONS {
            bar.set_message(format!("{} {precision}: preparing", student.name));
            match student.network(precision, &frames.calibration)? {
                Some(network) => networks.push(network),
                None => bar.suspend(|| {
                    eprintln!(
                        "notice: {} has no ONNX network here, so there is no {precision}",
                        student.name
                    );
                }),
            }
        }
        if let Some(why) = unfit(&networks, args.size)? {
            bar.suspend(|| eprintln!("notice: {} is left out: {why}", student.name));
            continue;
        }
        for &threads in &args.threads {
            bar.set_message(format!("{}, {threads} thread(s)", student.name));
            rows.extend(measure(args, student, &networks, threads, &frames, &cores, &bar)?);
        }
    }
    bar.finish_and_clear();
    if rows.is_empty() {
        bail!("nothing could be measured at {} px", args.size);
    }
    let report = report::Report { rows: &rows, limits: &limits, args, pinned: cores.can_pin() };
    // Before anything is printed: whoever reads that may have left.
    if let Some(path) = &args.json {
        write::file(path, &serde_json::to_vec_pretty(&rows)?)?;
    }
    if let Some(path) = &args.html {
        write::file(path, report.html().as_bytes())?;
    }
    print!("{}", report.markdown());
    let Some(mut baseline) = baseline else { return Ok(()) };
    baseline.retain(|r| {
        let size = (r.height, r.width) == (args.size.height, args.size.width);
        size && args.threads.contains(&r.threads) && students.iter().any(|s| s.name == r.model)
    });
    if baseline.is_empty() {
        bail!(
            "the baseline has no row of what was measured; give the --model, --size and --threads of its run"
        );
    }
    let peers: Vec<&str> = args.peers.iter().map(|p| p.name()).collect();
    gate::hold(&rows, &baseline, &peers)
}

/// Why a student cannot run at `size`.
fn unfit(networks: &[Network], size: Size) -> Result<Option<String>> {
    let Some(network) = networks.first() else { return Ok(Some("it has no network at hand".to_owned())) };
    Ok(match network.model.artifact()?.fixed_size() {
        Some((h, w)) if (h, w) != (size.height, size.width) => Some(format!("it runs at {h}x{w} px only")),
        _ => None,
    })
}

/// Times one student on `threads` threads in all precisions and runtimes, in turns.
fn measure(
    args: &Args,
    student: &Student,
    networks: &[Network],
    threads: u16,
    frames: &Frames<'_>,
    cores: &pin::Cores,
    bar: &indicatif::ProgressBar,
) -> Result<Vec<Row>> {
    let count = usize::from(threads);
    cores.pin_this(count);
    let pool = Pool::new(count)?;
    let mut prepared: Vec<Prepared<'_>> =
        networks.iter().map(|n| Prepared::new(n, &pool)).collect::<Result<_>>()?;
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for p in &mut prepared {
        entries.push(Entry::ours(Ours::new(p, args.size, &frames.pair)?));
    }
    let exact = match entries.iter_mut().find(|e| e.precision == "f32") {
        Some(e) => Some(e.contender.output()?),
        None => None,
    };
    for peer in &args.peers {
        for &precision in peer.precisions() {
            let work = Work { student, precision, size: args.size, threads: count, frames: frames.folder };
            match peer.start(&work, &args.peer_dir, cores) {
                Ok(contender) => {
                    entries.push(Entry { runtime: peer.name(), ..Entry::new(precision, contender) });
                }
                Err(error) => bar.suspend(|| {
                    eprintln!(
                        "notice: {} {precision} of {} is not measured: {}",
                        peer.name(),
                        student.name,
                        in_one_line(&error)
                    );
                }),
            }
        }
    }
    for lost in interleave(&mut entries, args.frames as usize, bar) {
        bar.suspend(|| eprintln!("notice: {lost}"));
    }
    let mut rows = Vec::with_capacity(entries.len());
    for mut e in entries {
        match finish(&mut e, student, args.size, threads, exact.as_deref()) {
            Ok(row) => rows.push(row),
            Err(error) if e.runtime == OURS => return Err(error),
            Err(error) => {
                bar.suspend(|| {
                    eprintln!("notice: {} {} is lost: {}", e.runtime, e.precision, in_one_line(&error));
                });
            }
        }
    }
    Ok(rows)
}

/// The row of an entry that has run; `exact` is the f32 network's frame.
fn finish(
    e: &mut Entry<'_>,
    student: &Student,
    size: Size,
    threads: u16,
    exact: Option<&[f32]>,
) -> Result<Row> {
    let output = e.contender.output()?;
    e.times.sort_by(f64::total_cmp);
    Ok(Row {
        runtime: e.runtime.to_owned(),
        model: student.name.clone(),
        precision: e.precision.to_owned(),
        height: size.height,
        width: size.width,
        threads,
        median_ms: e.times.get(e.times.len() / 2).copied().unwrap_or(f64::NAN),
        min_ms: e.times.first().copied().unwrap_or(f64::NAN),
        allocations: e.contender.allocations(),
        arena_bytes: e.arena_bytes,
        weights_bytes: e.weights_bytes,
        psnr_f32: exact.map(|exact| psnr(exact, &output)).transpose()?,
        macs: e.cost.map(|c| c.macs),
        bytes_moved: e.cost.map(|c| c.bytes_moved),
    })
}

/// The frames that everyone fuses, and calibrates by.
struct Frames<'f> {
    folder: &'f Path,
    pair: synthetic::Pair,
    calibration: Vec<fusionproxy_compiler::CalibrationPair>,
}

/// Draws synthetic pairs and writes them as the peers read them: `N.vis.f32` (luma) and `N.ir.f32`, rows of little-endian
/// f32 in 0…1; pair 0 is the one that is timed.
fn write_frames(size: Size, folder: &Path) -> Result<Frames<'_>> {
    let mut calibration = Vec::new();
    for (i, condition) in Condition::ALL.into_iter().enumerate() {
        let pair = synthetic::draw(size, condition)?;
        for (band, bytes) in [("vis", &pair.luma), ("ir", &pair.infrared)] {
            let floats: Vec<u8> = bytes.iter().flat_map(|v| (f32::from(*v) / 255.0).to_le_bytes()).collect();
            std::fs::write(folder.join(format!("{i}.{band}.f32")), floats)?;
        }
        calibration.push(fusionproxy_compiler::CalibrationPair {
            name: condition.name().to_owned(),
            width: size.width,
            height: size.height,
            visible_rgb: pair.visible,
            infrared: pair.infrared,
        });
    }
    Ok(Frames { folder, pair: synthetic::draw(size, Condition::ALL[0])?, calibration })
}

/// Name of the kernels that measure.
fn kernels() -> &'static str {
    best_backend().name()
}
