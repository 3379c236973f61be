//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    // CARGO_MANIFEST_DIR is xtask's folder; it always has a parent.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// The folder of local image pairs, if there is one.
pub(crate) fn data() -> Option<PathBuf> {
    let path = std::env::var_os("FUSIONPROXY_DATA").map_or_else(|| "../shared/data".into(), PathBuf::from);
    path.join("val").is_dir().then_some(path)
}

/// A command from words.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// Runs a command with its output shown; fails with the command's words if it fails.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let words = describe(&command);
    println!("$ {words}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("cannot start `{words}`"))?;
    if !status.success() {
        bail!("`{words}` failed ({status})");
    }
    println!("  {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Whether a command exists and succeeds, its output hidden.
pub(crate) fn succeeds(words: &[&str]) -> bool {
    command(words).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Standard output of a command, empty if it fails.
pub(crate) fn output(words: &[&str]) -> String {
    command(words)
        .stderr(Stdio::null())
        .output()
        .map_or_else(|_| String::new(), |o| String::from_utf8_lossy(&o.stdout).into_owned())
}

fn describe(command: &Command) -> String {
    let envs = command.get_envs().filter_map(|(k, v)| Some(format!("{}={} ", k.display(), v?.display())));
    let words =
        std::iter::once(command.get_program()).chain(command.get_args()).map(|w| w.display().to_string());
    envs.collect::<String>() + &words.collect::<Vec<_>>().join(" ")
}
