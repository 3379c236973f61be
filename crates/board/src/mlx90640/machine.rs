//! The driver without its bus: EEPROM, set-up, subpages, supervision.
//!
//! I²C has no check sum. What is read is therefore read twice and compared: the EEPROM always, a measurement as the
//! settings say. A measurement that the sensor replaced during the reading is thrown away.

use fusionproxy_core::frame::FrameInfo;
use fusionproxy_core::health::SensorState;

use super::calibration::{Calibration, CalibrationError, EEPROM};
use super::error::Fault;
use super::temperature::{Conditions, Implausible, Surface, repair};
use super::{PIXELS, WORDS};
use crate::bus::{Transfer, Want};

const STATUS: u16 = 0x8000;
const CONTROL: u16 = 0x800d;
const RAM: u16 = 0x0400;
/// New data in RAM.
const STATUS_NEW: u16 = 0x0008;
/// Clears "new data", keeps the RAM writable, and starts the next measurement.
const STATUS_CLEAR: u16 = 0x0030;
/// Control register after power-up: 2 Hz, 18 bits, chess pattern, subpages on.
const CONTROL_DEFAULT: u16 = 0x1901;
const CONTROL_RATE: u16 = 0x0380;

/// Words of one transfer: 3 ms on a 400 kHz bus.
const CHUNK: usize = 64;
/// Pause before a failed transfer or a refused EEPROM is tried again, µs.
const BACK_OFF_US: u64 = 20_000;
const EEPROM_BACK_OFF_US: u64 = 1_000_000;
/// Time from power-up to valid data, beyond the measurement itself, µs.
const SETTLE_US: u64 = 80_000;
/// Object temperatures of a working pixel, mK: the sensor's range with room to spare.
const PLAUSIBLE_MK: core::ops::RangeInclusive<i32> = 213_150..=723_150;
/// So many pixels may be implausible before the measurement is taken for damaged.
const MAX_IMPLAUSIBLE: usize = 12;

/// So many measurements in a row that were replaced before they were read are reported.
const TORN_RUN: u8 = 8;

/// Subpages a second; a frame takes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Rate {
    /// 1 subpage a second.
    Hz1 = 1,
    /// 2 subpages a second.
    Hz2 = 2,
    /// 4 subpages a second.
    Hz4 = 3,
    /// 8 subpages a second.
    Hz8 = 4,
    /// 16 subpages a second.
    Hz16 = 5,
    /// 32 subpages a second: needs a 1 MHz bus.
    Hz32 = 6,
}

impl Rate {
    /// Time of one subpage, µs.
    #[must_use]
    pub const fn period_us(self) -> u64 {
        2_000_000 >> self as u16
    }
}

/// Settings of an MLX90640.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// I²C address; 0x33 unless it was changed in the EEPROM.
    pub address: u8,
    /// Subpages a second.
    pub rate: Rate,
    /// Read every measurement twice and compare. It takes the bus 80 ms for each subpage at 400 kHz, or 32 ms at 1 MHz,
    /// which must be less than the time of a subpage.
    pub verify: bool,
    /// The surface that is looked at.
    pub surface: Surface,
}

