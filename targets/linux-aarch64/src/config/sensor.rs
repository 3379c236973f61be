//! The sensors' part of the configuration.

use std::path::PathBuf;

use fusionproxy_board::lepton;

use super::error::ConfigError;
use super::reader::Section;

/// The visible camera.
#[derive(Debug)]
pub(crate) enum Visible {
    /// A camera node.
    V4l2(VisibleV4l2),
    /// Pictures.
    Files(Files),
}

/// The thermal camera.
#[derive(Debug)]
pub(crate) enum Infrared {
    /// A camera node.
    V4l2(InfraredV4l2),
    /// A Lepton on SPI and I²C.
    Lepton(Lepton),
    /// Pictures.
    Files(Files),
}

/// What a camera node is asked for.
#[derive(Debug, Clone)]
pub(crate) struct VisibleV4l2 {
    /// The node.
    pub(crate) device: PathBuf,
    /// Width and height, px.
    pub(crate) size: (usize, usize),
    /// Pixel format on the wire.
    pub(crate) format: V4l2Format,
    /// Frames a second.
    pub(crate) rate: u32,
}

/// As [`VisibleV4l2`], for the thermal camera.
#[derive(Debug, Clone)]
pub(crate) struct InfraredV4l2 {
    /// The node.
    pub(crate) device: PathBuf,
    /// Width and height of the thermal picture, px.
    pub(crate) size: (usize, usize),
    /// Pixel format on the wire.
    pub(crate) format: ThermalFormat,
    /// Frames a second.
    pub(crate) rate: u32,
}

/// Formats that visible cameras send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum V4l2Format {
    /// 4:2:2.
    Yuyv,
    /// 4:2:0 in two planes.
    Nv12,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Luma.
    Grey,
    /// A JPEG each frame.
    Mjpeg,
}

/// Formats that thermal cameras send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThermalFormat {
    /// 16-bit counts (PureThermal, vivid).
    Y16,
    /// 8 bits after the camera's gain control.
    Grey,
    /// A picture over 16-bit temperatures, both of `size`, declared as one YUYV frame of twice the height (Topdon TC001,
    /// InfiRay P2 Pro).
    DualFrame,
}

/// A Lepton on the board's own buses.
#[derive(Debug, Clone)]
pub(crate) struct Lepton {
    /// The spidev node.
    pub(crate) spi: PathBuf,
    /// The i2c-dev node.
    pub(crate) i2c: PathBuf,
    /// SPI clock, Hz.
    pub(crate) spi_hz: u32,
    /// What the camera is set to.
    pub(crate) settings: lepton::Settings,
}

/// Pictures of a folder, over and over, or one picture.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// File or folder.
    pub(crate) path: PathBuf,
    /// Frames a second.
    pub(crate) rate: u32,
}

#[derive(Clone, Copy)]
enum VisibleKind {
    V4l2,
    Files,
}

#[derive(Clone, Copy)]
enum InfraredKind {
    V4l2,
    Lepton,
    Files,
}

impl Visible {
    pub(super) fn read(mut section: Section<'_, '_>) -> Result<Self, ConfigError> {
        let formats = [
            ("yuyv", V4l2Format::Yuyv),
            ("mjpeg", V4l2Format::Mjpeg),
            ("nv12", V4l2Format::Nv12),
            ("rgb", V4l2Format::Rgb),
            ("bgr", V4l2Format::Bgr),
            ("grey", V4l2Format::Grey),
        ];
        let kinds = [("v4l2", VisibleKind::V4l2), ("files", VisibleKind::Files)];
        let visible = match section.required_choice("source", &kinds)? {
            VisibleKind::V4l2 => Self::V4l2(VisibleV4l2 {
                device: section.required_path("device", "device = \"/dev/video0\"")?,
                size: section.parsed("size", size)?.unwrap_or((640, 480)),
                format: section.choice("format", &formats)?.unwrap_or(V4l2Format::Yuyv),
                rate: rate(&mut section, 30)?,
            }),
            VisibleKind::Files => Self::Files(Files::read(&mut section)?),
        };
        section.finish()?;
        Ok(visible)
    }
}

