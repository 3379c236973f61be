//! Melexis MLX90640: 32 × 24 px of temperatures over I²C.
//!
//! Written to the data sheet 3901090640 rev 12; the arithmetic agrees with the measurement that Melexis published to the
//! last digit, 1 mK. The bus side was driven against the simulator in this crate, not tried on hardware.
//!
//! The sensor measures in two subpages like the fields of a chess board. A frame is delivered only when both are fresh;
//! pixels that the EEPROM marks, or whose value is impossible, are replaced by the median of their neighbours.

mod calibration;
mod error;
mod machine;
mod temperature;

use embedded_hal::i2c::I2c;
use fusionproxy_core::frame::{FrameInfo, InfraredFormat};

pub use calibration::{Calibration, CalibrationError};
pub use error::{Error, Fault};
pub use machine::{Counters, Machine, Rate, Settings};
#[cfg(feature = "sim")]
pub(crate) use temperature::ram;
pub use temperature::{Conditions, Implausible, Surface};

use crate::bus::{self, Want};
use crate::source::{FrameSource, Layout};

/// Width, px.
pub const WIDTH: usize = 32;
/// Height, px.
pub const HEIGHT: usize = 24;
/// Pixels.
pub const PIXELS: usize = WIDTH * HEIGHT;
/// Words of the EEPROM, and of the RAM.
pub const WORDS: usize = 832;

/// An MLX90640 on an [`I2c`] bus of 400 kHz or 1 MHz.
///
/// Poll it at least 16 times per subpage; one poll does at most one transfer of 128 bytes (3 ms at 400 kHz). Frames
/// hold temperatures in units of 10 mK; [`Self::temperatures_mk`] has them in mK.
#[derive(Debug)]
pub struct Mlx90640<I> {
    i2c: I,
    machine: Machine,
}

impl<I> Mlx90640<I> {
    /// A driver that reads the EEPROM, sets the sensor up and measures. Nothing happens before the first poll.
    pub const fn new(i2c: I, settings: Settings) -> Self {
        Self { i2c, machine: Machine::new(settings) }
    }

    /// Gives the bus back.
    pub fn release(self) -> I {
        self.i2c
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.machine.counters()
    }

    /// Temperatures of the newest frame, row by row from the top left, mK.
    #[must_use]
    pub const fn temperatures_mk(&self) -> &[i32; PIXELS] {
        self.machine.temperatures_mk()
    }

    /// Temperature of the sensor itself, mK.
    #[must_use]
    pub const fn ambient_mk(&self) -> i32 {
        self.machine.ambient_mk()
    }

    /// The calibration, once the EEPROM was read.
    #[must_use]
    pub const fn calibration(&self) -> Option<&Calibration> {
        self.machine.calibration()
    }
}

impl<I: I2c> FrameSource for Mlx90640<I> {
    type Format = InfraredFormat;
    type Error = Error<I::Error>;

    fn layout(&self) -> Layout<InfraredFormat> {
        Layout { format: InfraredFormat::Y16, width: WIDTH, height: HEIGHT }
    }

    fn poll(&mut self, buffer: &mut [u8], now_us: u64) -> Result<Option<FrameInfo>, Self::Error> {
        let frame = self.layout().check(buffer)?;
        let Want::Transfer(transfer) = self.machine.want(now_us) else { return Ok(None) };
        if let Err(e) = bus::run(&mut self.i2c, transfer) {
            self.machine.failed(now_us);
            return Err(Error::I2c(e));
        }
        let info = self.machine.done(now_us)?;
        if info.is_some() {
            self.machine.write_frame(frame);
        }
        Ok(info)
    }
}

#[cfg(test)]
mod tests;
