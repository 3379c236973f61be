//! Tasks that serve sensors.

use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_hal_async::i2c::I2c;
use embedded_hal_async::spi::SpiDevice;
use fusionproxy_board::lepton::{AsyncLepton, Step};

use fusionproxy_core::frame::FrameInfo;

use crate::dma::{Cache, DmaMemory};
use crate::now_us;
use crate::relay::{FrameSender, Slot};

/// Reads a Lepton for ever. Packets must be fetched without a pause, so while the rig has no slot free the stream is read
/// into `spare`, and those frames are dropped.
pub async fn lepton<S: SpiDevice, I: I2c, const P: usize, const N: usize>(
    camera: &mut AsyncLepton<S, I, P>,
    frames: &mut FrameSender<'_, N>,
    spare: &mut Slot<N>,
) -> ! {
    loop {
        match frames.try_send() {
            Some(slot) => {
                next_frame(camera, slot).await;
                frames.send_done();
            }
            None => next_frame(camera, spare).await,
        }
    }
}

/// Polls until a frame is complete. The driver recovers from its errors by itself; the rig sees missing frames.
async fn next_frame<S: SpiDevice, I: I2c, const P: usize, const N: usize>(
    camera: &mut AsyncLepton<S, I, P>,
    slot: &mut Slot<N>,
) {
    loop {
        match camera.poll(slot.bytes(), now_us).await {
            Ok(Step::Frame(info)) => return slot.complete(info),
            Ok(Step::Idle(until)) => Timer::at(Instant::from_micros(until)).await,
            Err(_) => Timer::after_millis(1).await,
        }
    }
}

/// A port that a parallel camera sends frames to.
pub trait Port {
    /// Waits for the next whole frame and stores it.
    ///
    /// # Errors
    /// The frame was damaged, or its words came faster than they were fetched.
    fn capture(&mut self, frame: &mut [u32]) -> impl Future<Output = Result<(), CaptureError>>;
}

/// A frame that could not be captured.
#[derive(Debug)]
pub struct CaptureError;

/// Without a frame for so long the capture is begun anew: the camera is not there, or has stopped.
const PATIENCE: Duration = Duration::from_millis(500);

/// Captures the frames of a parallel camera for ever; while the rig has no slot free, none are.
pub async fn camera<P: Port, const W: usize, const N: usize>(
    port: &mut P,
    memory: &mut DmaMemory<W>,
    cache: &Cache,
    frames: &mut FrameSender<'_, N>,
) -> ! {
    let mut sequence = 0;
    loop {
        let slot = frames.send().await;
        loop {
            match with_timeout(PATIENCE, port.capture(memory.words())).await {
                Ok(Ok(())) => break,
                // What was captured is thrown away with its cache lines when the next frame is.
                Ok(Err(CaptureError)) | Err(_) => {}
            }
        }
        slot.bytes().copy_from_slice(cache.written(memory, N));
        slot.complete(FrameInfo { timestamp_us: now_us(), sequence, ..FrameInfo::STILL });
        sequence = sequence.wrapping_add(1);
        frames.send_done();
    }
}
