//! Static checks.

use anyhow::Result;

use crate::shell::{command, run as shell_run, succeeds};

/// Formatting, clippy and documentation without a single warning; dependency licences where cargo-deny is installed.
pub(crate) fn run() -> Result<()> {
    shell_run(command(&["cargo", "fmt", "--all", "--check"]))?;
    shell_run(command(&[
        "cargo",
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))?;
    let mut doc = command(&["cargo", "doc", "--workspace", "--no-deps", "--all-features"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    shell_run(doc)?;
    if succeeds(&["cargo", "deny", "--version"]) {
        shell_run(command(&["cargo", "deny", "--offline", "check", "licenses", "bans", "sources"]))?;
    } else {
        println!(
            "SKIPPED: cargo-deny is not installed (`cargo install cargo-deny`), licences were not checked"
        );
    }
    Ok(())
}