impl Settings {
    /// 8 subpages and so 4 frames a second, each read twice, at the usual address.
    #[must_use]
    pub fn new() -> Self {
        Self { address: 0x33, rate: Rate::Hz8, verify: true, surface: Surface::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

/// What has happened so far; all counters wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Complete frames.
    pub frames: u32,
    /// Subpages that were measured.
    pub subpages: u32,
    /// Subpages that the sensor replaced while they were read.
    pub torn: u32,
    /// Subpages, or EEPROM contents, that differed when read twice, or that held impossible values.
    pub corrupt: u32,
    /// Subpages that were left without their other half.
    pub unpaired: u32,
    /// Pixels that were repaired because their value was impossible, beyond those that the EEPROM marks.
    pub repaired: u32,
    /// Transfers that the bus failed.
    pub bus_errors: u32,
    /// Times that the sensor was found with other settings than ours: it had restarted.
    pub restarts: u32,
    /// Times that the sensor did not measure in time.
    pub stalls: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Reading the EEPROM, for the second time if `again`.
    Eeprom {
        at: usize,
        again: bool,
    },
    WriteControl,
    ClearFirst,
    Poll,
    Clear,
    Ram {
        at: usize,
        again: bool,
    },
    CheckControl,
    CheckStatus,
}

/// The state machine of one MLX90640.
#[derive(Debug, Clone)]
pub struct Machine {
    settings: Settings,
    state: State,
    calibration: Option<Calibration>,
    /// EEPROM at first, then the RAM of the newest measurement.
    words: [u16; WORDS],
    out: [u8; 4],
    input: [u8; 2 * CHUNK],
    mismatch: bool,
    subpage: usize,
    /// When the measurement that is being read was found, µs.
    found_us: u64,
    not_before_us: u64,
    /// Since when no measurement has come, µs.
    waiting_since_us: u64,
    /// Measurements to throw away after a change of settings.
    skip: u8,
    torn_run: u8,
    fresh: [Option<u64>; 2],
    image: [i32; PIXELS],
    /// Pixels of this frame with impossible values.
    implausible: [u32; PIXELS / 32],
    ambient_mk: i32,
    sequence: u32,
    counters: Counters,
}

impl Machine {
    /// A machine that will read the EEPROM first.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Eeprom { at: 0, again: false },
            calibration: None,
            words: [0; WORDS],
            out: [0; 4],
            input: [0; 2 * CHUNK],
            mismatch: false,
            subpage: 0,
            found_us: 0,
            not_before_us: 0,
            waiting_since_us: 0,
            skip: 0,
            torn_run: 0,
            fresh: [None; 2],
            image: [0; PIXELS],
            implausible: [0; PIXELS / 32],
            ambient_mk: 0,
            sequence: 0,
            counters: Counters {
                frames: 0,
                subpages: 0,
                torn: 0,
                corrupt: 0,
                unpaired: 0,
                repaired: 0,
                bus_errors: 0,
                restarts: 0,
                stalls: 0,
            },
        }
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The calibration, once the EEPROM was read.
    #[must_use]
    pub const fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// Temperatures of the newest frame, row by row from the top left, mK.
    #[must_use]
    pub const fn temperatures_mk(&self) -> &[i32; PIXELS] {
        &self.image
    }

    /// Temperature of the sensor itself, mK.
    #[must_use]
    pub const fn ambient_mk(&self) -> i32 {
        self.ambient_mk
    }

    fn control(&self) -> u16 {
        CONTROL_DEFAULT & !CONTROL_RATE | (self.settings.rate as u16) << 7
    }

    /// What to do next.
    pub fn want(&mut self, now_us: u64) -> Want<'_> {
        if now_us < self.not_before_us {
            return Want::Wait(self.not_before_us);
        }
        let control = self.control();
        let (register, value, words) = match self.state {
            State::Eeprom { at, .. } => (EEPROM + at as u16, None, CHUNK),
            State::Ram { at, .. } => (RAM + at as u16, None, CHUNK),
            State::WriteControl => (CONTROL, Some(control), 0),
            State::ClearFirst | State::Clear => (STATUS, Some(STATUS_CLEAR), 0),
            State::Poll | State::CheckStatus => (STATUS, None, 1),
            State::CheckControl => (CONTROL, None, 1),
        };
        self.out[..2].copy_from_slice(&register.to_be_bytes());
        self.out[2..].copy_from_slice(&value.unwrap_or(0).to_be_bytes());
        let write = if value.is_some() { 4 } else { 2 };
        Want::Transfer(Transfer {
            address: self.settings.address,
            write: &self.out[..write],
            read: &mut self.input[..2 * words],
        })
    }

    /// To be called when the bus failed the transfer: it will be asked for again.
    pub const fn failed(&mut self, now_us: u64) {
        self.counters.bus_errors = self.counters.bus_errors.wrapping_add(1);
        self.not_before_us = now_us + BACK_OFF_US;
    }

