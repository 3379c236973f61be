//! Sensors on threads of their own.
//!
//! A sensor is opened, read until it fails, and opened again: a camera that is pulled out and put back is a failed read and
//! a few failed opens in between. Its thread may wait for the device as long as it likes; the rig only ever looks into the
//! sensor's [`Slot`].

mod access;
mod files;
mod lepton;
mod v4l2;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fusionproxy_board::rig::Watch;
use fusionproxy_board::source::{FrameSource, Layout, PixelFormat};
use fusionproxy_core::frame::{FrameInfo, InfraredFormat, VisibleFormat};

use crate::config::{Infrared, Visible};
use crate::log;
pub(crate) use files::FilesError;

/// Pause before a sensor that failed is opened again.
const BACK_OFF: Duration = Duration::from_millis(500);

/// Why a sensor gives no frames; for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SensorError {
    /// What is wrong, and what helps.
    message: String,
    /// The sensor must be opened again.
    closed: bool,
    /// Another program has the sensor.
    busy: bool,
}

impl SensorError {
    /// The connection is lost.
    fn closed(message: String) -> Self {
        Self { message, closed: true, busy: false }
    }

    /// Another program has the sensor, which for a check may be the daemon itself.
    fn busy(message: String) -> Self {
        Self { message, closed: true, busy: true }
    }

    /// Something went wrong that the driver recovers from by itself.
    fn passing(message: String) -> Self {
        Self { message, closed: false, busy: false }
    }

    /// Whether another program has the sensor.
    pub(crate) const fn is_busy(&self) -> bool {
        self.busy
    }
}

/// A sensor that can be opened.
pub(crate) trait Sensor: Send {
    /// Pixel format of its band.
    type Format: PixelFormat + Send;

    /// Format and size of its frames, whether it is there or not.
    fn layout(&self) -> Layout<Self::Format>;

    /// When it is no longer trusted.
    fn watch(&self) -> Watch;

    /// Connects. A failure is tried again.
    fn open(&self) -> Result<Box<dyn Session>, SensorError>;
}

/// A sensor that is connected.
pub(crate) trait Session {
    /// Waits for a frame, at most a few seconds, and writes it to `frame`, whose length is that of the layout.
    fn next(&mut self, frame: &mut [u8]) -> Result<Option<FrameInfo>, SensorError>;
}

/// Wakes the fusion when a frame arrives.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    waiting: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.waiting.notify_one();
    }

    /// Waits for a frame of any sensor, or until the time is over.
    pub(crate) fn wait(&self, at_most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .waiting
            .wait_timeout_while(rung, at_most, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

/// What a sensor's thread leaves for the rig.
#[derive(Default)]
struct Slot {
    frame: Vec<u8>,
    /// The frame was not taken yet.
    fresh: Option<FrameInfo>,
    /// Frames that were overwritten before the rig took them: it is slower than the sensor, and that is no loss.
    overwritten: u32,
    /// Errors that the rig was not told of yet.
    errors: u32,
    connected: bool,
    problem: Option<String>,
}

/// How a sensor is doing.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Connection {
    /// It is open.
    pub(crate) connected: bool,
    /// Why it gave no frame lately.
    pub(crate) problem: Option<String>,
}

/// The rig's end of a sensor.
pub(crate) struct Feed<F> {
    layout: Layout<F>,
    slot: Arc<Mutex<Slot>>,
}

impl<F> Feed<F> {
    /// How the sensor is doing.
    pub(crate) fn connection(&self) -> Connection {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        Connection { connected: slot.connected, problem: slot.problem.clone() }
    }
}

/// The sensor's thread has reported an error, and has logged it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reported;

impl<F: PixelFormat> FrameSource for Feed<F> {
    type Format = F;
    type Error = Reported;

    fn layout(&self) -> Layout<F> {
        self.layout
    }

    fn poll(&mut self, buffer: &mut [u8], _now_us: u64) -> Result<Option<FrameInfo>, Reported> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(info) = slot.fresh.take() else {
            let Some(errors) = slot.errors.checked_sub(1) else { return Ok(None) };
            slot.errors = errors;
            return Err(Reported);
        };
        let bytes = slot.frame.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&slot.frame[..bytes]);
        Ok(Some(info))
    }
}

