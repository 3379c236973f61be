//! Cameras behind V4L2 nodes: UVC cameras, PureThermal boards, dual-frame thermal sticks, vivid.

use std::io;
use std::path::Path;
use std::time::Duration;

use fusionproxy_board::rig::Watch;
use fusionproxy_board::source::Layout;
use fusionproxy_core::frame::{FrameInfo, InfraredFormat, VisibleFormat};
use fusionproxy_core::health::SensorState;
use moq_v4l::buffer::{Flags, Metadata, Type};
use moq_v4l::io::mmap::Stream;
use moq_v4l::io::traits::CaptureStream;
use moq_v4l::video::Capture;
use moq_v4l::video::capture::Parameters;
use moq_v4l::{Device, Format, FourCC};
use rustix::io::Errno;

use super::access::explain;
use super::{Sensor, SensorError, Session};
use crate::clock::now_us;
use crate::config::{InfraredV4l2, ThermalFormat, V4l2Format, VisibleV4l2};

/// A camera that sends nothing for so long is opened again. Some take more than a second to their first frame.
const WAIT: Duration = Duration::from_secs(3);
/// Frames in the driver's hands. With fewer, a busy moment costs a frame; with more, nothing is gained.
const BUFFERS: u32 = 4;

/// A visible camera.
pub(super) struct VisibleCamera {
    config: VisibleV4l2,
}

impl VisibleCamera {
    pub(super) fn new(config: VisibleV4l2) -> Self {
        Self { config }
    }
}

impl Sensor for VisibleCamera {
    type Format = VisibleFormat;

    fn layout(&self) -> Layout<VisibleFormat> {
        let format = match self.config.format {
            V4l2Format::Yuyv => VisibleFormat::Yuyv,
            V4l2Format::Nv12 => VisibleFormat::Nv12,
            V4l2Format::Rgb | V4l2Format::Mjpeg => VisibleFormat::Rgb8,
            V4l2Format::Bgr => VisibleFormat::Bgr8,
            V4l2Format::Grey => VisibleFormat::Grey,
        };
        let (width, height) = self.config.size;
        Layout { format, width, height }
    }

    fn watch(&self) -> Watch {
        Watch::for_rate(self.config.rate)
    }

    fn open(&self) -> Result<Box<dyn Session>, SensorError> {
        let (width, height) = self.config.size;
        let (code, planes) = match self.config.format {
            V4l2Format::Yuyv => {
                (b"YUYV", Pixels::Rows { bytes: width.next_multiple_of(2) * 2, rows: height })
            }
            // The chroma rows follow the luma rows with the same stride.
            V4l2Format::Nv12 => (b"NV12", Pixels::Rows { bytes: width, rows: height + height.div_ceil(2) }),
            V4l2Format::Rgb => (b"RGB3", Pixels::Rows { bytes: width * 3, rows: height }),
            V4l2Format::Bgr => (b"BGR3", Pixels::Rows { bytes: width * 3, rows: height }),
            V4l2Format::Grey => (b"GREY", Pixels::Rows { bytes: width, rows: height }),
            V4l2Format::Mjpeg => (b"MJPG", Pixels::Jpeg { width, height }),
        };
        let ask = Ask { width, height, code: FourCC::new(code), rate: self.config.rate };
        open(&self.config.device, &ask, planes)
    }
}

/// A thermal camera.
pub(super) struct InfraredCamera {
    config: InfraredV4l2,
}

impl InfraredCamera {
    pub(super) fn new(config: InfraredV4l2) -> Self {
        Self { config }
    }
}

impl Sensor for InfraredCamera {
    type Format = InfraredFormat;

    fn layout(&self) -> Layout<InfraredFormat> {
        let format = match self.config.format {
            ThermalFormat::Y16 | ThermalFormat::DualFrame => InfraredFormat::Y16,
            ThermalFormat::Grey => InfraredFormat::Grey8,
        };
        let (width, height) = self.config.size;
        Layout { format, width, height }
    }

    fn watch(&self) -> Watch {
        Watch::for_rate(self.config.rate)
    }

    fn open(&self) -> Result<Box<dyn Session>, SensorError> {
        let (width, height) = self.config.size;
        let rows = |bytes| Pixels::Rows { bytes, rows: height };
        let (code, asked_height, pixels) = match self.config.format {
            ThermalFormat::Y16 => (b"Y16 ", height, rows(width * 2)),
            ThermalFormat::Grey => (b"GREY", height, rows(width)),
            // Words of 16 bits, declared as YUYV: picture above, temperatures below.
            ThermalFormat::DualFrame => {
                (b"YUYV", height * 2, Pixels::LowerRows { bytes: width * 2, rows: height })
            }
        };
        let ask = Ask { width, height: asked_height, code: FourCC::new(code), rate: self.config.rate };
        open(&self.config.device, &ask, pixels)
    }
}

