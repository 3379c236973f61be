//! Calibration constants from the EEPROM (data sheet rev 12, sections 11.1.1 to 11.1.19).
//!
//! `ee(0x24xx)` below are the EEPROM addresses of the data sheet.

use core::fmt;

use super::{HEIGHT, PIXELS, WIDTH, WORDS};

/// First address of the EEPROM.
pub(super) const EEPROM: u16 = 0x2400;

/// Most pixels that may be marked in the EEPROM as dead or as outliers. The maker allows 4; more mean that the content
/// is not that of an MLX90640.
const MAX_MARKED: usize = 16;

/// Calibration of one sensor: 6.2 KiB.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    pub(crate) k_vdd: f32,
    pub(crate) vdd_25: f32,
    pub(crate) kv_ptat: f32,
    pub(crate) kt_ptat: f32,
    pub(crate) v_ptat_25: f32,
    pub(crate) alpha_ptat: f32,
    pub(crate) gain: f32,
    pub(crate) tgc: f32,
    pub(crate) ks_ta: f32,
    /// Corner temperatures, °C, and the slope of the sensitivity in the range that begins at each.
    pub(crate) corners: [f32; 4],
    pub(crate) ks_to: [f32; 4],
    pub(crate) cp_alpha: [f32; 2],
    pub(crate) cp_offset: [f32; 2],
    pub(crate) cp_kta: f32,
    pub(crate) cp_kv: f32,
    pub(crate) resolution: u8,
    /// Calibrated in chess pattern, not interleaved.
    pub(crate) chess: bool,
    pub(crate) il_chess: [f32; 3],
    /// Kv by parity of row and column: index 2 × (row odd) + (column odd).
    pub(crate) kv: [f32; 4],
    kta_scale: f32,
    alpha: [f32; PIXELS],
    offset: [i16; PIXELS],
    kta: [i16; PIXELS],
    /// One bit a pixel.
    bad: [u32; PIXELS / 32],
}

/// An EEPROM that does not hold an MLX90640's calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalibrationError {
    /// The device-select bit is that of an MLX90641.
    OtherDevice,
    /// A constant that is never 0 is 0, as on a stuck bus or a blank part.
    Blank {
        /// The EEPROM address of the constant.
        address: u16,
    },
    /// Too many pixels are marked as dead or as outliers.
    BadPixels {
        /// How many.
        found: usize,
    },
}

impl fmt::Display for CalibrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherDevice => f.write_str("EEPROM is that of an MLX90641: only the MLX90640 is supported"),
            Self::Blank { address } => {
                write!(f, "EEPROM constant at {address:#06x} is blank: check the I2C wires and the supply")
            }
            Self::BadPixels { found } => {
                write!(
                    f,
                    "EEPROM marks {found} bad pixels, more than {MAX_MARKED}: the part or its EEPROM is damaged"
                )
            }
        }
    }
}

impl core::error::Error for CalibrationError {}

/// Two's complement of the low `bits` bits.
const fn signed(value: u16, bits: u32) -> i32 {
    (((value as u32) << (32 - bits)) as i32) >> (32 - bits)
}

/// Nibble `i` of a word, from the low end.
const fn nibble(word: u16, i: u32) -> u32 {
    (word >> (4 * i) & 15) as u32
}

/// 2 to the power of `n`.
fn pow2(n: u32) -> f32 {
    libm::ldexpf(1.0, n as i32)
}

impl Calibration {
    /// Reads the EEPROM's 832 words.
    ///
    /// # Errors
    /// [`CalibrationError`] when they are not those of an MLX90640.
    pub fn from_eeprom(words: &[u16; WORDS]) -> Result<Self, CalibrationError> {
        let ee = |address: u16| words[usize::from(address - EEPROM)];
        if ee(0x240a) & 0x0040 != 0 {
            return Err(CalibrationError::OtherDevice);
        }
        // Supply sensor, PTAT slope and reference, gain, sensitivity: none of them is ever 0, nor all ones.
        for (address, mask) in
            [(0x2433, 0xff00), (0x2432, 0x03ff), (0x2431, 0xffff), (0x2430, 0xffff), (0x2421, 0xffff)]
        {
            let word = ee(address);
            if word & mask == 0 || word == 0xffff {
                return Err(CalibrationError::Blank { address });
            }
        }
        let scale = ee(0x2438);
        let (kta_scale_1, kta_scale_2, kv_scale) = (nibble(scale, 1) + 8, nibble(scale, 0), nibble(scale, 2));
        let mut c = Self {
            k_vdd: (signed(ee(0x2433) >> 8, 8) * 32) as f32,
            vdd_25: ((i32::from(ee(0x2433) & 0xff) - 256) * 32 - 8192) as f32,
            kv_ptat: signed(ee(0x2432) >> 10, 6) as f32 / 4096.0,
            kt_ptat: signed(ee(0x2432), 10) as f32 / 8.0,
            v_ptat_25: signed(ee(0x2431), 16) as f32,
            alpha_ptat: nibble(ee(0x2410), 3) as f32 / 4.0 + 8.0,
            gain: signed(ee(0x2430), 16) as f32,
            tgc: signed(ee(0x243c), 8) as f32 / 32.0,
            ks_ta: signed(ee(0x243c) >> 8, 8) as f32 / 8192.0,
            corners: [0.0; 4],
            ks_to: [0.0; 4],
            cp_alpha: [0.0; 2],
            cp_offset: [0.0; 2],
            cp_kta: signed(ee(0x243b), 8) as f32 / pow2(kta_scale_1),
            cp_kv: signed(ee(0x243b) >> 8, 8) as f32 / pow2(kv_scale),
            resolution: (scale >> 12 & 3) as u8,
            chess: ee(0x240a) & 0x0800 == 0,
            il_chess: [
                signed(ee(0x2435), 6) as f32 / 16.0,
                signed(ee(0x2435) >> 6, 5) as f32 / 2.0,
                signed(ee(0x2435) >> 11, 5) as f32 / 8.0,
            ],
            kv: [3, 1, 2, 0].map(|i| signed(nibble(ee(0x2434), i) as u16, 4) as f32 / pow2(kv_scale)),
            kta_scale: pow2(kta_scale_1),
            alpha: [0.0; PIXELS],
            offset: [0; PIXELS],
            kta: [0; PIXELS],
            bad: [0; PIXELS / 32],
        };
        c.read_object_ranges(ee(0x243d), ee(0x243e), ee(0x243f));
        c.read_compensation_pixel(nibble(ee(0x2420), 3) + 27, ee(0x2439), ee(0x243a));
        c.read_pixels(ee, kta_scale_2);
        let marked = c.bad.iter().map(|w| w.count_ones() as usize).sum();
        if marked > MAX_MARKED {
            return Err(CalibrationError::BadPixels { found: marked });
        }
        Ok(c)
    }

