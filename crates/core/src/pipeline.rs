//! Whole frames: a pair of sensor frames in, a fused RGB frame out.
//!
//! [`Pipeline`] strings the stages of the frame path together around an [`Executor`], in one buffer of its own whose size
//! is known beforehand: gain control and alignment of the infrared, luma (or RGB) of the visible, the network, and the
//! visible frame's chroma under the fused luma.

use core::fmt;

use fusionproxy_kernels::{Backend, Workers};

use crate::align::Warp;
use crate::colour;
use crate::executor::{Executor, RunError, Visible};
use crate::frame::{FrameError, Image, InfraredFrame, Plane, RgbImage, VisibleFormat, VisibleFrame};
use crate::gain::{Follow, GainControl};

/// What a pipeline is made for; its buffer's size follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipelineShape {
    /// Width and height of the visible and of the fused frame, px.
    pub visible: (usize, usize),
    /// Width and height of the infrared frame, px.
    pub infrared: (usize, usize),
    /// Channels of the network's visible input: 1 (luma) or 3 (RGB).
    pub input_channels: usize,
    /// Channels of the network's output: 1 (luma) or 3 (RGB).
    pub fused_channels: usize,
}

impl PipelineShape {
    /// Bytes of buffer that [`Pipeline::new`] needs.
    pub const fn buffer_bytes(&self) -> usize {
        let px = self.visible.0.saturating_mul(self.visible.1);
        let channels = self.input_channels + 1 + self.fused_channels;
        px.saturating_mul(channels).saturating_add(self.infrared.0.saturating_mul(self.infrared.1))
    }
}

/// Why a pair could not be fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PipelineError {
    /// A frame or the output does not fit.
    Frame(FrameError),
    /// The network refused its input.
    Run(RunError),
    /// The buffer is too small.
    Buffer {
        /// Bytes given.
        found: usize,
        /// [`PipelineShape::buffer_bytes`].
        needed: usize,
    },
    /// Infrared and visible differ in size and there is no warp.
    Unaligned,
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(e) => e.fmt(f),
            Self::Run(e) => e.fmt(f),
            Self::Buffer { found, needed } => write!(f, "pipeline buffer has {found} bytes, needs {needed}"),
            Self::Unaligned => f.write_str(
                "infrared and visible frames differ in size; give a calibration, or `Warp::resize` if they show the same view",
            ),
        }
    }
}

impl core::error::Error for PipelineError {}

impl From<FrameError> for PipelineError {
    fn from(e: FrameError) -> Self {
        Self::Frame(e)
    }
}

impl From<RunError> for PipelineError {
    fn from(e: RunError) -> Self {
        Self::Run(e)
    }
}

/// The frame path of one pair of sensors.
pub struct Pipeline<'b> {
    shape: PipelineShape,
    gain: GainControl,
    warp: Option<Warp>,
    buffer: &'b mut [u8],
}

impl<'b> Pipeline<'b> {
    /// A pipeline in `buffer`, whose contents do not matter. `warp` maps the infrared frame onto the visible one; it may
    /// be left out where both have the same size and geometry.
    ///
    /// # Errors
    /// [`PipelineError::Buffer`], [`PipelineError::Unaligned`], or [`PipelineError::Frame`] when the warp is for other
    /// sizes.
    pub fn new(
        shape: PipelineShape,
        gain: GainControl,
        warp: Option<Warp>,
        buffer: &'b mut [u8],
    ) -> Result<Self, PipelineError> {
        let (found, needed) = (buffer.len(), shape.buffer_bytes());
        if found < needed {
            return Err(PipelineError::Buffer { found, needed });
        }
        match &warp {
            Some(w) => {
                expect("infrared frame of the calibration", w.infrared(), shape.infrared)?;
                expect("visible frame of the calibration", w.visible(), shape.visible)?;
            }
            None if shape.infrared != shape.visible => return Err(PipelineError::Unaligned),
            None => {}
        }
        Ok(Self { shape, gain, warp, buffer })
    }

