//! The whole loop of a board with simulated sensors: a FLIR Lepton 2 and an ArduCAM-Mini behind their drivers, the rig, gain
//! control, alignment, the nano student, colour.
//!
//! The firmware under `qemu-m7` and `qemu-m55` runs it with the kernels of its core, the host with the scalar kernels. Time
//! is virtual and every simulator is deterministic, so that all of them must give the same frames, byte for byte.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
pub mod firmware;
mod meter;
mod stages;

/// What the build script found out about the network.
pub mod model {
    include!(concat!(env!("OUT_DIR"), "/model.rs"));
}

use core::cell::Cell;
use core::fmt;

use crc32fast::Hasher;
use fusionproxy_board::camera::Output;
use fusionproxy_board::camera::arducam::{self, ArduCam};
use fusionproxy_board::lepton::{self, Lepton, Model};
use fusionproxy_board::rig::{Pair, Policy, Rig, Watch};
use fusionproxy_board::sim::{
    ArduCamSim, LeptonSim, RadiometricCapability, VirtualClock, warm_body, warm_body_visible,
};
use fusionproxy_core::align::Warp;
use fusionproxy_core::executor::Executor;
use fusionproxy_core::gain::{GainControl, GainSettings};
use fusionproxy_core::pipeline::{Pipeline, PipelineShape};
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::Artifact;
use fusionproxy_kernels::{Backend, Inline};
use meter::Metered;
use model::{ARTIFACT_BYTES, HEIGHT, STEPS, TENSORS, WIDTH};

/// Frames that are compared.
pub const FRAMES: usize = 4;
/// Size of the thermal camera, px.
const INFRARED: (usize, usize) = (80, 60);
/// Seed of the sensors' noise.
const SEED: u64 = 7;
/// Virtual time after which the sensors have failed, µs.
const PATIENCE_US: u64 = 20_000_000;
/// Virtual time between two polls, µs.
const POLL_US: u64 = 200;

const SHAPE: PipelineShape =
    PipelineShape { visible: (WIDTH, HEIGHT), infrared: INFRARED, input_channels: 1, fused_channels: 1 };
/// The rig keeps three frames of each sensor; a pixel of either has two bytes.
const VISIBLE_BYTES: usize = 3 * 2 * WIDTH * HEIGHT;
const INFRARED_BYTES: usize = 3 * 2 * INFRARED.0 * INFRARED.1;

/// The artifact, placed so that it executes in place.
#[repr(align(64))]
struct Flash([u8; ARTIFACT_BYTES]);
static ARTIFACT: Flash = Flash(*include_bytes!("../../../models/nano/nano.int8.fpx"));

/// Everything that the loop needs, with an arena of `ARENA` bytes (see [`model`]).
#[repr(align(64))]
pub struct Memory<const ARENA: usize> {
    arena: [u8; ARENA],
    visible: [u8; VISIBLE_BYTES],
    infrared: [u8; INFRARED_BYTES],
    pipeline: [u8; SHAPE.buffer_bytes()],
    fused: [u8; 3 * WIDTH * HEIGHT],
}

/// The tables of the plan. Apart from [`Memory`], which is zeros and so takes no flash.
pub struct Tables {
    tensors: [TensorSlot<'static>; TENSORS],
    steps: [Step<'static>; STEPS],
}

impl Tables {
    /// Empty.
    pub const EMPTY: Self = Self { tensors: [TensorSlot::EMPTY; TENSORS], steps: [Step::EMPTY; STEPS] };
}

impl<const ARENA: usize> Memory<ARENA> {
    /// Zeros.
    pub const fn new() -> Self {
        Self {
            arena: [0; ARENA],
            visible: [0; VISIBLE_BYTES],
            infrared: [0; INFRARED_BYTES],
            pipeline: [0; SHAPE.buffer_bytes()],
            fused: [0; 3 * WIDTH * HEIGHT],
        }
    }
}

impl<const ARENA: usize> Default for Memory<ARENA> {
    fn default() -> Self {
        Self::new()
    }
}

/// What the loop tells.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A frame was fused.
    Frame {
        /// Number, from 0.
        number: usize,
        /// CRC-32 of the RGB frame.
        crc32: u32,
        /// Instructions from the pair of sensor frames to the RGB frame.
        instructions: u64,
        /// Instructions of the sensors' drivers since the frame before, without those of the simulators.
        drivers: u64,
    },
    /// What a stage of one more frame took.
    Stage {
        /// Name.
        name: &'static str,
        /// Instructions.
        instructions: u64,
    },
    /// What an operator of that frame took.
    Operator {
        /// Number in the artifact.
        op: usize,
        /// Name of its kind.
        name: &'static str,
        /// Multiply-accumulates.
        macs: u64,
        /// Instructions.
        instructions: u64,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame { number, crc32, instructions, drivers } => {
                write!(f, "frame {number} crc32 {crc32:08x} instructions {instructions} drivers {drivers}")
            }
            Self::Stage { name, instructions } => write!(f, "stage {name} instructions {instructions}"),
            Self::Operator { op, name, macs, instructions } => {
                write!(f, "op {op} {name} macs {macs} instructions {instructions}")
            }
        }
    }
}

