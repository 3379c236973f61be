//! The Lepton on blocking buses.

use embedded_hal::i2c::I2c;
use embedded_hal::spi::SpiDevice;
use fusionproxy_core::frame::{FrameInfo, InfraredFormat};

use super::cci::{Access, FfcMode, attribute};
use super::error::Error;
use super::machine::{Action, Answer, Busy, Counters, Machine};
use super::settings::{Gain, Settings};
use super::telemetry::{FfcState, Telemetry};
use crate::bus;
use crate::source::{FrameSource, Layout};

/// Packets in one SPI transaction unless a board says otherwise: 3936 bytes, the most whole packets within the 4096
/// bytes that Linux' spidev takes at once.
pub const PACKETS_PER_READ: usize = 24;

/// A Lepton on an [`SpiDevice`] (mode 3, up to 20 MHz, /CS driven by the device) and an [`I2c`] bus (up to 400 kHz).
///
/// Poll it at least every 5 ms while it streams: a segment comes every 9.4 ms, takes three reads of 24 packets, and the
/// camera loses step when it is not read in time. One poll reads up to `N` packets (1.6 ms for 24 at 20 MHz) or does
/// one I²C transfer.
///
/// The time stamp of a frame is that of its first packet on the bus; the exposure lies before it by the camera's
/// latency, which the datasheet does not give.
///
/// Not tried on hardware.
#[derive(Debug)]
pub struct Lepton<S, I, const N: usize = PACKETS_PER_READ> {
    spi: S,
    i2c: I,
    machine: Machine<N>,
}

impl<S, I, const N: usize> Lepton<S, I, N> {
    /// A driver that waits for the camera to start, sets it up and streams. Nothing happens before the first poll.
    pub const fn new(spi: S, i2c: I, settings: Settings) -> Self {
        Self { spi, i2c, machine: Machine::new(settings) }
    }

    /// Gives the buses back.
    pub fn release(self) -> (S, I) {
        (self.spi, self.i2c)
    }

    /// The state machine: counters, state, and commands beyond those below.
    pub const fn machine(&mut self) -> &mut Machine<N> {
        &mut self.machine
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.machine.counters()
    }

    /// Telemetry of the newest frame.
    #[must_use]
    pub const fn telemetry(&self) -> Option<Telemetry> {
        self.machine.telemetry()
    }

    /// State of the flat-field correction at the newest frame.
    #[must_use]
    pub const fn ffc(&self) -> FfcState {
        self.machine.ffc()
    }

    /// Frames are being received.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.machine.is_streaming()
    }

    /// Begins a flat-field correction. Frames during it carry the state FFC.
    ///
    /// # Errors
    /// [`Busy`] while another command is in progress or the camera is being set up.
    pub fn run_ffc(&mut self, now_us: u64) -> Result<(), Busy> {
        self.machine.submit(attribute::RUN_FFC, Access::Run, &[], now_us)
    }

    /// Sets when the camera corrects itself.
    ///
    /// # Errors
    /// [`Busy`] as for [`Self::run_ffc`].
    pub fn set_ffc_mode(&mut self, mode: FfcMode, now_us: u64) -> Result<(), Busy> {
        self.machine.submit(attribute::FFC_MODE, Access::Set, &mode.words(), now_us)
    }

    /// Sets the gain until the next set-up.
    ///
    /// # Errors
    /// [`Busy`] as for [`Self::run_ffc`].
    pub fn set_gain(&mut self, gain: Gain, now_us: u64) -> Result<(), Busy> {
        self.machine.submit(attribute::GAIN_MODE, Access::Set, &[gain as u16, 0], now_us)
    }

    /// The answer to the last command, once.
    pub fn take_answer(&mut self) -> Option<Answer> {
        self.machine.take_answer()
    }
}

impl<S: SpiDevice, I: I2c, const N: usize> FrameSource for Lepton<S, I, N> {
    type Format = InfraredFormat;
    type Error = Error<S::Error, I::Error>;

    fn layout(&self) -> Layout<InfraredFormat> {
        self.machine.settings().layout()
    }

    fn poll(&mut self, buffer: &mut [u8], now_us: u64) -> Result<Option<FrameInfo>, Self::Error> {
        let frame = self.layout().check(buffer)?;
        // Packets that were read together with the end of the last frame.
        if let Some(info) = self.machine.take(frame)? {
            return Ok(Some(info));
        }
        match self.machine.action(now_us)? {
            Action::Idle(_) => Ok(None),
            Action::Read(bytes) => {
                let result = self.spi.read(bytes);
                self.machine.read_done(result.is_ok());
                result.map_err(Error::Spi)?;
                Ok(self.machine.take(frame)?)
            }
            Action::Transfer(transfer) => {
                let result = bus::run(&mut self.i2c, transfer);
                self.machine.transfer_done(result.is_ok(), now_us)?;
                result.map_err(Error::I2c)?;
                Ok(None)
            }
        }
    }
}
