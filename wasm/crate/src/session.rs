//! A pipeline with all of its memory.

use std::fmt;
use std::ops::Range;

use fusionproxy_core::align::Warp;
use fusionproxy_core::colour::{self, luma_of};
use fusionproxy_core::executor::{Executor, Moved, Visible};
use fusionproxy_core::frame::{
    FrameInfo, InfraredFormat, InfraredFrame, MAX_SIDE, Plane, RgbImage, VisibleFormat, VisibleFrame,
};
use fusionproxy_core::gain::{Follow, GainControl, GainSettings};
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::{Artifact, DType, Extent, OpKind};
use fusionproxy_kernels::Inline;
use fusionproxy_kernels::scalar::kernel_set;

use crate::strip::{Part, Strip};
use fusionproxy_kernels::Backend;

/// Operators whose scalar kernels are linked, and for which types. The small module runs the light students: their
/// convolutions and composition have kernels of their own, and what remains is this. The full one runs everything, in floats
/// too, and is three times as large.
const KINDS: &[OpKind] =
    if cfg!(feature = "full") { OpKind::ALL } else { &[OpKind::Concat, OpKind::Reduce, OpKind::Resize] };
const SCALAR: u32 = kernel_set(
    KINDS,
    if cfg!(feature = "full") { &[DType::U8, DType::F16, DType::F32] } else { &[DType::U8] },
);

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
type Kernels = fusionproxy_kernels::wasm::Simd128<SCALAR>;
/// On other machines, which test the module, whose SIMD kernels they lack.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
type Kernels = fusionproxy_kernels::Scalar<{ SCALAR | kernel_set(OpKind::ALL, &[DType::U8]) }>;

/// What kind of thing failed; the numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Failure {
    /// The bytes are no artifact of this version.
    Model = 1,
    /// The network cannot run at this frame size.
    Size = 2,
    /// A frame does not fit.
    Frame = 3,
    /// There is not enough memory.
    Memory = 4,
    /// The functions were called in a wrong order.
    Misuse = 5,
    /// The network needs kernels that only the full module has.
    Kernels = 6,
}

/// Pixels of a visible frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisibleInput {
    /// Red, green, blue, ignored alpha.
    Rgba,
    /// Red, green, blue.
    Rgb,
    /// Luma.
    Grey,
}

impl VisibleInput {
    /// By number.
    pub fn of(n: u32) -> Option<Self> {
        [Self::Rgba, Self::Rgb, Self::Grey].get(n as usize).copied()
    }

    fn format(self) -> VisibleFormat {
        match self {
            Self::Rgba => VisibleFormat::Rgba8,
            Self::Rgb => VisibleFormat::Rgb8,
            Self::Grey => VisibleFormat::Grey,
        }
    }
}

/// Pixels of an infrared frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfraredInput {
    /// One byte.
    Grey,
    /// A little-endian word of 16 bits.
    Y16,
    /// A little-endian word of 14 bits.
    Y14,
    /// Red, green, blue, ignored alpha, of which the luma is taken: a picture of grey.
    Rgba,
}

impl InfraredInput {
    /// By number.
    pub fn of(n: u32) -> Option<Self> {
        [Self::Grey, Self::Y16, Self::Y14, Self::Rgba].get(n as usize).copied()
    }
}

/// What a session is made for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Width and height of visible and fused frames, px.
    pub visible: (usize, usize),
    /// Width and height of infrared frames, px.
    pub infrared: (usize, usize),
    /// Gain control for single pictures instead of video.
    pub still: bool,
    /// Which strip of the frame, of how many; (0, 1) for all of it.
    pub strip: (usize, usize),
}

/// Bytes that the strips of a chain may take. Beyond most caches of the second level: here, what each strip costs by itself
/// weighs more (640x480, on an L2 of 2 MiB: 1 MiB 13.3 ms, 3 MiB 12.7 ms).
const CACHE: usize = 3 << 20;

type Failed = (Failure, String);

