//! Pictures in place of a camera: one file, or the files of a folder over and over, at a steady rate.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fusionproxy_board::rig::Watch;
use fusionproxy_board::source::Layout;
use fusionproxy_core::frame::{FrameInfo, InfraredFormat, VisibleFormat};
use fusionproxy_core::health::SensorState;
use image::DynamicImage;

use super::{Sensor, SensorError, Session};
use crate::clock::now_us;
use crate::config::Files as Config;

/// Longest pause before the thread looks whether it is to stop.
const PAUSE: Duration = Duration::from_millis(300);

/// Pictures that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// The path cannot be listed or read.
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The folder holds no picture.
    #[error("{} holds no pictures: put PNG, TIFF or JPEG files there", .path.display())]
    Empty { path: PathBuf },
    /// The file is no picture.
    #[error("{}: not a picture that can be read: {source}", .path.display())]
    Decode { path: PathBuf, source: Box<image::ImageError> },
}

/// Pictures in the order of their names, and the first one, which decides size and format.
struct Album {
    paths: Vec<PathBuf>,
    first: DynamicImage,
    rate: u32,
}

impl Album {
    fn new(config: &Config) -> Result<Self, FilesError> {
        let path = &config.path;
        let at = |source| FilesError::Read { path: path.clone(), source };
        let paths = if path.metadata().map_err(at)?.is_dir() {
            let mut paths: Vec<PathBuf> = path
                .read_dir()
                .map_err(at)?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|p| image::ImageFormat::from_path(p).is_ok())
                .collect();
            paths.sort();
            paths
        } else {
            vec![path.clone()]
        };
        let first = paths.first().ok_or_else(|| FilesError::Empty { path: path.clone() })?;
        let first = decode(first)?;
        Ok(Self { paths, first, rate: config.rate })
    }

    fn layout<F>(&self, format: F) -> Layout<F> {
        Layout { format, width: self.first.width() as usize, height: self.first.height() as usize }
    }

    fn watch(&self) -> Watch {
        // Pictures have no noise from frame to frame.
        Watch { frozen_after_us: u64::MAX, ..Watch::for_rate(self.rate) }
    }

    fn session(&self, bytes_of: fn(DynamicImage) -> Vec<u8>) -> Box<dyn Session> {
        Box::new(FilesSession {
            paths: self.paths.clone(),
            bytes_of,
            period_us: 1_000_000 / u64::from(self.rate),
            due_us: now_us(),
            shown: 0,
            loaded: None,
        })
    }
}

fn decode(path: &Path) -> Result<DynamicImage, FilesError> {
    image::open(path)
        .map_err(|source| FilesError::Decode { path: path.to_path_buf(), source: Box::new(source) })
}

/// Visible pictures.
pub(super) struct VisibleFiles(Album);

impl VisibleFiles {
    pub(super) fn new(config: &Config) -> Result<Self, FilesError> {
        Album::new(config).map(Self)
    }
}

impl Sensor for VisibleFiles {
    type Format = VisibleFormat;

    fn layout(&self) -> Layout<VisibleFormat> {
        self.0.layout(VisibleFormat::Rgb8)
    }

    fn watch(&self) -> Watch {
        self.0.watch()
    }

    fn open(&self) -> Result<Box<dyn Session>, SensorError> {
        Ok(self.0.session(|picture| picture.into_rgb8().into_raw()))
    }
}

/// Infrared pictures: 8 bits as a camera's gain control left them, or 16-bit counts.
pub(super) struct InfraredFiles(Album);

impl InfraredFiles {
    pub(super) fn new(config: &Config) -> Result<Self, FilesError> {
        Album::new(config).map(Self)
    }

    fn is_deep(&self) -> bool {
        matches!(
            self.0.first,
            DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) | DynamicImage::ImageRgb16(_)
        )
    }
}

impl Sensor for InfraredFiles {
    type Format = InfraredFormat;

    fn layout(&self) -> Layout<InfraredFormat> {
        self.0.layout(if self.is_deep() { InfraredFormat::Y16 } else { InfraredFormat::Grey8 })
    }

    fn watch(&self) -> Watch {
        self.0.watch()
    }

    fn open(&self) -> Result<Box<dyn Session>, SensorError> {
        Ok(self.0.session(if self.is_deep() {
            |picture| picture.into_luma16().into_raw().into_iter().flat_map(u16::to_le_bytes).collect()
        } else {
            |picture| picture.into_luma8().into_raw()
        }))
    }
}

struct FilesSession {
    paths: Vec<PathBuf>,
    bytes_of: fn(DynamicImage) -> Vec<u8>,
    period_us: u64,
    due_us: u64,
    shown: u32,
    /// The pixels of a single picture, which is decoded once.
    loaded: Option<Vec<u8>>,
}

impl Session for FilesSession {
    fn next(&mut self, frame: &mut [u8]) -> Result<Option<FrameInfo>, SensorError> {
        let wait = Duration::from_micros(self.due_us.saturating_sub(now_us()));
        if wait > PAUSE {
            thread::sleep(PAUSE);
            return Ok(None);
        }
        thread::sleep(wait);
        let path = &self.paths[self.shown as usize % self.paths.len()];
        let pixels = match self.loaded.take() {
            Some(pixels) => pixels,
            None => (self.bytes_of)(decode(path).map_err(|e| SensorError::closed(e.to_string()))?),
        };
        if pixels.len() != frame.len() {
            return Err(SensorError::closed(format!(
                "{} has another size than the first picture: all pictures of a folder need the same size",
                path.display()
            )));
        }
        frame.copy_from_slice(&pixels);
        if self.paths.len() == 1 {
            self.loaded = Some(pixels);
        }
        let timestamp_us = now_us();
        // After a pause of the machine, the rate goes on from now instead of catching up.
        self.due_us = (self.due_us + self.period_us).max(timestamp_us);
        let sequence = self.shown;
        self.shown = self.shown.wrapping_add(1);
        Ok(Some(FrameInfo { timestamp_us, sequence, state: SensorState::Ok }))
    }
}
