//! The nano student on pairs of frames.

use core::convert::Infallible;
use core::fmt::{self, Display};

use fusionproxy_board::repeats::SameKind;
use fusionproxy_board::rig::{Policy, Rig, Watch};
use fusionproxy_board::source::FrameSource;
use fusionproxy_core::align::{Calibration, FileError, GeometryError, Warp};
use fusionproxy_core::colour;
use fusionproxy_core::executor::{Executor, ExecutorError};
use fusionproxy_core::frame::{InfraredFormat, VisibleFormat};
use fusionproxy_core::gain::{GainControl, GainSettings};
use fusionproxy_core::health::StatusWord;
use fusionproxy_core::pipeline::{Pipeline, PipelineError, PipelineShape};
use fusionproxy_core::plan::{Plan, PlanError, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::{Artifact, LoadError};
use fusionproxy_kernels::Inline;
use fusionproxy_kernels::arm::Dsp;

use crate::log::RigLog;
use crate::pairs;
use crate::thermal::INFRARED;
use crate::times::Times;
use crate::usb::PictureSender;
use crate::{VISIBLE, now_us};

/// What the build script found out about the network.
mod model {
    #![allow(dead_code)]
    include!(concat!(env!("OUT_DIR"), "/model.rs"));
}

use model::{ARENA_DSP_SMALLEST, ARTIFACT_BYTES, HEIGHT, KERNELS, STEPS, TENSORS, WIDTH};

const _: () = assert!(WIDTH == VISIBLE.0 && HEIGHT == VISIBLE.1, "the artifact is planned for another frame");

/// The artifact, placed so that it executes in place.
#[repr(align(64))]
struct Flash([u8; ARTIFACT_BYTES]);
static ARTIFACT: Flash = Flash(*include_bytes!("../../../models/nano/nano.int8.fpx"));

/// Bytes of the activations.
const ARENA_BYTES: usize = if cfg!(feature = "pairs") { 0 } else { ARENA_DSP_SMALLEST };

/// The activations.
#[repr(C, align(64))]
pub struct Arena([u8; ARENA_BYTES]);

impl Arena {
    /// Zeros, which take no room in flash.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; ARENA_BYTES])
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

/// The plan.
pub struct Tables {
    tensors: [TensorSlot<'static>; TENSORS],
    steps: [Step<'static>; STEPS],
}

const SHAPE: PipelineShape =
    PipelineShape { visible: VISIBLE, infrared: INFRARED, input_channels: 1, fused_channels: 1 };
/// Bytes of the frame path's buffer.
pub const BUFFER_BYTES: usize = SHAPE.buffer_bytes();

/// The sensors' rates, and how far apart the frames of a pair may be.
pub const POLICY: Policy =
    Policy { visible: Watch::for_rate(10), infrared: Watch::for_rate(9), tolerance_us: 60_000 };

impl Tables {
    /// An empty plan.
    #[must_use]
    pub const fn new() -> Self {
        Self { tensors: [TensorSlot::EMPTY; TENSORS], steps: [Step::EMPTY; STEPS] }
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self::new()
    }
}

/// Why fusion cannot start; none of it depends on the sensors.
#[derive(Debug)]
pub enum StartError {
    /// The artifact in flash is damaged.
    Artifact(LoadError),
    /// The artifact was not planned for this memory.
    Plan(PlanError),
    /// The arena is too small.
    Executor(ExecutorError),
    /// The buffer is too small, or the calibration is for other frames.
    Pipeline(PipelineError),
    /// The calibration file of this firmware cannot be read.
    Calibration(FileError),
    /// The calibration is none for these frames.
    Geometry(GeometryError),
    /// Gain control refuses its settings.
    Gain,
}

impl Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Artifact(e) => e.fmt(f),
            Self::Plan(e) => e.fmt(f),
            Self::Executor(e) => e.fmt(f),
            Self::Pipeline(e) => e.fmt(f),
            Self::Calibration(e) => e.fmt(f),
            Self::Geometry(e) => e.fmt(f),
            Self::Gain => f.write_str("gain control refuses its settings"),
        }
    }
}

impl core::error::Error for StartError {}

/// What fusion works in.
pub struct Memory<'m> {
    /// The activations.
    pub arena: &'m mut Arena,
    /// [`BUFFER_BYTES`] of the frame path.
    pub buffer: &'m mut [u8],
    /// The plan.
    pub tables: &'static mut Tables,
}

