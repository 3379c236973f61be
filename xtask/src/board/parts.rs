//! The parts that probe-rs can flash, and their memories, out of the tables that its own sources hold.

use std::ops::Range;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::shell::{command, output, run as shell_run};

/// The release whose tables are read, and the SHA-256 of its sources.
const RELEASE: &str = "probe-rs-0.32.0";
const SHA256: &str = "b86561c00e5b857b2807ff4c41059666d8168aea45c180d02dceaa3d6df32f02";

#[derive(Deserialize)]
struct Family {
    variants: Vec<Variant>,
}

#[derive(Deserialize)]
struct Variant {
    name: String,
    #[serde(default)]
    package_variants: Vec<String>,
    memory_map: Vec<Memory>,
}

#[derive(Deserialize)]
enum Memory {
    Ram(Region),
    Nvm(Region),
    Generic(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Region {
    range: Range<u64>,
}

/// The address ranges of flash and RAM of `part`, of the family in `file`, adjoining ones joined.
pub(crate) fn memories(file: &str, part: &str) -> Result<Vec<Range<u64>>> {
    let path = tables()?.join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let family: Family = serde_norway::from_str(&text).with_context(|| format!("{file} of {RELEASE}"))?;
    let variant = family
        .variants
        .into_iter()
        .find(|v| v.name == part || v.package_variants.iter().any(|p| p == part))
        .with_context(|| format!("{RELEASE} knows no part {part} in {file}"))?;
    let mut ranges: Vec<Range<u64>> = variant
        .memory_map
        .into_iter()
        .filter_map(|m| match m {
            Memory::Ram(r) | Memory::Nvm(r) => Some(r.range),
            Memory::Generic(_) => None,
        })
        .collect();
    ranges.sort_by_key(|r| r.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for r in ranges {
        match joined.last_mut() {
            Some(last) if last.end == r.start => last.end = r.end,
            _ => joined.push(r),
        }
    }
    Ok(joined)
}

/// Fetches the sources once; gives the folder of tables.
fn tables() -> Result<PathBuf> {
    let folder = PathBuf::from("target").join(RELEASE);
    if !folder.join("targets").is_dir() {
        let archive = format!("target/{RELEASE}.crate");
        println!("downloading the sources of {RELEASE} for the memories of its parts (2 MB)");
        let url = format!("https://static.crates.io/crates/probe-rs/{RELEASE}.crate");
        let mut fetch = command(&["curl", "--silent", "--show-error", "--fail", "--location", "--output"]);
        fetch.args([&archive, &url]).stdout(Stdio::null());
        shell_run(fetch)?;
        let sum = output(&["sha256sum", &archive]);
        ensure!(sum.starts_with(SHA256), "{archive} is not the {RELEASE} that was expected; delete it");
        // Unpacked beside, then renamed: an interrupted run leaves no half of it.
        let beside = "target/probe-rs-unpacked";
        std::fs::create_dir_all(beside).with_context(|| format!("cannot make {beside}"))?;
        shell_run(command(&["tar", "--extract", "--gzip", "--file", &archive, "--directory", beside]))?;
        std::fs::rename(format!("{beside}/{RELEASE}"), &folder)
            .with_context(|| format!("cannot move {beside}/{RELEASE} to {}", folder.display()))?;
    }
    Ok(folder.join("targets"))
}