    /// Corner temperatures and KsTo of the four ranges (sections 11.1.9 and 11.1.10).
    fn read_object_ranges(&mut self, low: u16, high: u16, corners: u16) {
        let step = u32::from(corners >> 12 & 3) * 10;
        let third = nibble(corners, 1) * step;
        self.corners = [-40.0, 0.0, third as f32, (third + nibble(corners, 2) * step) as f32];
        let scale = pow2(nibble(corners, 0) + 8);
        self.ks_to = [low, low >> 8, high, high >> 8].map(|v| signed(v, 8) as f32 / scale);
    }

    /// Sensitivity and offset of the compensation pixel in both subpages (sections 11.1.12 and 11.1.13).
    fn read_compensation_pixel(&mut self, alpha_scale: u32, alpha: u16, offset: u16) {
        let first = signed(alpha, 10) as f32 / pow2(alpha_scale);
        self.cp_alpha = [first, first * (1.0 + signed(alpha >> 10, 6) as f32 / 128.0)];
        let first = signed(offset, 10);
        self.cp_offset = [first as f32, (first + signed(offset >> 10, 6)) as f32];
    }

    /// Offset, sensitivity and Kta of every pixel, and the pixels that are marked (sections 11.1.3, 11.1.4, 11.1.6).
    fn read_pixels(&mut self, ee: impl Fn(u16) -> u16, kta_scale_2: u32) {
        // Four signed nibbles to a word, from the low end.
        let packed = |base: u16, i: usize| signed(nibble(ee(base + i as u16 / 4), i as u32 % 4) as u16, 4);
        let (offset_scale, alpha_scale) = (ee(0x2410), ee(0x2420));
        let kta_parity = [ee(0x2436) >> 8, ee(0x2437) >> 8, ee(0x2436), ee(0x2437)].map(|v| signed(v, 8));
        let cp_alpha = (self.cp_alpha[0] + self.cp_alpha[1]) / 2.0;
        for row in 0..HEIGHT {
            for column in 0..WIDTH {
                let pixel = row * WIDTH + column;
                let word = ee(0x2440 + pixel as u16);
                let offset = signed(ee(0x2411), 16)
                    + (packed(0x2412, row) << nibble(offset_scale, 2))
                    + (packed(0x2418, column) << nibble(offset_scale, 1))
                    + (signed(word >> 10, 6) << nibble(offset_scale, 0));
                self.offset[pixel] = offset as i16;
                let alpha = i32::from(ee(0x2421))
                    + (packed(0x2422, row) << nibble(alpha_scale, 2))
                    + (packed(0x2428, column) << nibble(alpha_scale, 1))
                    + (signed(word >> 4, 6) << nibble(alpha_scale, 0));
                // The thermal gradient's share is taken out here, as the data sheet's 11.2.2.8 does for every frame.
                self.alpha[pixel] = alpha as f32 / pow2(nibble(alpha_scale, 3) + 30) - self.tgc * cp_alpha;
                let kta = kta_parity[parity(row, column)] + (signed(word >> 1, 3) << kta_scale_2);
                self.kta[pixel] = kta as i16;
                // 0: dead; bit 0: outlier. A pixel that senses nothing would be divided by.
                if word == 0 || word & 1 != 0 || self.alpha[pixel] <= 0.0 {
                    self.bad[pixel / 32] |= 1 << (pixel % 32);
                }
            }
        }
    }

    /// Whether the EEPROM marks a pixel (number from the top left, row by row) as dead or as an outlier.
    #[must_use]
    pub fn is_bad(&self, pixel: usize) -> bool {
        self.bad.get(pixel / 32).is_some_and(|w| w >> (pixel % 32) & 1 != 0)
    }

    pub(crate) fn alpha(&self, pixel: usize) -> f32 {
        self.alpha[pixel]
    }

    pub(crate) fn offset(&self, pixel: usize) -> f32 {
        f32::from(self.offset[pixel])
    }

    pub(crate) fn kta(&self, pixel: usize) -> f32 {
        f32::from(self.kta[pixel]) / self.kta_scale
    }

    pub(crate) fn kv(&self, pixel: usize) -> f32 {
        self.kv[parity(pixel / WIDTH, pixel % WIDTH)]
    }
}

/// Index of the parity of a row and a column; the data sheet counts both from 1, so its "odd" are even here.
const fn parity(row: usize, column: usize) -> usize {
    2 * (row % 2) + column % 2
}