/// What a node is asked for.
struct Ask {
    width: usize,
    height: usize,
    code: FourCC,
    rate: u32,
}

/// How the bytes of a buffer become those of a frame.
#[derive(Clone, Copy)]
enum Pixels {
    /// Rows of so many bytes, at the driver's stride.
    Rows { bytes: usize, rows: usize },
    /// Likewise, after as many rows that are left out.
    LowerRows { bytes: usize, rows: usize },
    /// One JPEG of so many px.
    Jpeg { width: usize, height: usize },
}

fn open(path: &Path, ask: &Ask, pixels: Pixels) -> Result<Box<dyn Session>, SensorError> {
    let place = path.display();
    let device = Device::with_path(path).map_err(|e| explain(path, "camera", &e))?;
    let wanted = Format::new(ask.width as u32, ask.height as u32, ask.code);
    let got = device.set_format(&wanted).map_err(|e| no_video(path, &e))?;
    if (got.width, got.height, got.fourcc) != (wanted.width, wanted.height, wanted.fourcc) {
        let formats = device.enum_formats().unwrap_or_default();
        let codes: Vec<String> = formats.iter().map(|f| f.fourcc.to_string().trim().to_owned()).collect();
        return Err(SensorError::closed(format!(
            "{place} gives {}x{} {} where {}x{} {} was asked for; it has {}: correct `size` and `format`, \
             `v4l2-ctl -d {place} --list-formats-ext` lists what it has",
            got.width,
            got.height,
            got.fourcc,
            wanted.width,
            wanted.height,
            wanted.fourcc,
            codes.join(", "),
        )));
    }
    // Not every camera lets its rate be set, and some round it.
    let _ = device.set_params(&Parameters::with_fps(ask.rate));
    let mut stream =
        Stream::with_buffers(&device, Type::VideoCapture, BUFFERS).map_err(|e| no_video(path, &e))?;
    stream.set_timeout(WAIT);
    Ok(Box::new(CameraSession {
        place: place.to_string(),
        stream,
        stride: got.stride as usize,
        pixels,
        first: None,
    }))
}

/// Why a node that could be opened gives no video: who has a camera already shows by its format or by its buffers.
fn no_video(path: &Path, error: &io::Error) -> SensorError {
    match error.kind() {
        io::ErrorKind::ResourceBusy => explain(path, "camera", error),
        _ => SensorError::closed(format!(
            "{} gives no video ({error}): name a capture node, `v4l2-ctl --list-devices` lists them",
            path.display()
        )),
    }
}

struct CameraSession {
    place: String,
    stream: Stream<'static>,
    stride: usize,
    pixels: Pixels,
    /// Number of the first frame.
    first: Option<u32>,
}

impl Session for CameraSession {
    fn next(&mut self, frame: &mut [u8]) -> Result<Option<FrameInfo>, SensorError> {
        let (data, meta) = match self.stream.next() {
            Ok(buffer) => buffer,
            Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                return Err(SensorError::closed(format!(
                    "{} is open but sends no frames; it is opened again",
                    self.place
                )));
            }
            Err(e) if e.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => {
                return Err(SensorError::closed(format!("{} was unplugged; waiting for it", self.place)));
            }
            Err(e) => {
                return Err(SensorError::closed(format!("{} failed: {e}; it is opened again", self.place)));
            }
        };
        if meta.flags.contains(Flags::ERROR) {
            return Err(SensorError::passing(format!("{}: the driver marks a frame as damaged", self.place)));
        }
        let data = data.get(..meta.bytesused as usize).unwrap_or(data);
        unpack(data, self.stride, self.pixels, frame)
            .map_err(|what| SensorError::passing(format!("{}: {what}", self.place)))?;
        let first = *self.first.get_or_insert(meta.sequence);
        Ok(Some(FrameInfo {
            timestamp_us: timestamp_us(meta),
            sequence: meta.sequence.wrapping_sub(first),
            state: SensorState::Ok,
        }))
    }
}

/// When the driver received the frame, if it stamps with the monotonic clock; now otherwise.
fn timestamp_us(meta: &Metadata) -> u64 {
    let now = now_us();
    if (meta.flags & Flags::TIMESTAMP_MASK) != Flags::TIMESTAMP_MONOTONIC {
        return now;
    }
    let stamp = meta.timestamp;
    let us = u64::try_from(stamp.sec).unwrap_or(0) * 1_000_000 + u64::try_from(stamp.usec).unwrap_or(0);
    us.min(now)
}

