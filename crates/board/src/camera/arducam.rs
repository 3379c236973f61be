//! ArduCAM-Mini 2MP: an OV2640 behind a frame FIFO that is read over SPI (mode 0, up to 8 MHz).
//!
//! One capture at a time: clear, start, wait, check the length, read in chunks, repeat. Register map of the ArduCAM SPI
//! bridge: 0x00 scratch, 0x04 FIFO control, 0x07 reset, 0x41 status, 0x42 to 0x44 length, 0x3c burst read; a write sets
//! bit 7 of the address.

use core::fmt;

use embedded_hal::i2c::I2c;
use embedded_hal::spi::{Operation, SpiDevice};
use fusionproxy_core::frame::{FrameInfo, VisibleFormat};
use fusionproxy_core::health::SensorState;

use super::{Output, SetupError, SizeError, Step, ov2640, perform, read, swap_bytes};
use crate::source::{FrameSource, Layout, ShortBuffer};

const SCRATCH: u8 = 0x00;
const FIFO: u8 = 0x04;
const FIFO_CLEAR: u8 = 0x01;
const FIFO_START: u8 = 0x02;
const RESET: u8 = 0x07;
const STATUS: u8 = 0x41;
const STATUS_DONE: u8 = 0x08;
const LENGTH: [u8; 3] = [0x42, 0x43, 0x44];
const BURST: u8 = 0x3c;
const WRITE: u8 = 0x80;
const PATTERN: u8 = 0x55;

/// Bytes of one burst: 1 ms at 8 MHz, so that a thermal camera that is polled in turn keeps its step.
const CHUNK: usize = 1_000;
/// Set-up steps in one poll: 0.3 ms each on a 100 kHz bus.
const STEPS: usize = 8;
/// How often a capture in progress is asked after, µs.
const ASK_US: u64 = 2_000;
/// A capture that takes longer has failed, µs. In the dark, a frame takes up to 0.3 s.
const CAPTURE_US: u64 = 800_000;
const RESET_US: u64 = 100_000;
const BACK_OFF_US: u64 = 50_000;
const WRONG_PART_BACK_OFF_US: u64 = 1_000_000;
/// Bytes beyond the frame that the FIFO may have counted.
const SURPLUS: u32 = 64;
/// Wrong lengths in a row after which the camera is set up again.
const MAX_WRONG_LENGTHS: u8 = 3;

/// Settings of an ArduCAM-Mini.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Pixel format.
    pub output: Output,
    /// Width and height, px: multiples of 4 up to 800 × 600, and no more bytes than the FIFO's 384 KiB.
    pub size: (u16, u16),
    /// Bytes at the start of the first burst that are not part of the frame. Bridges are reported with 0 and with 1: if
    /// colours are wrong and shifted by half a pixel, change it.
    pub leading_bytes: u8,
}

/// What has happened so far; all counters wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames delivered.
    pub frames: u32,
    /// Times that the camera was set up.
    pub setups: u32,
    /// Captures that did not end in time.
    pub timeouts: u32,
    /// Captures of a wrong length.
    pub wrong_lengths: u32,
    /// Times that bridge or camera were found without our settings: one of them restarted.
    pub restarts: u32,
    /// SPI transfers that the bus failed.
    pub spi_errors: u32,
    /// I²C transfers that the bus failed.
    pub i2c_errors: u32,
}

/// An event of the driver, over the error types of its SPI and I²C buses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<S, I> {
    /// The SPI bus failed; the capture is begun anew.
    Spi(S),
    /// The buffer lent is too short.
    Buffer(ShortBuffer),
    /// The scratch register does not keep its value: no bridge on the SPI bus.
    NoBridge {
        /// What was read.
        found: u8,
    },
    /// The camera's set-up failed; it is tried again.
    Setup(SetupError<I>),
    /// A capture did not end within 0.8 s; the camera is set up again.
    Timeout,
    /// The FIFO holds a frame of another length; the capture is begun anew.
    Length {
        /// Bytes in the FIFO.
        found: u32,
        /// Bytes of a frame.
        expected: u32,
    },
    /// Bridge or camera restarted; they are set up again.
    Restarted,
}

impl<S: fmt::Debug, I: fmt::Debug> fmt::Display for Error<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spi(e) => write!(f, "SPI transfer with the ArduCAM failed: {e:?}"),
            Self::Buffer(e) => e.fmt(f),
            Self::NoBridge { found } => write!(
                f,
                "ArduCAM scratch register reads {found:#04x}, not 0x55: check SPI wires, mode 0, clock of at most 8 MHz"
            ),
            Self::Setup(e) => e.fmt(f),
            Self::Timeout => {
                f.write_str("ArduCAM capture did not end within 0.8 s: check the camera's ribbon")
            }
            Self::Length { found, expected } => {
                write!(
                    f,
                    "ArduCAM FIFO holds {found} bytes, but a frame has {expected}: lower the SPI clock if it repeats"
                )
            }
            Self::Restarted => f.write_str("ArduCAM or its camera restarted: check the supply"),
        }
    }
}

