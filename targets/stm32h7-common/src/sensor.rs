//! Tasks that serve sensors.

use core::fmt;
use core::mem::discriminant;

use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_hal::i2c;
use embedded_hal_async::i2c::I2c;
use embedded_hal_async::spi::SpiDevice;
use fusionproxy_board::camera::SetupError;
use fusionproxy_board::lepton::{AsyncLepton, Error, Step};
use fusionproxy_board::repeats::SameKind;
use fusionproxy_core::frame::FrameInfo;

use crate::dma::{Cache, DmaMemory};
use crate::log::Log;
use crate::now_us;
use crate::relay::{FrameSender, Slot};

/// Reads a Lepton for ever. Packets must be fetched without a pause, so while the rig has no slot free the stream is read
/// into `spare`, and those frames are dropped.
pub async fn lepton<S: SpiDevice, I: I2c, const P: usize, const N: usize>(
    camera: &mut AsyncLepton<S, I, P>,
    frames: &mut FrameSender<'_, N>,
    spare: &mut Slot<N>,
) -> ! {
    let mut log = Log::thermal();
    loop {
        match frames.try_send() {
            Some(slot) => {
                next_frame(camera, slot, &mut log).await;
                frames.send_done();
            }
            None => next_frame(camera, spare, &mut log).await,
        }
    }
}

/// Polls until a frame is complete. The driver recovers from its errors by itself; the rig sees missing frames, and the
/// log why.
async fn next_frame<S: SpiDevice, I: I2c, const P: usize, const N: usize>(
    camera: &mut AsyncLepton<S, I, P>,
    slot: &mut Slot<N>,
    log: &mut Log<Error<S::Error, I::Error>>,
) {
    loop {
        match camera.poll(slot.bytes(), now_us).await {
            Ok(Step::Frame(info)) => return slot.complete(info),
            Ok(Step::Idle(until)) => Timer::at(Instant::from_micros(until)).await,
            Err(error) => {
                log.note(error);
                Timer::after_millis(1).await;
            }
        }
    }
}

/// A parallel camera: the port that it sends frames to, and the bus that it is set up over.
pub trait Port {
    /// Error of that bus.
    type Bus: i2c::Error;

    /// Resets the camera and sets it up. It must leave the processor now and then: other sensors are waiting.
    ///
    /// # Errors
    /// [`CameraError::Setup`]; it is tried again.
    fn setup(&mut self) -> impl Future<Output = Result<(), CameraError<Self::Bus>>>;

    /// Waits for the next whole frame and stores it.
    ///
    /// # Errors
    /// The frame was damaged, or its words came faster than they were fetched.
    fn capture(&mut self, frame: &mut [u32]) -> impl Future<Output = Result<(), CameraError<Self::Bus>>>;
}

/// Why a parallel camera gives no frame.
#[derive(Debug)]
pub enum CameraError<I> {
    /// The set-up failed; it is tried again every second.
    Setup(SetupError<I>),
    /// No whole frame came in time.
    Silent,
    /// Words came faster than they were fetched.
    Overrun,
    /// The port found a frame damaged.
    Damaged,
}

impl<I: fmt::Debug> fmt::Display for CameraError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(e) => e.fmt(f),
            Self::Silent => f.write_str("no frame within 500 ms: check the ribbon; it is set up again"),
            Self::Overrun => f.write_str("words came faster than DMA fetched them: lower the camera's rate"),
            Self::Damaged => f.write_str("a frame was damaged: check the ribbon"),
        }
    }
}

impl<I: i2c::Error> SameKind for CameraError<I> {
    fn same_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Setup(a), Self::Setup(b)) => a.same_kind(b),
            _ => discriminant(self) == discriminant(other),
        }
    }
}

/// Without a frame for so long the capture is begun anew: the camera is not there, or has stopped.
const PATIENCE: Duration = Duration::from_millis(500);
/// After so many captures in a row without a frame the camera is set up again: it may have lost its supply.
const MAX_FAILURES: u8 = 3;
/// Pause before a set-up that failed is tried again.
const SETUP_BACK_OFF: Duration = Duration::from_secs(1);

/// Sets a parallel camera up and captures its frames for ever; while the rig has no slot free, none are.
pub async fn camera<P: Port, const W: usize, const N: usize>(
    port: &mut P,
    memory: &mut DmaMemory<W>,
    cache: &Cache,
    frames: &mut FrameSender<'_, N>,
) -> ! {
    let mut log = Log::visible();
    let mut sequence = 0;
    // Not set up yet.
    let mut failures = MAX_FAILURES;
    loop {
        let slot = frames.send().await;
        loop {
            if failures >= MAX_FAILURES {
                if let Err(error) = port.setup().await {
                    log.note(error);
                    Timer::after(SETUP_BACK_OFF).await;
                    continue;
                }
                failures = 0;
            }
            // What was captured without success is thrown away with its cache lines when the next frame is.
            match with_timeout(PATIENCE, port.capture(memory.words())).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => log.note(error),
                Err(_) => log.note(CameraError::Silent),
            }
            failures += 1;
        }
        failures = 0;
        slot.bytes().copy_from_slice(cache.written(memory, N));
        slot.complete(FrameInfo { timestamp_us: now_us(), sequence, ..FrameInfo::STILL });
        sequence = sequence.wrapping_add(1);
        frames.send_done();
    }
}
