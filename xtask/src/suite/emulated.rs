//! Emulated CPUs: exact numbers of instructions. An emulator says nothing of time, caches or wait states.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::OUT;
use super::native::macs;
use crate::shell::{command, run as shell_run};

const TARGET: &str = "aarch64-unknown-linux-musl";
/// A Cortex-A76: NEON with dot products and half precision, no matrix instructions.
const CPU: &str = "cortex-a76";

/// Instructions that a frame of each released artifact takes on aarch64, and a multiply-accumulate of it.
pub(super) fn aarch64(models: &str) -> Result<Vec<Value>> {
    let plugin = Path::new(OUT).join("libicount.so");
    let library = plugin.to_str().context("the target folder has an odd name")?;
    shell_run(command(&["cc", "-shared", "-fPIC", "-O2", "-o", library, "benches/icount/icount.c"]))?;
    shell_run(command(&["cargo", "build", "--release", "--package", "frames", "--target", TARGET]))?;
    let mut rows = Vec::new();
    for (name, precision, path) in artifacts(models)? {
        let size = size(&name);
        let count = |frames: &str| frames_of(&plugin, &path, size, frames);
        let ((one, _), (two, said)) = (count("1")?, count("2")?);
        let macs = macs(&path, size)?;
        let instructions = two - one;
        println!("{name} {precision} {size}: {instructions} instructions a frame");
        let (height, width) = size.split_once('x').unwrap_or_default();
        rows.push(json!({
            "model": name,
            "precision": precision,
            "height": height.parse::<u32>()?,
            "width": width.parse::<u32>()?,
            "cpu": CPU,
            "kernels": word(&said, "kernels "),
            "crc32": word(&said, "crc32 "),
            "instructions": instructions,
            "macs": macs,
            "instructions_per_mac": instructions as f64 / macs as f64,
        }));
    }
    Ok(rows)
}

/// The frame size that a student is counted and timed at on small machines: networks for small devices at theirs; the cost
/// grows with the pixels.
pub(super) fn size(model: &str) -> &'static str {
    match model {
        "nano" => "120x160",
        "ultralight" => "240x320",
        _ => "480x640",
    }
}

/// Instructions of a whole run, and what it printed.
fn frames_of(plugin: &Path, artifact: &Path, size: &str, frames: &str) -> Result<(u64, String)> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let mut qemu = Command::new("qemu-aarch64");
    qemu.args(["-cpu", CPU, "-plugin"]).arg(plugin).args(["-d", "plugin"]);
    qemu.arg(target.join(TARGET).join("release/frames")).arg(artifact).args([size, frames]);
    let done = qemu.output().context("cannot start qemu-aarch64 (`cargo xtask setup` installs it)")?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        bail!("{} failed: {}", artifact.display(), said.trim());
    }
    let count = word(&said, "instructions ").and_then(|n| n.parse().ok());
    Ok((
        count.with_context(|| format!("qemu-aarch64 did not load the counting plugin: {}", said.trim()))?,
        said,
    ))
}

/// The rest of the line that begins with `start`.
pub(super) fn word(text: &str, start: &str) -> Option<String> {
    text.lines().find_map(|l| l.strip_prefix(start)).map(|w| w.trim().to_owned())
}

/// Name, precision and file of the released artifacts among `models`.
pub(super) fn artifacts(models: &str) -> Result<Vec<(String, String, PathBuf)>> {
    let wanted: Vec<&str> = models.split(',').map(str::trim).collect();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("models").context("cannot list models")? {
        let folder = entry?.path();
        let Some(name) = folder.file_name().and_then(|n| n.to_str()) else { continue };
        if !(wanted.contains(&"all") || wanted.contains(&name)) {
            continue;
        }
        for precision in ["int8", "fp16"] {
            let path = folder.join(format!("{name}.{precision}.fpx"));
            if path.is_file() {
                found.push((name.to_owned(), precision.to_owned(), path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A frame of the whole loop of `nano` on an emulated board, which holds its bytes against the host's.
pub(super) fn cortex_m(board: &str) -> Result<Value> {
    let words = ["cargo", "xtask", "board", board, "--json"];
    let done = command(&words).output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&done.stdout);
    if !done.status.success() {
        bail!("`{}` failed: {}", words.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    let last = said.lines().last().context("the board tells nothing")?;
    let told: Value = serde_json::from_str(last).context("the board tells no JSON")?;
    let instructions = told["instructions_per_frame"].as_u64().context("the board tells no count")?;
    let macs = macs(Path::new("models/nano/nano.int8.fpx"), "120x160")?;
    Ok(json!({
        "model": "nano",
        "precision": "int8",
        "height": 120,
        "width": 160,
        "cpu": board,
        "kernels": "whole loop",
        "instructions": instructions,
        "macs": macs,
        "instructions_per_mac": instructions as f64 / macs as f64,
        "flash_bytes": told["flash_bytes"],
        "ram_bytes": told["ram_bytes"],
    }))
}