    /// To be called when the bus completed the transfer. `Some` when a frame is complete; [`Self::write_frame`] then
    /// stores it.
    ///
    /// # Errors
    /// [`Fault`] of the sensor or of the data.
    pub fn done(&mut self, now_us: u64) -> Result<Option<FrameInfo>, Fault> {
        let word = u16::from_be_bytes([self.input[0], self.input[1]]);
        match self.state {
            State::Eeprom { at, again } => self.eeprom_chunk(at, again, now_us)?,
            State::WriteControl => self.state = State::ClearFirst,
            State::ClearFirst => {
                self.state = State::Poll;
                self.skip = 2;
                self.fresh = [None; 2];
                self.waiting_since_us = now_us;
                self.not_before_us = now_us + SETTLE_US;
            }
            State::Poll => {
                if word & STATUS_NEW != 0 {
                    self.subpage = usize::from(word & 1);
                    self.found_us = now_us;
                    self.waiting_since_us = now_us;
                    self.state = State::Clear;
                } else if now_us.saturating_sub(self.waiting_since_us)
                    > SETTLE_US + 4 * self.settings.rate.period_us()
                {
                    // Not measuring at all, or waiting for a step: set it up again.
                    self.counters.stalls = self.counters.stalls.wrapping_add(1);
                    self.state = State::WriteControl;
                    return Err(Fault::Stalled);
                } else {
                    self.not_before_us = now_us + self.settings.rate.period_us() / 16;
                }
            }
            State::Clear => {
                self.mismatch = false;
                self.state = State::Ram { at: 0, again: false };
            }
            State::Ram { at, again } => {
                self.take_chunk(at, again);
                self.state = match (at + CHUNK < WORDS, again || !self.settings.verify) {
                    (true, _) => State::Ram { at: at + CHUNK, again },
                    (false, false) => State::Ram { at: 0, again: true },
                    (false, true) => State::CheckControl,
                };
            }
            State::CheckControl => {
                if word != self.control() {
                    self.counters.restarts = self.counters.restarts.wrapping_add(1);
                    self.state = State::WriteControl;
                    return Err(Fault::Restarted { control: word });
                }
                self.state = State::CheckStatus;
            }
            State::CheckStatus => return self.measured(word, now_us),
        }
        Ok(None)
    }

    /// Stores one chunk, or compares it with the first reading.
    fn take_chunk(&mut self, at: usize, again: bool) {
        for (word, bytes) in self.words[at..].iter_mut().zip(self.input.chunks_exact(2)) {
            let new = u16::from_be_bytes([bytes[0], bytes[1]]);
            self.mismatch |= again && *word != new;
            *word = new;
        }
    }

    fn eeprom_chunk(&mut self, at: usize, again: bool, now_us: u64) -> Result<(), Fault> {
        self.take_chunk(at, again);
        if at + CHUNK < WORDS {
            self.state = State::Eeprom { at: at + CHUNK, again };
            return Ok(());
        }
        if !again {
            self.state = State::Eeprom { at: 0, again: true };
            return Ok(());
        }
        self.state = State::Eeprom { at: 0, again: false };
        if core::mem::take(&mut self.mismatch) {
            self.counters.corrupt = self.counters.corrupt.wrapping_add(1);
            return Err(Fault::Corrupt);
        }
        match Calibration::from_eeprom(&self.words) {
            Ok(calibration) => {
                self.calibration = Some(calibration);
                self.state = State::WriteControl;
                Ok(())
            }
            Err(e) => {
                self.not_before_us = now_us + EEPROM_BACK_OFF_US;
                Err(Fault::Calibration(e))
            }
        }
    }