impl Infrared {
    pub(super) fn read(mut section: Section<'_, '_>) -> Result<Self, ConfigError> {
        let kinds =
            [("lepton", InfraredKind::Lepton), ("v4l2", InfraredKind::V4l2), ("files", InfraredKind::Files)];
        let formats = [
            ("y16", ThermalFormat::Y16),
            ("grey", ThermalFormat::Grey),
            ("dual-frame", ThermalFormat::DualFrame),
        ];
        let infrared = match section.required_choice("source", &kinds)? {
            InfraredKind::V4l2 => {
                let device = section.required_path("device", "device = \"/dev/video1\"")?;
                let format = section.choice("format", &formats)?.unwrap_or(ThermalFormat::Y16);
                let (usual, usual_rate) = match format {
                    ThermalFormat::DualFrame => ((256, 192), 25),
                    ThermalFormat::Y16 | ThermalFormat::Grey => ((160, 120), 9),
                };
                let size = section.parsed("size", size)?.unwrap_or(usual);
                Self::V4l2(InfraredV4l2 { device, size, format, rate: rate(&mut section, usual_rate)? })
            }
            InfraredKind::Lepton => Self::Lepton(Lepton::read(&mut section)?),
            InfraredKind::Files => Self::Files(Files::read(&mut section)?),
        };
        section.finish()?;
        Ok(infrared)
    }
}

impl Lepton {
    fn read(section: &mut Section<'_, '_>) -> Result<Self, ConfigError> {
        let models = [("lepton3", lepton::Model::Lepton3), ("lepton2", lepton::Model::Lepton2)];
        let outputs = [
            ("counts", lepton::Output::Counts),
            ("centikelvin", lepton::Output::Centikelvin),
            ("agc", lepton::Output::Agc),
        ];
        let gains = [("high", lepton::Gain::High), ("low", lepton::Gain::Low), ("auto", lepton::Gain::Auto)];
        let spi = section.required_path("spi", "spi = \"/dev/spidev0.0\"")?;
        let i2c = section.required_path("i2c", "i2c = \"/dev/i2c-1\"")?;
        let model = section.choice("model", &models)?.unwrap_or(lepton::Model::Lepton3);
        let mut settings = lepton::Settings::new(model);
        settings.output = section.choice("output", &outputs)?.unwrap_or(settings.output);
        settings.gain = section.choice("gain", &gains)?;
        let limits = u64::from(least_spi_hz(model))..=20_000_000;
        let why = match model {
            lepton::Model::Lepton3 => ": a Lepton 3.x sends 8.5 Mbit/s, and the bus rests between two reads",
            lepton::Model::Lepton2 => ": a Lepton 2.x sends 2.2 Mbit/s, and the bus rests between two reads",
        };
        let spi_hz = section.number_for("spi_hz", limits, why)?.unwrap_or(20_000_000) as u32;
        Ok(Self { spi, i2c, spi_hz, settings })
    }
}

/// The slowest SPI clock that takes a camera's packets as fast as they come, with the pauses of its thread between reads.
pub(crate) const fn least_spi_hz(model: lepton::Model) -> u32 {
    match model {
        // A segment of 61 packets, of 164 bytes each, every 9.4 ms.
        lepton::Model::Lepton3 => 12_000_000,
        // 63 packets every 37.7 ms.
        lepton::Model::Lepton2 => 3_000_000,
    }
}

impl Files {
    fn read(section: &mut Section<'_, '_>) -> Result<Self, ConfigError> {
        Ok(Self { path: section.required_path("path", "path = \"pictures\"")?, rate: rate(section, 10)? })
    }
}

fn rate(section: &mut Section<'_, '_>, usual: u32) -> Result<u32, ConfigError> {
    Ok(section.number("rate", 1..=240)?.map_or(usual, |n| n as u32))
}

/// `640x480`.
fn size(text: &str) -> Result<(usize, usize), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    match sides {
        Some((w @ 16..=4096, h @ 16..=4096)) => Ok((w, h)),
        _ => Err(format!("is `{text}`; write width x height in px, each from 16 to 4096, as `640x480`")),
    }
}
