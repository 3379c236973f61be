//! The Linux daemon: its package, and its test in an emulated machine.

mod deb;
mod initrd;
mod kernel;
mod qemu;

use anyhow::Result;
use clap::Subcommand;

use crate::shell::{command, run as shell_run};

/// What to do with the daemon.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Build the Debian package for arm64 and check its contents.
    Deb,
    /// Boot a real arm64 Linux in QEMU, run the daemon on its camera nodes, and unplug and replug both cameras.
    Qemu,
}

/// Where the targets' builds go.
const TARGET: &str = "aarch64-unknown-linux-musl";

/// Runs one of them.
pub(crate) fn run(action: &Action) -> Result<()> {
    match action {
        Action::Deb => deb::build().map(|_| ()),
        Action::Qemu => qemu::test(),
    }
}

/// Builds something of the daemon's package for the board; the path of what it built.
fn build(kind: &str, name: &str) -> Result<String> {
    let words = ["cargo", "build", "--release", "--target", TARGET, "--package", "fusionproxyd", kind, name];
    shell_run(command(&words))?;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let folder = if kind == "--example" { "release/examples" } else { "release" };
    Ok(format!("{target}/{TARGET}/{folder}/{name}"))
}
