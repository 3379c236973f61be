//! An ArduCAM-Mini 2MP: SPI bridge with FIFO, and the registers of its OV2640.

use core::cell::RefCell;

use embedded_hal::i2c::{self, I2c};
use embedded_hal::spi::{self, SpiDevice};

use super::bus::{BusError, HeldBus, I2C_BYTE_NS};
use super::clock::VirtualClock;
use super::rng::noise;
use super::scene::VisibleScene;
use crate::camera::ov2640;

/// Time of a frame, µs: 15 a second.
const FRAME_US: u64 = 66_667;
/// Time of one byte at 8 MHz, ns.
const SPI_BYTE_NS: u64 = 1_000;

/// A fault of the camera or of its buses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArduCamFault {
    /// The next I²C transfers are not acknowledged.
    Nack(u16),
    /// Somebody holds the I²C bus for so long, µs: until then, transfers fail after the time that the controller waits.
    HeldBus {
        /// How long the bus is held, µs.
        us: u64,
        /// How long the controller waits, µs.
        timeout_us: u64,
    },
    /// The next SPI transfers fail in the controller.
    SpiErrors(u16),
    /// The next captures hold too few bytes.
    ShortCaptures(u16),
    /// Captures end this much later for so long, µs.
    Late(u64),
    /// Captures begun within so long, µs, never end.
    Hang(u64),
    /// The picture stands still for so long, µs.
    Stuck(u64),
    /// Bridge and camera restart and forget their settings.
    Reboot,
}

#[derive(Debug)]
struct Inner {
    banks: [[u8; 256]; 2],
    bank: usize,
    pointer: u8,
    scratch: u8,
    capture_us: Option<u64>,
    done_us: Option<u64>,
    read_at: usize,
    nack: u16,
    held: HeldBus,
    spi_errors: u16,
    short: u16,
    short_capture: bool,
    late_us: u64,
    late_until_us: u64,
    hang_until_us: u64,
    stuck_at_us: u64,
    stuck_until_us: u64,
}

impl Inner {
    fn start(&mut self) {
        self.banks = [[0; 256]; 2];
        self.banks[1][0x0a] = 0x26;
        self.banks[1][0x0b] = 0x42;
        self.bank = 0;
        self.scratch = 0;
        self.capture_us = None;
        self.done_us = None;
        self.read_at = 0;
    }

    /// Width and height that the image processor is set to.
    fn size(&self) -> (usize, usize) {
        let dsp = &self.banks[0];
        let high = usize::from(dsp[usize::from(ov2640::ZMHH)]);
        let w = usize::from(dsp[usize::from(ov2640::ZMOW)]) | (high & 3) << 8;
        let h = usize::from(dsp[usize::from(ov2640::ZMOH)]) | (high & 4) << 6;
        (4 * w, 4 * h)
    }

    fn length(&self) -> u32 {
        let (w, h) = self.size();
        let bytes = (w * h * 2) as u32;
        if self.short_capture { bytes / 2 } else { bytes }
    }
}

/// A simulated camera. [`Self::spi`] and [`Self::i2c`] are its two buses.
#[derive(Debug)]
pub struct ArduCamSim<'c, S> {
    clock: &'c VirtualClock,
    scene: S,
    seed: u64,
    leading_bytes: u8,
    inner: RefCell<Inner>,
}

impl<'c, S: VisibleScene> ArduCamSim<'c, S> {
    /// A camera that gets its supply now. `leading_bytes` come before the frame in the first burst.
    pub fn new(clock: &'c VirtualClock, scene: S, leading_bytes: u8, seed: u64) -> Self {
        let mut inner = Inner {
            banks: [[0; 256]; 2],
            bank: 0,
            pointer: 0,
            scratch: 0,
            capture_us: None,
            done_us: None,
            read_at: 0,
            nack: 0,
            held: HeldBus::FREE,
            spi_errors: 0,
            short: 0,
            short_capture: false,
            late_us: 0,
            late_until_us: 0,
            hang_until_us: 0,
            stuck_at_us: 0,
            stuck_until_us: 0,
        };
        inner.start();
        Self { clock, scene, seed, leading_bytes, inner: RefCell::new(inner) }
    }

    /// The SPI side.
    pub fn spi(&self) -> ArduCamSpi<'_, 'c, S> {
        ArduCamSpi(self)
    }

