//! What the tests need beyond stable Rust.

use anyhow::Result;

use crate::shell::{command, output, run as shell_run, succeeds};

/// Targets that the runtime builds for or is tested on.
pub(crate) const TARGETS: [&str; 6] = [
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "aarch64-unknown-none",
    "aarch64-unknown-linux-musl",
    "wasm32-unknown-unknown",
    "wasm32-wasip1",
];

/// Programs and the Debian packages that hold them.
const PROGRAMS: [(&str, &str); 4] = [
    ("qemu-aarch64", "qemu-user"),
    ("qemu-system-arm", "qemu-system-arm"),
    ("node", "nodejs"),
    ("g++", "g++"),
];

/// Installs what is missing and says so.
pub(crate) fn run() -> Result<()> {
    let installed = output(&["rustup", "target", "list", "--installed"]);
    let missing: Vec<&str> = TARGETS.into_iter().filter(|t| !installed.lines().any(|l| l == *t)).collect();
    if !missing.is_empty() {
        println!("installing Rust targets: {}", missing.join(" "));
        let mut add = command(&["rustup", "target", "add"]);
        add.args(&missing);
        shell_run(add)?;
    }
    if !succeeds(&["cargo", "+nightly", "miri", "--version"]) {
        println!("installing miri (nightly Rust), for the tests of the unsafe code");
        let installed = succeeds(&["rustup", "toolchain", "list"])
            && (output(&["rustup", "toolchain", "list"]).contains("nightly")
                || succeeds(&["rustup", "toolchain", "install", "nightly", "--profile", "minimal"]))
            && succeeds(&["rustup", "component", "add", "--toolchain", "nightly", "miri", "rust-src"]);
        if !installed {
            println!(
                "SKIPPED: no nightly Rust with miri can be installed; `cargo xtask test` will leave miri out"
            );
        }
    }
    let packages: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|(program, _)| !succeeds(&[program, "--version"]))
        .map(|(_, p)| p)
        .collect();
    if !packages.is_empty() {
        println!("installing Debian packages: {}", packages.join(" "));
        shell_run(command(&["apt-get", "update", "-q"]))?;
        let mut install = command(&["apt-get", "install", "-y", "-q", "--no-install-recommends"]);
        install.args(&packages);
        shell_run(install)?;
    }
    Ok(())
}
