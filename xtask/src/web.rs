//! The npm package and the demo page: built, and tested in Node and in Chromium.

use std::process::Command;

use anyhow::Result;

use crate::shell::{command, run as shell_run, succeeds};

/// Builds and tests everything under `wasm/`, installing what that needs and saying so.
pub(crate) fn run() -> Result<()> {
    if std::env::var_os("CHROMIUM").is_none() && !succeeds(&["chromium", "--version"]) {
        println!("installing Debian packages: chromium");
        shell_run(command(&["apt-get", "update", "-q"]))?;
        shell_run(command(&["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"]))?;
    }
    shell_run(in_package(&["npm", "ci", "--no-audit", "--no-fund"]))?;
    shell_run(in_package(&["npm", "run", "demo"]))?;
    shell_run(in_package(&["npx", "publint"]))?;
    shell_run(in_package(&["npm", "test"]))
}

fn in_package(words: &[&str]) -> Command {
    let mut command = command(words);
    command.current_dir("wasm");
    command
}
