//! An MLX90640: EEPROM, RAM and registers (data sheet 3901090640 rev 12, sections 9 and 10).
//!
//! The EEPROM is that of the data sheet's worked example, with constants of its own for every pixel; the RAM holds the
//! words that such a sensor measures of the scene.

use core::cell::RefCell;

use embedded_hal::i2c::{self, I2c};

use super::bus::{BusError, I2C_BYTE_NS};
use super::clock::VirtualClock;
use super::rng::{Rng, mix, noise};
use super::scene::ThermalScene;
use crate::mlx90640::{Calibration, Conditions, HEIGHT, PIXELS, Surface, WIDTH, WORDS, ram};

/// From power-up to the first measurement, µs.
const BOOT_US: u64 = 80_000;
const CONTROL_DEFAULT: u16 = 0x1901;
const ADDRESS: u8 = 0x33;

/// EEPROM words 0x2410 to 0x243f of the worked example, but for the thermal gradient, which real parts have at 0.
const CONSTANTS: [u16; 48] = [
    0x4210, 0xffbb, 0x0202, 0xf202, 0xf2f2, 0xe2e2, 0xd1e1, 0xb1d1, 0xf10f, 0xf00f, 0xe0ef, 0xe0ef, 0xe1e1,
    0xf3f2, 0xf404, 0xe504, 0x79a6, 0x2f44, 0xffdd, 0x2210, 0x3333, 0x2233, 0xef01, 0x9acc, 0xeedc, 0x10ff,
    0x2221, 0x3333, 0x2333, 0x0112, 0xeeff, 0xbbdd, 0x18ef, 0x2ff1, 0x5952, 0x9d68, 0x5454, 0x0994, 0x6956,
    0x5354, 0x2363, 0xe446, 0xfbb5, 0x044b, 0xf000, 0x9797, 0x9797, 0x2889,
];

/// A fault of the sensor or of its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mlx90640Fault {
    /// The next transfers are not acknowledged.
    Nack(u16),
    /// One bit is wrong in each of the next transfers that read.
    BitErrors(u16),
    /// Measurements stop for so long, µs.
    Late(u64),
    /// Pixels stand still for so long, µs, while measurements go on.
    Stuck(u64),
    /// The sensor restarts and forgets its settings.
    Reboot,
}

#[derive(Debug)]
struct Inner {
    rng: Rng,
    eeprom: [u16; WORDS],
    calibration: Option<Calibration>,
    ram: [u16; WORDS],
    status: u16,
    control: u16,
    /// When the current measurement ends, µs.
    ready_us: u64,
    subpage: usize,
    measurements: u64,
    nack: u16,
    bit_errors: u16,
    late_until_us: u64,
    stuck_at_us: u64,
    stuck_until_us: u64,
}

/// A simulated sensor. [`Self::i2c`] is its bus.
#[derive(Debug)]
pub struct Mlx90640Sim<'c, S> {
    clock: &'c VirtualClock,
    scene: S,
    seed: u64,
    inner: RefCell<Inner>,
}

impl<'c, S: ThermalScene> Mlx90640Sim<'c, S> {
    /// A sensor that gets its supply now, with constants from the seed, and with a dead pixel and an outlier.
    pub fn new(clock: &'c VirtualClock, scene: S, seed: u64) -> Self {
        let mut eeprom = [0u16; WORDS];
        eeprom[16..64].copy_from_slice(&CONSTANTS);
        for (i, word) in eeprom[64..].iter_mut().enumerate() {
            let h = mix(seed ^ i as u64);
            // Small remainders of offset, sensitivity and Kta around those of the example.
            let offset = (h & 7) as u16;
            let alpha = 5 + (h >> 8 & 7) as u16;
            let kta = (h >> 16 & 3) as u16;
            *word = offset << 10 | alpha << 4 | kta << 1;
        }
        let [dead, outlier] = Self::bad_pixels_of(seed);
        eeprom[64 + dead] = 0;
        eeprom[64 + outlier] |= 1;
        let mut inner = Inner {
            rng: Rng::new(seed),
            calibration: Calibration::from_eeprom(&eeprom).ok(),
            eeprom,
            ram: [0; WORDS],
            status: 0,
            control: CONTROL_DEFAULT,
            ready_us: 0,
            subpage: 0,
            measurements: 0,
            nack: 0,
            bit_errors: 0,
            late_until_us: 0,
            stuck_at_us: 0,
            stuck_until_us: 0,
        };
        inner.start(clock.now_us());
        Self { clock, scene, seed, inner: RefCell::new(inner) }
    }

    /// The bus.
    pub fn i2c(&self) -> Mlx90640I2c<'_, 'c, S> {
        Mlx90640I2c(self)
    }

    /// The pixels that the EEPROM marks: one dead, one an outlier.
    #[must_use]
    pub fn bad_pixels(&self) -> [usize; 2] {
        Self::bad_pixels_of(self.seed)
    }

    fn bad_pixels_of(seed: u64) -> [usize; 2] {
        let dead = (mix(seed) % (PIXELS as u64 / 2)) as usize;
        [dead, dead + PIXELS / 2]
    }

    /// Makes a fault happen now.
    pub fn inject(&self, fault: Mlx90640Fault) {
        let now = self.clock.now_us();
        let mut inner = self.inner.borrow_mut();
        match fault {
            Mlx90640Fault::Nack(n) => inner.nack = n,
            Mlx90640Fault::BitErrors(n) => inner.bit_errors = n,
            Mlx90640Fault::Late(us) => inner.late_until_us = now + us,
            Mlx90640Fault::Stuck(us) => {
                inner.stuck_at_us = now;
                inner.stuck_until_us = now + us;
            }
            Mlx90640Fault::Reboot => inner.start(now),
        }
    }