/// Copies the pixels of a buffer into a frame without padding.
fn unpack(data: &[u8], stride: usize, pixels: Pixels, frame: &mut [u8]) -> Result<(), String> {
    let (bytes, rows, skip) = match pixels {
        Pixels::Jpeg { width, height } => return unpack_jpeg(data, (width, height), frame),
        Pixels::Rows { bytes, rows } => (bytes, rows, 0),
        Pixels::LowerRows { bytes, rows } => (bytes, rows, rows),
    };
    // Drivers leave the stride at 0 where rows are not padded.
    let stride = stride.max(bytes);
    let needed = stride * (skip + rows - 1) + bytes;
    if data.len() < needed {
        return Err(format!("a frame has {} bytes where {needed} are needed: check the cable", data.len()));
    }
    for (to, from) in frame.chunks_exact_mut(bytes).zip(data.chunks(stride).skip(skip)) {
        to.copy_from_slice(&from[..bytes]);
    }
    Ok(())
}

fn unpack_jpeg(data: &[u8], size: (usize, usize), frame: &mut [u8]) -> Result<(), String> {
    let broken = |e: &dyn std::fmt::Display| format!("a JPEG cannot be decoded: {e}");
    let picture =
        image::load_from_memory_with_format(data, image::ImageFormat::Jpeg).map_err(|e| broken(&e))?;
    let picture = picture.into_rgb8();
    if (picture.width() as usize, picture.height() as usize) != size {
        return Err(format!(
            "a JPEG has {}x{} px, not {}x{}",
            picture.width(),
            picture.height(),
            size.0,
            size.1
        ));
    }
    frame.copy_from_slice(picture.as_raw());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_another_program_has_is_busy() {
        let refused = |code: Errno| {
            no_video(Path::new("/dev/video7"), &io::Error::from_raw_os_error(code.raw_os_error()))
        };
        assert!(refused(Errno::BUSY).is_busy());
        assert!(refused(Errno::BUSY).to_string().contains("`fuser -v /dev/video7` names it"));
        assert!(!refused(Errno::NOTTY).is_busy());
        assert!(refused(Errno::NOTTY).to_string().starts_with("/dev/video7 gives no video"));
    }

    #[test]
    fn padded_rows_are_packed_and_short_buffers_refused() {
        // Two rows of 3 bytes, 5 apart; the last is not padded.
        let data = [1, 2, 3, 0, 0, 4, 5, 6];
        let mut frame = [0; 6];
        let pixels = Pixels::Rows { bytes: 3, rows: 2 };
        assert_eq!(unpack(&data, 5, pixels, &mut frame), Ok(()));
        assert_eq!(frame, [1, 2, 3, 4, 5, 6]);
        assert!(unpack(&data[..7], 5, pixels, &mut frame).unwrap_err().contains("7 bytes where 8"));
        // A stride of 0 stands for rows without padding.
        assert_eq!(unpack(&[7; 6], 0, pixels, &mut frame), Ok(()));
        assert_eq!(frame, [7; 6]);
    }

    #[test]
    fn of_a_dual_frame_the_temperatures_are_taken() {
        let data = [9, 9, 9, 9, 1, 2, 3, 4];
        let mut frame = [0; 4];
        assert_eq!(unpack(&data, 2, Pixels::LowerRows { bytes: 2, rows: 2 }, &mut frame), Ok(()));
        assert_eq!(frame, [1, 2, 3, 4]);
    }

    #[test]
    fn jpegs_are_decoded_and_damaged_ones_refused() {
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100)
            .encode(&[200; 16 * 16 * 3], 16, 16, image::ExtendedColorType::Rgb8)
            .expect("encodes");
        let mut frame = vec![0; 16 * 16 * 3];
        let pixels = Pixels::Jpeg { width: 16, height: 16 };
        assert_eq!(unpack(&jpeg, 0, pixels, &mut frame), Ok(()));
        assert!(frame.iter().all(|v| v.abs_diff(200) <= 1), "{frame:?}");
        assert!(unpack(&jpeg[..40], 0, pixels, &mut frame).is_err());
        let other = Pixels::Jpeg { width: 32, height: 16 };
        assert!(unpack(&jpeg, 0, other, &mut frame).unwrap_err().contains("16x16 px, not 32x16"));
    }
}
