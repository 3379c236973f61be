//! `cargo xtask …`: everything a developer or continuous integration runs.
#![forbid(unsafe_code)]

mod board;
mod daemon;
mod fuzz;
mod lint;
mod models;
mod setup;
mod shell;
mod soak;
mod suite;
mod test;
mod web;

use clap::{Parser, Subcommand};

/// Everything a developer or continuous integration runs.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    after_help = "Examples:\n  cargo xtask test\n  cargo xtask fuzz artifact --seconds 600"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need (Rust targets, Debian packages), saying what.
    Setup,
    /// Set up, then run every check: lints, unit, property and end-to-end tests, three architectures, miri, fuzzing.
    Test,
    /// The Linux daemon: its Debian package, its test in an emulated machine.
    #[command(subcommand)]
    Daemon(daemon::Action),
    /// Formatting, clippy, documentation, dependency licences.
    Lint,
    /// Run the fuzz targets.
    Fuzz(fuzz::Args),
    /// Rebuild every released artifact from its ONNX network and compare it with the one in the repository.
    Models(models::Args),
    /// List the boards, or build one and run it where an emulator can.
    Board(board::Args),
    /// Simulate a day of a rig's life with random faults.
    Soak(soak::Args),
    /// Measure latency on every platform that this machine can run or emulate, beside other runtimes.
    Suite(suite::Args),
    /// Build the npm package and the demo page (wasm/); serve the page or test everything if asked to.
    Web(web::Args),
    /// Race the npm package against onnxruntime-web on the same network in the same browser.
    WebBench(web::BenchArgs),
}

fn main() -> anyhow::Result<()> {
    std::env::set_current_dir(shell::root())?;
    match Args::parse().command {
        Command::Setup => setup::run(),
        Command::Test => test::run(),
        Command::Daemon(action) => daemon::run(&action),
        Command::Lint => lint::run(),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Board(args) => board::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Suite(args) => suite::run(&args),
        Command::Web(args) => web::run(&args),
        Command::WebBench(args) => web::bench(&args),
    }
}
