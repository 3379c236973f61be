//! What can go wrong with a Lepton.

use core::fmt;

use super::cci::CciError;
use super::receiver::SyncLoss;
use super::settings::Model;
use crate::source::ShortBuffer;

/// What the camera itself shows to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The packet stream is out of step; silence and a new set-up follow by themselves.
    /// After five in a row, the camera is restarted by command.
    LostSync(SyncLoss),
    /// A command failed. During set-up it is tried again after a second.
    Command(CciError),
    /// The part number is that of another model. It is read again every second.
    WrongModel {
        /// The model on the bus.
        found: Model,
        /// The model of the settings.
        expected: Model,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostSync(cause) => {
                let (what, remedy) = match cause {
                    SyncLoss::Corrupt => ("damaged packets", "shorten the SPI wires or lower the clock"),
                    SyncLoss::LineLow => (
                        "the data line stays low",
                        "check the wires MISO, CS and GND and the camera's supply",
                    ),
                    SyncLoss::Silent => ("no lines", "check the SPI wires and mode 3"),
                    SyncLoss::Frameless => {
                        ("no complete frame", "poll more often, or check the model in the settings")
                    }
                    SyncLoss::HostPause => ("the host did not read in time", "poll at least every 5 ms"),
                };
                write!(f, "Lepton stream out of step: {what}; if it repeats, {remedy}")
            }
            Self::Command(e) => e.fmt(f),
            Self::WrongModel { found, expected } => {
                write!(
                    f,
                    "camera is a {found:?}, but the settings say {expected:?}: change the model in the settings"
                )
            }
        }
    }
}

impl core::error::Error for Fault {}

/// An event of the driver, over the error types of its SPI and I²C buses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<S, I> {
    /// The SPI bus failed.
    Spi(S),
    /// The I²C bus failed; the transfer is tried again after 20 ms. Normal while the camera starts.
    I2c(I),
    /// The buffer lent is too short.
    Buffer(ShortBuffer),
    /// The camera itself.
    Camera(Fault),
}

impl<S: fmt::Debug, I: fmt::Debug> fmt::Display for Error<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spi(e) => write!(f, "SPI transfer with the Lepton failed: {e:?}"),
            Self::I2c(e) => {
                write!(
                    f,
                    "I2C transfer with the Lepton at 0x2a failed: {e:?}; check wires, pull-ups and supply"
                )
            }
            Self::Buffer(e) => e.fmt(f),
            Self::Camera(e) => e.fmt(f),
        }
    }
}

impl<S: fmt::Debug, I: fmt::Debug> core::error::Error for Error<S, I> {}

impl<S, I> From<Fault> for Error<S, I> {
    fn from(fault: Fault) -> Self {
        Self::Camera(fault)
    }
}

impl<S, I> From<ShortBuffer> for Error<S, I> {
    fn from(short: ShortBuffer) -> Self {
        Self::Buffer(short)
    }
}
