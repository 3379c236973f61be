//! What can go wrong with an MLX90640.

use core::fmt;

use super::calibration::CalibrationError;
use super::temperature::Implausible;
use crate::source::ShortBuffer;

/// What the sensor or its data show to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The EEPROM cannot be used. It is read again every second.
    Calibration(CalibrationError),
    /// Two readings of the same data differ; the data were thrown away.
    Corrupt,
    /// The data hold an impossible value and were thrown away.
    Implausible(Implausible),
    /// The control register is not as we set it: the sensor restarted. It is set up again.
    Restarted {
        /// What the register held.
        control: u16,
    },
    /// The sensor does not measure. It is set up again.
    Stalled,
    /// Measurement upon measurement was replaced before it was read: the bus is too slow for the rate.
    BusTooSlow,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calibration(e) => e.fmt(f),
            Self::Corrupt => f.write_str(
                "two readings of the MLX90640 differ: shorten the I2C wires, strengthen the pull-ups or lower the clock",
            ),
            Self::Implausible(what) => {
                write!(f, "MLX90640 data are impossible ({what:?}): check the I2C wires and the supply's decoupling")
            }
            Self::Restarted { control } => {
                write!(f, "MLX90640 restarted (control register {control:#06x}): check its supply")
            }
            Self::BusTooSlow => f.write_str(
                "MLX90640 measures faster than it is read: lower the rate, raise the I2C clock, poll more often, or read each measurement once only",
            ),
            Self::Stalled => f.write_str("MLX90640 does not measure: it is set up again"),
        }
    }
}

impl core::error::Error for Fault {}

/// An event of the driver, over the error type of its I²C bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<I> {
    /// The bus failed; the transfer is tried again after 20 ms.
    I2c(I),
    /// The buffer lent is too short.
    Buffer(ShortBuffer),
    /// The sensor itself.
    Sensor(Fault),
}

impl<I: fmt::Debug> fmt::Display for Error<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I2c(e) => {
                write!(
                    f,
                    "I2C transfer with the MLX90640 failed: {e:?}; check wires, pull-ups, supply and address"
                )
            }
            Self::Buffer(e) => e.fmt(f),
            Self::Sensor(e) => e.fmt(f),
        }
    }
}

impl<I: fmt::Debug> core::error::Error for Error<I> {}

impl<I> From<Fault> for Error<I> {
    fn from(fault: Fault) -> Self {
        Self::Sensor(fault)
    }
}

impl<I> From<ShortBuffer> for Error<I> {
    fn from(short: ShortBuffer) -> Self {
        Self::Buffer(short)
    }
}
