//! Static checks.

use anyhow::Result;

use crate::shell::{command, run as shell_run, succeeds};

/// Kernels that this machine's own build leaves out: targets and the instructions to compile them for.
const KERNELS: [(&str, &str); 5] = [
    ("aarch64-unknown-none", ""),
    ("thumbv7em-none-eabihf", "-C target-cpu=cortex-m7"),
    ("thumbv8m.main-none-eabihf", "-C target-cpu=cortex-m55"),
    ("wasm32-unknown-unknown", "-C target-feature=+simd128"),
    ("wasm32-unknown-unknown", "-C target-feature=+simd128,+relaxed-simd"),
];

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
    for (target, flags) in KERNELS {
        let mut clippy =
            command(&["cargo", "clippy", "--package", "fusionproxy-kernels", "--target", target]);
        clippy.args(["--", "-D", "warnings"]).env("RUSTFLAGS", flags);
        shell_run(clippy)?;
    }
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
