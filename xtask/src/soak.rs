//! Hours of a simulated rig.

use anyhow::Result;

use crate::shell::{command, run as shell_run};

/// How long, and with which faults.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Simulated hours; one takes about half a minute on each of two cores.
    #[arg(long, default_value_t = 24)]
    hours: u64,
    /// Seed of sensors and faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Simulates, and fails at the first fault that went unseen or was not recovered from in time.
pub(crate) fn run(args: &Args) -> Result<()> {
    let words =
        ["cargo", "run", "--release", "-p", "fusionproxy-board", "--features", "sim", "--example", "soak"];
    let mut soak = command(&words);
    soak.args(["--", &args.hours.to_string(), &args.seed.to_string()]);
    shell_run(soak)
}
