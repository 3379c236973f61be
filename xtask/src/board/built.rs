//! Firmware of real boards: built, and held against the part's memory. What it does there is not known here.

use anyhow::{Context, Result, ensure};

use super::{TARGET_DIR, elf};
use crate::shell::{command, run as shell_run, succeeds};

/// One real board.
pub(crate) struct Built {
    /// Folder under `targets/`.
    pub(crate) name: &'static str,
    /// The part as probe-rs calls it.
    pub(crate) chip: &'static str,
    /// Bytes of flash that the firmware may take.
    pub(crate) flash: u32,
    /// Bytes of the RAM that data lie in.
    pub(crate) ram: u32,
}

/// Builds the board; with `json`, the last line is an object with its sizes.
pub(crate) fn run(board: &Built, json: bool) -> Result<()> {
    let mut build = command(&["cargo", "build", "--quiet", "--release", "--target-dir", TARGET_DIR]);
    build.current_dir(format!("targets/{}", board.name));
    shell_run(build)?;
    let path = format!("target/targets/thumbv7em-none-eabihf/release/fusionproxy-{}", board.name);
    let image = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let sizes = elf::sizes(&image)?;
    for (what, found, limit) in [("flash", sizes.flash, board.flash), ("RAM", sizes.ram, board.ram)] {
        ensure!(found <= limit, "{} takes {found} bytes of {what}, {} has {limit}", board.name, board.chip);
    }
    let allocator = b"__rust_alloc";
    ensure!(!image.windows(allocator.len()).any(|w| w == allocator), "{} links an allocator", board.name);
    if succeeds(&["probe-rs", "--version"]) {
        ensure!(
            succeeds(&["probe-rs", "chip", "info", board.chip]),
            "probe-rs does not know the part {}; see targets/{}/.cargo/config.toml",
            board.chip,
            board.name
        );
    } else {
        println!("SKIPPED: probe-rs is not installed, the name of the part {} was not checked", board.chip);
    }
    println!(
        "{}: builds, {} bytes of flash, {} of RAM; not tried on hardware",
        board.name, sizes.flash, sizes.ram
    );
    if json {
        println!(
            "{{\"board\":\"{}\",\"flash_bytes\":{},\"ram_bytes\":{}}}",
            board.name, sizes.flash, sizes.ram
        );
    }
    Ok(())
}
