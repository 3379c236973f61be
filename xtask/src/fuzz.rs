//! Coverage-guided fuzzing with libFuzzer on stable Rust: LLVM's coverage pass is switched on by flags, so neither nightly
//! nor another cargo command is needed.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell::{command, run as shell_run};

/// What to fuzz and for how long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fuzz target (a file in fuzz/targets without its ending); all of them if left out.
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

impl Args {
    /// Every target for `seconds` each.
    pub(crate) fn all(seconds: u32) -> Self {
        Self { target: None, seconds }
    }
}

/// Flags of the coverage pass, as cargo-fuzz sets them.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Ccodegen-units=1 -Cdebug-assertions=on -Coverflow-checks=on --cfg fuzzing";

/// Runs the targets one after another.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut targets: Vec<String> = std::fs::read_dir("fuzz/targets")
        .context("cannot list fuzz/targets")?
        .filter_map(|f| Some(f.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    targets.sort();
    if let Some(only) = &args.target {
        if !targets.contains(only) {
            bail!("no fuzz target `{only}`; there are: {}", targets.join(", "));
        }
        targets.retain(|t| t == only);
    }
    for target in targets {
        one(&target, args.seconds)?;
    }
    Ok(())
}

/// Runs one target on a copy of its committed corpus; what libFuzzer finds stays under target/fuzz.
fn one(target: &str, seconds: u32) -> Result<()> {
    let found = format!("target/fuzz/corpus/{target}");
    std::fs::create_dir_all(&found).with_context(|| format!("cannot make {found}"))?;
    seed(target, Path::new(&found))?;
    let mut c =
        command(&["cargo", "run", "--release", "--manifest-path", "fuzz/Cargo.toml", "--bin", target]);
    // An explicit target keeps the flags off build scripts.
    c.args(["--target", "x86_64-unknown-linux-gnu", "--target-dir", "target/fuzz", "--"])
        .env("RUSTFLAGS", COVERAGE);
    c.arg(&found);
    let seeds = format!("fuzz/corpus/{target}");
    if Path::new(&seeds).is_dir() {
        c.arg(&seeds);
    }
    c.args([&format!("-max_total_time={seconds}"), "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"]);
    c.args(["-print_final_stats=1", "-verbosity=0", &format!("-artifact_prefix=target/fuzz/{target}-")]);
    shell_run(c)
}

/// Mutation goes further from real input than from nothing.
fn seed(target: &str, corpus: &Path) -> Result<()> {
    match target {
        "artifact" => {
            for name in ["nano", "ultralight"] {
                let file = format!("{name}.int8.fpx");
                let from = Path::new("models").join(name).join(&file);
                std::fs::copy(&from, corpus.join(&file))
                    .with_context(|| format!("cannot copy {}", from.display()))?;
            }
        }
        "calibration" => {
            let text = "fusionproxy calibration 1\nmodel = homography\ninfrared = 160x120\nvisible = 640x480\n\
                matrix = 3.9 0.01 12.5 -0.02 3.92 8.25 0 0.000001 1\nrms_error_px = 0.8\n";
            std::fs::write(corpus.join("homography.txt"), text)
                .with_context(|| format!("cannot write to {}", corpus.display()))?;
        }
        _ => {}
    }
    Ok(())
}
