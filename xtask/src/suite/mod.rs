//! The latency suite: every platform that this machine can run or emulate, one report.

mod counts;
mod emulated;
mod gate;
mod markers;
mod native;
mod peers;
mod probe;
mod report;
mod ssh;

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use self::report::Report;
use crate::{board, web};

/// Where results lie until they are written into the repository.
const OUT: &str = "target/suite";
/// This CPU's medians as a chart, for README.md.
const PICTURE: &str = "docs/images/latency.svg";
/// The committed results that later ones are held against.
const BASELINE: &str = "benches/baseline";

/// What `cargo xtask suite` measures, and what becomes of it.
#[derive(clap::Args)]
#[command(
    after_help = "Platforms: this CPU (`fusionproxy bench`, peers in turns), wasm32 in Node, Chromium with wasm32 and WebGPU beside
onnxruntime-web in turns, aarch64 under qemu-user and Cortex-M7 and M55 in QEMU (instructions a frame: emulators say
nothing of time). What cannot run is named in the report.

Examples:
  cargo xtask suite
  cargo xtask suite --install
  cargo xtask suite --ssh pi@raspberrypi.local
  cargo xtask suite --probe nucleo-h743zi2
  cargo xtask suite --platform native --write
  cargo xtask suite --model ultralight,nano --gate"
)]
pub(crate) struct Args {
    /// Students: `all` or names.
    #[arg(long, default_value = "all")]
    model: String,
    /// Measure these platforms alone; the tables of the others stay as they are.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Platform::value_variants())]
    platform: Vec<Platform>,
    /// Frames to time.
    #[arg(long, default_value_t = 15)]
    frames: u32,
    /// Linux boards to time as well, over SSH (keys in place).
    #[arg(long, value_name = "USER@HOST", value_delimiter = ',')]
    ssh: Vec<String>,
    /// Boards to flash and time as well, through a debug probe: folders under targets/ whose firmware probe-rs runs.
    #[arg(long, value_name = "BOARD", value_delimiter = ',')]
    probe: Vec<String>,
    /// Install the other runtimes and measure nothing.
    #[arg(long)]
    install: bool,
    /// Measure without other runtimes.
    #[arg(long)]
    no_peers: bool,
    /// Fail where the results are worse than benches/baseline: ratios to peers and exact counts, not milliseconds.
    #[arg(long)]
    gate: bool,
    /// Write the results to benches/baseline, and the tables into README.md and docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// Where something can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Platform {
    /// This CPU, other runtimes in turns.
    Native,
    /// The npm package in Node.
    Node,
    /// The npm package in Chromium, onnxruntime-web in turns.
    Chromium,
    /// Instructions of aarch64 under qemu-user.
    Aarch64,
    /// Instructions of Cortex-M7 and M55 in QEMU.
    CortexM,
}

/// Runs everything that can run here.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.write && args.platform.contains(&Platform::Native) && (args.model != "all" || args.no_peers) {
        bail!(
            "--write replaces the tables of this CPU, which need all students and peers; leave out --model and --no-peers, or name other platforms with --platform"
        );
    }
    let probed =
        args.probe.iter().map(|name| Ok((name, board::flashed(name)?))).collect::<Result<Vec<_>>>()?;
    std::fs::create_dir_all(OUT).with_context(|| format!("cannot make {OUT}"))?;
    let mut report = Report::default();
    let wants = |platform| args.platform.contains(&platform);
    // Those of the browser come with its npm packages.
    if args.install || wants(Platform::Native) && !args.no_peers {
        step("other runtimes");
        report.skipped.extend(peers::install()?);
        if args.install {
            return Ok(());
        }
    }
    // What the gate finds is told when everything is measured and written.
    let mut worse = Vec::new();
    if wants(Platform::Native) {
        step("this CPU");
        match native::bench(args, &mut report) {
            Err(error) if args.gate => worse.push(format!("{error:#}")),
            done => done?,
        }
    }
    if wants(Platform::Node) {
        step("wasm32 in Node");
        report.node = attempt("wasm32 in Node", native::node(args.frames), &mut report.skipped);
    }
    if wants(Platform::Chromium) && !args.no_peers {
        step("Chromium, WebGPU included");
        // As many frames as its own default for as many as the suite's default, in a few seconds.
        let rows = web::race(4 * args.frames, &Path::new(OUT).join("browser.json"));
        report.browser = attempt("Chromium", rows, &mut report.skipped).unwrap_or_default();
    }
    if wants(Platform::Aarch64) {
        step("aarch64 under qemu-user");
        let counts = emulated::aarch64(&args.model);
        report.aarch64 = attempt("aarch64 under qemu-user", counts, &mut report.skipped).unwrap_or_default();
    }
    if wants(Platform::CortexM) {
        for board in ["qemu-m7", "qemu-m55"] {
            step(board);
            report.cortex_m.extend(attempt(board, emulated::cortex_m(board), &mut report.skipped));
        }
    }

    for host in &args.ssh {
        step(host);
        let rows = ssh::time(host, &args.model, args.frames);
        report.boards.extend(attempt(host, rows, &mut report.skipped).unwrap_or_default());
    }
    for (name, board) in probed {
        step(name);
        report.boards.extend(attempt(name, probe::time(board), &mut report.skipped));
    }

    let out = Path::new(OUT);
    write(&out.join("report.json"), &serde_json::to_string_pretty(&report.json())?)?;
    write(&out.join("report.html"), &report.html())?;
    for skipped in &report.skipped {
        println!("SKIPPED: {skipped}");
    }
    if args.gate {
        step("against the baseline");
        let asked = |row: &Value| gate::asked(row, &args.platform, &args.model);
        let baseline: Vec<Value> = counted()?.into_iter().filter(asked).collect();
        worse.extend(gate::worse(&report.counts(), &baseline));
        if !worse.is_empty() {
            bail!("worse than the baseline: {}", worse.join("; "));
        }
    }
    if args.write {
        let counts = counts::merged(&counted()?, &report.counts());
        markers::write_tables(&report, &counts)?;
        let keep = |name: &str, rows: Value| {
            write(&Path::new(BASELINE).join(name), &serde_json::to_string_pretty(&rows)?)
        };
        keep("counts.json", json!(counts))?;
        if !report.native.is_empty() {
            keep("native.json", json!(report.native))?;
            write(Path::new(PICTURE), &report.picture().file())?;
        }
    }
    println!("\nreport: {OUT}/report.html");
    Ok(())
}

/// The baseline's rows of instructions.
fn counted() -> Result<Vec<Value>> {
    let path = Path::new(BASELINE).join("counts.json");
    match read(&path)? {
        Value::Array(rows) => Ok(rows),
        _ => bail!("{} is damaged: it should be a list of rows", path.display()),
    }
}

/// The result, or a line that says why there is none.
fn attempt<T>(what: &str, result: Result<T>, skipped: &mut Vec<String>) -> Option<T> {
    result.map_err(|error| skipped.push(format!("{what}: {error:#}"))).ok()
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, format!("{}\n", text.trim_end()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

fn step(name: &str) {
    println!("\n=== {name}");
}