/// A network, its memory and the frame path around it, for one pair of sizes. Nothing it holds is ever freed.
///
/// The frame path is that of `fusionproxy_core::pipeline`, but for RGBA at its end.
pub struct Session {
    executor: Executor<'static, 'static, 'static, Part<Kernels>, Inline>,
    gain: GainControl,
    warp: Option<Warp>,
    options: Options,
    /// The network takes RGB, not luma.
    takes_rgb: bool,
    /// The frame's visible format, for its end.
    format: VisibleInput,
    /// Exchanges of sums that are left in this frame.
    exchanges: usize,
    buffers: Buffers,
    bytes: usize,
}

/// Frames on their way. Those of RGBA and the fused luma end with whole groups of four pixels.
struct Buffers {
    /// Visible frame as it came, at most RGBA.
    visible: &'static mut [u8],
    /// Infrared frame as it came, at most RGBA.
    infrared: &'static mut [u8],
    /// Infrared in 8 bits, before alignment.
    thermal: &'static mut [u8],
    /// Infrared in 8 bits and in visible geometry.
    aligned: &'static mut [u8],
    /// The network's visible input.
    input: &'static mut [u8],
    /// The network's output, luma or RGB.
    output: &'static mut [u8],
    /// A row of RGB.
    row: &'static mut [u8],
    /// The fused frame, RGBA.
    fused: &'static mut [u8],
}

impl Buffers {
    fn new(
        (width, height): (usize, usize),
        infrared: (usize, usize),
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, Failed> {
        let px = (width * height).next_multiple_of(4);
        let infrared_px = infrared.0 * infrared.1;
        Ok(Self {
            visible: aligned(px * 4)?,
            infrared: aligned(infrared_px * 4)?,
            thermal: aligned(infrared_px)?,
            aligned: aligned(width * height)?,
            input: aligned(width * height * inputs)?,
            output: aligned(px * outputs)?,
            row: aligned(width * 3)?,
            fused: aligned(px * 4)?,
        })
    }

    fn bytes(&self) -> usize {
        let Self { visible, infrared, thermal, aligned, input, output, row, fused } = self;
        [visible, infrared, thermal, aligned, input, output, row, fused].iter().map(|b| b.len()).sum()
    }
}

/// `len` bytes of zeros that are never freed, at a multiple of 64.
///
/// # Errors
/// [`Failure::Memory`].
pub(crate) fn aligned(len: usize) -> Result<&'static mut [u8], Failed> {
    let memory = || {
        let mib = len >> 20;
        (Failure::Memory, format!("no memory for {mib} MiB: use smaller frames, or close other pages"))
    };
    let mut bytes: Vec<u8> = Vec::new();
    let room = len.checked_add(63).ok_or_else(memory)?;
    bytes.try_reserve_exact(room).map_err(|_| memory())?;
    bytes.resize(room, 0);
    let bytes = bytes.leak();
    let start = bytes.as_ptr().align_offset(64);
    bytes.get_mut(start..).and_then(|b| b.get_mut(..len)).ok_or_else(memory)
}

fn size(e: impl fmt::Display) -> Failed {
    (Failure::Size, e.to_string())
}

fn model(e: impl fmt::Display) -> Failed {
    (Failure::Model, e.to_string())
}

fn frame(e: impl fmt::Display) -> Failed {
    (Failure::Frame, e.to_string())
}