/// Polls the rig and fuses its pairs into pictures for ever, calling `shown` after each. `calibration` is the text of a
/// calibration file, or nothing where both cameras show the same view. The log tells what pairs take, and what is wrong with
/// them or with the cameras that are read here. With feature `pairs`, the pairs themselves are the pictures.
///
/// # Errors
/// [`StartError`], before anything is polled.
pub fn run<V, I>(
    rig: &mut Rig<'_, V, I>,
    pictures: &mut PictureSender<'_>,
    memory: Memory<'_>,
    calibration: &str,
    mut shown: impl FnMut(),
) -> Result<Infallible, StartError>
where
    V: FrameSource<Format = VisibleFormat, Error: SameKind + Display>,
    I: FrameSource<Format = InfraredFormat, Error: SameKind + Display>,
{
    if cfg!(feature = "pairs") {
        pairs::run(rig, pictures, shown)
    }
    let warp = if calibration.trim().is_empty() {
        Warp::resize(INFRARED, VISIBLE).map_err(StartError::Geometry)?
    } else {
        let found: Calibration = calibration.parse().map_err(StartError::Calibration)?;
        Warp::new(&found.rescaled(INFRARED, VISIBLE).map_err(StartError::Geometry)?)
    };
    let Memory { arena, buffer, tables } = memory;
    let artifact = Artifact::new(&ARTIFACT.0).map_err(StartError::Artifact)?;
    let backend = Dsp::<KERNELS>;
    let storage = PlanStorage { tensors: &mut tables.tensors, steps: &mut tables.steps };
    let options = PlanOptions { workers: 1, schedule: Schedule::SMALLEST };
    let plan = Plan::new(&artifact, HEIGHT, WIDTH, options, &backend, storage).map_err(StartError::Plan)?;
    let mut executor = Executor::new(&plan, &mut arena.0, backend, &Inline).map_err(StartError::Executor)?;
    let gain = GainControl::new(GainSettings::DEFAULT).map_err(|_| StartError::Gain)?;
    let mut pipeline = Pipeline::new(SHAPE, gain, Some(warp), buffer).map_err(StartError::Pipeline)?;
    let stride = VISIBLE.0 * 3;
    let mut times = Times::new();
    let mut log = RigLog::new();
    loop {
        let now = now_us();
        log.note(rig.poll(now));
        let Some(picture) = pictures.try_send() else { continue };
        let fused = rig.fuse(now, |pair, _| {
            let mut status = pair.status;
            match (&pair.visible, &pair.infrared) {
                (Some(visible), Some(infrared)) => {
                    let start = now_us();
                    pipeline.fuse(visible, infrared, pair.follow, &mut executor, &mut picture.rgb, stride)?;
                    times.add(now_us() - start);
                }
                (Some(visible), None) => {
                    status.infrared_unused = true;
                    colour::rgb(visible, 0..VISIBLE.1, &mut picture.rgb, stride)?;
                }
                (None, Some(infrared)) => {
                    pipeline.infrared_alone(infrared, pair.follow, &mut picture.rgb, stride)?;
                }
                (None, None) => {}
            }
            picture.status = StatusWord::pack(&status);
            Ok(())
        });
        match fused {
            Some(Ok(())) => pictures.send_done(),
            Some(Err(error)) => defmt::error!("{}", defmt::Display2Format::<PipelineError>(&error)),
            None => continue,
        }
        shown();
    }
}