    /// The I²C side.
    pub fn i2c(&self) -> ArduCamI2c<'_, 'c, S> {
        ArduCamI2c(self)
    }

    /// Whether a fault that is counted in captures or transfers is not over yet.
    #[must_use]
    pub fn faulty(&self) -> bool {
        let inner = self.inner.borrow();
        inner.nack > 0 || inner.spi_errors > 0 || inner.short > 0
    }

    /// Makes a fault happen now.
    pub fn inject(&self, fault: ArduCamFault) {
        let now = self.clock.now_us();
        let mut inner = self.inner.borrow_mut();
        match fault {
            ArduCamFault::Nack(n) => inner.nack = n,
            ArduCamFault::HeldBus { us, timeout_us } => inner.held = HeldBus::until(now + us, timeout_us),
            ArduCamFault::SpiErrors(n) => inner.spi_errors = n,
            ArduCamFault::ShortCaptures(n) => inner.short = n,
            ArduCamFault::Late(us) => {
                inner.late_us = 150_000;
                inner.late_until_us = now + us;
            }
            ArduCamFault::Hang(us) => inner.hang_until_us = now + us,
            ArduCamFault::Stuck(us) => {
                inner.stuck_at_us = now;
                inner.stuck_until_us = now + us;
            }
            ArduCamFault::Reboot => inner.start(),
        }
    }

    /// Red, green and blue of a pixel as the camera captures it at a time.
    #[must_use]
    pub fn truth(&self, x: usize, y: usize, time_us: u64) -> [u8; 3] {
        self.scene.rgb(x, y, self.inner.borrow().size(), time_us)
    }

    /// Both bytes of pixel `pixel` of the frame in the FIFO.
    fn fifo(&self, inner: &Inner, pixel: usize) -> [u8; 2] {
        let (width, height) = inner.size();
        let (Some(done), false) = (inner.done_us, width == 0 || height == 0) else { return [0; 2] };
        let stuck = (inner.stuck_at_us..inner.stuck_until_us).contains(&done);
        let time_us = if stuck { inner.stuck_at_us } else { done };
        let colour = |pixel: usize| {
            let n = noise(self.seed ^ time_us, pixel as u64);
            let (x, y) = (pixel % width, pixel / width);
            self.scene.rgb(x, y.min(height - 1), (width, height), time_us).map(|c| i32::from(c) + n)
        };
        let clamp = |v: i32| v.clamp(0, 255) as u8;
        let luma = |[r, g, b]: [i32; 3]| (77 * r + 150 * g + 29 * b + 128) >> 8;
        let own = colour(pixel);
        match inner.banks[0][usize::from(ov2640::IMAGE_MODE)] {
            0x08 => {
                let [r, g, b] = own.map(|c| u16::from(clamp(c)));
                (r >> 3 << 11 | g >> 2 << 5 | b >> 3).to_be_bytes()
            }
            mode => {
                let [r, _, b] = own;
                let y = luma(own);
                let chroma = if pixel.is_multiple_of(2) { (b - y) * 144 } else { (r - y) * 183 };
                let (y, c) = (clamp(y), clamp(128 + chroma / 256));
                if mode & 1 == 0 { [y, c] } else { [c, y] }
            }
        }
    }

    fn register(&self, register: u8) -> u8 {
        let now = self.clock.now_us();
        let mut inner = self.inner.borrow_mut();
        if let Some(begin) = inner.capture_us {
            let hangs = begin < inner.hang_until_us;
            let late = if begin < inner.late_until_us { inner.late_us } else { 0 };
            // The capture waits for the start of the next frame and takes that frame.
            let end = begin.next_multiple_of(FRAME_US) + FRAME_US + late;
            if now >= end && !hangs {
                inner.capture_us = None;
                inner.done_us = Some(end - FRAME_US / 2);
                inner.read_at = 0;
                inner.short_capture = inner.short > 0;
                inner.short = inner.short.saturating_sub(1);
            }
        }
        match register {
            0x00 => inner.scratch,
            0x41 => u8::from(inner.done_us.is_some()) << 3,
            0x42..=0x44 => inner.length().to_le_bytes()[usize::from(register - 0x42)],
            _ => 0,
        }
    }