impl Session {
    /// Checks the artifact `bytes`, plans and allocates everything.
    ///
    /// # Errors
    /// What failed, and a message that says what to do.
    pub fn new(bytes: &'static [u8], options: Options) -> Result<Self, Failed> {
        let Options { visible, infrared, still, strip } = options;
        for (name, (w, h)) in [("visible", visible), ("infrared", infrared)] {
            if w == 0 || h == 0 || w > MAX_SIDE || h > MAX_SIDE {
                return Err(size(format_args!(
                    "{name} frame is {w}x{h} px: sides must be 1 to {MAX_SIDE} px"
                )));
            }
        }
        let artifact = Artifact::new(bytes).map_err(model)?;
        let kernels = Kernels::default();
        if cfg!(all(target_arch = "wasm32", not(feature = "full"))) {
            light(&artifact, &kernels)?;
        }
        let tensors = vec![TensorSlot::EMPTY; artifact.tensor_count()].leak();
        let steps = vec![Step::EMPTY; artifact.op_count()].leak();
        let storage = PlanStorage { tensors, steps };
        // A strip of its own follows whole operators.
        let schedule = if strip.1 > 1 { Schedule::Whole } else { Schedule::Strips { cache: CACHE } };
        let plan_options = PlanOptions { workers: 1, schedule };
        let plan =
            Plan::new(&artifact, visible.1, visible.0, plan_options, &kernels, storage).map_err(size)?;
        let strip = match strip {
            (_, 1) => None,
            (index, count) if index < count => Some(Strip::new(&plan, index, count).map_err(size)?),
            (index, count) => return Err(size(format_args!("strip {index} of {count}: count from 0"))),
        };
        let part = Part { kernels, strip };
        let executor = Executor::new(&plan, aligned(plan.arena_bytes())?, part, &Inline).map_err(size)?;
        let channels = |id| artifact.tensor(id).map(|t| t.channels).map_err(model);
        let (inputs, outputs) = (channels(artifact.visible())?, channels(artifact.fused())?);
        let warp =
            if infrared == visible { None } else { Some(Warp::resize(infrared, visible).map_err(size)?) };
        let gain = GainControl::new(if still { GainSettings::STILL } else { GainSettings::DEFAULT })
            .map_err(size)?;
        let buffers = Buffers::new(visible, infrared, inputs, outputs)?;
        let bytes = bytes.len() + plan.arena_bytes() + buffers.bytes();
        let (takes_rgb, format, exchanges) = (inputs == 3, VisibleInput::Rgba, 0);
        Ok(Self { executor, gain, warp, options, takes_rgb, format, exchanges, buffers, bytes })
    }

    /// Where visible frames are written: room for RGBA.
    pub fn visible(&self) -> &[u8] {
        self.buffers.visible
    }

    /// Where infrared frames are written: room for RGBA.
    pub fn infrared(&self) -> &[u8] {
        self.buffers.infrared
    }

    /// The buffers for both frames, for writing.
    pub fn inputs(&mut self) -> (&mut [u8], &mut [u8]) {
        (self.buffers.visible, self.buffers.infrared)
    }

    /// The fused frame, RGBA with alpha 255.
    pub fn fused(&self) -> &[u8] {
        let (w, h) = self.options.visible;
        &self.buffers.fused[..w * h * 4]
    }

    /// Rows of the visible frame that are read, and rows of the fused frame that are written.
    pub fn rows(&self) -> [Range<usize>; 2] {
        match &self.executor.backend().strip {
            Some(strip) => [strip.reads.clone(), strip.writes.clone()],
            None => [(); 2].map(|()| 0..self.options.visible.1),
        }
    }

    /// How many times the strips of the frame that is being fused have still to exchange their sums, calling
    /// [`Self::resume`] after each.
    pub fn exchanges(&self) -> usize {
        self.exchanges
    }

    /// Hands `f` the sums that are to be exchanged: to these, those of the other strips are added.
    pub fn exchange<R>(&self, f: impl FnOnce(&mut [i32]) -> R) -> Option<R> {
        self.executor.backend().strip.as_ref().map(|strip| strip.exchange(f))
    }

    /// Fuses the frames in the input buffers; `afresh` for pictures that are no video. Allocates nothing, but for the sums of
    /// a strip's first frame.
    ///
    /// # Errors
    /// What failed, and a message that says what to do.
    pub fn fuse(
        &mut self,
        visible: VisibleInput,
        infrared: InfraredInput,
        afresh: bool,
    ) -> Result<(), Failed> {
        self.align(infrared, afresh)?;
        self.format = visible;
        let [rows, _] = self.rows();
        self.convert(visible, rows)?;
        self.exchanges = self.executor.backend().strip.as_ref().map_or(0, Strip::exchanges);
        self.stretch(false)
    }

