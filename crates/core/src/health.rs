//! Sensor health, and the status word that accompanies every fused frame.

use core::fmt;

use crate::frame::FrameInfo;

/// State of one sensor, as two bits of the [`StatusWord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SensorState {
    /// Delivers fresh frames.
    Ok = 0,
    /// The last frame is older than it should be; it is still in use.
    Stale = 1,
    /// The thermal camera runs its flat-field correction: the shutter is closed and the last good frame is in use.
    Ffc = 2,
    /// No usable frame: never seen, lost, or older than the limit.
    Absent = 3,
}

impl SensorState {
    const fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            0 => Self::Ok,
            1 => Self::Stale,
            2 => Self::Ffc,
            _ => Self::Absent,
        }
    }
}

impl fmt::Display for SensorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Stale => "stale",
            Self::Ffc => "FFC",
            Self::Absent => "absent",
        })
    }
}

/// How old the last frame of a sensor may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// From this age on the sensor is [`SensorState::Stale`], µs. Two frame periods suit most sensors.
    pub stale_after_us: u64,
    /// From this age on the sensor is [`SensorState::Absent`], µs.
    pub absent_after_us: u64,
}

impl Freshness {
    /// State of a sensor whose newest frame is `last`, at time `now_us` (µs, the clock of the frames), and the age of
    /// that frame, µs. Without a frame the sensor is absent and its age is `u64::MAX`. A frame that claims to come
    /// from the future has age 0.
    #[must_use]
    pub fn judge(&self, last: Option<&FrameInfo>, now_us: u64) -> (SensorState, u64) {
        let Some(info) = last else { return (SensorState::Absent, u64::MAX) };
        let age = now_us.saturating_sub(info.timestamp_us);
        let state = if age >= self.absent_after_us {
            SensorState::Absent
        } else if info.state == SensorState::Ok && age >= self.stale_after_us {
            SensorState::Stale
        } else {
            info.state
        };
        (state, age)
    }
}

/// What the status word says, field by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// State of the visible camera.
    pub visible: SensorState,
    /// State of the thermal camera.
    pub infrared: SensorState,
    /// The monitor holds the scene to be unlike those it was fitted to.
    pub scene_shift: bool,
    /// Gain control kept its transfer function for this frame instead of following the scene.
    pub gain_held: bool,
    /// The fused frame is the visible frame alone.
    pub infrared_unused: bool,
    /// A monitor watches the scene; without one `scene_shift` says nothing.
    pub monitored: bool,
    /// Age of the visible frame when it was fused, ms; saturates at [`StatusWord::AGE_LIMIT_MS`].
    pub visible_age_ms: u16,
    /// Age of the infrared frame when it was fused, ms; saturates at [`StatusWord::AGE_LIMIT_MS`].
    pub infrared_age_ms: u16,
}

/// The status of one fused frame in 32 bits.
///
/// | bits  | meaning                                                              |
/// |-------|----------------------------------------------------------------------|
/// | 0–1   | visible camera: 0 ok, 1 stale, 2 FFC (unused), 3 absent              |
/// | 2–3   | thermal camera: 0 ok, 1 stale, 2 FFC, 3 absent                       |
/// | 4     | scene shift                                                          |
/// | 5     | gain held                                                            |
/// | 6     | infrared unused: the frame is the visible frame alone                |
/// | 7     | monitored: bit 4 is valid                                            |
/// | 8–19  | age of the visible frame, ms, 4095 meaning 4095 ms or more, or never |
/// | 20–31 | age of the infrared frame, likewise                                  |
///
/// A word of 0x80 or 0x00 with any ages is a healthy frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusWord(pub u32);

impl StatusWord {
    /// Largest age that the word can carry, ms.
    pub const AGE_LIMIT_MS: u16 = 0xfff;

    /// An age in µs as the word carries it: whole milliseconds, saturating.
    #[must_use]
    pub fn age_ms(age_us: u64) -> u16 {
        u16::try_from(age_us / 1000).unwrap_or(u16::MAX).min(Self::AGE_LIMIT_MS)
    }

    /// Packs a status; ages above the limit saturate.
    #[must_use]
    pub fn pack(status: &Status) -> Self {
        let age = |ms: u16| u32::from(ms.min(Self::AGE_LIMIT_MS));
        Self(
            status.visible as u32
                | (status.infrared as u32) << 2
                | u32::from(status.scene_shift) << 4
                | u32::from(status.gain_held) << 5
                | u32::from(status.infrared_unused) << 6
                | u32::from(status.monitored) << 7
                | age(status.visible_age_ms) << 8
                | age(status.infrared_age_ms) << 20,
        )
    }

    /// The fields of the word. Every word unpacks, and packs again to itself.
    #[must_use]
    pub fn unpack(self) -> Status {
        let flag = |bit: u32| self.0 >> bit & 1 == 1;
        let age = |bit: u32| (self.0 >> bit & 0xfff) as u16;
        Status {
            visible: SensorState::from_bits(self.0),
            infrared: SensorState::from_bits(self.0 >> 2),
            scene_shift: flag(4),
            gain_held: flag(5),
            infrared_unused: flag(6),
            monitored: flag(7),
            visible_age_ms: age(8),
            infrared_age_ms: age(20),
        }
    }

    /// True when both sensors are ok, nothing is held back and the monitor, if any, sees a familiar scene.
    #[must_use]
    pub const fn is_healthy(self) -> bool {
        self.0 & 0x7f == 0
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.unpack();
        write!(
            f,
            "visible {} ({} ms), infrared {} ({} ms)",
            s.visible, s.visible_age_ms, s.infrared, s.infrared_age_ms
        )?;
        for (set, name) in [
            (s.monitored && s.scene_shift, ", scene shift"),
            (s.gain_held, ", gain held"),
            (s.infrared_unused, ", visible only"),
        ] {
            if set {
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}
