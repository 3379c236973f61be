//! The npm package and the demo page under `wasm/`: built, tested in Node and in Chromium, served, and raced.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::setup;
use crate::shell::{command, output, run as shell_run};

/// What `cargo xtask web` does besides building.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Serve the demo page, and say where, until Ctrl-C.
    #[arg(long)]
    serve: bool,
    /// Run the tests in Node and in Chromium afterwards.
    #[arg(long)]
    test: bool,
}

/// What `cargo xtask web-bench` measures.
#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    /// Frames that each contestant fuses, in turns.
    #[arg(long, default_value_t = 60)]
    rounds: u32,
    /// Only contestants whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Write the rows to this file as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Serve the bench page, and say where, until Ctrl-C.
    #[arg(long)]
    serve: bool,
}

/// Builds the package and the demo page, from a fresh checkout on.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.test {
        test()?;
    } else {
        build()?;
    }
    if args.serve {
        shell_run(in_package(&["npm", "run", "--silent", "serve"]))?;
    }
    Ok(())
}

/// The step of `cargo xtask test`: builds everything and tests it in Node and in Chromium.
pub(crate) fn test() -> Result<()> {
    build()?;
    shell_run(in_package(&["npm", "test"]))
}

/// The rows of [`bench()`] with this number of frames, which are left in `file`.
pub(crate) fn race(rounds: u32, file: &Path) -> Result<Vec<Value>> {
    let json = Some(file.to_owned());
    bench(&BenchArgs { rounds, only: String::new(), json, serve: false })?;
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
}

/// The package against onnxruntime-web in one page.
pub(crate) fn bench(args: &BenchArgs) -> Result<()> {
    build()?;
    install("wasm/bench")?;
    let rounds = args.rounds.to_string();
    let mut bench = in_package(&["node", "bench/bench.mjs", "--rounds", &rounds, "--only", &args.only]);
    if let Some(file) = &args.json {
        // The program runs in the package's folder.
        bench.arg("--json").arg(std::path::absolute(file).context("the current folder is gone")?);
    }
    if args.serve {
        bench.arg("--serve");
    }
    shell_run(bench)
}

fn build() -> Result<()> {
    setup::targets()?;
    setup::packages()?;
    let version = output(&["node", "--version"]);
    let major = version.trim_start_matches('v').split('.').next().and_then(|v| v.parse::<u32>().ok());
    if major.is_none_or(|v| v < 20) {
        bail!("Node 20 or later is needed, found {:?}: install it from https://nodejs.org", version.trim());
    }
    install("wasm")?;
    shell_run(in_package(&["npm", "run", "--silent", "build"]))
}

/// Installs what a folder's lock file names, unless that has been done since it changed.
fn install(folder: &str) -> Result<()> {
    let changed = |file: &str| Path::new(folder).join(file).metadata().and_then(|m| m.modified()).ok();
    let installed = changed("node_modules/.package-lock.json");
    if installed.is_some() && installed >= changed("package-lock.json") {
        return Ok(());
    }
    // Nothing in the trees builds anything at installation; onnxruntime would download what browsers do not need.
    let mut ci = command(&["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    ci.current_dir(folder);
    shell_run(ci)
}

fn in_package(words: &[&str]) -> Command {
    let mut command = command(words);
    command.current_dir("wasm");
    command
}