/// Starts the thread of a sensor. It ends when `stop` is set.
pub(crate) fn start<S: Sensor + 'static>(
    name: &'static str,
    sensor: S,
    bell: Arc<Bell>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<Feed<S::Format>> {
    let layout = sensor.layout();
    let bytes = layout.bytes();
    let slot = Arc::new(Mutex::new(Slot { frame: vec![0; bytes], ..Slot::default() }));
    let feed = Feed { layout, slot: Arc::clone(&slot) };
    let reader = Reader {
        name,
        slot,
        bell,
        stop,
        frame: vec![0; bytes],
        repeats: log::Repeats::default(),
        told: false,
    };
    thread::Builder::new().name(name.to_owned()).spawn(move || reader.run(&sensor))?;
    Ok(feed)
}

/// A sensor's thread.
struct Reader {
    name: &'static str,
    slot: Arc<Mutex<Slot>>,
    bell: Arc<Bell>,
    stop: Arc<AtomicBool>,
    frame: Vec<u8>,
    repeats: log::Repeats,
    /// The log has the reason why there are no frames now.
    told: bool,
}

impl Reader {
    fn run(mut self, sensor: &impl Sensor) {
        while !self.stop.load(Ordering::Relaxed) {
            // A driver library that panics costs a connection, not the daemon.
            let end = catch_unwind(AssertUnwindSafe(|| self.connect(sensor))).unwrap_or_else(|_| {
                Err(SensorError::closed("the driver library failed; it is started again".to_owned()))
            });
            if let Err(e) = end {
                self.report(&e);
                thread::sleep(BACK_OFF);
            }
        }
    }

    /// Opens the sensor and reads it until it fails or the daemon stops.
    fn connect(&mut self, sensor: &impl Sensor) -> Result<(), SensorError> {
        let mut session = sensor.open()?;
        self.slot().connected = true;
        while !self.stop.load(Ordering::Relaxed) {
            match session.next(&mut self.frame) {
                Ok(Some(info)) => self.deliver(info),
                Ok(None) => {}
                Err(e) if e.closed => return Err(e),
                Err(e) => self.report(&e),
            }
        }
        Ok(())
    }

    fn deliver(&mut self, info: FrameInfo) {
        let healed = {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut slot.frame, &mut self.frame);
            if slot.fresh.is_some() {
                slot.overwritten = slot.overwritten.wrapping_add(1);
            }
            slot.fresh = Some(FrameInfo { sequence: info.sequence.wrapping_sub(slot.overwritten), ..info });
            slot.problem.take().is_some()
        };
        self.bell.ring();
        if healed && std::mem::take(&mut self.told) {
            log::info(format_args!("{} camera: frames again", self.name));
        }
    }

    /// Notes an error, and logs it unless the log has one of its kind.
    fn report(&mut self, error: &SensorError) {
        {
            let mut slot = self.slot();
            slot.errors = slot.errors.saturating_add(1);
            slot.connected &= !error.closed;
            slot.problem = Some(error.message.clone());
        }
        self.bell.ring();
        self.told |= self.repeats.warn(format_args!("{} camera: {error}", self.name));
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The visible camera of a configuration.
pub(crate) fn visible(config: &Visible) -> Result<Box<dyn Sensor<Format = VisibleFormat>>, FilesError> {
    Ok(match config {
        Visible::V4l2(config) => Box::new(v4l2::VisibleCamera::new(config.clone())),
        Visible::Files(config) => Box::new(files::VisibleFiles::new(config)?),
    })
}

/// The thermal camera of a configuration.
pub(crate) fn infrared(config: &Infrared) -> Result<Box<dyn Sensor<Format = InfraredFormat>>, FilesError> {
    Ok(match config {
        Infrared::V4l2(config) => Box::new(v4l2::InfraredCamera::new(config.clone())),
        Infrared::Lepton(config) => Box::new(lepton::LeptonCamera::new(config.clone())),
        Infrared::Files(config) => Box::new(files::InfraredFiles::new(config)?),
    })
}

impl<S: Sensor + ?Sized> Sensor for Box<S> {
    type Format = S::Format;

    fn layout(&self) -> Layout<S::Format> {
        (**self).layout()
    }

    fn watch(&self) -> Watch {
        (**self).watch()
    }

    fn open(&self) -> Result<Box<dyn Session>, SensorError> {
        (**self).open()
    }
}

#[cfg(test)]
mod tests;