    fn write(&self, register: u8, value: u8) {
        let now = self.clock.now_us();
        let mut inner = self.inner.borrow_mut();
        match register {
            0x00 => inner.scratch = value,
            0x04 => {
                if value & 1 != 0 {
                    inner.done_us = None;
                    inner.read_at = 0;
                }
                if value & 2 != 0 {
                    inner.capture_us = Some(now);
                }
            }
            0x07 if value & 0x80 != 0 => {
                inner.capture_us = None;
                inner.done_us = None;
                inner.scratch = 0;
            }
            _ => {}
        }
    }

    fn burst(&self, out: &mut [u8]) {
        let mut inner = self.inner.borrow_mut();
        let leading = usize::from(self.leading_bytes);
        let mut last = (usize::MAX, [0; 2]);
        for byte in out {
            *byte = match inner.read_at.checked_sub(leading) {
                None => 0xc0,
                Some(at) => {
                    if last.0 != at / 2 {
                        last = (at / 2, self.fifo(&inner, at / 2));
                    }
                    last.1[at % 2]
                }
            };
            inner.read_at += 1;
        }
    }
}

/// The SPI side of an [`ArduCamSim`].
#[derive(Debug)]
pub struct ArduCamSpi<'s, 'c, S>(&'s ArduCamSim<'c, S>);

impl<S> spi::ErrorType for ArduCamSpi<'_, '_, S> {
    type Error = BusError;
}

impl<S: VisibleScene> SpiDevice for ArduCamSpi<'_, '_, S> {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), BusError> {
        {
            let mut inner = self.0.inner.borrow_mut();
            if inner.spi_errors > 0 {
                inner.spi_errors -= 1;
                return Err(BusError::Controller);
            }
        }
        let mut command = None;
        for operation in operations {
            let bytes = match operation {
                spi::Operation::Write(bytes) => {
                    command = bytes.first().copied();
                    if let [register, value] = bytes {
                        self.0.write(register & 0x7f, *value);
                    }
                    bytes.len()
                }
                spi::Operation::Read(out) => {
                    match command {
                        Some(0x3c) => self.0.burst(out),
                        Some(register) => out.fill(self.0.register(register)),
                        None => return Err(BusError::Unsupported),
                    }
                    out.len()
                }
                spi::Operation::DelayNs(ns) => {
                    self.0.clock.advance_ns(u64::from(*ns));
                    0
                }
                spi::Operation::Transfer(..) | spi::Operation::TransferInPlace(_) => {
                    return Err(BusError::Unsupported);
                }
            };
            self.0.clock.advance_ns(bytes as u64 * SPI_BYTE_NS);
        }
        Ok(())
    }
}

/// The I²C side of an [`ArduCamSim`].
#[derive(Debug)]
pub struct ArduCamI2c<'s, 'c, S>(&'s ArduCamSim<'c, S>);

impl<S> i2c::ErrorType for ArduCamI2c<'_, '_, S> {
    type Error = BusError;
}

impl<S: VisibleScene> I2c for ArduCamI2c<'_, '_, S> {
    fn transaction(&mut self, address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), BusError> {
        let clock = self.0.clock;
        let mut inner = self.0.inner.borrow_mut();
        inner.held.wait(clock)?;
        clock.advance_ns(I2C_BYTE_NS);
        if address != ov2640::ADDRESS || inner.nack > 0 {
            inner.nack = inner.nack.saturating_sub(1);
            return Err(BusError::Nack);
        }
        // SCCB knows no repeated start.
        let [operation] = operations else { return Err(BusError::Unsupported) };
        match operation {
            i2c::Operation::Write(bytes) => {
                inner.pointer = *bytes.first().ok_or(BusError::Unsupported)?;
                if let [register, value] = bytes {
                    let bank = inner.bank;
                    match (*register, bank) {
                        (ov2640::BANK, _) => inner.bank = usize::from(value & 1),
                        // COM7: reset of the camera, not of the bridge.
                        (0x12, 1) if value & 0x80 != 0 => {
                            let scratch = inner.scratch;
                            inner.start();
                            inner.scratch = scratch;
                        }
                        // The chip's name cannot be written.
                        (0x0a | 0x0b, 1) => {}
                        (register, bank) => inner.banks[bank][usize::from(register)] = *value,
                    }
                }
                clock.advance_ns(bytes.len() as u64 * I2C_BYTE_NS);
            }
            i2c::Operation::Read(out) => {
                let value = inner.banks[inner.bank][usize::from(inner.pointer)];
                out.fill(value);
                clock.advance_ns(out.len() as u64 * I2C_BYTE_NS);
            }
        }
        Ok(())
    }
}
