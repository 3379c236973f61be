//! Installing the runtimes that ours is compared with, each as a program in `target/peers` (`benches/peers/README.md`).

use std::path::Path;

use anyhow::{Context, Result};

use crate::shell::{command, root, run as shell_run};

/// Those of `benches/peers/peer.py`.
const PYTHON: [&str; 3] = ["ort", "openvino", "ncnn"];

/// Installs what is missing; returns what could not be.
pub(super) fn install() -> Result<Vec<String>> {
    let folder = root().join("target/peers");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut lost = Vec::new();
    if let Err(error) = python(&folder) {
        lost.push(format!("ort, openvino, ncnn: {error:#}"));
    }
    if let Err(error) = rten(&folder) {
        lost.push(format!("rten: {error:#}"));
    }
    Ok(lost)
}

fn python(folder: &Path) -> Result<()> {
    let venv = folder.join("venv");
    let wanted =
        std::fs::read_to_string("benches/peers/requirements.txt").context("cannot read requirements.txt")?;
    let stamp = venv.join("installed.txt");
    if std::fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        println!("installing Python packages: {}", wanted.split_whitespace().collect::<Vec<_>>().join(" "));
        let mut make = command(&["python3", "-m", "venv"]);
        make.arg(&venv);
        shell_run(make)?;
        let mut pip = std::process::Command::new(venv.join("bin/pip"));
        pip.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            "benches/peers/requirements.txt",
        ]);
        shell_run(pip)?;
        std::fs::write(&stamp, &wanted)?;
    }
    let script = root().join("benches/peers/peer.py");
    for name in PYTHON {
        let python = venv.join("bin/python");
        let text = format!("#!/bin/sh\nexec '{}' '{}' {name} \"$@\"\n", python.display(), script.display());
        program(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}

fn rten(folder: &Path) -> Result<()> {
    let mut build = command(&["cargo", "build", "--release", "--locked", "--target-dir"]);
    build.arg(root().join("target/peers/rten-build")).current_dir("benches/peers/rten");
    // The fastest that it can be here, as the C++ runtimes choose their kernels at run time.
    build.env("RUSTFLAGS", "-C target-cpu=native");
    shell_run(build)?;
    let built = folder.join("rten-build/release/fusionproxy-peer-rten");
    program(
        &folder.join("rten"),
        &std::fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?,
    )
}

/// Writes an executable file.
fn program(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
