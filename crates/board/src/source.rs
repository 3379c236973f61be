//! What every camera looks like to the rest of a board: a source that fills lent buffers with frames.

use fusionproxy_core::frame::{
    FrameError, FrameInfo, InfraredFormat, InfraredFrame, VisibleFormat, VisibleFrame,
};

/// A pixel format of one of the two bands, and the frame type that belongs to it.
pub trait PixelFormat: Copy + PartialEq + core::fmt::Debug {
    /// The borrowed frame that [`Layout::frame`] makes.
    type Frame<'a>;

    /// Bytes of one row of the first plane, `width` px wide.
    fn row_bytes(self, width: usize) -> usize;

    /// Bytes of a whole frame without padding.
    fn frame_bytes(self, width: usize, height: usize) -> usize;

    /// A frame over `data`, rows without padding.
    ///
    /// # Errors
    /// [`FrameError`] when `data` is too short or a side is out of range.
    fn frame(
        self,
        width: usize,
        height: usize,
        data: &[u8],
        info: FrameInfo,
    ) -> Result<Self::Frame<'_>, FrameError>;
}

impl PixelFormat for InfraredFormat {
    type Frame<'a> = InfraredFrame<'a>;

    fn row_bytes(self, width: usize) -> usize {
        Self::row_bytes(self, width)
    }

    fn frame_bytes(self, width: usize, height: usize) -> usize {
        self.row_bytes(width) * height
    }

    fn frame(
        self,
        width: usize,
        height: usize,
        data: &[u8],
        info: FrameInfo,
    ) -> Result<Self::Frame<'_>, FrameError> {
        InfraredFrame::new(self, width, height, self.row_bytes(width), data, info)
    }
}

impl PixelFormat for VisibleFormat {
    type Frame<'a> = VisibleFrame<'a>;

    fn row_bytes(self, width: usize) -> usize {
        Self::row_bytes(self, width)
    }

    fn frame_bytes(self, width: usize, height: usize) -> usize {
        let luma = self.row_bytes(width) * height;
        match self {
            // The chroma plane has the luma plane's stride, which for an odd width is one byte short of a pair.
            Self::Nv12 => luma + width * (height.div_ceil(2) - 1) + width.next_multiple_of(2),
            _ => luma,
        }
    }

    fn frame(
        self,
        width: usize,
        height: usize,
        data: &[u8],
        info: FrameInfo,
    ) -> Result<Self::Frame<'_>, FrameError> {
        VisibleFrame::new(self, width, height, self.row_bytes(width), data, info)
    }
}

/// Format and size of the frames of a source. Rows follow each other without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout<F> {
    /// Pixel format.
    pub format: F,
    /// Width, px.
    pub width: usize,
    /// Height, px.
    pub height: usize,
}

impl<F: PixelFormat> Layout<F> {
    /// Bytes that a buffer for one frame must hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        if self.width == 0 || self.height == 0 {
            return 0;
        }
        self.format.frame_bytes(self.width, self.height)
    }

    /// The frame that a source has just completed in `data`.
    ///
    /// # Errors
    /// [`FrameError`] when `data` is shorter than [`Layout::bytes`].
    pub fn frame<'a>(&self, data: &'a [u8], info: FrameInfo) -> Result<F::Frame<'a>, FrameError> {
        self.format.frame(self.width, self.height, data, info)
    }

    /// `data` cut to one frame, or by how much it is too short.
    pub(crate) fn check<'a>(&self, data: &'a mut [u8]) -> Result<&'a mut [u8], ShortBuffer> {
        let (found, needed) = (data.len(), self.bytes());
        data.get_mut(..needed).ok_or(ShortBuffer { found, needed })
    }
}

/// A buffer that cannot hold a frame of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortBuffer {
    /// Length of the buffer, bytes.
    pub found: usize,
    /// Length of a frame, bytes.
    pub needed: usize,
}

impl core::fmt::Display for ShortBuffer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "frame buffer holds {} bytes, but a frame takes {}: lend a larger one",
            self.found, self.needed
        )
    }
}

impl core::error::Error for ShortBuffer {}

/// A camera that fills lent buffers.
///
/// # Contract
/// - [`poll`](Self::poll) does a bounded piece of work, at most one bus transfer of a few KiB, and returns. Call it
///   often; each driver says how often.
/// - A frame is put together over many calls. Lend the same buffer until a call returns a frame; between frames its
///   content is undefined. After a frame, the next call may be lent another buffer, and starts to overwrite it.
/// - An error reports one event. The source stays usable and recovers by itself: keep polling. Errors that will not go
///   away, such as a wrong sensor on the bus, repeat at the driver's back-off.
/// - A transfer on a bus that somebody holds low must fail within about 10 ms: that is a setting of the HAL, whose usual
///   limit of a second would stop every other sensor.
/// - `now_us` is a monotonic clock in µs that all sources of a rig share; it must not run backwards.
pub trait FrameSource {
    /// Pixel format of this band.
    type Format: PixelFormat;
    /// What can go wrong.
    type Error;

    /// Format and size of the frames; constant for the life of the source.
    fn layout(&self) -> Layout<Self::Format>;

    /// Does the next piece of work. `Some` when `buffer` now holds a complete frame.
    ///
    /// # Errors
    /// One event of the driver, see the contract above.
    fn poll(&mut self, buffer: &mut [u8], now_us: u64) -> Result<Option<FrameInfo>, Self::Error>;
}

impl<S: FrameSource + ?Sized> FrameSource for &mut S {
    type Format = S::Format;
    type Error = S::Error;

    fn layout(&self) -> Layout<Self::Format> {
        (**self).layout()
    }

    fn poll(&mut self, buffer: &mut [u8], now_us: u64) -> Result<Option<FrameInfo>, Self::Error> {
        (**self).poll(buffer, now_us)
    }
}
