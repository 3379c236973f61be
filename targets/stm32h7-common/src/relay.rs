//! Frames from a task that must not wait to a rig that may be fusing.

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::zerocopy_channel::{Channel, Receiver, Sender};
use fusionproxy_board::source::{FrameSource, Layout, PixelFormat, ShortBuffer};
use fusionproxy_core::frame::FrameInfo;

/// A frame of at most `N` bytes on its way.
pub struct Slot<const N: usize> {
    info: FrameInfo,
    bytes: [u8; N],
}

impl<const N: usize> Slot<N> {
    /// An empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Self { info: FrameInfo::STILL, bytes: [0; N] }
    }

    /// Where the task puts a frame together.
    pub const fn bytes(&mut self) -> &mut [u8; N] {
        &mut self.bytes
    }

    /// Marks the frame complete.
    pub const fn complete(&mut self, info: FrameInfo) {
        self.info = info;
    }
}

impl<const N: usize> Default for Slot<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The channel between the two.
pub type Relay<'s, const N: usize> = Channel<'s, CriticalSectionRawMutex, Slot<N>>;
/// The task's end.
pub type FrameSender<'s, const N: usize> = Sender<'s, CriticalSectionRawMutex, Slot<N>>;

/// The rig's end: a camera whose frames come from another task.
pub struct Relayed<'s, F, const N: usize> {
    layout: Layout<F>,
    frames: Receiver<'s, CriticalSectionRawMutex, Slot<N>>,
}

impl<'s, F: PixelFormat, const N: usize> Relayed<'s, F, N> {
    /// A camera of this layout, whose frames have `N` bytes.
    ///
    /// # Errors
    /// [`ShortBuffer`] when they need more.
    pub fn new(
        layout: Layout<F>,
        frames: Receiver<'s, CriticalSectionRawMutex, Slot<N>>,
    ) -> Result<Self, ShortBuffer> {
        if layout.bytes() > N {
            return Err(ShortBuffer { found: N, needed: layout.bytes() });
        }
        Ok(Self { layout, frames })
    }
}

impl<F: PixelFormat, const N: usize> FrameSource for Relayed<'_, F, N> {
    type Format = F;
    type Error = ShortBuffer;

    fn layout(&self) -> Layout<F> {
        self.layout
    }

    fn poll(&mut self, buffer: &mut [u8], _now_us: u64) -> Result<Option<FrameInfo>, ShortBuffer> {
        let needed = self.layout.bytes();
        let found = buffer.len();
        let frame = buffer.get_mut(..needed).ok_or(ShortBuffer { found, needed })?;
        let Some(slot) = self.frames.try_receive() else { return Ok(None) };
        frame.copy_from_slice(&slot.bytes[..needed]);
        let info = slot.info;
        self.frames.receive_done();
        Ok(Some(info))
    }
}
