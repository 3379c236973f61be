//! Microcontrollers on a debug probe: the firmware that users flash, which tells in its log what a pair of frames takes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::board::Built;
use crate::shell::command;

/// Longest until the times are told: flashing, two cameras that wake up, and some pairs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A firmware on its board, ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Flashes the board and reads the first times that its log tells. Both cameras have to be wired, because the board fuses what
/// they see.
pub(super) fn time(board: &Built) -> Result<Value> {
    let probes = command(&["probe-rs", "list"])
        .output()
        .context("cannot start probe-rs (`cargo install probe-rs-tools` installs it)")?;
    let probes = String::from_utf8_lossy(&probes.stdout);
    ensure!(!probes.contains("No debug probes were found"), "no debug probe is attached: connect the board");
    let image = board.image()?;
    let mut run = command(&["probe-rs", "run", "--non-interactive", "--chip", board.chip]);
    let mut child =
        run.arg(image).stdout(Stdio::piped()).spawn().map(Running).context("cannot start probe-rs")?;
    let log = child.0.stdout.take().context("probe-rs has no output")?;
    let (said, lines) = channel();
    thread::spawn(move || BufReader::new(log).lines().map_while(Result::ok).try_for_each(|l| said.send(l)));
    let end = Instant::now() + PATIENCE;
    let (median, min) = loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("{line}");
                if let Some(times) = times(&line) {
                    break times;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                bail!("no pair was fused in {} s: are both cameras wired?", PATIENCE.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("probe-rs ended before a pair was fused: see above"),
        }
    };
    Ok(json!({
        "model": "nano",
        "precision": "int8",
        "height": 120,
        "width": 160,
        "cpu": format!("{}, {}", board.name, board.chip),
        "kernels": "whole frame path",
        "median_ms": median,
        "min_ms": min,
    }))
}

/// Median and least, ms, if `line` of the log tells them.
fn times(line: &str) -> Option<(f64, f64)> {
    let ms = |key: &str| {
        let (_, rest) = line.split_once(key)?;
        rest.split_whitespace().next()?.parse::<u32>().ok().map(|us| f64::from(us) / 1000.0)
    };
    Some((ms("median_us ")?, ms("min_us ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_in_the_log() {
        let line = "[INFO ] fused 16 pairs: median_us 95123 min_us 94800 (fusionproxy_stm32h7 times.rs:28)";
        assert_eq!(times(line), Some((95.123, 94.8)));
        assert_eq!(times("[INFO ] started: 4800 thermal px"), None);
        assert_eq!(times("fused 16 pairs: median_us x min_us 1"), None);
    }
}
