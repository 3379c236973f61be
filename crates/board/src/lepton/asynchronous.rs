//! The Lepton on asynchronous buses: the same state machine, awaited.

use embedded_hal_async::i2c::I2c;
use embedded_hal_async::spi::SpiDevice;
use fusionproxy_core::frame::{FrameInfo, InfraredFormat};

use super::driver::PACKETS_PER_READ;
use super::error::Error;
use super::machine::{Action, Machine};
use super::settings::Settings;
use crate::bus;
use crate::source::Layout;

/// A Lepton on asynchronous buses; everything that the blocking [`Lepton`](super::Lepton) says of timing holds.
///
/// A future that is dropped in the middle of a transfer loses that transfer only.
#[derive(Debug)]
pub struct AsyncLepton<S, I, const N: usize = PACKETS_PER_READ> {
    spi: S,
    i2c: I,
    machine: Machine<N>,
}

impl<S, I, const N: usize> AsyncLepton<S, I, N> {
    /// A driver that waits for the camera to start, sets it up and streams.
    pub const fn new(spi: S, i2c: I, settings: Settings) -> Self {
        Self { spi, i2c, machine: Machine::new(settings) }
    }

    /// Gives the buses back.
    pub fn release(self) -> (S, I) {
        (self.spi, self.i2c)
    }

    /// The state machine: counters, state and commands.
    pub const fn machine(&mut self) -> &mut Machine<N> {
        &mut self.machine
    }

    /// Format and size of the frames.
    #[must_use]
    pub const fn layout(&self) -> Layout<InfraredFormat> {
        self.machine.settings().layout()
    }
}

impl<S: SpiDevice, I: I2c, const N: usize> AsyncLepton<S, I, N> {
    /// Does the next piece of work, as [`FrameSource::poll`](crate::source::FrameSource::poll) does, and says until
    /// when there is nothing to do. `now_us` is the clock, which is read again after a transfer: one that hung until the
    /// bus gave it up must not be tried again at once.
    ///
    /// # Errors
    /// One event of the driver; keep polling.
    pub async fn poll(
        &mut self,
        buffer: &mut [u8],
        now_us: impl Fn() -> u64,
    ) -> Result<Step, Error<S::Error, I::Error>> {
        let frame = self.layout().check(buffer)?;
        if let Some(info) = self.machine.take(frame)? {
            return Ok(Step::Frame(info));
        }
        match self.machine.action(now_us())? {
            Action::Idle(until_us) => return Ok(Step::Idle(until_us)),
            Action::Read(bytes) => {
                let result = self.spi.read(bytes).await;
                self.machine.read_done(result.is_ok());
                result.map_err(Error::Spi)?;
                if let Some(info) = self.machine.take(frame)? {
                    return Ok(Step::Frame(info));
                }
            }
            Action::Transfer(transfer) => {
                let result = bus::run_async(&mut self.i2c, transfer).await;
                self.machine.transfer_done(result.is_ok(), now_us())?;
                result.map_err(Error::I2c)?;
            }
        }
        Ok(Step::Idle(now_us()))
    }
}

/// How a poll of an [`AsyncLepton`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The buffer holds this frame.
    Frame(FrameInfo),
    /// No frame yet; poll again at this time, µs, or as soon as possible if it has passed.
    Idle(u64),
}
