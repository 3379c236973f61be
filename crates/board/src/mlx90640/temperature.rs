//! From the words of the RAM to object temperatures (data sheet rev 12, section 11.2.2).

use super::calibration::Calibration;
use super::{PIXELS, WIDTH, WORDS};

/// 0 °C, K.
const KELVIN: f32 = 273.15;
/// Supply voltage of the calibration, V.
const VDD_0: f32 = 3.3;

/// Places in the RAM beyond the pixels.
pub(crate) mod ram {
    pub(crate) const VBE: usize = 0x300;
    pub(crate) const CP: [usize; 2] = [0x308, 0x328];
    pub(crate) const GAIN: usize = 0x30a;
    pub(crate) const PTAT: usize = 0x320;
    pub(crate) const VDD: usize = 0x32a;
}

/// Bits of control register 1.
pub(crate) const CONTROL_CHESS: u16 = 0x1000;

/// The surface that is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surface {
    /// Emissivity, 0 to 1.
    pub emissivity: f32,
    /// Temperature that it reflects, °C; `None` takes the sensor's own temperature less 8 K, as the data sheet advises
    /// for a sensor in open air.
    pub reflected_c: Option<f32>,
}

impl Default for Surface {
    /// Emissivity 0.95, as of skin, paint and most things that are not bare metal.
    fn default() -> Self {
        Self { emissivity: 0.95, reflected_c: None }
    }
}

/// What holds for all pixels of one subpage of one measurement.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    calibration: &'a Calibration,
    /// Supply voltage, V.
    pub supply_v: f32,
    /// Temperature of the sensor, °C.
    pub ambient_c: f32,
    gain: f32,
    compensation: f32,
    converts: bool,
    chess: bool,
    surface: Surface,
    /// Reflected and ambient radiation, K⁴.
    ta_r4: f32,
    /// Correction of the sensitivity at the start of each range.
    range_alpha: [f32; 4],
}

/// Which auxiliary word of a measurement is impossible: the sign of data damaged on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Implausible {
    /// Gain off by more than a factor of 2.
    Gain,
    /// Supply outside 2.5 to 4.5 V.
    Supply,
    /// Sensor outside −50 to 150 °C.
    Ambient,
    /// The saturated value 0x7fff where it never occurs.
    Saturated,
    /// Too many pixels beyond −60 to 450 °C.
    Pixels,
}

impl<'a> Conditions<'a> {
    /// Conditions of subpage `subpage` (0 or 1) of a measurement: its RAM and control register 1.
    ///
    /// # Errors
    /// [`Implausible`] when an auxiliary word cannot be right.
    pub fn new(
        calibration: &'a Calibration,
        words: &[u16; WORDS],
        control: u16,
        subpage: usize,
        surface: Surface,
    ) -> Result<Self, Implausible> {
        let c = calibration;
        let word = |i: usize| f32::from(words[i] as i16);
        for i in [ram::VBE, ram::CP[0], ram::CP[1], ram::GAIN, ram::PTAT, ram::VDD] {
            if words[i] == 0x7fff {
                return Err(Implausible::Saturated);
            }
        }
        // 11.2.2.1, 11.2.2.2: supply.
        let resolution = libm::ldexpf(1.0, i32::from(c.resolution) - i32::from(control >> 10 & 3));
        let supply_v = (resolution * word(ram::VDD) - c.vdd_25) / c.k_vdd + VDD_0;
        if !(2.5..=4.5).contains(&supply_v) {
            return Err(Implausible::Supply);
        }
        let dv = supply_v - VDD_0;
        // 11.2.2.3: the sensor's own temperature.
        let ptat = word(ram::PTAT);
        let art = ptat / (ptat * c.alpha_ptat + word(ram::VBE)) * 262_144.0;
        let ambient_c = (art / (1.0 + c.kv_ptat * dv) - c.v_ptat_25) / c.kt_ptat + 25.0;
        if !(-50.0..=150.0).contains(&ambient_c) {
            return Err(Implausible::Ambient);
        }
        let dt = ambient_c - 25.0;
        // 11.2.2.4: gain.
        let gain = c.gain / word(ram::GAIN);
        if !(0.5..=2.0).contains(&gain) {
            return Err(Implausible::Gain);
        }
        // 11.2.2.6: the compensation pixel, in the pattern of the measurement.
        let chess = control & CONTROL_CHESS != 0;
        let converts = chess != c.chess;
        let mut offset = c.cp_offset[subpage & 1];
        if converts && subpage == 1 {
            offset += c.il_chess[0];
        }
        let cp = word(ram::CP[subpage & 1]) * gain - offset * (1.0 + c.cp_kta * dt) * (1.0 + c.cp_kv * dv);
        // 11.2.2.9: radiation of the surroundings, with its share through emissivity.
        let fourth = |t: f32| {
            let squared = (t + KELVIN) * (t + KELVIN);
            squared * squared
        };
        let reflected_4 = fourth(surface.reflected_c.unwrap_or(ambient_c - 8.0));
        let ta_r4 = reflected_4 - (reflected_4 - fourth(ambient_c)) / surface.emissivity;
        // 11.2.2.9.1: sensitivity at the corners of the ranges.
        let (ct, ks) = (c.corners, c.ks_to);
        let third = 1.0 + ks[1] * ct[2];
        let range_alpha = [1.0 / (1.0 + ks[0] * 40.0), 1.0, third, third * (1.0 + ks[2] * (ct[3] - ct[2]))];
        Ok(Self {
            calibration,
            supply_v,
            ambient_c,
            gain,
            compensation: c.tgc * cp,
            converts,
            chess,
            surface,
            ta_r4,
            range_alpha,
        })
    }