    /// Makes rows of the visible frame the network's input.
    ///
    /// # Errors
    /// What failed, and a message that says what to do.
    fn convert(&mut self, visible: VisibleInput, rows: Range<usize>) -> Result<(), Failed> {
        let (w, _) = self.options.visible;
        let b = &mut self.buffers;
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        if visible == VisibleInput::Rgba && !self.takes_rgb {
            let px = rows.start * w..rows.end * w;
            fusionproxy_kernels::wasm::luma_rgba(&b.visible[px.start * 4..px.end * 4], &mut b.input[px]);
            return Ok(());
        }
        let image = visible_frame(visible, self.options.visible, b.visible)?;
        if self.takes_rgb {
            colour::rgb(&image, rows.clone(), &mut b.input[rows.start * w * 3..], w * 3).map_err(frame)
        } else {
            colour::luma(&image, rows.clone(), &mut b.input[rows.start * w..], w).map_err(frame)
        }
    }

    /// Goes on after an exchange.
    ///
    /// # Errors
    /// As [`Self::fuse`].
    pub fn resume(&mut self) -> Result<(), Failed> {
        let left = self.exchanges.checked_sub(1);
        self.exchanges = left.ok_or_else(|| (Failure::Misuse, "no exchange is due".to_owned()))?;
        self.stretch(true)
    }

    /// Runs the network up to the next exchange, or to its end, and then gives the luma its colours.
    fn stretch(&mut self, resume: bool) -> Result<(), Failed> {
        let (w, h) = self.options.visible;
        if let Some(strip) = &self.executor.backend().strip {
            strip.begin(resume);
        }
        let channels = self.executor.fused_channels();
        let [_, rows] = self.rows();
        let b = &mut self.buffers;
        let thermal = Plane::new(w, h, w, b.aligned).map_err(frame)?;
        let input: Visible<'_> = if self.takes_rgb {
            RgbImage::new(w, h, w * 3, b.input).map_err(frame)?.into()
        } else {
            Plane::new(w, h, w, b.input).map_err(frame)?.into()
        };
        let moved = self.executor.backend().strip.as_ref().map(|strip| {
            let [visible, infrared] = if resume { [0..0, 0..0] } else { strip.images.clone() };
            let fused = if self.exchanges > 0 { 0..0 } else { rows.clone() };
            Moved { visible, infrared, fused }
        });
        match moved {
            Some(moved) => self.executor.run_rows(input, thermal, b.output, w * channels, &moved),
            None => self.executor.run(input, thermal, b.output, w * channels),
        }
        .map_err(frame)?;
        if self.exchanges > 0 {
            return Ok(());
        }
        if channels == 3 {
            spread(b.output, b.fused);
            return Ok(());
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        if self.format == VisibleInput::Rgba {
            let px = rows.start * w..(rows.end * w).next_multiple_of(4);
            let rgba = px.start * 4..px.end * 4;
            fusionproxy_kernels::wasm::compose_rgba(
                &b.visible[rgba.clone()],
                &b.output[px],
                &mut b.fused[rgba],
            );
            return Ok(());
        }
        let image = visible_frame(self.format, (w, h), b.visible)?;
        let luma = Plane::new(w, h, w, b.output).map_err(frame)?;
        for y in rows {
            colour::compose(&image, &luma, y..y + 1, b.row, w * 3).map_err(frame)?;
            spread(b.row, &mut b.fused[y * w * 4..][..w * 4]);
        }
        Ok(())
    }