    /// Temperature of a pixel at a time, mK.
    #[must_use]
    pub fn truth(&self, pixel: usize, time_us: u64) -> i32 {
        self.scene.millikelvin(pixel % WIDTH, pixel / WIDTH, (WIDTH, HEIGHT), time_us)
    }

    /// Lets every measurement happen that was due by now.
    fn catch_up(&self) {
        let now = self.clock.now_us();
        let mut inner = self.inner.borrow_mut();
        while inner.ready_us <= now {
            let time = inner.ready_us;
            inner.ready_us += inner.period_us();
            if time >= inner.late_until_us {
                self.measure(&mut inner, time);
            }
        }
    }

    fn measure(&self, inner: &mut Inner, time_us: u64) {
        let Some(calibration) = &inner.calibration else { return };
        let subpage = inner.subpage;
        inner.subpage = 1 - subpage;
        inner.measurements += 1;
        let scene_us = if (inner.stuck_at_us..inner.stuck_until_us).contains(&time_us) {
            inner.stuck_at_us
        } else {
            time_us
        };
        let stuck = scene_us != time_us;
        for (place, value) in [
            (ram::VBE, 0x4bf2),
            (ram::CP[0], 0xffca),
            (ram::CP[1], 0xffc8),
            (ram::GAIN, 0x1881),
            (ram::PTAT, 0x06af),
            (ram::VDD, 0xccc5),
        ] {
            inner.ram[place] = value;
        }
        let surface = Surface::default();
        if let Ok(conditions) = Conditions::new(calibration, &inner.ram, inner.control, subpage, surface) {
            for pixel in (0..PIXELS).filter(|&p| conditions.measures(p, subpage)) {
                let millikelvin = self.truth(pixel, scene_us);
                let n = if stuck { 0 } else { noise(self.seed ^ inner.measurements, pixel as u64) };
                let celsius = (millikelvin - 273_150 + 100 * n) as f32 / 1000.0;
                inner.ram[pixel] =
                    if inner.eeprom[64 + pixel] == 0 { 0 } else { conditions.word(pixel, celsius) };
            }
        }
        inner.status = inner.status & !1 | 0x0008 | subpage as u16;
    }
}

impl Inner {
    fn start(&mut self, now_us: u64) {
        self.status = 0;
        self.control = CONTROL_DEFAULT;
        self.subpage = 0;
        self.ready_us = now_us + BOOT_US + self.period_us();
    }

    fn period_us(&self) -> u64 {
        2_000_000 >> (self.control >> 7 & 7)
    }

    fn read_word(&self, address: u16) -> u16 {
        match address {
            0x2400..=0x273f => self.eeprom[usize::from(address - 0x2400)],
            0x0400..=0x073f => self.ram[usize::from(address - 0x0400)],
            0x8000 => self.status,
            0x800d => self.control,
            _ => 0,
        }
    }

    fn write_word(&mut self, address: u16, value: u16, now_us: u64) {
        match address {
            // Bit 3 can be cleared only; bits 0 to 2 are the sensor's.
            0x8000 => self.status = value & 0x0030 | self.status & value & 0x0008 | self.status & 0x0007,
            0x800d => {
                self.control = value;
                self.ready_us = now_us + self.period_us();
            }
            _ => {}
        }
    }
}

/// The bus of an [`Mlx90640Sim`].
#[derive(Debug)]
pub struct Mlx90640I2c<'s, 'c, S>(&'s Mlx90640Sim<'c, S>);

impl<S> i2c::ErrorType for Mlx90640I2c<'_, '_, S> {
    type Error = BusError;
}

impl<S: ThermalScene> I2c for Mlx90640I2c<'_, '_, S> {
    fn transaction(&mut self, address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), BusError> {
        let clock = self.0.clock;
        clock.advance_ns(I2C_BYTE_NS);
        let mut pointer = None;
        {
            let mut inner = self.0.inner.borrow_mut();
            if address != ADDRESS || inner.nack > 0 {
                inner.nack = inner.nack.saturating_sub(1);
                return Err(BusError::Nack);
            }
        }
        for operation in operations {
            match operation {
                i2c::Operation::Write(bytes) => {
                    self.0.catch_up();
                    let Some((head, words)) = bytes.split_first_chunk::<2>() else {
                        return Err(BusError::Unsupported);
                    };
                    let register = u16::from_be_bytes(*head);
                    if let [high, low] = words {
                        let value = u16::from_be_bytes([*high, *low]);
                        self.0.inner.borrow_mut().write_word(register, value, clock.now_us());
                    }
                    pointer = Some(register);
                    clock.advance_ns(bytes.len() as u64 * I2C_BYTE_NS);
                }
                i2c::Operation::Read(out) => {
                    let register = pointer.ok_or(BusError::Unsupported)?;
                    // Word by word, so that a measurement that ends during the transfer tears it.
                    for (i, word) in out.chunks_exact_mut(2).enumerate() {
                        self.0.catch_up();
                        word.copy_from_slice(
                            &self.0.inner.borrow().read_word(register + i as u16).to_be_bytes(),
                        );
                        clock.advance_ns(2 * I2C_BYTE_NS);
                    }
                    let mut inner = self.0.inner.borrow_mut();
                    if inner.bit_errors > 0 && !out.is_empty() {
                        inner.bit_errors -= 1;
                        let bit = inner.rng.below(out.len() as u32 * 8) as usize;
                        out[bit / 8] ^= 1 << (bit % 8);
                    }
                }
            }
        }
        Ok(())
    }
}
