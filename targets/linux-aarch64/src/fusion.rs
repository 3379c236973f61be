//! The loop that turns the sensors' frames into pictures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fusionproxy::{Fuser, Memory};
use fusionproxy_board::rig::{Pair, Policy, Rig};
use fusionproxy_board::source::FrameSource;
use fusionproxy_core::colour;
use fusionproxy_core::frame::{InfraredFormat, VisibleFormat};
use fusionproxy_core::health::StatusWord;
use fusionproxy_core::pipeline::PipelineError;

use crate::clock::now_us;
use crate::config::Config;
use crate::equipment::{Equipment, SetupError};
use crate::log;
use crate::output::pairs::Recorder;
use crate::picture::{Hub, Press};
use crate::report::Board;
use crate::service::Watchdog;
use crate::source::{Bell, Feed};

/// Longest wait for a frame: states and ages are judged anew at least so often.
const WAIT: Duration = Duration::from_millis(50);
/// Time over which the frame rate is counted, and between two looks at the sensors' connections.
const WINDOW: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(250);

/// The two sensors with the policy by which their frames are paired.
pub(crate) struct Sensors {
    /// The visible camera.
    pub(crate) visible: Feed<VisibleFormat>,
    /// The thermal camera.
    pub(crate) infrared: Feed<InfraredFormat>,
    /// Pairing.
    pub(crate) policy: Policy,
}

/// Fuses until `stop` is set.
pub(crate) fn run(
    equipment: &Equipment,
    config: &Config,
    sensors: Sensors,
    mut recorder: Option<Recorder>,
    (hub, board): (&Hub, &Board),
    bell: &Bell,
    stop: &AtomicBool,
) -> Result<(), SetupError> {
    let Sensors { visible, infrared, policy } = sensors;
    let (visible_layout, infrared_layout) = (visible.layout(), infrared.layout());
    let (width, height) = (visible_layout.width, visible_layout.height);
    let artifact = equipment.artifact()?;
    let mut memory = Memory::default();
    let options = equipment.options(config, visible_layout, infrared_layout)?;
    let backend = options.backend.name();
    let mut fuser = Fuser::new(&artifact, &equipment.pool, options, &mut memory)?;
    let mut visible_memory = vec![0; 3 * visible_layout.bytes()];
    let mut infrared_memory = vec![0; 3 * infrared_layout.bytes()];
    let mut rig = Rig::new(visible, infrared, &mut visible_memory, &mut infrared_memory, policy)?;
    board.update(|report| {
        report.version = env!("CARGO_PKG_VERSION");
        report.model.clone_from(&equipment.name);
        backend.clone_into(&mut report.backend);
        report.size = (width, height);
    });
    let mut press = Press::new((width, height), config.jpeg_quality);
    let mut rate = Rate::new();
    let mut watchdog = Watchdog::new();
    let mut glanced: Option<Instant> = None;
    let mut last_failure = None;
    while !stop.load(Ordering::Relaxed) {
        bell.wait(WAIT);
        // Frames count; the sensors' threads have logged their errors.
        let _ = rig.poll(now_us());
        let outcome = rig.fuse(now_us(), |pair, _| {
            if let Some(recorder) = &mut recorder {
                recorder.offer(&pair);
            }
            let start = Instant::now();
            let status = StatusWord::pack(&pair.status);
            let printed = press.print(hub, status, |rgb| picture(&mut fuser, &pair, rgb, (width, height)));
            (status, printed, start.elapsed())
        });
        if let Some((status, printed, took)) = outcome {
            let counters = rig.counters();
            let failure = printed.err();
            board.update(|report| {
                if failure.is_none() {
                    report.frames += 1;
                    report.frames_per_second = rate.frame();
                } else {
                    report.failed += 1;
                }
                report.fuse_ms = took.as_secs_f64() * 1e3;
                report.fuse_seconds += took.as_secs_f64();
                report.set_status(status);
                report.visible.count(counters.0);
                report.infrared.count(counters.1);
            });
            if let Some(e) = failure
                && last_failure.replace(e) != Some(e)
            {
                log::warn(format_args!("a frame could not be fused: {e}"));
            }
        }
        if glanced.is_none_or(|at| at.elapsed() > GLANCE) {
            glanced = Some(Instant::now());
            let status = StatusWord::pack(&rig.status(now_us()));
            let connections = (rig.sensors().visible().connection(), rig.sensors().infrared().connection());
            let counters = rig.counters();
            board.update(|report| {
                (report.visible.connection, report.infrared.connection) = connections;
                report.visible.count(counters.0);
                report.infrared.count(counters.1);
                report.frames_per_second = rate.now();
                report.set_status(status);
            });
            watchdog.alive(format_args!("{status}"));
        }
    }
    Ok(())
}

/// The picture of a pair: fused where both bands are there, one of them alone otherwise.
fn picture(
    fuser: &mut Fuser<'_, '_>,
    pair: &Pair<'_>,
    rgb: &mut [u8],
    (width, height): (usize, usize),
) -> Result<(), PipelineError> {
    match (&pair.visible, &pair.infrared) {
        (Some(visible), Some(infrared)) => fuser.fuse_following(visible, infrared, pair.follow, rgb),
        (None, Some(infrared)) => fuser.infrared_alone(infrared, pair.follow, rgb),
        (Some(visible), None) => Ok(colour::rgb(visible, 0..height, rgb, width * 3)?),
        // A pair has at least one frame.
        (None, None) => Ok(()),
    }
}

/// Counts frames over a window.
struct Rate {
    since: Instant,
    frames: u32,
    last: f64,
}

impl Rate {
    fn new() -> Self {
        Self { since: Instant::now(), frames: 0, last: 0.0 }
    }

    fn frame(&mut self) -> f64 {
        self.frames += 1;
        self.now()
    }

    /// Frames a second in the last full window.
    fn now(&mut self) -> f64 {
        let passed = self.since.elapsed();
        if passed >= WINDOW {
            self.last = f64::from(self.frames) / passed.as_secs_f64();
            (self.since, self.frames) = (Instant::now(), 0);
        }
        self.last
    }
}
