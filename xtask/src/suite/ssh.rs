//! Real boards with Linux, over SSH: the program whose instructions are counted under the emulator, timed where it is at home.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::emulated::{artifacts, size, word};
use crate::shell::{command, run as shell_run};

/// Machines and the targets that run on them.
const MACHINES: [(&str, &str); 2] =
    [("aarch64", "aarch64-unknown-linux-musl"), ("x86_64", "x86_64-unknown-linux-musl")];

/// Times the released artifacts among `models` on `host`, one thread; INT8 frames are held against those of this machine.
pub(super) fn time(host: &str, models: &str, frames: u32) -> Result<Vec<Value>> {
    // A name that begins with a dash would be an option of ssh.
    ensure!(!host.starts_with('-'), "`{host}` is no host");
    let machine = ssh(host, "uname -m")?;
    let Some((_, target)) = MACHINES.iter().find(|(m, _)| *m == machine) else {
        let known = MACHINES.map(|(m, _)| m).join(", ");
        bail!("the machine is {machine}; there are builds for {known}");
    };
    let cpu = ssh(
        host,
        "tr -d '\\0' < /proc/device-tree/model 2>/dev/null || sed -n 's/^model name.*: //p' /proc/cpuinfo",
    )?;
    let cpu = cpu.lines().next().unwrap_or(&machine).to_owned();
    shell_run(command(&["rustup", "target", "add", target]))?;
    let program = build(Some(target))?;
    let own = build(None)?;
    let folder = ssh(host, "mktemp -d")?;
    let copy = |path: &Path| {
        shell_run({
            let mut scp = command(&["scp", "-q"]);
            scp.arg(path).arg(format!("{host}:{folder}/"));
            scp
        })
    };
    let rows = (|| {
        copy(&program)?;
        let mut rows = Vec::new();
        for (name, precision, path) in artifacts(models)? {
            copy(&path)?;
            let (size, file) = (size(&name), path.file_name().and_then(|f| f.to_str()).unwrap_or_default());
            let said = ssh(host, &format!("cd {folder} && ./frames {file} {size} {} --time", frames + 1))?;
            let told = |key: &str| word(&said, key).with_context(|| format!("{host} tells no {key}"));
            if precision == "int8" {
                let mut here = command(&[&own.display().to_string(), &path.display().to_string(), size, "1"]);
                let here = here.output().with_context(|| format!("cannot start {}", own.display()))?;
                ensure!(
                    word(&String::from_utf8_lossy(&here.stdout), "crc32 ") == Some(told("crc32 ")?),
                    "{name}: its frame on {host} is not the one that it is here"
                );
            }
            let (height, width) = size.split_once('x').unwrap_or_default();
            println!("{name} {precision} {size}: {} ms", told("median_ms ")?);
            rows.push(json!({
                "model": name,
                "precision": precision,
                "height": height.parse::<u32>()?,
                "width": width.parse::<u32>()?,
                "cpu": cpu,
                "kernels": told("kernels ")?,
                "median_ms": told("median_ms ")?.parse::<f64>()?,
                "min_ms": told("min_ms ")?.parse::<f64>()?,
            }));
        }
        Ok(rows)
    })();
    ssh(host, &format!("rm -r {folder}"))?;
    rows
}

/// Builds the program for `target`, or for this machine; its path.
fn build(target: Option<&str>) -> Result<PathBuf> {
    let mut words = vec!["cargo", "build", "--release", "--package", "frames"];
    words.extend(target.iter().flat_map(|t| ["--target", t]));
    shell_run(command(&words))?;
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(folder.join(target.unwrap_or_default()).join("release/frames"))
}

/// What a command prints on `host`. Asks for no password: keys have to be in place.
fn ssh(host: &str, line: &str) -> Result<String> {
    let done = command(&["ssh", "-o", "BatchMode=yes", host, line]).output().context("cannot start ssh")?;
    if !done.status.success() {
        bail!("`ssh {host} {line}` failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
