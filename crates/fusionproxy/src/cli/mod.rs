//! The `fusionproxy` command.

mod bench;
mod calibrate;
mod compile;
mod demo;
mod explain;
mod frame;
mod fuse;
mod inspect;
mod model;
mod networks;
mod pairs;
mod peak;
mod plan;
mod planned;
mod sheet;
mod synthetic;
mod table;
mod validate;
mod write;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Fuses a visible and a thermal image into one RGB image.
#[derive(Parser)]
#[command(
    name = "fusionproxy",
    version,
    about = "Fuses a visible and a thermal image into one RGB image that people and RGB-trained models see more in",
    after_help = "Examples:
  fusionproxy demo
  fusionproxy fuse --vis street.jpg --ir street_ir.png -o fused.png
  fusionproxy fuse --vis vis/ --ir ir/ -o fused/
  fusionproxy compile net.onnx --precision int8 --calibrate pairs/ -o net.fpx
  fusionproxy explain net.fpx --size 480x640
  fusionproxy validate --pairs pairs/ --models all --html report.html
  fusionproxy bench --model ultralight --peers tract"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fuse a built-in synthetic pair and write the pictures.
    Demo(demo::Args),
    /// Fuse image files: one pair, or two folders of pairs with equal names.
    Fuse(fuse::Args),
    /// Find where the infrared camera looks within the visible one.
    Calibrate(calibrate::Args),
    /// Compile an ONNX fusion network to an .fpx artifact.
    Compile(compile::Args),
    /// Show what an artifact holds.
    Inspect(inspect::Args),
    /// Show which kernel runs each operator, and where the time goes.
    Explain(explain::Args),
    /// Show the arena: what lies where, and when.
    Plan(plan::Args),
    /// Judge the students on a folder of pairs: distance to a reference, fusion metrics, a frozen detector.
    Validate(validate::Args),
    /// Time the students beside other runtimes and the limits of this machine.
    Bench(bench::Args),
}

/// Runs the command; prints an error and its causes on one line.
pub fn main() -> ExitCode {
    end_with_the_reader();
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes. Typed errors say their cause themselves, for callers that print nothing else: it is not said
/// twice.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |mut line, cause| {
        let cause = cause.to_string();
        if !line.ends_with(&cause) {
            line += ": ";
            line += &cause;
        }
        line
    })
}

/// `println!` panics where nobody reads any more (`fusionproxy plan net.fpx | head`), or the disk is full. The signal that
/// ends other programs then is left ignored, as the pipes to other runtimes need it (`bench`).
fn end_with_the_reader() {
    const CLOSED: i32 = 128 + 13; // what a shell reports of a program that SIGPIPE ended
    let other = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().and_then(|m| m.strip_prefix("failed printing to stdout: "));
        match message {
            Some(why) if why.starts_with("Broken pipe") => std::process::exit(CLOSED),
            Some(why) => {
                eprintln!("error: cannot write to standard output: {why}");
                std::process::exit(1)
            }
            None => other(panic),
        }
    }));
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Fuse(args) => fuse::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Compile(args) => compile::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Bench(args) => bench::run(&args),
    }
}

/// A frame size, written HEIGHTxWIDTH in px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    height: usize,
    width: usize,
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let side =
            |t: &str| t.parse::<usize>().ok().filter(|n| (1..=fusionproxy_core::frame::MAX_SIDE).contains(n));
        s.split_once(['x', 'X'])
            .and_then(|(h, w)| Some(Self { height: side(h)?, width: side(w)? }))
            .ok_or_else(|| {
                let most = fusionproxy_core::frame::MAX_SIDE;
                format!("`{s}` is not HEIGHTxWIDTH in px, such as 480x640, each side 1 to {most}")
            })
    }
}

/// A number of bytes: `3145728`, `3072KiB` or `3MiB`.
#[derive(Clone, Copy, Debug)]
struct ByteCount(usize);

impl std::str::FromStr for ByteCount {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("", 1)];
        units
            .iter()
            .find_map(|(unit, bytes)| s.strip_suffix(unit)?.trim().parse::<usize>().ok()?.checked_mul(*bytes))
            .map(Self)
            .ok_or_else(|| format!("`{s}` is no number of bytes, such as 3MiB, 512KiB or 300000"))
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}