    /// Fuses one pair into `out`, RGB, row `y` at `y * stride`. `follow` tells the gain control how to take the infrared
    /// frame: [`Follow::Afresh`] for stills.
    ///
    /// # Errors
    /// [`PipelineError`] when a frame has not the size that the pipeline was made for, or does not fit.
    pub fn fuse<B: Backend, W: Workers + ?Sized>(
        &mut self,
        visible: &VisibleFrame<'_>,
        infrared: &InfraredFrame<'_>,
        follow: Follow,
        executor: &mut Executor<'_, '_, '_, B, W>,
        out: &mut [u8],
        stride: usize,
    ) -> Result<(), PipelineError> {
        let PipelineShape { visible: (w, h), input_channels, fused_channels, .. } = self.shape;
        expect("visible frame", (visible.width(), visible.height()), (w, h))?;
        expect("infrared frame", (infrared.width(), infrared.height()), self.shape.infrared)?;
        let ((thermal, aligned), rest) = split(self.shape, self.buffer);
        let (input, fused) = rest.split_at_mut(w * h * input_channels);
        let infrared = align(&mut self.gain, self.warp.as_ref(), infrared, follow, (w, h), thermal, aligned)?;
        let network_input = if input_channels == 3 {
            colour::rgb(visible, 0..h, input, w * 3)?;
            Visible::Rgb(RgbImage::new(w, h, w * 3, input)?)
        } else {
            colour::luma(visible, 0..h, input, w)?;
            Visible::Luma(Plane::new(w, h, w, input)?)
        };
        if fused_channels == 3 {
            executor.run(network_input, infrared, out, stride)?;
        } else {
            executor.run(network_input, infrared, fused, w)?;
            colour::compose(visible, &Plane::new(w, h, w, fused)?, 0..h, out, stride)?;
        }
        Ok(())
    }

    /// Shows an infrared frame alone, in grey, where there is no visible frame: gain control and alignment as in
    /// [`Self::fuse`], no network. `out` is as there.
    ///
    /// # Errors
    /// [`PipelineError::Frame`] when the frame has not the size that the pipeline was made for, or `out` is too short.
    pub fn infrared_alone(
        &mut self,
        infrared: &InfraredFrame<'_>,
        follow: Follow,
        out: &mut [u8],
        stride: usize,
    ) -> Result<(), PipelineError> {
        let (w, h) = self.shape.visible;
        expect("infrared frame", (infrared.width(), infrared.height()), self.shape.infrared)?;
        let ((thermal, aligned), _) = split(self.shape, self.buffer);
        let plane = align(&mut self.gain, self.warp.as_ref(), infrared, follow, (w, h), thermal, aligned)?;
        let grey = VisibleFrame::new(VisibleFormat::Grey, w, h, w, plane.data(), infrared.info())?;
        Ok(colour::rgb(&grey, 0..h, out, stride)?)
    }

    /// The infrared of the last pair, 8 bits, in visible geometry.
    ///
    /// # Errors
    /// None after a pair was fused; its contents are arbitrary before.
    pub fn infrared(&self) -> Result<Plane<'_>, FrameError> {
        self.view(self.shape.infrared.0 * self.shape.infrared.1)
    }

    /// The fused luma of the last pair, where the network's output is luma.
    ///
    /// # Errors
    /// [`FrameError`] where the output is RGB: it went to the caller directly.
    pub fn fused_luma(&self) -> Result<Plane<'_>, FrameError> {
        let ((w, h), (iw, ih)) = (self.shape.visible, self.shape.infrared);
        self.view(if self.shape.fused_channels == 1 {
            iw * ih + w * h * (1 + self.shape.input_channels)
        } else {
            usize::MAX
        })
    }

    fn view(&self, from: usize) -> Result<Image<'_, 1>, FrameError> {
        let (w, h) = self.shape.visible;
        Plane::new(w, h, w, self.buffer.get(from..).unwrap_or(&[]))
    }
}

/// Infrared before alignment and after it, and the rest of a buffer that the constructor has measured.
fn split(shape: PipelineShape, buffer: &mut [u8]) -> ((&mut [u8], &mut [u8]), &mut [u8]) {
    let (thermal, rest) = buffer.split_at_mut(shape.infrared.0 * shape.infrared.1);
    let (aligned, rest) = rest.split_at_mut(shape.visible.0 * shape.visible.1);
    ((thermal, aligned), rest)
}

/// Infrared counts to 8 bits in the visible geometry, `(w, h)` px.
fn align<'a>(
    gain: &mut GainControl,
    warp: Option<&Warp>,
    infrared: &InfraredFrame<'_>,
    follow: Follow,
    (w, h): (usize, usize),
    thermal: &mut [u8],
    aligned: &'a mut [u8],
) -> Result<Plane<'a>, FrameError> {
    let (iw, ih) = (infrared.width(), infrared.height());
    gain.observe(infrared, follow);
    if let Some(warp) = warp {
        gain.apply(infrared, 0..ih, thermal, iw)?;
        warp.run(&Plane::new(iw, ih, iw, thermal)?, 0..h, aligned, w)?;
    } else {
        gain.apply(infrared, 0..ih, aligned, iw)?;
    }
    Plane::new(w, h, w, aligned)
}

/// Width and height are those that the pipeline was made for.
fn expect(image: &'static str, found: (usize, usize), needed: (usize, usize)) -> Result<(), FrameError> {
    if found == needed { Ok(()) } else { Err(FrameError::Size { image, found, needed }) }
}
