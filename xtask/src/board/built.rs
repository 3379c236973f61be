//! Firmware of real boards: built, and held against the part's memory. What it does there is not known here.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::elf::Image;
use super::{TARGET_DIR, parts};
use crate::shell::{command, run as shell_run};

/// One real board.
pub(crate) struct Built {
    /// Folder under `targets/`.
    pub(crate) name: &'static str,
    /// The part as probe-rs calls it.
    pub(crate) chip: &'static str,
    /// The file of its family among the tables of probe-rs.
    pub(crate) family: &'static str,
}

/// What the firmware's log says of its times, which `cargo xtask suite --probe` reads.
const TIMES: &[u8] = b"median_us {} min_us {}";

impl Built {
    /// Builds the firmware; the path of its image.
    pub(crate) fn image(&self) -> Result<PathBuf> {
        let mut build = command(&["cargo", "build", "--quiet", "--release", "--target-dir", TARGET_DIR]);
        build.current_dir(format!("targets/{}", self.name));
        shell_run(build)?;
        Ok(format!("target/targets/thumbv7em-none-eabihf/release/fusionproxy-{}", self.name).into())
    }
}

/// Builds the board; with `json`, the last line is an object with its sizes.
pub(crate) fn run(board: &Built, json: bool) -> Result<()> {
    let path = board.image()?;
    let image = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let runner = format!("--chip {}\"", board.chip);
    let config = format!("targets/{}/.cargo/config.toml", board.name);
    let text = std::fs::read_to_string(&config).with_context(|| format!("cannot read {config}"))?;
    ensure!(text.contains(&runner), "{config} does not flash a {}", board.chip);
    let memories = parts::memories(board.family, board.chip)?;
    let sizes = Image::parse(&image)?;
    for part in &sizes.addresses {
        ensure!(
            memories.iter().any(|m| m.start <= part.start && part.end <= m.end),
            "{} uses {:#x}..{:#x}, where {} has neither flash nor RAM; see its memory.x",
            board.name,
            part.start,
            part.end,
            board.chip
        );
    }
    let holds = |text: &[u8]| image.windows(text.len()).any(|w| w == text);
    ensure!(!holds(b"__rust_alloc"), "{} links an allocator", board.name);
    ensure!(holds(TIMES), "the log of {} tells no times", board.name);
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
