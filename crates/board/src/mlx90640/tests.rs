//! Constants of the data sheet's worked example (rev 12, section 11.1), and pixels of a measurement that Melexis
//! published with its result ("MLX90640 example data", for emissivity 1). Of the whole measurement, all 768 pixels agree
//! to the last published digit, 1 mK; a few are repeated here.

use super::temperature::ram;
use super::*;

/// EEPROM words 0x2410 to 0x243f of the example.
const EXAMPLE: [u16; 48] = [
    0x4210, 0xffbb, 0x0202, 0xf202, 0xf2f2, 0xe2e2, 0xd1e1, 0xb1d1, 0xf10f, 0xf00f, 0xe0ef, 0xe0ef, 0xe1e1,
    0xf3f2, 0xf404, 0xe504, 0x79a6, 0x2f44, 0xffdd, 0x2210, 0x3333, 0x2233, 0xef01, 0x9acc, 0xeedc, 0x10ff,
    0x2221, 0x3333, 0x2333, 0x0112, 0xeeff, 0xbbdd, 0x18ef, 0x2ff1, 0x5952, 0x9d68, 0x5454, 0x0994, 0x6956,
    0x5354, 0x2363, 0xe446, 0xfbb5, 0x044b, 0xf020, 0x9797, 0x9797, 0x2889,
];
/// Pixel (12, 16) of the example, counted from 1.
const PIXEL: usize = 11 * WIDTH + 15;

fn eeprom() -> [u16; WORDS] {
    let mut words = [0x08a0; WORDS];
    words[..16].fill(0);
    words[16..64].copy_from_slice(&EXAMPLE);
    words
}

fn ram_words() -> [u16; WORDS] {
    auxiliary([0x4bf2, 0xffca, 0xffc8, 0x1881, 0x06af, 0xccc5])
}

#[track_caller]
fn close(found: f32, expected: f32) {
    assert!((found - expected).abs() <= expected.abs() * 2e-6, "{found} is not {expected}");
}

#[test]
fn constants_of_the_worked_example() {
    let c = Calibration::from_eeprom(&eeprom()).unwrap();
    close(c.k_vdd, -3168.0);
    close(c.vdd_25, -13056.0);
    close(c.kv_ptat, 0.005_371_094);
    close(c.kt_ptat, 42.25);
    close(c.v_ptat_25, 12273.0);
    close(c.alpha_ptat, 9.0);
    close(c.gain, 6383.0);
    close(c.offset(PIXEL), -75.0);
    close(c.kta(PIXEL), 0.005_126_953);
    close(c.kv(PIXEL), 0.5);
    close(c.tgc, 1.0);
    close(c.ks_ta, -0.001_953_125);
    close(c.cp_offset[0], -75.0);
    close(c.cp_offset[1], -77.0);
    close(c.cp_alpha[0], 4.074_536_3e-9);
    close(c.cp_alpha[1], 3.851_710_6e-9);
    close(c.cp_kta, 0.004_577_637);
    close(c.cp_kv, 0.5);
    close(c.ks_to[1], -0.000_801_086);
    assert_eq!(c.corners, [-40.0, 0.0, 160.0, 320.0]);
    // Sensitivity of the pixel before the gradient's share is taken out.
    close(c.alpha(PIXEL) + c.tgc * (c.cp_alpha[0] + c.cp_alpha[1]) / 2.0, 1.262_233_1e-7);
    assert_eq!(c.resolution, 2);
    assert!(c.chess);
}

/// EEPROM words 0x240a to 0x243f of the published measurement's sensor.
const MEASURED_EEPROM: [u16; 54] = [
    0x0499, 0x0000, 0x1901, 0x0000, 0x0000, 0xb533, 0x4210, 0xffc2, 0x0202, 0x0202, 0xf202, 0xf1f2, 0xd1e1,
    0xafc0, 0xff00, 0xf002, 0xf103, 0xe103, 0xe1f5, 0xd1e4, 0xc1d5, 0x91c2, 0x8895, 0x30d9, 0xedcb, 0x110f,
    0x3322, 0x2233, 0x0011, 0xccee, 0xffed, 0x1100, 0x2222, 0x3333, 0x2233, 0x0022, 0xdef0, 0x9acc, 0x15cc,
    0x2fa4, 0x2555, 0x9c78, 0x7666, 0x01c8, 0x3b38, 0x3534, 0x2452, 0x0463, 0x13bb, 0x0623, 0xec00, 0x9797,
    0x9797, 0x2afb,
];
/// Auxiliary words of its two subpages, in the order of [`auxiliary`].
const MEASURED_AUXILIARY: [[u16; 6]; 2] =
    [[0x4dfa, 0xffb9, 0xffbd, 0x1584, 0x0695, 0xcef2], [0x4dfa, 0xffb9, 0xffbf, 0x1584, 0x0696, 0xcf18]];