    /// Makes the infrared frame 8-bit luma in visible geometry.
    ///
    /// # Errors
    /// What failed, and a message that says what to do.
    fn align(&mut self, format: InfraredInput, afresh: bool) -> Result<(), Failed> {
        let ((w, h), (iw, ih)) = (self.options.visible, self.options.infrared);
        let b = &mut self.buffers;
        let format = match format {
            InfraredInput::Grey => InfraredFormat::Grey8,
            InfraredInput::Y16 => InfraredFormat::Y16,
            InfraredInput::Y14 => InfraredFormat::Y14,
            InfraredInput::Rgba => {
                // In place: a pixel's luma goes before the pixel.
                for i in 0..iw * ih {
                    b.infrared[i] =
                        luma_of([b.infrared[4 * i], b.infrared[4 * i + 1], b.infrared[4 * i + 2]]);
                }
                InfraredFormat::Grey8
            }
        };
        let words = InfraredFrame::new(format, iw, ih, format.row_bytes(iw), b.infrared, FrameInfo::STILL)
            .map_err(frame)?;
        self.gain.observe(&words, if afresh { Follow::Afresh } else { Follow::Smoothly });
        let rows = self.executor.backend().strip.as_ref().map_or(0..h, |strip| {
            // Below the frame its last row is repeated.
            let [_, rows] = &strip.images;
            rows.start.min(h - 1)..rows.end.min(h)
        });
        if let Some(warp) = &self.warp {
            self.gain.apply(&words, 0..ih, b.thermal, iw).map_err(frame)?;
            let thermal = Plane::new(iw, ih, iw, b.thermal).map_err(frame)?;
            warp.run(&thermal, rows.clone(), &mut b.aligned[rows.start * w..], w).map_err(frame)
        } else {
            self.gain.apply(&words, rows.clone(), &mut b.aligned[rows.start * w..], w).map_err(frame)
        }
    }

    /// Precision, kernels, parameters, bytes of memory and name of the network, with a space between.
    pub fn description(&self) -> impl fmt::Display {
        let artifact = self.executor.plan().artifact();
        let kernels = self.executor.backend().name();
        format!(
            "{} {kernels} {} {} {}",
            artifact.precision().name(),
            artifact.params(),
            self.bytes,
            artifact.name()
        )
    }
}

/// Whether the small module runs all of a network.
fn light(artifact: &Artifact<'_>, kernels: &Kernels) -> Result<(), Failed> {
    for index in 0..artifact.op_count() {
        let entry = artifact.op(index).map_err(model)?;
        let output = artifact.tensor(entry.output).map_err(model)?;
        let kind = entry.op.kind();
        let mut runs = output.dtype == DType::U8
            && (KINDS.contains(&kind) || kernels.kernel(&entry.op, DType::U8) != "scalar");
        if kind == OpKind::Binary {
            // Sums and products of two images, or of an image and one pixel.
            for i in 0..entry.inputs.len() {
                let input = entry.input(i).map(|id| artifact.tensor(id)).transpose().map_err(model)?;
                let small = |extent: Extent| extent.mul == 0 && extent.add == 1;
                runs &= input.is_some_and(|t| {
                    t.channels == output.channels
                        && ((t.height, t.width) == (output.height, output.width)
                            || small(t.height) && small(t.width))
                });
            }
        }
        if !runs {
            let (name, dtype) = (artifact.name(), output.dtype.name());
            let message = format!("model {name} has {kind:?} in {dtype}: it needs fusionproxy-full.wasm");
            return Err((Failure::Kernels, message));
        }
    }
    Ok(())
}

fn visible_frame(
    format: VisibleInput,
    (w, h): (usize, usize),
    bytes: &[u8],
) -> Result<VisibleFrame<'_>, Failed> {
    let format = format.format();
    VisibleFrame::new(format, w, h, format.row_bytes(w), bytes, FrameInfo::STILL).map_err(frame)
}

/// RGB to RGBA with alpha 255.
fn spread(rgb: &[u8], rgba: &mut [u8]) {
    for (to, [r, g, b]) in rgba.as_chunks_mut::<4>().0.iter_mut().zip(rgb.as_chunks::<3>().0) {
        *to = [*r, *g, *b, 255];
    }
}
