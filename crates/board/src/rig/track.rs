//! One sensor as the rig sees it: fresh, stale, frozen, correcting itself, or gone.

use fusionproxy_core::frame::FrameInfo;
use fusionproxy_core::health::{Freshness, SensorState};

/// When a sensor is no longer trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// How old the newest good frame may grow.
    pub freshness: Freshness,
    /// A sensor whose frames are identical to the last bit for so long, µs, is frozen: from then on its frames age from
    /// the first of them. Real sensors have noise; `u64::MAX` for sources that have none, such as test patterns.
    pub frozen_after_us: u64,
}

impl Watch {
    /// For a camera of so many frames a second: stale after two and a half periods, at least 150 ms; absent after 1 s or
    /// five periods; frozen after the same.
    #[must_use]
    pub const fn for_rate(frames_per_second: u32) -> Self {
        let period = 1_000_000 / if frames_per_second == 0 { 1 } else { frames_per_second as u64 };
        let stale = if 5 * period / 2 > 150_000 { 5 * period / 2 } else { 150_000 };
        let absent = if 5 * period > 1_000_000 { 5 * period } else { 1_000_000 };
        Self {
            freshness: Freshness { stale_after_us: stale, absent_after_us: absent },
            frozen_after_us: absent,
        }
    }
}

/// What a sensor has done so far; all counters wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SensorCounters {
    /// Frames delivered, good or not.
    pub frames: u32,
    /// Frames missing by their numbers.
    pub lost: u32,
    /// Frames during a flat-field correction; they are not shown.
    pub ffc: u32,
    /// Errors that its driver reported.
    pub errors: u32,
    /// Times that it froze.
    pub frozen: u32,
    /// Times that it was stale or gone and came back.
    pub recovered: u32,
}

/// Supervision of one sensor.
#[derive(Debug, Clone)]
pub struct Track {
    watch: Watch,
    /// The newest good frame.
    good: Option<FrameInfo>,
    fingerprint: u32,
    /// Time stamp of the first frame with this content, µs.
    changed_us: u64,
    frozen: bool,
    correcting: bool,
    expected_sequence: Option<u32>,
    /// It was stale or gone when last judged; it was neither at some time.
    poor: bool,
    was_good: bool,
    counters: SensorCounters,
}

impl Track {
    /// A sensor that was never seen.
    #[must_use]
    pub const fn new(watch: Watch) -> Self {
        Self {
            watch,
            good: None,
            fingerprint: 0,
            changed_us: 0,
            frozen: false,
            correcting: false,
            expected_sequence: None,
            poor: true,
            was_good: false,
            counters: SensorCounters { frames: 0, lost: 0, ffc: 0, errors: 0, frozen: 0, recovered: 0 },
        }
    }

    /// What the sensor has done so far.
    #[must_use]
    pub const fn counters(&self) -> SensorCounters {
        self.counters
    }

    /// The newest good frame.
    #[must_use]
    pub const fn good(&self) -> Option<FrameInfo> {
        self.good
    }

    /// Notes a frame and its [`fingerprint`]. True when its content is to be shown: it is not one of a closed shutter.
    pub fn frame(&mut self, info: FrameInfo, fingerprint: u32) -> bool {
        self.counters.frames = self.counters.frames.wrapping_add(1);
        if let Some(expected) = self.expected_sequence {
            let gap = info.sequence.wrapping_sub(expected);
            // Backwards: the source was begun anew.
            if gap < u32::MAX / 2 {
                self.counters.lost = self.counters.lost.wrapping_add(gap);
            }
        }
        self.expected_sequence = Some(info.sequence.wrapping_add(1));
        self.correcting = info.state == SensorState::Ffc;
        if self.correcting {
            self.counters.ffc = self.counters.ffc.wrapping_add(1);
            return false;
        }
        if self.good.is_none() || fingerprint != self.fingerprint {
            self.fingerprint = fingerprint;
            self.changed_us = info.timestamp_us;
            self.frozen = false;
        } else if !self.frozen
            && info.timestamp_us.saturating_sub(self.changed_us) >= self.watch.frozen_after_us
        {
            self.frozen = true;
            self.counters.frozen = self.counters.frozen.wrapping_add(1);
        }
        self.good = Some(info);
        true
    }

    /// Notes an error of the driver.
    pub const fn error(&mut self) {
        self.counters.errors = self.counters.errors.wrapping_add(1);
    }

    /// Whether the newest frame brings anything new.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// State at `now_us`, and the age of the newest good frame, or of the first of the frozen ones, µs.
    pub fn judge(&mut self, now_us: u64) -> (SensorState, u64) {
        let seen = self.good.map(|info| {
            let timestamp_us = if self.frozen { self.changed_us } else { info.timestamp_us };
            FrameInfo { timestamp_us, ..info }
        });
        let (state, age_us) = self.watch.freshness.judge(seen.as_ref(), now_us);
        let state = match state {
            SensorState::Absent => SensorState::Absent,
            _ if self.correcting => SensorState::Ffc,
            // Frames of any age come while it is frozen.
            SensorState::Ok if self.frozen => SensorState::Stale,
            other => other,
        };
        let poor = matches!(state, SensorState::Stale | SensorState::Absent);
        if self.poor && !poor && self.was_good {
            self.counters.recovered = self.counters.recovered.wrapping_add(1);
        }
        self.was_good |= !poor;
        self.poor = poor;
        (state, age_us)
    }
}

/// A hash of a frame's bytes that tells two frames with different noise apart.
#[must_use]
pub fn fingerprint(frame: &[u8]) -> u32 {
    let (words, rest) = frame.as_chunks::<4>();
    let mix = |hash: u32, word: u32| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9);
    let hash = words.iter().fold(0, |hash, word| mix(hash, u32::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| mix(hash, u32::from(*byte)))
}
