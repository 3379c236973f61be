//! The calibration file: text of `key = value` lines, read without an allocator.
//!
//! ```text
//! fusionproxy calibration 1
//! # anything after a number sign is a comment
//! model = homography
//! infrared = 160x120
//! visible = 640x480
//! matrix = 3.9 0.01 12.5  -0.02 3.92 8.25  0 0.000001 1
//! rms_error_px = 0.8
//! ```
//!
//! The first line that is not blank or a comment names the format and its version. Every key appears exactly once, in
//! any order. `model` is `affine` or `homography`; sizes are width `x` height in px; `matrix` is the row-major map from
//! infrared to visible pixels (pixel centres at whole numbers).

use core::fmt;
use core::str::FromStr;

use super::{Calibration, GeometryError, Model};

const HEADER: &str = "fusionproxy calibration";
const VERSION: &str = "1";

/// A calibration file that cannot be used: the line, counted from 1, and what is wrong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileError {
    /// Line number from 1; for a missing key, the number of lines in the file.
    pub line: usize,
    /// What is wrong.
    pub problem: FileProblem,
}

/// What is wrong with a line of a calibration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileProblem {
    /// The file does not begin with `fusionproxy calibration`.
    Header,
    /// The version after the header is not one that this reader knows.
    Version,
    /// The line is not `key = value`.
    Syntax,
    /// A key that the format does not have.
    UnknownKey,
    /// A key that an earlier line has given.
    Duplicate(&'static str),
    /// A key that no line gives.
    Missing(&'static str),
    /// A `model` other than `affine` and `homography`.
    Model,
    /// A value that is not two whole numbers joined by `x`.
    Dimensions,
    /// A value that is not a number.
    Number,
    /// A `matrix` that has not nine entries.
    Entries(usize),
    /// All values read, but together they make no calibration.
    Geometry(GeometryError),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "calibration, line {}: ", self.line)?;
        match self.problem {
            FileProblem::Header => write!(f, "the file must begin with `{HEADER} {VERSION}`"),
            FileProblem::Version => write!(f, "unknown version: this reader knows `{HEADER} {VERSION}`"),
            FileProblem::Syntax => f.write_str("expected `key = value`"),
            FileProblem::UnknownKey => {
                f.write_str("unknown key: the format has model, infrared, visible, matrix and rms_error_px")
            }
            FileProblem::Duplicate(key) => write!(f, "{key} was given before: remove one of the lines"),
            FileProblem::Missing(key) => write!(f, "the file ends without `{key} = …`"),
            FileProblem::Model => f.write_str("model must be `affine` or `homography`"),
            FileProblem::Dimensions => f.write_str("a size must be written as width x height, like 160x120"),
            FileProblem::Number => f.write_str("expected a number"),
            FileProblem::Entries(n) => write!(f, "matrix has {n} entries, but needs 9"),
            FileProblem::Geometry(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for FileError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.problem {
            FileProblem::Geometry(error) => Some(error),
            _ => None,
        }
    }
}

/// A value and the line that gave it.
struct Field<T> {
    key: &'static str,
    given: Option<(T, usize)>,
}

impl<T> Field<T> {
    const fn new(key: &'static str) -> Self {
        Self { key, given: None }
    }

    fn set(&mut self, value: Result<T, FileProblem>, line: usize) -> Result<(), FileProblem> {
        if self.given.is_some() {
            return Err(FileProblem::Duplicate(self.key));
        }
        self.given = Some((value?, line));
        Ok(())
    }

    fn take(self, lines: usize) -> Result<(T, usize), FileError> {
        self.given.ok_or(FileError { line: lines, problem: FileProblem::Missing(self.key) })
    }
}

impl FromStr for Calibration {
    type Err = FileError;

    /// Reads a calibration file.
    fn from_str(text: &str) -> Result<Self, FileError> {
        let mut model = Field::new("model");
        let mut infrared = Field::new("infrared");
        let mut visible = Field::new("visible");
        let mut matrix = Field::new("matrix");
        let mut rms_error_px = Field::new("rms_error_px");
        let mut header = false;
        let mut line = 0;
        for raw in text.lines() {
            line += 1;
            let content = raw.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let at = |problem| FileError { line, problem };
            if !header {
                let version = content.strip_prefix(HEADER).ok_or(at(FileProblem::Header))?;
                if version.trim() != VERSION {
                    return Err(at(FileProblem::Version));
                }
                header = true;
                continue;
            }
            let (key, value) = content.split_once('=').ok_or(at(FileProblem::Syntax))?;
            let value = value.trim();
            match key.trim() {
                "model" => model.set(parse_model(value), line),
                "infrared" => infrared.set(parse_size(value), line),
                "visible" => visible.set(parse_size(value), line),
                "matrix" => matrix.set(parse_matrix(value), line),
                "rms_error_px" => rms_error_px.set(parse_number(value), line),
                _ => Err(FileProblem::UnknownKey),
            }
            .map_err(at)?;
        }
        let line = line.max(1);
        if !header {
            return Err(FileError { line, problem: FileProblem::Header });
        }
        let (model, _) = model.take(line)?;
        let (infrared, infrared_line) = infrared.take(line)?;
        let (visible, visible_line) = visible.take(line)?;
        let (matrix, matrix_line) = matrix.take(line)?;
        let (rms_error_px, rms_line) = rms_error_px.take(line)?;
        Self::new(model, infrared, visible, matrix, rms_error_px).map_err(|error| FileError {
            line: match error {
                GeometryError::Size { which: "infrared", .. } => infrared_line,
                GeometryError::Size { .. } => visible_line,
                GeometryError::RmsError => rms_line,
                _ => matrix_line,
            },
            problem: FileProblem::Geometry(error),
        })
    }
}

/// Writes the calibration file. Reading it back gives the same calibration, bit for bit.
impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = match self.model() {
            Model::Affine => "affine",
            Model::Homography => "homography",
        };
        let (infrared, visible) = (self.infrared(), self.visible());
        writeln!(f, "{HEADER} {VERSION}")?;
        writeln!(f, "model = {model}")?;
        writeln!(f, "infrared = {}x{}", infrared.0, infrared.1)?;
        writeln!(f, "visible = {}x{}", visible.0, visible.1)?;
        f.write_str("matrix =")?;
        for v in self.matrix() {
            write!(f, " {v}")?;
        }
        writeln!(f, "\nrms_error_px = {}", self.rms_error_px())
    }
}

fn parse_model(value: &str) -> Result<Model, FileProblem> {
    match value {
        "affine" => Ok(Model::Affine),
        "homography" => Ok(Model::Homography),
        _ => Err(FileProblem::Model),
    }
}

fn parse_size(value: &str) -> Result<(usize, usize), FileProblem> {
    let (width, height) = value.split_once('x').ok_or(FileProblem::Dimensions)?;
    let side = |text: &str| text.trim().parse().map_err(|_| FileProblem::Dimensions);
    Ok((side(width)?, side(height)?))
}

fn parse_number(value: &str) -> Result<f32, FileProblem> {
    value.parse().map_err(|_| FileProblem::Number)
}

fn parse_matrix(value: &str) -> Result<[f32; 9], FileProblem> {
    let mut matrix = [0.0; 9];
    let mut entries = 0;
    for word in value.split_whitespace() {
        let number = parse_number(word)?;
        if let Some(slot) = matrix.get_mut(entries) {
            *slot = number;
        }
        entries += 1;
    }
    if entries == matrix.len() { Ok(matrix) } else { Err(FileProblem::Entries(entries)) }
}
