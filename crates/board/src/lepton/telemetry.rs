//! Telemetry rows (Lepton engineering datasheet 500-0659-00-09 rev 203, section 3.5, tables 6 to 8).
//!
//! A row is 80 big-endian words. Values of 32 bits store the low word first.

use super::packet::PAYLOAD_BYTES;

/// State of the flat-field correction: the shutter closes for a moment and the camera levels its pixels against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FfcState {
    /// None since power-up.
    Never,
    /// One is about to start.
    Imminent,
    /// The shutter is closed, and the camera repeats the last frame.
    InProgress,
    /// The last one has ended.
    Complete,
}

impl FfcState {
    /// From the two bits of the telemetry status, or the value of the CCI attribute SYS FFC states.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            0 => Self::Never,
            1 => Self::Imminent,
            2 => Self::InProgress,
            _ => Self::Complete,
        }
    }
}

/// What the telemetry rows of one frame say; the fields that fusion and supervision use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telemetry {
    /// Revision of the rows: major in the high byte, minor in the low byte.
    pub revision: u16,
    /// Time since the camera started, ms.
    pub uptime_ms: u32,
    /// The camera wants a flat-field correction; in manual mode the host must run it.
    pub ffc_desired: bool,
    /// State of the flat-field correction.
    pub ffc: FfcState,
    /// The camera's gain control is on.
    pub agc: bool,
    /// The shutter is locked out, because the camera is too hot or too cold.
    pub shutter_locked: bool,
    /// The camera is about to switch itself off because it is too hot.
    pub overtemperature: bool,
    /// Counts unique frames only.
    pub frame_counter: u32,
    /// Mean of the frame, counts.
    pub frame_mean: u16,
    /// Temperature of the focal plane array, mK.
    pub fpa_mk: u32,
    /// Temperature of the housing, mK.
    pub housing_mk: u32,
    /// Uptime at the last flat-field correction, ms.
    pub last_ffc_ms: u32,
    /// Gain in effect: 0 high, 1 low.
    pub effective_gain: u16,
    /// Pixels are temperatures (TLinear).
    pub tlinear: bool,
    /// Unit of such a pixel, mK: 10 or 100.
    pub tlinear_unit_mk: u16,
}

impl Telemetry {
    /// Reads rows A and C. Any bytes give a value; a caller that needs to know whether they came from a camera relies on
    /// the CRC of the packets.
    #[must_use]
    pub fn parse(row_a: &[u8; PAYLOAD_BYTES], row_c: &[u8; PAYLOAD_BYTES]) -> Self {
        let word = |row: &[u8; PAYLOAD_BYTES], i: usize| u16::from_be_bytes([row[2 * i], row[2 * i + 1]]);
        let double = |i: usize| u32::from(word(row_a, i + 1)) << 16 | u32::from(word(row_a, i));
        let status = double(3);
        Self {
            revision: word(row_a, 0),
            uptime_ms: double(1),
            ffc_desired: status & 1 << 3 != 0,
            ffc: FfcState::from_bits(status >> 4),
            agc: status & 1 << 12 != 0,
            shutter_locked: status & 1 << 15 != 0,
            overtemperature: status & 1 << 20 != 0,
            frame_counter: double(20),
            frame_mean: word(row_a, 22),
            fpa_mk: u32::from(word(row_a, 24)) * 10,
            housing_mk: u32::from(word(row_a, 26)) * 10,
            last_ffc_ms: double(30),
            // Row C starts at word 160 of the table.
            effective_gain: word(row_c, 166 - 160),
            tlinear: word(row_c, 208 - 160) != 0,
            tlinear_unit_mk: if word(row_c, 209 - 160) == 0 { 100 } else { 10 },
        }
    }
}
