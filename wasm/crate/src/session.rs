//! A pipeline with all of its memory.

use std::fmt;

use fusionproxy_core::align::Warp;
use fusionproxy_core::colour::luma_of;
use fusionproxy_core::executor::Executor;
use fusionproxy_core::frame::{
    FrameInfo, InfraredFormat, InfraredFrame, MAX_SIDE, VisibleFormat, VisibleFrame,
};
use fusionproxy_core::gain::{Follow, GainControl, GainSettings};
use fusionproxy_core::pipeline::{Pipeline, PipelineShape};
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
use fusionproxy_format::{Artifact, DType, OpKind, TensorId};
use fusionproxy_kernels::scalar::kernel_set;
use fusionproxy_kernels::{Backend, Inline};

/// Every operator in 8 bits, but for those that [`Kernels`] has no need of. Floats would make the module twice as large
/// and run several times slower.
const SCALAR: u32 = kernel_set(OpKind::ALL, &[DType::U8])
    & !if cfg!(all(target_arch = "wasm32", target_feature = "simd128")) {
        kernel_set(&[OpKind::Blend], &[])
    } else {
        0
    };

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
type Kernels = fusionproxy_kernels::wasm::Simd128<SCALAR>;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
type Kernels = fusionproxy_kernels::Scalar<SCALAR>;

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
}

type Failed = (Failure, String);

/// A network, its memory and the frame path around it, for one pair of sizes. Nothing it holds is ever freed.
pub struct Session {
    executor: Executor<'static, 'static, 'static, Kernels, Inline>,
    pipeline: Pipeline<'static>,
    options: Options,
    visible: &'static mut [u8],
    infrared: &'static mut [u8],
    grey: &'static mut [u8],
    rgb: &'static mut [u8],
    fused: &'static mut [u8],
    bytes: usize,
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
        let Options { visible, infrared, still } = options;
        for (name, (w, h)) in [("visible", visible), ("infrared", infrared)] {
            if w == 0 || h == 0 || w > MAX_SIDE || h > MAX_SIDE {
                return Err(size(format_args!(
                    "{name} frame is {w}x{h} px: sides must be 1 to {MAX_SIDE} px"
                )));
            }
        }
        let artifact = Artifact::new(bytes).map_err(model)?;
        for id in 0..artifact.tensor_count() {
            let tensor = artifact.tensor(id as TensorId).map_err(model)?;
            if tensor.dtype != DType::U8 {
                let (name, found) = (artifact.name(), tensor.dtype.name());
                return Err(model(format_args!(
                    "model {name} computes in {found}, and this module in 8 bits alone: load its INT8 artifact"
                )));
            }
        }
        let tensors = vec![TensorSlot::EMPTY; artifact.tensor_count()].leak();
        let steps = vec![Step::EMPTY; artifact.op_count()].leak();
        let storage = PlanStorage { tensors, steps };
        let kernels = Kernels::default();
        let plan = Plan::new(&artifact, visible.1, visible.0, PlanOptions::default(), &kernels, storage)
            .map_err(size)?;
        let executor = Executor::new(&plan, aligned(plan.arena_bytes())?, kernels, &Inline).map_err(size)?;
        let channels = |id| artifact.tensor(id).map(|t| t.channels).map_err(model);
        let shape = PipelineShape {
            visible,
            infrared,
            input_channels: channels(artifact.visible())?,
            fused_channels: channels(artifact.fused())?,
        };
        let warp =
            if infrared == visible { None } else { Some(Warp::resize(infrared, visible).map_err(size)?) };
        let gain = GainControl::new(if still { GainSettings::STILL } else { GainSettings::DEFAULT })
            .map_err(size)?;
        let pipeline = Pipeline::new(shape, gain, warp, aligned(shape.buffer_bytes())?).map_err(size)?;
        let (px, infrared_px) = (visible.0 * visible.1, infrared.0 * infrared.1);
        let session = Self {
            bytes: bytes.len() + plan.arena_bytes() + shape.buffer_bytes() + px * 11 + infrared_px * 5,
            executor,
            pipeline,
            options,
            visible: aligned(px * 4)?,
            infrared: aligned(infrared_px * 4)?,
            grey: aligned(infrared_px)?,
            rgb: aligned(px * 3)?,
            fused: aligned(px * 4)?,
        };
        Ok(session)
    }

    /// Where visible frames are written, `width * height * 4` bytes.
    pub fn visible(&self) -> &[u8] {
        self.visible
    }

    /// Where infrared frames are written, `width * height * 4` bytes.
    pub fn infrared(&self) -> &[u8] {
        self.infrared
    }

    /// The buffers for both frames, for writing.
    pub fn inputs(&mut self) -> (&mut [u8], &mut [u8]) {
        (self.visible, self.infrared)
    }

    /// The fused frame, RGBA with alpha 255.
    pub fn fused(&self) -> &[u8] {
        self.fused
    }

    /// Fuses the frames in the input buffers; `afresh` for pictures that are no video. Allocates nothing.
    ///
    /// # Errors
    /// What failed, and a message that says what to do.
    pub fn fuse(
        &mut self,
        visible: VisibleInput,
        infrared: InfraredInput,
        afresh: bool,
    ) -> Result<(), Failed> {
        let (w, h) = self.options.visible;
        let (iw, ih) = self.options.infrared;
        let format = visible.format();
        let v = VisibleFrame::new(format, w, h, format.row_bytes(w), self.visible, FrameInfo::STILL)
            .map_err(frame)?;
        let (format, thermal) = match infrared {
            InfraredInput::Grey => (InfraredFormat::Grey8, &*self.infrared),
            InfraredInput::Y16 => (InfraredFormat::Y16, &*self.infrared),
            InfraredInput::Y14 => (InfraredFormat::Y14, &*self.infrared),
            InfraredInput::Rgba => {
                for (grey, [r, g, b, _]) in self.grey.iter_mut().zip(self.infrared.as_chunks::<4>().0) {
                    *grey = luma_of([*r, *g, *b]);
                }
                (InfraredFormat::Grey8, &*self.grey)
            }
        };
        let i = InfraredFrame::new(format, iw, ih, format.row_bytes(iw), thermal, FrameInfo::STILL)
            .map_err(frame)?;
        let follow = if afresh { Follow::Afresh } else { Follow::Smoothly };
        self.pipeline.fuse(&v, &i, follow, &mut self.executor, self.rgb, w * 3).map_err(frame)?;
        for (rgba, [r, g, b]) in self.fused.as_chunks_mut::<4>().0.iter_mut().zip(self.rgb.as_chunks::<3>().0)
        {
            *rgba = [*r, *g, *b, 255];
        }
        Ok(())
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