    /// All words of a measurement have been read; `status` was read after them.
    fn measured(&mut self, status: u16, now_us: u64) -> Result<Option<FrameInfo>, Fault> {
        if status & STATUS_NEW != 0 {
            // The next measurement has begun to replace this one. Read that one instead.
            self.counters.torn = self.counters.torn.wrapping_add(1);
            self.subpage = usize::from(status & 1);
            self.found_us = now_us;
            self.waiting_since_us = now_us;
            self.state = State::Clear;
            self.torn_run += 1;
            if self.torn_run == TORN_RUN {
                self.torn_run = 0;
                return Err(Fault::BusTooSlow);
            }
            return Ok(None);
        }
        self.torn_run = 0;
        self.state = State::Poll;
        if self.mismatch {
            self.counters.corrupt = self.counters.corrupt.wrapping_add(1);
            return Err(Fault::Corrupt);
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(None);
        }
        self.counters.subpages = self.counters.subpages.wrapping_add(1);
        if let Err(implausible) = self.convert() {
            self.counters.corrupt = self.counters.corrupt.wrapping_add(1);
            return Err(Fault::Implausible(implausible));
        }
        let other = self.fresh[1 - self.subpage];
        let period = self.settings.rate.period_us();
        match other {
            // Half a period early or late still belongs together.
            Some(time) if self.found_us.saturating_sub(time) <= period + period / 2 => {
                self.fresh = [None; 2];
                Ok(Some(self.frame(time)))
            }
            _ => {
                let stale = u32::from(other.is_some()) + u32::from(self.fresh[self.subpage].is_some());
                self.counters.unpaired = self.counters.unpaired.wrapping_add(stale);
                self.fresh[1 - self.subpage] = None;
                self.fresh[self.subpage] = Some(self.found_us);
                Ok(None)
            }
        }
    }

    /// Temperatures of the pixels of this subpage.
    fn convert(&mut self) -> Result<(), Implausible> {
        let Some(calibration) = &self.calibration else { return Ok(()) };
        let control = CONTROL_DEFAULT & !CONTROL_RATE | (self.settings.rate as u16) << 7;
        let conditions =
            Conditions::new(calibration, &self.words, control, self.subpage, self.settings.surface)?;
        let mut implausible = 0;
        for pixel in (0..PIXELS).filter(|&p| conditions.measures(p, self.subpage)) {
            let celsius = conditions.temperature_c(pixel, self.words[pixel]);
            // A NaN becomes 0 mK, which is implausible.
            let millikelvin = libm::roundf((celsius + 273.15) * 1000.0) as i32;
            self.image[pixel] = millikelvin;
            let bit = 1 << (pixel % 32);
            if PLAUSIBLE_MK.contains(&millikelvin) {
                self.implausible[pixel / 32] &= !bit;
            } else {
                self.implausible[pixel / 32] |= bit;
                implausible += usize::from(!calibration.is_bad(pixel));
            }
        }
        if implausible > MAX_IMPLAUSIBLE {
            return Err(Implausible::Pixels);
        }
        self.ambient_mk = libm::roundf((conditions.ambient_c + 273.15) * 1000.0) as i32;
        Ok(())
    }

    /// Repairs the image of two fresh subpages, of which the first was found at `first_us`.
    fn frame(&mut self, first_us: u64) -> FrameInfo {
        if let Some(calibration) = &self.calibration {
            let implausible = self.implausible;
            let is_implausible = |p: usize| implausible[p / 32] >> (p % 32) & 1 != 0;
            let extra = (0..PIXELS).filter(|&p| is_implausible(p) && !calibration.is_bad(p)).count();
            self.counters.repaired = self.counters.repaired.wrapping_add(extra as u32);
            repair(&mut self.image, |p| calibration.is_bad(p) || is_implausible(p));
        }
        self.counters.frames = self.counters.frames.wrapping_add(1);
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        // Both subpages were measured in the period before they were found: the middle of the two.
        let middle =
            u64::midpoint(first_us, self.found_us).saturating_sub(self.settings.rate.period_us() / 2);
        FrameInfo { timestamp_us: middle, sequence, state: SensorState::Ok }
    }

    /// Stores the newest frame as words of 10 mK, little-endian.
    pub fn write_frame(&self, frame: &mut [u8]) {
        for (out, &millikelvin) in frame.chunks_exact_mut(2).zip(&self.image) {
            let centikelvin = (millikelvin / 10).clamp(0, 0xffff) as u16;
            out.copy_from_slice(&centikelvin.to_le_bytes());
        }
    }
}

impl From<CalibrationError> for Fault {
    fn from(e: CalibrationError) -> Self {
        Self::Calibration(e)
    }
}