impl<S: fmt::Debug, I: fmt::Debug> core::error::Error for Error<S, I> {}

impl<S, I> From<ShortBuffer> for Error<S, I> {
    fn from(short: ShortBuffer) -> Self {
        Self::Buffer(short)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reset,
    ResetEnd,
    Probe,
    /// Next step of the camera's set-up.
    Setup(u16),
    Check,
    Start,
    Capture,
    Read {
        at: usize,
    },
}

/// An ArduCAM-Mini 2MP on an [`SpiDevice`] (mode 0, up to 8 MHz) and an [`I2c`] bus (up to 400 kHz).
///
/// One poll does at most one SPI burst of 1 ms or eight set-up steps (2 ms on a 100 kHz bus). The time stamp of a frame is that of the start of
/// its capture. RGB565 is delivered with its low byte first, as the frame formats have it.
///
/// Not tried on hardware.
#[derive(Debug)]
pub struct ArduCam<S, I> {
    spi: S,
    i2c: I,
    settings: Settings,
    state: State,
    not_before_us: u64,
    started_us: u64,
    wrong_lengths: u8,
    sequence: u32,
    counters: Counters,
}

impl<S: SpiDevice, I: I2c> ArduCam<S, I> {
    /// A driver that sets bridge and camera up and captures. Nothing happens before the first poll.
    ///
    /// # Errors
    /// [`SizeError`] when the camera cannot deliver the size, or the FIFO cannot hold it.
    pub fn new(spi: S, i2c: I, settings: Settings) -> Result<Self, SizeError> {
        SizeError::check(settings.size, ov2640::LIMIT, 4)?;
        // Two bytes a pixel in 384 KiB: 512 x 384 is the largest 4:3 frame.
        if u32::from(settings.size.0) * u32::from(settings.size.1) * 2 > 384 * 1024 {
            return Err(SizeError { found: settings.size, limit: (512, 384), multiple: 4 });
        }
        Ok(Self {
            spi,
            i2c,
            settings,
            state: State::Reset,
            not_before_us: 0,
            started_us: 0,
            wrong_lengths: 0,
            sequence: 0,
            counters: Counters::default(),
        })
    }

