//! Firmware in QEMU: built, run, compared with the host frame by frame, and held against the limits of its part.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::TARGET_DIR;
use super::elf::Image;
use crate::shell::{command, run as shell_run};

/// One emulated board.
pub(crate) struct Emulated {
    /// Folder under `targets/`.
    pub(crate) name: &'static str,
    /// QEMU's machine.
    pub(crate) machine: &'static str,
    /// Rust's target.
    pub(crate) target: &'static str,
    /// Most instructions a frame.
    pub(crate) instructions: u64,
}

/// Flash and RAM of the part, as `memory.x` has them.
const LIMITS: [u32; 2] = [1 << 20, 512 << 10];

/// Runs the board; with `json`, the last line is an object with its figures.
pub(crate) fn run(board: &Emulated, json: bool) -> Result<()> {
    let expected = host_frames()?;
    build(board.name, &[])?;
    let path = format!("target/targets/{}/release/fusionproxy-{}", board.target, board.name);
    let image = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let sizes = Image::parse(&image)?;
    ensure!(
        sizes.flash <= LIMITS[0],
        "{} takes {} bytes of flash, the part has {}",
        board.name,
        sizes.flash,
        LIMITS[0]
    );
    ensure!(
        sizes.ram <= LIMITS[1],
        "{} takes {} bytes of RAM, the part has {}",
        board.name,
        sizes.ram,
        LIMITS[1]
    );
    let allocator = b"__rust_alloc";
    ensure!(!image.windows(allocator.len()).any(|w| w == allocator), "{} links an allocator", board.name);
    let text = emulate(board, &path)?;
    let events = Events::parse(&text)?;
    let matches = events.frames == expected;
    println!(
        "{}: {} frames, {} instructions a frame, {} bytes of flash, {} of RAM, {} of stack",
        board.name,
        events.frames.len(),
        events.instructions,
        sizes.flash,
        sizes.ram,
        events.stack
    );
    if json {
        let stages: Vec<String> = events.stages.iter().map(|(name, n)| format!("\"{name}\":{n}")).collect();
        println!(
            "{{\"board\":\"{}\",\"instructions_per_frame\":{},\"driver_instructions_per_frame\":{},\
             \"stages\":{{{}}},\"flash_bytes\":{},\"ram_bytes\":{},\"stack_bytes\":{},\"frames\":{},\
             \"matches_host\":{matches}}}",
            board.name,
            events.instructions,
            events.drivers,
            stages.join(","),
            sizes.flash,
            sizes.ram,
            events.stack,
            events.frames.len()
        );
    }
    ensure!(matches, "frames differ: {} gives {:?}, the host {expected:?}", board.name, events.frames);
    ensure!(
        events.instructions <= board.instructions,
        "a frame takes {} instructions, more than {}",
        events.instructions,
        board.instructions
    );
    Ok(())
}

/// Builds the package in `targets/NAME`.
fn build(name: &str, arguments: &[&str]) -> Result<()> {
    let mut build = command(&["cargo", "build", "--quiet", "--release", "--target-dir", TARGET_DIR]);
    build.args(arguments).current_dir(format!("targets/{name}"));
    shell_run(build)
}

/// The checksums of the frames that the host's scalar kernels give.
fn host_frames() -> Result<Vec<String>> {
    build("qemu-rig", &["--features", "host", "--bin", "host"])?;
    let output = command(&["target/targets/release/host"]).output().context("cannot run the host's loop")?;
    ensure!(output.status.success(), "the host's loop failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Events::parse(&String::from_utf8_lossy(&output.stdout))?.frames)
}

/// Runs an image and gives what it printed.
fn emulate(board: &Emulated, image: &str) -> Result<String> {
    let mut qemu = command(&["qemu-system-arm", "-M", board.machine, "-nographic", "-icount", "shift=0"]);
    qemu.args(["-semihosting-config", "enable=on,target=native", "-kernel", image]);
    let output = qemu.output().context("cannot start qemu-system-arm; `cargo xtask setup` installs it")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    if !output.status.success() {
        bail!("the firmware failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// What the loop told.
#[derive(Default)]
struct Events {
    /// Checksums.
    frames: Vec<String>,
    /// Most instructions of a frame.
    instructions: u64,
    /// Instructions of the drivers for the last frame; the first one's include the set-up of the sensors.
    drivers: u64,
    stages: BTreeMap<String, u64>,
    /// Most bytes of stack.
    stack: u64,
}

impl Events {
    fn parse(text: &str) -> Result<Self> {
        let mut events = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |i: usize| -> Result<u64> {
                let word = words.get(i).with_context(|| format!("`{line}` has too few words"))?;
                word.parse().with_context(|| format!("`{word}` in `{line}` is no number"))
            };
            match words.as_slice() {
                ["frame", _, "crc32", crc32, rest @ ..] => {
                    events.frames.push((*crc32).to_owned());
                    if !rest.is_empty() {
                        events.instructions = events.instructions.max(number(5)?);
                        events.drivers = number(7)?;
                    }
                }
                ["stage", name, ..] => {
                    events.stages.insert((*name).to_owned(), number(3)?);
                }
                ["stack", ..] => events.stack = number(1)?,
                _ => {}
            }
        }
        ensure!(!events.frames.is_empty(), "no frame was fused: {text}");
        Ok(events)
    }
}
