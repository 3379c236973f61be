//! What can be wrong with a buffer that a stage is given.

use core::fmt;

/// A frame, an image or an output buffer that does not hold what its description says.
///
/// Every variant names the part at fault and, where it applies, what was found and what is needed, so that the
/// message alone is enough to repair the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A width or height of zero.
    Empty {
        /// The dimension at fault: `"width"` or `"height"`.
        field: &'static str,
    },
    /// A width or height beyond [`MAX_SIDE`](super::MAX_SIDE).
    TooLarge {
        /// The dimension at fault: `"width"` or `"height"`.
        field: &'static str,
        /// Its value, px.
        found: usize,
        /// The largest value accepted, px.
        limit: usize,
    },
    /// Rows that start closer together than one row is long.
    Stride {
        /// The plane at fault, for example `"chroma"`.
        plane: &'static str,
        /// The stride given, bytes.
        found: usize,
        /// The length of one row, bytes.
        needed: usize,
    },
    /// A buffer too short for its geometry.
    Buffer {
        /// The plane at fault, for example `"chroma"`.
        plane: &'static str,
        /// The length of the buffer, bytes.
        found: usize,
        /// The shortest length that would do, bytes.
        needed: usize,
    },
    /// A range of rows that reaches beyond the image, or runs backwards.
    Rows {
        /// First row asked for.
        start: usize,
        /// One past the last row asked for.
        end: usize,
        /// Rows that there are.
        height: usize,
    },
    /// Two images that must have equal size, or an image that a stage was not set up for.
    Size {
        /// The image at fault, for example `"fused luma"`.
        image: &'static str,
        /// Its width and height, px.
        found: (usize, usize),
        /// The width and height needed, px.
        needed: (usize, usize),
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty { field } => write!(f, "{field} is 0: give at least 1 px"),
            Self::TooLarge { field, found, limit } => {
                write!(f, "{field} is {found} px, more than the {limit} px supported: scale the frame down")
            }
            Self::Stride { plane, found, needed } => {
                write!(f, "{plane} stride is {found} bytes, but one row takes {needed}")
            }
            Self::Buffer { plane, found, needed } => {
                write!(f, "{plane} buffer holds {found} bytes, but {needed} are needed")
            }
            Self::Rows { start, end, height } => {
                write!(f, "rows {start}..{end} are not within the {height} rows of the image")
            }
            Self::Size { image, found, needed } => {
                write!(f, "{image} is {}x{} px, but {}x{} is needed", found.0, found.1, needed.0, needed.1)
            }
        }
    }
}

impl core::error::Error for FrameError {}
