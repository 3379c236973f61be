//! The configuration: what its file says, checked against a schema.
//!
//! The README's reference lists every key. Defaults that depend on each other are filled in here, so that the rest of the
//! daemon never guesses.

mod error;
mod reader;
mod sensor;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fusionproxy::{Curve, GainSettings};

pub(crate) use error::ConfigError;
use reader::{Section, Source};
#[cfg(test)]
pub(crate) use sensor::least_spi_hz;
pub(crate) use sensor::{
    Files, Infrared, InfraredV4l2, Lepton, ThermalFormat, V4l2Format, Visible, VisibleV4l2,
};

/// A configuration that has passed the schema.
#[derive(Debug)]
pub(crate) struct Config {
    /// The network.
    pub(crate) model: ModelChoice,
    /// Threads that fuse; `None` for one each CPU.
    pub(crate) threads: Option<usize>,
    /// The visible camera.
    pub(crate) visible: Visible,
    /// The thermal camera.
    pub(crate) infrared: Infrared,
    /// The file that maps infrared to visible pixels; without one the infrared frame is stretched over the visible one.
    pub(crate) calibration: Option<PathBuf>,
    /// How counts become 8 bits.
    pub(crate) gain: GainSettings,
    /// Frames this far apart in time belong together, µs.
    pub(crate) tolerance_us: u64,
    /// Address of the preview page, if it is on.
    pub(crate) http: Option<SocketAddr>,
    /// Of every JPEG, 1 to 100.
    pub(crate) jpeg_quality: u8,
    /// The v4l2loopback device, if there is one.
    pub(crate) loopback: Option<PathBuf>,
    /// Frame files, if they are written.
    pub(crate) frames: Option<Frames>,
    /// Files of raw pairs, if they are written.
    pub(crate) pairs: Option<Pairs>,
}

/// Which network.
#[derive(Debug, PartialEq)]
pub(crate) enum ModelChoice {
    /// One that is part of the program.
    BuiltIn(String),
    /// An artifact.
    File(PathBuf),
}

/// Frames as files.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Where.
    pub(crate) folder: PathBuf,
    /// PNG or JPEG.
    pub(crate) format: FrameFormat,
    /// One of so many frames is written.
    pub(crate) every: u64,
    /// So many files stay; older ones are removed.
    pub(crate) keep: usize,
}

/// Raw pairs as files.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// Where; the bands have a folder each in it.
    pub(crate) folder: PathBuf,
    /// One of so many pairs of one moment is written.
    pub(crate) every: u64,
    /// So many pairs stay; older ones are removed.
    pub(crate) keep: usize,
}

/// Format of frame files.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FrameFormat {
    /// Lossless.
    Png,
    /// Small.
    Jpeg,
}

impl Config {
    /// Reads and checks a file.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        Self::parse(path, &text)
    }

    /// Checks a text; `path` is for messages and for relative paths.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let source = Source::new(path, text);
        let mut top = Section::document(&source, source.document()?);
        let model = match top.text("model")? {
            Some(text) if text.value.ends_with(".fpx") => {
                ModelChoice::File(path.parent().unwrap_or(Path::new("")).join(text.value))
            }
            Some(text) => ModelChoice::BuiltIn(text.value),
            None => ModelChoice::BuiltIn("ultralight".to_owned()),
        };
        let threads = top.number("threads", 1..=64)?.map(|n| n as usize);
        let calibration = top.path("calibration")?;
        let tolerance_us = top.number("tolerance_ms", 1..=1000)?.unwrap_or(60) * 1000;
        let visible = Visible::read(top.required_section("visible")?)?;
        let infrared = Infrared::read(top.required_section("infrared")?)?;
        let gain = match top.section("gain")? {
            Some(section) => gain(section)?,
            None => GainSettings::DEFAULT,
        };
        let (mut http, mut loopback, mut frames, mut pairs) = (Some(HTTP), None, None, None);
        let mut jpeg_quality = 85;
        if let Some(mut output) = top.section("output")? {
            if let Some(quality) = output.number("jpeg_quality", 1..=100)? {
                jpeg_quality = quality as u8;
            }
            if let Some(section) = output.section("http")? {
                http = listen(section)?;
            }
            if let Some(mut section) = output.section("loopback")? {
                loopback = Some(section.required_path("device", "device = \"/dev/video10\"")?);
                section.finish()?;
            }
            if let Some(section) = output.section("frames")? {
                frames = Some(Frames::read(section)?);
            }
            if let Some(section) = output.section("pairs")? {
                pairs = Some(Pairs::read(section)?);
            }
            output.finish()?;
        }
        top.finish()?;
        Ok(Self {
            model,
            threads,
            visible,
            infrared,
            calibration,
            gain,
            tolerance_us,
            http,
            jpeg_quality,
            loopback,
            frames,
            pairs,
        })
    }
}

fn gain(mut section: Section<'_, '_>) -> Result<GainSettings, ConfigError> {
    let usual = GainSettings::DEFAULT;
    let curves = [("plateau", usual.curve), ("linear", Curve::Linear)];
    let settings = GainSettings {
        curve: section.choice("curve", &curves)?.unwrap_or(usual.curve),
        low_tail_permille: word(&mut section, "low_tail_permille", 0..=450, usual.low_tail_permille)?,
        high_tail_permille: word(&mut section, "high_tail_permille", 0..=450, usual.high_tail_permille)?,
        min_span: word(&mut section, "min_span", 1..=65_535, usual.min_span)?,
        time_constant_frames: word(
            &mut section,
            "time_constant_frames",
            0..=1000,
            usual.time_constant_frames,
        )?,
    };
    section.finish()?;
    Ok(settings)
}

/// A number of 16 bits.
fn word(
    section: &mut Section<'_, '_>,
    key: &'static str,
    limits: std::ops::RangeInclusive<u64>,
    usual: u16,
) -> Result<u16, ConfigError> {
    Ok(section.number(key, limits)?.map_or(usual, |n| n as u16))
}

/// Where the preview page is unless the configuration says otherwise: for this machine only.
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8437);

fn listen(mut section: Section<'_, '_>) -> Result<Option<SocketAddr>, ConfigError> {
    let listen = section.parsed("listen", |text| match text {
        "off" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| format!("is `{text}`; write an address with a port, as `127.0.0.1:8437`, or `off`")),
    })?;
    section.finish()?;
    Ok(listen.unwrap_or(Some(HTTP)))
}

impl Frames {
    fn read(mut section: Section<'_, '_>) -> Result<Self, ConfigError> {
        let formats = [("png", FrameFormat::Png), ("jpeg", FrameFormat::Jpeg)];
        let frames = Self {
            folder: section.required_path("folder", "folder = \"/var/lib/fusionproxy/frames\"")?,
            format: section.choice("format", &formats)?.unwrap_or(FrameFormat::Png),
            every: section.number("every", 1..=1_000_000)?.unwrap_or(1),
            keep: section.number("keep", 1..=1_000_000)?.unwrap_or(100) as usize,
        };
        section.finish()?;
        Ok(frames)
    }
}

impl Pairs {
    fn read(mut section: Section<'_, '_>) -> Result<Self, ConfigError> {
        let pairs = Self {
            folder: section.required_path("folder", "folder = \"/var/lib/fusionproxy/pairs\"")?,
            every: section.number("every", 1..=1_000_000)?.unwrap_or(10),
            keep: section.number("keep", 1..=1_000_000)?.unwrap_or(100) as usize,
        };
        section.finish()?;
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests;
