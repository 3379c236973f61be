//! Finds out which instructions a Cortex-M target has: stable Rust does not say it by `cfg(target_feature)`.
//!
//! `dsp`: the DSP extension, a part of Armv7E-M. `helium`: the M-profile vector extension with floats (MVE-F). Both are
//! known from the CPU that the flags name (`-C target-cpu=…`).

use std::env::var;

/// CPUs of Armv8-M with the DSP extension, and whether they have Helium.
const CPUS: [(&str, bool); 4] =
    [("cortex-m33", false), ("cortex-m35p", false), ("cortex-m55", true), ("cortex-m85", true)];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(dsp)");
    println!("cargo::rustc-check-cfg=cfg(helium)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    if var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("arm") {
        return;
    }
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let cpu =
        CPUS.iter().find(|(name, _)| flags.split('\x1f').any(|f| f.ends_with(&format!("target-cpu={name}"))));
    if cpu.is_some() || var("TARGET").is_ok_and(|t| t.starts_with("thumbv7em")) {
        println!("cargo::rustc-cfg=dsp");
    }
    if cpu.is_some_and(|(_, helium)| *helium) {
        println!("cargo::rustc-cfg=helium");
    }
}
