//! Visible cameras by OmniVision: register set-up over SCCB, and capture through an ArduCAM-Mini.
//!
//! SCCB is I²C without repeated start and with an acknowledge bit that need not be given. A set-up is data: a sequence
//! of [`Step`]s that [`apply`] performs at once, or that a driver performs one poll at a time.
//!
//! - [`ov2640`] behind an ArduCAM-Mini ([`arducam`]), whose FIFO is read over SPI: a complete [`FrameSource`].
//! - [`ov5640`] and [`ov7725`] on a parallel port (DCMI, camera interface): the set-up is here; frames are captured by
//!   the HAL, and the board's firmware implements [`FrameSource`] on it. Their tables name the byte order of RGB565,
//!   and [`swap_bytes`] turns it where it is the other way round.
//!
//! Register values follow the makers' data sheets and the reference tables of their application notes. Not tried on
//! hardware.
//!
//! [`FrameSource`]: crate::source::FrameSource

pub mod arducam;
pub mod ov2640;
pub mod ov5640;
pub mod ov7725;

use core::fmt;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;

/// Pixel format of a camera's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// RGB 5-6-5.
    Rgb565,
    /// YCbCr 4:2:2 in the order Y0 Cb Y1 Cr.
    Yuyv,
}

impl Output {
    /// The format of the frames, once RGB565 has its low byte first.
    #[must_use]
    pub const fn format(self) -> fusionproxy_core::frame::VisibleFormat {
        match self {
            Self::Rgb565 => fusionproxy_core::frame::VisibleFormat::Rgb565,
            Self::Yuyv => fusionproxy_core::frame::VisibleFormat::Yuyv,
        }
    }
}

/// A size that a camera cannot deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeError {
    /// Width and height asked for, px.
    pub found: (u16, u16),
    /// Largest width and height, px.
    pub limit: (u16, u16),
    /// Width and height must be multiples of this.
    pub multiple: u16,
}

impl SizeError {
    /// Checks a size.
    pub(crate) const fn check(size: (u16, u16), limit: (u16, u16), multiple: u16) -> Result<(), Self> {
        let (w, h) = size;
        if w == 0
            || h == 0
            || w > limit.0
            || h > limit.1
            || !w.is_multiple_of(multiple)
            || !h.is_multiple_of(multiple)
        {
            return Err(Self { found: size, limit, multiple });
        }
        Ok(())
    }
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "camera cannot deliver {}x{} px: give multiples of {} up to {}x{}",
            self.found.0, self.found.1, self.multiple, self.limit.0, self.limit.1
        )
    }
}

impl core::error::Error for SizeError {}

/// A register address: 8 bits on the older sensors, 16 bits on the newer ones.
pub trait Register: Copy + fmt::Debug {
    /// The address as it goes over the wire, in the first bytes, and their number.
    fn wire(self) -> ([u8; 2], usize);
}

impl Register for u8 {
    fn wire(self) -> ([u8; 2], usize) {
        ([self, 0], 1)
    }
}

impl Register for u16 {
    fn wire(self) -> ([u8; 2], usize) {
        (self.to_be_bytes(), 2)
    }
}

/// One step of a set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<R> {
    /// Write a register.
    Write(R, u8),
    /// Read a register; under the mask it must have the value.
    Expect {
        /// The register.
        register: R,
        /// The bits that count.
        mask: u8,
        /// What they must be.
        value: u8,
    },
    /// Wait, ms.
    Wait(u16),
}

/// A set-up step that did not succeed, over the error type of the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupError<E> {
    /// The bus failed.
    Bus(E),
    /// A register does not have the value that this camera has there.
    WrongChip {
        /// The register.
        register: u16,
        /// Its value.
        found: u8,
        /// The value of this camera.
        expected: u8,
    },
}

impl<E: fmt::Debug> fmt::Display for SetupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus(e) => {
                write!(f, "SCCB transfer failed: {e:?}; check wires, pull-ups, supply and the camera's clock")
            }
            Self::WrongChip { register, found, expected } => write!(
                f,
                "camera register {register:#06x} is {found:#04x}, not {expected:#04x}: another camera is connected, or none"
            ),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for SetupError<E> {}

/// Reads a register: a write and a read with a stop in between, as SCCB asks for.
///
/// # Errors
/// The error of the bus.
pub fn read<B: I2c, R: Register>(bus: &mut B, address: u8, register: R) -> Result<u8, B::Error> {
    let (wire, n) = register.wire();
    let mut value = [0];
    bus.write(address, &wire[..n])?;
    bus.read(address, &mut value)?;
    Ok(value[0])
}

/// Performs one step; returns how long to wait before the next, ms.
///
/// # Errors
/// [`SetupError`].
pub fn perform<B: I2c, R: Register>(
    bus: &mut B,
    address: u8,
    step: Step<R>,
) -> Result<u16, SetupError<B::Error>> {
    match step {
        Step::Write(register, value) => {
            let (wire, n) = register.wire();
            let bytes = if n == 1 { [wire[0], value, 0] } else { [wire[0], wire[1], value] };
            bus.write(address, &bytes[..=n]).map_err(SetupError::Bus)?;
            Ok(0)
        }
        Step::Expect { register, mask, value } => {
            let found = read(bus, address, register).map_err(SetupError::Bus)?;
            if found & mask == value {
                return Ok(0);
            }
            let (wire, n) = register.wire();
            let register = if n == 1 { u16::from(wire[0]) } else { u16::from_be_bytes(wire) };
            Err(SetupError::WrongChip { register, found, expected: value })
        }
        Step::Wait(ms) => Ok(ms),
    }
}

/// Performs a whole set-up, waiting where it says so.
///
/// # Errors
/// [`SetupError`] of the first step that failed; the set-up must then be begun anew.
pub fn apply<B: I2c, R: Register>(
    bus: &mut B,
    delay: &mut impl DelayNs,
    address: u8,
    steps: impl IntoIterator<Item = Step<R>>,
) -> Result<(), SetupError<B::Error>> {
    for step in steps {
        let wait_ms = perform(bus, address, step)?;
        if wait_ms > 0 {
            delay.delay_ms(u32::from(wait_ms));
        }
    }
    Ok(())
}

/// Swaps the bytes of every pixel: from high byte first to the little-endian words of the frame formats, or back.
pub fn swap_bytes(frame: &mut [u8]) {
    for pixel in frame.chunks_exact_mut(2) {
        pixel.swap(0, 1);
    }
}