/// Pixel, its EEPROM word, its RAM word, and its temperature, °C.
const MEASURED_PIXELS: [(usize, u16, u16, f32); 9] = [
    (0, 0x00ae, 0xffb3, 28.711),
    (1, 0xfbe0, 0xffad, 27.792),
    (31, 0xe450, 0xffa3, 29.163),
    (33, 0xfbce, 0xffa8, 28.618),
    (399, 0xf370, 0xffb6, 32.372),
    (400, 0xfb30, 0xffc6, 32.219),
    (527, 0xfbb0, 0xffb0, 31.630),
    (766, 0xf79e, 0xff9c, 31.086),
    (767, 0x1c00, 0xff99, 32.028),
];

fn auxiliary(values: [u16; 6]) -> [u16; WORDS] {
    let places = [ram::VBE, ram::CP[0], ram::CP[1], ram::GAIN, ram::PTAT, ram::VDD];
    let mut words = [0u16; WORDS];
    for (place, value) in places.into_iter().zip(values) {
        words[place] = value;
    }
    words
}

#[test]
fn temperatures_of_the_published_measurement() {
    let mut words = [0x08a0; WORDS];
    words[10..64].copy_from_slice(&MEASURED_EEPROM);
    for (pixel, word, _, _) in MEASURED_PIXELS {
        words[64 + pixel] = word;
    }
    let c = Calibration::from_eeprom(&words).unwrap();
    let surface = Surface { emissivity: 1.0, reflected_c: None };
    for (subpage, values) in MEASURED_AUXILIARY.into_iter().enumerate() {
        let conditions = Conditions::new(&c, &auxiliary(values), 0x1901, subpage, surface).unwrap();
        for (pixel, _, word, expected) in MEASURED_PIXELS {
            if conditions.measures(pixel, subpage) {
                let found = conditions.temperature_c(pixel, word);
                assert!((found - expected).abs() < 0.001, "pixel {pixel}: {found}, published {expected}");
            }
        }
    }
}

#[test]
fn supply_and_ambient_of_the_worked_example() {
    let c = Calibration::from_eeprom(&eeprom()).unwrap();
    let conditions = Conditions::new(&c, &ram_words(), 0x1901, 0, Surface::default()).unwrap();
    assert!(conditions.measures(PIXEL, 0) && !conditions.measures(PIXEL, 1));
    assert!((conditions.supply_v - 3.319).abs() < 0.001, "{}", conditions.supply_v);
    assert!((conditions.ambient_c - 39.184).abs() < 0.002, "{}", conditions.ambient_c);
}

#[test]
fn damaged_data_are_named() {
    let c = Calibration::from_eeprom(&eeprom()).unwrap();
    for (place, value, expected) in [
        (ram::GAIN, 0x0001, Implausible::Gain),
        (ram::GAIN, 0x0000, Implausible::Gain),
        (ram::GAIN, 0x7fff, Implausible::Saturated),
        (ram::VDD, 0x0000, Implausible::Supply),
        (ram::PTAT, 0x0000, Implausible::Ambient),
    ] {
        let mut words = ram_words();
        words[place] = value;
        let found = Conditions::new(&c, &words, 0x1901, 0, Surface::default()).err();
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn wrong_eeproms_are_named() {
    assert_eq!(
        Calibration::from_eeprom(&[0; WORDS]).err(),
        Some(CalibrationError::Blank { address: 0x2433 })
    );
    assert_eq!(Calibration::from_eeprom(&[0xffff; WORDS]).err(), Some(CalibrationError::OtherDevice));
    let mut words = eeprom();
    words[10] = 0x0040;
    assert_eq!(Calibration::from_eeprom(&words).err(), Some(CalibrationError::OtherDevice));
    let mut words = eeprom();
    words[64..64 + 17].fill(0);
    assert_eq!(Calibration::from_eeprom(&words).err(), Some(CalibrationError::BadPixels { found: 17 }));
    words = eeprom();
    words[64 + 5] = 0;
    words[64 + 9] |= 1;
    let c = Calibration::from_eeprom(&words).unwrap();
    assert!((0..PIXELS).all(|p| c.is_bad(p) == (p == 5 || p == 9)));
}

#[test]
fn bad_pixels_take_the_median_of_good_neighbours() {
    let mut image = [300_000; PIXELS];
    image[0] = 0;
    image[1] = 0;
    image[PIXEL] = 999_999;
    image[PIXEL + 1] = 400_000;
    temperature::repair(&mut image, |p| p < 2 || p == PIXEL);
    assert_eq!((image[0], image[1], image[PIXEL], image[PIXEL + 1]), (300_000, 300_000, 300_000, 400_000));
}
