//! What a simulated bus can answer.

use embedded_hal::{i2c, spi};

use super::clock::VirtualClock;

/// A failed transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusError {
    /// Nobody acknowledged the address.
    Nack,
    /// The controller gave up.
    Controller,
    /// A transfer that the simulated part does not understand.
    Unsupported,
}

impl core::fmt::Display for BusError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Nack => "address not acknowledged",
            Self::Controller => "bus controller failed",
            Self::Unsupported => "transfer that the simulated part does not understand",
        })
    }
}

impl core::error::Error for BusError {}

impl i2c::Error for BusError {
    fn kind(&self) -> i2c::ErrorKind {
        match self {
            Self::Nack => i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Address),
            Self::Controller => i2c::ErrorKind::Bus,
            Self::Unsupported => i2c::ErrorKind::Other,
        }
    }
}

impl spi::Error for BusError {
    fn kind(&self) -> spi::ErrorKind {
        spi::ErrorKind::Other
    }
}

/// Time of one byte with its acknowledge bit on a 400 kHz I²C bus, ns.
pub(super) const I2C_BYTE_NS: u64 = 9 * 2_500;

/// An I²C bus that somebody may hold low.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldBus {
    until_us: u64,
    timeout_us: u64,
}

impl HeldBus {
    pub(super) const FREE: Self = Self { until_us: 0, timeout_us: 0 };

    /// Held until then; the controller gives a transfer up after so long.
    pub(super) const fn until(until_us: u64, timeout_us: u64) -> Self {
        Self { until_us, timeout_us }
    }

    /// The beginning of a transfer.
    pub(super) fn wait(&self, clock: &VirtualClock) -> Result<(), BusError> {
        if clock.now_us() >= self.until_us {
            return Ok(());
        }
        clock.advance_us(self.timeout_us);
        Err(BusError::Controller)
    }
}
