//! The released artifacts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fusionproxy_eval::scene::Condition;

use crate::shell::{command, data, run as shell_run};

/// Whether to compare or to replace.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Replace the artifacts in the repository instead of comparing.
    #[arg(long)]
    write: bool,
}

/// Where synthetic calibration pairs are drawn.
const SCENES: &str = "target/models/scenes";

/// Draws a synthetic pair of every condition, twice: what no training pair shows, such as glare, is not cut off.
fn draw_scenes() -> Result<()> {
    for folder in ["vis", "ir"] {
        std::fs::create_dir_all(format!("{SCENES}/{folder}"))
            .with_context(|| format!("cannot make {SCENES}"))?;
    }
    for (condition, seed) in Condition::ALL.iter().flat_map(|c| [(c.name(), "21"), (c.name(), "22")]) {
        let name = format!("{condition}{seed}");
        let mut draw = command(&["cargo", "run", "--release", "--quiet", "--package", "fusionproxy-eval"]);
        draw.args(["--example", "scene", "--", condition, seed, "640x480", "0.5"]);
        draw.arg(format!("{SCENES}/{name}"));
        shell_run(draw)?;
        for folder in ["vis", "ir"] {
            let (from, to) =
                (format!("{SCENES}/{name}_{folder}.png"), format!("{SCENES}/{folder}/{name}.png"));
            std::fs::rename(&from, &to).with_context(|| format!("cannot move {from}"))?;
        }
    }
    Ok(())
}

/// Rebuilds `models/*/*.fpx` from `models/*/*.onnx` and compares bytes. Calibration takes the local training pairs and
/// synthetic ones.
pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(data) = data() else {
        bail!("the local image pairs are absent: put them at ../shared/data or set FUSIONPROXY_DATA");
    };
    std::fs::create_dir_all("target/models").context("cannot make target/models")?;
    draw_scenes()?;
    let mut differing = Vec::new();
    let mut folders: Vec<PathBuf> = std::fs::read_dir("models")
        .context("cannot list models")?
        .filter_map(|f| Some(f.ok()?.path()))
        .collect();
    folders.sort();
    for folder in folders {
        let Some(name) = folder.file_name().and_then(|n| n.to_str()) else { continue };
        let onnx = folder.join(format!("{name}.onnx"));
        if !onnx.is_file() {
            continue;
        }
        for precision in ["fp16", "int8"] {
            let released = folder.join(format!("{name}.{precision}.fpx"));
            let rebuilt = Path::new("target/models").join(format!("{name}.{precision}.fpx"));
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
            c.arg("--calibrate").arg(data.join("train")).args(["--calibrate", SCENES]);
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
