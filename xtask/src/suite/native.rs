//! What runs here without an emulator: the command's bench, and the npm package in Node.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::report::Report;
use super::{Args, BASELINE, OUT, read};
use crate::shell::{command, run as shell_run};

/// Every peer of `fusionproxy bench`.
const PEERS: &str = "tract,rten,ort,openvino,ncnn";
/// Frame size of all timings.
const SIZE: &str = "480x640";

/// Runs `fusionproxy bench` with one and, where there are two cores, two threads.
pub(super) fn bench(args: &Args, report: &mut Report) -> Result<()> {
    let rows = Path::new(OUT).join("native.json");
    let threads = if std::thread::available_parallelism().map_or(1, usize::from) > 1 { "1,2" } else { "1" };
    let mut bench =
        command(&["cargo", "run", "--release", "--quiet", "--package", "fusionproxy", "--", "bench"]);
    bench.args(["--model", &args.model, "--size", SIZE, "--threads", threads]);
    bench.args(["--frames", &args.frames.to_string()]).arg("--json").arg(&rows);
    bench.arg("--html").arg(Path::new(OUT).join("native.html"));
    if !args.no_peers {
        bench.args(["--peers", PEERS]);
    }
    let baseline = Path::new(BASELINE).join("native.json");
    if args.gate {
        bench.arg("--assert").arg(baseline);
    }
    // What it prints becomes part of the documentation.
    println!("$ fusionproxy bench --model {} --size {SIZE} --threads {threads}", args.model);
    // Those of an earlier run would be taken for this one's where it fails.
    let _ = std::fs::remove_file(&rows);
    let done = bench.stderr(std::process::Stdio::inherit()).output().context("cannot start cargo")?;
    report.native_text = String::from_utf8_lossy(&done.stdout).into_owned();
    print!("{}", report.native_text);
    // What the gate refuses was measured and is written all the same.
    if done.status.success() || rows.exists() {
        report.native = read(&rows)?.as_array().cloned().unwrap_or_default();
    }
    if !done.status.success() {
        bail!("`fusionproxy bench` failed ({}); its last line says why", done.status);
    }
    Ok(())
}

/// Builds the npm package and times it in Node.
pub(super) fn node(frames: u32) -> Result<Value> {
    shell_run(command(&["cargo", "xtask", "web"]))?;
    let mut node = command(&["node", "benches/node.mjs", SIZE, &frames.to_string()]);
    let done = node.output().context("cannot start node")?;
    if !done.status.success() {
        bail!("benches/node.mjs failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    serde_json::from_slice(&done.stdout).context("benches/node.mjs prints no JSON")
}

/// Multiply-accumulates of a frame.
pub(super) fn macs(model: &Path, size: &str) -> Result<u64> {
    let mut inspect =
        command(&["cargo", "run", "--release", "--quiet", "--package", "fusionproxy", "--", "inspect"]);
    let done = inspect.arg(model).args(["--size", size, "--json"]).output().context("cannot start cargo")?;
    let text: Value = serde_json::from_slice(&done.stdout)
        .with_context(|| format!("`fusionproxy inspect {}` prints no JSON", model.display()))?;
    text["macs"].as_u64().context("`fusionproxy inspect` tells no macs")
}
