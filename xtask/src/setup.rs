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
const PROGRAMS: [(&str, &str); 7] = [
    ("curl", "curl"),
    ("qemu-aarch64", "qemu-user"),
    ("qemu-system-arm", "qemu-system-arm"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("chromium", "chromium"),
    ("g++", "g++"),
];

/// A Vulkan device in software, for the shaders where there is no GPU. It has no program to ask for its version.
const VULKAN: &str = "mesa-vulkan-drivers";

/// Installs what is missing and says so.
pub(crate) fn run() -> Result<()> {
    targets()?;
    miri();
    packages()
}

/// Rust targets.
pub(crate) fn targets() -> Result<()> {
    let installed = output(&["rustup", "target", "list", "--installed"]);
    let missing: Vec<&str> = TARGETS.into_iter().filter(|t| !installed.lines().any(|l| l == *t)).collect();
    if !missing.is_empty() {
        println!("installing Rust targets: {}", missing.join(" "));
        let mut add = command(&["rustup", "target", "add"]);
        add.args(&missing);
        shell_run(add)?;
    }
    Ok(())
}

/// Miri, if it can be had.
fn miri() {
    if succeeds(&["cargo", "+nightly", "miri", "--version"]) {
        return;
    }
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

/// Debian packages.
pub(crate) fn packages() -> Result<()> {
    let packages: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|(program, _)| !succeeds(&[program, "--version"]))
        .map(|(_, p)| p)
        .chain((!succeeds(&["dpkg", "--status", VULKAN])).then_some(VULKAN))
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
