//! Frames as sensors deliver them: pixel formats, geometry, time and health, checked once at construction.
//!
//! A stage of the frame path borrows frames and [`Image`]s and writes rows into a buffer that it was given:
//! `stage(input, rows, out, out_stride)`, where `out` starts at row `rows.start`. Any split of the rows over calls,
//! threads or strips gives the same bytes.

mod error;
mod image;
mod infrared;
mod visible;

pub use error::FrameError;
pub(crate) use image::out_rows;
pub use image::{Image, Plane, RgbImage};
pub use infrared::{InfraredFormat, InfraredFrame};
pub use visible::{VisibleFormat, VisibleFrame};

use crate::health::SensorState;

/// Largest width and height of a frame, px. It keeps coordinates in 16.16 fixed point and all byte offsets of a
/// 20-megapixel frame within 32 bits.
pub const MAX_SIDE: usize = 16_383;

/// What travels with a frame beside its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameInfo {
    /// Time of the middle of the exposure as well as the driver knows it, µs, on a monotonic clock that both sensors
    /// share.
    pub timestamp_us: u64,
    /// Number of the frame, counted by the driver from 0; a gap means lost frames. Wraps.
    pub sequence: u32,
    /// State of the sensor when it delivered the frame.
    pub state: SensorState,
}

impl FrameInfo {
    /// The information of a frame that has no clock and no neighbour, such as a picture file: time 0, number 0,
    /// healthy.
    pub const STILL: Self = Self { timestamp_us: 0, sequence: 0, state: SensorState::Ok };
}

/// Checks a frame's width and height.
pub(crate) const fn check_side(width: usize, height: usize) -> Result<(), FrameError> {
    if width == 0 {
        return Err(FrameError::Empty { field: "width" });
    }
    if height == 0 {
        return Err(FrameError::Empty { field: "height" });
    }
    if width > MAX_SIDE {
        return Err(FrameError::TooLarge { field: "width", found: width, limit: MAX_SIDE });
    }
    if height > MAX_SIDE {
        return Err(FrameError::TooLarge { field: "height", found: height, limit: MAX_SIDE });
    }
    Ok(())
}

/// Checks that `rows` rows of `row_bytes` bytes at `stride` lie within `len` bytes.
const fn check_plane(
    plane: &'static str,
    row_bytes: usize,
    rows: usize,
    stride: usize,
    len: usize,
) -> Result<(), FrameError> {
    if stride < row_bytes || stride == 0 {
        return Err(FrameError::Stride { plane, found: stride, needed: row_bytes });
    }
    if rows == 0 {
        return Ok(());
    }
    // Saturation turns an offset beyond the address space into a length that no buffer has.
    let needed = stride.saturating_mul(rows - 1).saturating_add(row_bytes);
    if len < needed {
        return Err(FrameError::Buffer { plane, found: len, needed });
    }
    Ok(())
}