/// Fuses [`FRAMES`] frames, and one more stage by stage. `count` gives the instructions so far; `report` gets every event.
///
/// # Panics
/// If anything fails: this is a test.
pub fn run<B: Backend + Copy, const ARENA: usize>(
    memory: &mut Memory<ARENA>,
    tables: &mut Tables,
    backend: B,
    count: fn() -> u64,
    report: &mut dyn FnMut(Event),
) {
    let Memory { arena, visible, infrared, pipeline: buffer, fused } = memory;
    let Tables { tensors, steps } = tables;
    let artifact = Artifact::new(&ARTIFACT.0).expect("a good artifact");
    let storage = PlanStorage { tensors, steps };
    let plan = Plan::new(
        &artifact,
        HEIGHT,
        WIDTH,
        PlanOptions { workers: 1, schedule: Schedule::Whole },
        &backend,
        storage,
    )
    .expect("a plan");
    let mut executor = Executor::new(&plan, arena, backend, &Inline).expect("an executor");
    let gain = GainControl::new(GainSettings::DEFAULT).expect("good settings");
    let warp = Warp::resize(INFRARED, (WIDTH, HEIGHT)).expect("a small scale");

    let clock = VirtualClock::new();
    let lepton_sim = LeptonSim::new(&clock, Model::Lepton2, RadiometricCapability::None, warm_body, SEED);
    let arducam_sim = ArduCamSim::new(&clock, warm_body_visible, 0, SEED);
    let simulated = Cell::new(0);
    let settings =
        arducam::Settings { output: Output::Yuyv, size: (WIDTH as u16, HEIGHT as u16), leading_bytes: 0 };
    let arducam = ArduCam::new(
        Metered::new(arducam_sim.spi(), count, &simulated),
        Metered::new(arducam_sim.i2c(), count, &simulated),
        settings,
    )
    .expect("a size that the camera has");
    let lepton = Lepton::<_, _>::new(
        Metered::new(lepton_sim.spi(), count, &simulated),
        Metered::new(lepton_sim.i2c(), count, &simulated),
        lepton::Settings::new(Model::Lepton2),
    );
    let policy = Policy { visible: Watch::for_rate(3), infrared: Watch::for_rate(9), tolerance_us: 60_000 };
    let mut rig = Rig::new(arducam, lepton, visible, infrared, policy).expect("memory for six frames");

    // Polls until a pair of both bands is due, and gives the drivers' instructions.
    let mut next = |fuse: &mut dyn FnMut(Pair<'_>)| {
        let (mut drivers, mut done) = (0, false);
        while !done {
            assert!(clock.now_us() < PATIENCE_US, "the sensors give no frames");
            let (start, before) = (count(), simulated.get());
            // A camera that starts does not answer at first; if it never does, the patience above ends.
            let _ = rig.poll(clock.now_us());
            drivers += count() - start - (simulated.get() - before);
            rig.fuse(clock.now_us(), |pair, _| {
                done = pair.visible.is_some() && pair.infrared.is_some();
                if done {
                    fuse(pair);
                }
            });
            clock.advance_us(POLL_US);
        }
        drivers
    };

    let mut pipeline = Pipeline::new(SHAPE, gain, Some(warp.clone()), buffer).expect("a buffer of its size");
    for number in 0..FRAMES {
        let (mut crc32, mut instructions) = (0, 0);
        let drivers = next(&mut |pair| {
            let (Some(visible), Some(infrared)) = (pair.visible, pair.infrared) else { return };
            let start = count();
            pipeline
                .fuse(&visible, &infrared, pair.follow, &mut executor, fused, 3 * WIDTH)
                .expect("frames of the pipeline's size");
            instructions = count() - start;
            let mut hasher = Hasher::new();
            hasher.update(fused);
            crc32 = hasher.finalize();
        });
        report(Event::Frame { number, crc32, instructions, drivers });
    }
    next(&mut |pair| stages::run(&pair, &warp, &mut executor, buffer, fused, count, report));
}
