//! Panasonic Grid-EYE AMG8833: 8 × 8 px of temperatures over I²C.
//!
//! Written to the Grid-EYE specification (AMG88 series, register map and section on pixel registers); tested against the
//! simulator in this crate, not tried on hardware.
//!
//! The sensor measures ten times a second by itself and has no flag for new data; it is read at that rate. The four high
//! bits of every pixel are 0, which is what tells damaged data apart.

use core::fmt;

use embedded_hal::i2c::I2c;
use fusionproxy_core::frame::{FrameInfo, InfraredFormat};
use fusionproxy_core::health::SensorState;

use crate::bus::{self, Transfer, Want};
use crate::source::{FrameSource, Layout, ShortBuffer};

/// Width and height, px.
pub const SIDE: usize = 8;
/// Pixels.
pub const PIXELS: usize = SIDE * SIDE;

const POWER: u8 = 0x00;
const RESET: u8 = 0x01;
const RATE: u8 = 0x02;
const FIRST_PIXEL: u8 = 0x80;
const RESET_INITIAL: u8 = 0x3f;

/// Time of one measurement, µs.
const PERIOD_US: u64 = 100_000;
const BACK_OFF_US: u64 = 20_000;
/// From the reset to the first measurement, µs.
const SETTLE_US: u64 = 2 * PERIOD_US;

/// What has happened so far; all counters wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames delivered.
    pub frames: u32,
    /// Frames thrown away because they held impossible values.
    pub corrupt: u32,
    /// Transfers that the bus failed.
    pub bus_errors: u32,
}

/// An event of the driver, over the error type of its I²C bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<I> {
    /// The bus failed; after that the sensor is reset and set up again.
    I2c(I),
    /// The buffer lent is too short.
    Buffer(ShortBuffer),
    /// The data hold an impossible value and were thrown away.
    Corrupt {
        /// The pixel, from 0.
        pixel: usize,
        /// Its word.
        word: u16,
    },
}

impl<I: fmt::Debug> fmt::Display for Error<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I2c(e) => {
                write!(
                    f,
                    "I2C transfer with the AMG8833 failed: {e:?}; check wires, pull-ups, supply and address"
                )
            }
            Self::Buffer(e) => e.fmt(f),
            Self::Corrupt { pixel, word } => {
                write!(f, "AMG8833 pixel {pixel} has the impossible word {word:#06x}: check the I2C wires")
            }
        }
    }
}

impl<I: fmt::Debug> core::error::Error for Error<I> {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Power,
    Reset,
    Rate,
    Read,
}

/// The state machine of one AMG8833.
#[derive(Debug, Clone)]
pub struct Machine {
    address: u8,
    state: State,
    not_before_us: u64,
    out: [u8; 2],
    input: [u8; 2 * PIXELS],
    image: [i32; PIXELS],
    sequence: u32,
    counters: Counters,
}

impl Machine {
    /// A machine that will set the sensor up first. The address is 0x68 or 0x69.
    #[must_use]
    pub const fn new(address: u8) -> Self {
        Self {
            address,
            state: State::Power,
            not_before_us: 0,
            out: [0; 2],
            input: [0; 2 * PIXELS],
            image: [0; PIXELS],
            sequence: 0,
            counters: Counters { frames: 0, corrupt: 0, bus_errors: 0 },
        }
    }

    /// What to do next.
    pub fn want(&mut self, now_us: u64) -> Want<'_> {
        if now_us < self.not_before_us {
            return Want::Wait(self.not_before_us);
        }
        let (write, read) = match self.state {
            State::Power => ([POWER, 0], 0),
            State::Reset => ([RESET, RESET_INITIAL], 0),
            State::Rate => ([RATE, 0], 0),
            State::Read => ([FIRST_PIXEL, 0], 2 * PIXELS),
        };
        self.out = write;
        Want::Transfer(Transfer {
            address: self.address,
            write: if read == 0 { &self.out } else { &self.out[..1] },
            read: &mut self.input[..read],
        })
    }

    /// To be called when the bus failed the transfer.
    pub const fn failed(&mut self, now_us: u64) {
        self.counters.bus_errors = self.counters.bus_errors.wrapping_add(1);
        self.state = State::Power;
        self.not_before_us = now_us + BACK_OFF_US;
    }

    /// To be called when the bus completed the transfer. `Some` when a frame is complete.
    ///
    /// # Errors
    /// Pixel and word that cannot be right.
    pub fn done(&mut self, now_us: u64) -> Result<Option<FrameInfo>, (usize, u16)> {
        self.state = match self.state {
            State::Power => State::Reset,
            State::Reset => State::Rate,
            State::Rate => {
                self.not_before_us = now_us + SETTLE_US;
                State::Read
            }
            State::Read => {
                self.not_before_us = now_us + PERIOD_US;
                let words = self.input.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
                if let Some(bad) = words.clone().enumerate().find(|(_, word)| word >> 12 != 0) {
                    self.counters.corrupt = self.counters.corrupt.wrapping_add(1);
                    return Err(bad);
                }
                for (pixel, word) in self.image.iter_mut().zip(words) {
                    // 12 bits of two's complement in steps of 0.25 K.
                    *pixel = 273_150 + i32::from((word << 4) as i16 >> 4) * 250;
                }
                self.counters.frames = self.counters.frames.wrapping_add(1);
                let sequence = self.sequence;
                self.sequence = sequence.wrapping_add(1);
                return Ok(Some(FrameInfo {
                    timestamp_us: now_us.saturating_sub(PERIOD_US),
                    sequence,
                    state: SensorState::Ok,
                }));
            }
        };
        Ok(None)
    }
}

/// An AMG8833 on an [`I2c`] bus of up to 400 kHz. Poll it at least every 100 ms; one poll does one transfer of at most
/// 129 bytes (3 ms). Frames hold temperatures in units of 10 mK.
#[derive(Debug)]
pub struct Amg8833<I> {
    i2c: I,
    machine: Machine,
}

impl<I> Amg8833<I> {
    /// A driver for the sensor at `address`, 0x68 or 0x69.
    pub const fn new(i2c: I, address: u8) -> Self {
        Self { i2c, machine: Machine::new(address) }
    }

    /// Gives the bus back.
    pub fn release(self) -> I {
        self.i2c
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.machine.counters
    }

    /// Temperatures of the newest frame, row by row, mK.
    #[must_use]
    pub const fn temperatures_mk(&self) -> &[i32; PIXELS] {
        &self.machine.image
    }
}

impl<I: I2c> FrameSource for Amg8833<I> {
    type Format = InfraredFormat;
    type Error = Error<I::Error>;

    fn layout(&self) -> Layout<InfraredFormat> {
        Layout { format: InfraredFormat::Y16, width: SIDE, height: SIDE }
    }

    fn poll(&mut self, buffer: &mut [u8], now_us: u64) -> Result<Option<FrameInfo>, Self::Error> {
        let frame = self.layout().check(buffer).map_err(Error::Buffer)?;
        let Want::Transfer(transfer) = self.machine.want(now_us) else { return Ok(None) };
        if let Err(e) = bus::run(&mut self.i2c, transfer) {
            self.machine.failed(now_us);
            return Err(Error::I2c(e));
        }
        let info = self.machine.done(now_us).map_err(|(pixel, word)| Error::Corrupt { pixel, word })?;
        if info.is_some() {
            for (out, &millikelvin) in frame.chunks_exact_mut(2).zip(&self.machine.image) {
                out.copy_from_slice(&((millikelvin / 10).clamp(0, 0xffff) as u16).to_le_bytes());
            }
        }
        Ok(info)
    }
}