    /// Whether a pixel was measured in subpage `subpage`.
    #[must_use]
    pub fn measures(&self, pixel: usize, subpage: usize) -> bool {
        let (row, column) = (pixel / WIDTH, pixel % WIDTH);
        let pattern = if self.chess { (row ^ column) & 1 } else { row & 1 };
        pattern == subpage
    }

    /// What is taken from a pixel's gain-corrected word: offset, pattern and gradient (11.2.2.5 to 11.2.2.7).
    fn baseline(&self, pixel: usize) -> f32 {
        let c = self.calibration;
        let offset = c.offset(pixel)
            * (1.0 + c.kta(pixel) * (self.ambient_c - 25.0))
            * (1.0 + c.kv(pixel) * (self.supply_v - VDD_0));
        let pattern = if self.converts {
            let odd_row = ((pixel / WIDTH) & 1) as f32;
            let q = |i: usize| ((pixel + i) / 4) as f32;
            let conversion = (q(2) - q(3) + q(1) - q(0)) * (1.0 - 2.0 * odd_row);
            c.il_chess[1] * conversion - c.il_chess[2] * (2.0 * odd_row - 1.0)
        } else {
            0.0
        };
        offset + pattern
    }

    /// Sensitivity of a pixel at the sensor's temperature (11.2.2.8).
    fn alpha(&self, pixel: usize) -> f32 {
        let c = self.calibration;
        c.alpha(pixel) * (1.0 + c.ks_ta * (self.ambient_c - 25.0))
    }

    /// Temperature of what pixel `pixel` sees, °C (11.2.2.9). Not a number when the word cannot be right.
    #[must_use]
    pub fn temperature_c(&self, pixel: usize, word: u16) -> f32 {
        let c = self.calibration;
        let signal = f32::from(word as i16) * self.gain - self.baseline(pixel) - self.compensation;
        let signal = signal / self.surface.emissivity;
        let alpha = self.alpha(pixel);
        let root4 = |x: f32| libm::sqrtf(libm::sqrtf(x));
        let sx = root4(alpha * alpha * alpha * (signal + alpha * self.ta_r4)) * c.ks_to[1];
        let estimate = root4(signal / (alpha * (1.0 - c.ks_to[1] * KELVIN) + sx) + self.ta_r4) - KELVIN;
        let range = self.range(estimate);
        let slope = 1.0 + c.ks_to[range] * (estimate - c.corners[range]);
        root4(signal / (alpha * self.range_alpha[range] * slope) + self.ta_r4) - KELVIN
    }

    fn range(&self, temperature_c: f32) -> usize {
        self.calibration.corners[1..].iter().take_while(|&&corner| temperature_c >= corner).count()
    }

    /// The word that a pixel gives when it sees a temperature, °C: the inverse of [`Self::temperature_c`] but for
    /// rounding and the data sheet's approximation of the range slope. The simulator measures with it.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn word(&self, pixel: usize, temperature_c: f32) -> u16 {
        let c = self.calibration;
        let range = self.range(temperature_c);
        let slope = 1.0 + c.ks_to[range] * (temperature_c - c.corners[range]);
        let squared = (temperature_c + KELVIN) * (temperature_c + KELVIN);
        let signal = self.alpha(pixel) * self.range_alpha[range] * slope * (squared * squared - self.ta_r4);
        let word = (signal * self.surface.emissivity + self.baseline(pixel) + self.compensation) / self.gain;
        libm::roundf(word).clamp(-32768.0, 32766.0) as i16 as u16
    }
}

/// Replaces every pixel that `bad` names by the median of its good neighbours, of which there are up to eight. A pixel
/// without good neighbours keeps its value. Values in mK.
pub(super) fn repair(image: &mut [i32; PIXELS], bad: impl Fn(usize) -> bool) {
    let (width, height) = (WIDTH as isize, (PIXELS / WIDTH) as isize);
    for pixel in (0..PIXELS).filter(|&p| bad(p)) {
        let (x, y) = ((pixel % WIDTH) as isize, (pixel / WIDTH) as isize);
        let mut near = [0i32; 8];
        let mut n = 0;
        for (dx, dy) in [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)] {
            let (x, y) = (x + dx, y + dy);
            if (0..width).contains(&x) && (0..height).contains(&y) {
                let other = (y * width + x) as usize;
                if !bad(other) {
                    near[n] = image[other];
                    n += 1;
                }
            }
        }
        let near = &mut near[..n];
        near.sort_unstable();
        if n > 0 {
            image[pixel] = i32::midpoint(near[(n - 1) / 2], near[n / 2]);
        }
    }
}
