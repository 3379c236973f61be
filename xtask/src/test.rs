//! The whole check.

use anyhow::{Result, bail};

use crate::shell::{command, data, run as shell_run, succeeds};
use crate::{board, fuzz, lint, setup, web};

/// Crates that must build without the standard library, and so without an allocator.
const NO_STD: [&str; 4] =
    ["fusionproxy-format", "fusionproxy-kernels", "fusionproxy-core", "fusionproxy-board"];

/// Targets without an operating system.
const BARE: [&str; 4] =
    ["thumbv7em-none-eabihf", "thumbv8m.main-none-eabihf", "aarch64-unknown-none", "wasm32-unknown-unknown"];

/// What Miri interprets, as arguments: reading artifacts in place, and all scalar kernels with the threads that share them.
/// Square roots by libm's own code, since Miri has no inline assembly.
const MIRI: [&[&str]; 2] = [
    &[
        "--package=fusionproxy-format",
        "--test=reading",
        "--",
        "--exact",
        "header_and_tensors_are_read_back_as_they_were_built",
    ],
    &["--package=fusionproxy-kernels", "--features=libm/force-soft-floats", "--test=by_hand"],
];

/// Runs everything; stops at the first failure.
pub(crate) fn run() -> Result<()> {
    if std::env::var_os("FUSIONPROXY_REQUIRE_DATA").is_some() && data().is_none() {
        bail!("the local image pairs are absent: put them at ../shared/data or set FUSIONPROXY_DATA");
    }
    step("setup");
    setup::run()?;
    step("lint");
    lint::run()?;
    step("unit, property, oracle and end-to-end tests");
    shell_run(command(&["cargo", "test", "--workspace", "--all-features"]))?;
    step("no_std builds");
    for target in BARE {
        let mut build = command(&["cargo", "build", "--release", "--target", target]);
        for package in NO_STD {
            build.args(["--package", package]);
        }
        shell_run(build)?;
    }
    step("golden bytes, and SIMD against scalar kernels, on aarch64 and wasm32");
    for target in ["aarch64-unknown-linux-musl", "wasm32-wasip1"] {
        let mut test = command(&["cargo", "test", "--release", "--target", target]);
        test.args(["--package", "conformance", "--package", "fusionproxy-kernels"]);
        test.args(["--test", "arena", "--test", "golden", "--test", "differential", "--test", "contract"]);
        shell_run(test)?;
    }
    step("boards: firmware and the daemon in emulators, firmware built for real parts");
    board::run_all()?;
    step("the npm package and the demo in Node and in Chromium");
    web::test()?;
    step("the training program, where PyTorch is at hand");
    training()?;
    step("miri over the format and the scalar kernels");
    if succeeds(&["cargo", "+nightly", "miri", "--version"]) {
        for arguments in MIRI {
            let mut miri = command(&["cargo", "+nightly", "miri", "test", "--all-features"]);
            miri.args(arguments);
            shell_run(miri)?;
        }
    } else {
        println!("SKIPPED: miri is not installed, the unsafe code was not checked by it");
    }
    step("a short fuzz run");
    fuzz::run(&fuzz::Args::all(10))?;
    println!("\nall checks passed");
    Ok(())
}

/// The tests of `models/`. PyTorch takes gigabytes, so it is not installed for them.
fn training() -> Result<()> {
    let python = std::env::var("FUSIONPROXY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !succeeds(&[&python, "-c", "import torch, timm, onnx, pytest"]) {
        println!(
            "SKIPPED: {python} has no PyTorch, the training program was not tested: \
             `pip install './models[test]'`, or name another Python in FUSIONPROXY_PYTHON"
        );
        return Ok(());
    }
    let mut tests = command(&[&python, "-m", "pytest", "-q"]);
    tests.current_dir("models");
    shell_run(tests)
}

fn step(name: &str) {
    println!("\n=== {name}");
}
