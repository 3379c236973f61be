//! Other runtimes: tract in this process, the others as programs that speak a line protocol (`benches/peers/README.md`).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;

use super::contender::Contender;
use super::pin::Cores;
use super::tract::Tract;
use crate::cli::Size;
use crate::cli::networks::Student;

/// A runtime that a user would pick instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    /// tract, the Rust runtime that our compiler imports with.
    Tract,
    /// rten, a Rust runtime.
    Rten,
    /// ONNX Runtime.
    Ort,
    /// OpenVINO.
    Openvino,
    /// ncnn.
    Ncnn,
}

/// What a peer is given.
pub(super) struct Work<'w> {
    pub(super) student: &'w Student,
    pub(super) precision: &'static str,
    pub(super) size: Size,
    pub(super) threads: usize,
    /// The folder with the frames.
    pub(super) frames: &'w Path,
}

impl Peer {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tract => "tract",
            Self::Rten => "rten",
            Self::Ort => "ort",
            Self::Openvino => "openvino",
            Self::Ncnn => "ncnn",
        }
    }

    /// The precisions in which it is measured: those that it runs at speed on a CPU.
    pub(super) const fn precisions(self) -> &'static [&'static str] {
        match self {
            Self::Tract | Self::Rten => &["f32"],
            Self::Ort => &["f32", "int8"],
            Self::Openvino => &["f32", "bf16", "int8"],
            Self::Ncnn => &["f32", "bf16"],
        }
    }

    /// Loads the network.
    pub(super) fn start(self, work: &Work<'_>, folder: &Path, cores: &Cores) -> Result<Box<dyn Contender>> {
        if self == Self::Tract {
            return Ok(Box::new(Tract::start(work)?));
        }
        let program = folder.join(self.name());
        if !program.is_file() {
            bail!("{} is not there; `cargo xtask suite` installs it", program.display());
        }
        Ok(Box::new(Helper::start(&program, work, folder, cores)?))
    }
}

/// A peer's program.
struct Helper {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    answer: tempfile::TempPath,
    allocations: Option<f64>,
}

impl Helper {
    fn start(program: &Path, work: &Work<'_>, cache: &Path, cores: &Cores) -> Result<Self> {
        let onnx = work.student.onnx.as_deref().context("there is no ONNX network")?;
        let answer = tempfile::NamedTempFile::new()?.into_temp_path();
        let mut child = cores
            .command(program, work.threads)
            .arg(onnx)
            .arg(work.precision)
            .args([work.size.height, work.size.width, work.threads].map(|n| n.to_string()))
            .arg(work.frames)
            .arg(cache.join("cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).context("it has no pipes")?;
        let mut helper = Self { child, input, output: BufReader::new(output), answer, allocations: None };
        helper.expect("ready")?;
        Ok(helper)
    }

    /// The rest of the next line, which begins with `word`.
    fn expect(&mut self, word: &str) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let line = line.trim_end();
        if let Some(rest) = line.strip_prefix(word) {
            return Ok(rest.trim().to_owned());
        }
        match line.strip_prefix("error ") {
            Some(why) => bail!("{why}"),
            None if line.is_empty() => bail!("its program ended without a word"),
            None => bail!("its program says `{line}` instead of `{word}`"),
        }
    }

    fn ask(&mut self, question: &str, answer: &str) -> Result<String> {
        writeln!(self.input, "{question}")
            .and_then(|()| self.input.flush())
            .context("its program has ended")?;
        self.expect(answer)
    }
}

impl Contender for Helper {
    fn run(&mut self, frames: usize, times: &mut Vec<f64>) -> Result<()> {
        let line = self.ask(&format!("run {frames}"), "ms")?;
        let found: Vec<f64> = line.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        if found.len() != frames {
            bail!("its program timed {} frames instead of {frames}", found.len());
        }
        times.extend(found);
        let count = self.ask("allocations", "allocations")?;
        self.allocations = count.parse().ok();
        Ok(())
    }

    fn output(&mut self) -> Result<Vec<f32>> {
        let question = format!("output {}", self.answer.display());
        self.ask(&question, "done")?;
        let bytes = std::fs::read(&self.answer)?;
        let (floats, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(anyhow!("its program's frame has {} bytes", bytes.len()));
        }
        Ok(floats.iter().copied().map(f32::from_le_bytes).collect())
    }

    fn allocations(&self) -> Option<f64> {
        self.allocations
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
