//! The released artifacts.

use anyhow::{Context, Result, bail};

use crate::shell::{command, run as shell_run};

/// Whether to compare or to replace.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Replace the artifacts in the repository instead of comparing.
    #[arg(long)]
    write: bool,
}

/// Rebuilds `models/*/*.fpx` from `models/*/*.onnx` on the committed synthetic calibration set and compares bytes.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut differing = Vec::new();
    for folder in std::fs::read_dir("models").context("cannot list models")?.filter_map(Result::ok) {
        let name = folder.file_name().to_string_lossy().into_owned();
        let onnx = folder.path().join(format!("{name}.onnx"));
        if !onnx.is_file() {
            continue;
        }
        for precision in ["fp16", "int8"] {
            let released = folder.path().join(format!("{name}.{precision}.fpx"));
            let rebuilt = std::path::PathBuf::from(format!("target/models/{name}.{precision}.fpx"));
            std::fs::create_dir_all("target/models").context("cannot make target/models")?;
            let mut c = command(&[
                "cargo",
                "run",
                "--release",
                "--quiet",
                "--package",
                "fusionproxy",
                "--",
                "compile",
            ]);
            c.arg(&onnx).args(["--precision", precision]).arg("--output").arg(&rebuilt);
            shell_run(c)?;
            let new =
                std::fs::read(&rebuilt).with_context(|| format!("cannot read {}", rebuilt.display()))?;
            if args.write {
                std::fs::write(&released, &new)
                    .with_context(|| format!("cannot write {}", released.display()))?;
            } else if std::fs::read(&released).ok().as_deref() != Some(&new[..]) {
                differing.push(released.display().to_string());
            }
        }
    }
    if differing.is_empty() {
        Ok(())
    } else {
        bail!(
            "differ from what their ONNX compiles to: {}; rebuild with `cargo xtask models --write`",
            differing.join(", ")
        )
    }
}