    /// Gives the buses back.
    pub fn release(self) -> (S, I) {
        (self.spi, self.i2c)
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    fn write(&mut self, register: u8, value: u8) -> Result<(), Error<S::Error, I::Error>> {
        self.spi.write(&[register | WRITE, value]).map_err(Error::Spi)
    }

    fn register(&mut self, register: u8) -> Result<u8, Error<S::Error, I::Error>> {
        let mut value = [0];
        self.spi
            .transaction(&mut [Operation::Write(&[register]), Operation::Read(&mut value)])
            .map_err(Error::Spi)?;
        Ok(value[0])
    }

    fn step(
        &mut self,
        frame: &mut [u8],
        now_us: u64,
    ) -> Result<Option<FrameInfo>, Error<S::Error, I::Error>> {
        match self.state {
            State::Reset => {
                self.write(RESET, 0x80)?;
                self.pause(State::ResetEnd, now_us, RESET_US);
            }
            State::ResetEnd => {
                self.write(RESET, 0x00)?;
                self.pause(State::Probe, now_us, RESET_US);
            }
            State::Probe => {
                self.write(SCRATCH, PATTERN)?;
                let found = self.register(SCRATCH)?;
                if found != PATTERN {
                    self.pause(State::Reset, now_us, WRONG_PART_BACK_OFF_US);
                    return Err(Error::NoBridge { found });
                }
                self.state = State::Setup(0);
            }
            State::Setup(at) => self.setup(at, now_us)?,
            State::Check => {
                // The set-up ends in the bank of the image processor.
                let width = read(&mut self.i2c, ov2640::ADDRESS, ov2640::HSIZE8)
                    .map_err(|e| Error::Setup(SetupError::Bus(e)))?;
                let pattern = self.register(SCRATCH)?;
                if width != ov2640::SVGA_WIDTH || pattern != PATTERN {
                    self.counters.restarts = self.counters.restarts.wrapping_add(1);
                    self.state = State::Reset;
                    return Err(Error::Restarted);
                }
                self.state = State::Start;
            }
            State::Start => {
                self.write(FIFO, FIFO_CLEAR)?;
                self.write(FIFO, FIFO_START)?;
                self.started_us = now_us;
                self.pause(State::Capture, now_us, ASK_US);
            }
            State::Capture => self.capture(now_us)?,
            State::Read { at } => return self.read_chunk(at, frame),
        }
        Ok(None)
    }

    fn pause(&mut self, next: State, now_us: u64, us: u64) {
        self.state = next;
        self.not_before_us = now_us + us;
    }

    fn setup(&mut self, at: u16, now_us: u64) -> Result<(), Error<S::Error, I::Error>> {
        let Ok(steps) = ov2640::setup(self.settings.output, self.settings.size) else { return Ok(()) };
        let mut next = at;
        for step in steps.skip(usize::from(at)).take(STEPS) {
            match perform(&mut self.i2c, ov2640::ADDRESS, step) {
                Ok(wait_ms) => {
                    next += 1;
                    self.state = State::Setup(next);
                    if matches!(step, Step::Wait(_)) {
                        self.not_before_us = now_us + u64::from(wait_ms) * 1000;
                        return Ok(());
                    }
                }
                Err(e @ SetupError::WrongChip { .. }) => {
                    self.pause(State::Setup(0), now_us, WRONG_PART_BACK_OFF_US);
                    return Err(Error::Setup(e));
                }
                Err(e) => return Err(Error::Setup(e)),
            }
        }
        if next == at {
            self.counters.setups = self.counters.setups.wrapping_add(1);
            self.state = State::Check;
        }
        Ok(())
    }

    fn capture(&mut self, now_us: u64) -> Result<(), Error<S::Error, I::Error>> {
        if self.register(STATUS)? & STATUS_DONE == 0 {
            if now_us.saturating_sub(self.started_us) > CAPTURE_US {
                self.counters.timeouts = self.counters.timeouts.wrapping_add(1);
                self.state = State::Reset;
                return Err(Error::Timeout);
            }
            self.not_before_us = now_us + ASK_US;
            return Ok(());
        }
        let mut length = 0u32;
        for (i, register) in LENGTH.into_iter().enumerate() {
            length |= u32::from(self.register(register)?) << (8 * i);
        }
        length &= 0x7f_ffff;
        let expected = self.layout().bytes() as u32;
        if !(expected..=expected + SURPLUS).contains(&length) {
            self.counters.wrong_lengths = self.counters.wrong_lengths.wrapping_add(1);
            self.wrong_lengths += 1;
            self.state = if self.wrong_lengths >= MAX_WRONG_LENGTHS { State::Reset } else { State::Check };
            if self.wrong_lengths >= MAX_WRONG_LENGTHS {
                self.wrong_lengths = 0;
            }
            return Err(Error::Length { found: length, expected });
        }
        self.wrong_lengths = 0;
        self.state = State::Read { at: 0 };
        Ok(())
    }

    fn read_chunk(
        &mut self,
        at: usize,
        frame: &mut [u8],
    ) -> Result<Option<FrameInfo>, Error<S::Error, I::Error>> {
        let end = (at + CHUNK).min(frame.len());
        let mut leading = [0; 8];
        let skip = if at == 0 { usize::from(self.settings.leading_bytes).min(leading.len()) } else { 0 };
        let mut operations = [
            Operation::Write(&[BURST]),
            Operation::Read(&mut leading[..skip]),
            Operation::Read(&mut frame[at..end]),
        ];
        self.spi.transaction(&mut operations).map_err(Error::Spi)?;
        if end < frame.len() {
            self.state = State::Read { at: end };
            return Ok(None);
        }
        self.state = State::Check;
        if self.settings.output == Output::Rgb565 {
            swap_bytes(frame);
        }
        self.counters.frames = self.counters.frames.wrapping_add(1);
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Ok(Some(FrameInfo { timestamp_us: self.started_us, sequence, state: SensorState::Ok }))
    }
}

impl<S: SpiDevice, I: I2c> FrameSource for ArduCam<S, I> {
    type Format = VisibleFormat;
    type Error = Error<S::Error, I::Error>;

    fn layout(&self) -> Layout<VisibleFormat> {
        let (width, height) = self.settings.size;
        Layout {
            format: self.settings.output.format(),
            width: usize::from(width),
            height: usize::from(height),
        }
    }

    fn poll(&mut self, buffer: &mut [u8], now_us: u64) -> Result<Option<FrameInfo>, Self::Error> {
        let frame = self.layout().check(buffer)?;
        if now_us < self.not_before_us {
            return Ok(None);
        }
        let result = self.step(frame, now_us);
        match &result {
            Err(Error::Spi(_)) => {
                self.counters.spi_errors = self.counters.spi_errors.wrapping_add(1);
                // A burst that broke off has moved the FIFO's pointer: capture anew.
                let next = match self.state {
                    State::Read { .. } | State::Capture | State::Start => State::Check,
                    other => other,
                };
                self.pause(next, now_us, BACK_OFF_US);
            }
            Err(Error::Setup(SetupError::Bus(_))) => {
                self.counters.i2c_errors = self.counters.i2c_errors.wrapping_add(1);
                self.not_before_us = now_us + BACK_OFF_US;
            }
            _ => {}
        }
        result
    }
}
