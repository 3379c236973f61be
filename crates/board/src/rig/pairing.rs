//! Which frames belong together, and when a pair is due.

use fusionproxy_core::frame::FrameInfo;
use fusionproxy_core::gain::Follow;
use fusionproxy_core::health::{SensorState, Status, StatusWord};

use super::track::{Track, Watch};

/// How a rig pairs its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When the visible camera is no longer trusted.
    pub visible: Watch,
    /// When the thermal camera is no longer trusted.
    pub infrared: Watch,
    /// Frames whose time stamps differ by no more than this, µs, belong together. A visible frame without such a partner
    /// waits for one no longer than this, and is then paired with the last good infrared frame.
    pub tolerance_us: u64,
}

/// A pair that is due. Of each band, the newest good frame belongs to it, if the band is used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Use the visible frame. At least one band is used.
    pub visible: bool,
    /// Use the infrared frame.
    pub infrared: bool,
    /// How gain control should take the infrared frame: not at all if it has seen it before or it is frozen, afresh after
    /// an absence.
    pub follow: Follow,
    /// States and ages; `scene_shift`, `gain_held` and `monitored` are left to those who know.
    pub status: Status,
}

/// The pairing of two sensors, without their buffers: it is told of frames and says when to fuse. [`Rig`](super::Rig)
/// adds the buffers; firmware that moves frames between tasks by itself can use this alone.
#[derive(Debug, Clone)]
pub struct Pairing {
    policy: Policy,
    visible: Track,
    infrared: Track,
    visible_new: bool,
    infrared_new: bool,
    /// Since when a visible frame waits for its partner, µs.
    waiting_since_us: Option<u64>,
    /// The infrared was absent at the last pair.
    infrared_was_absent: bool,
}

impl Pairing {
    /// A pairing of two sensors that were never seen.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            visible: Track::new(policy.visible),
            infrared: Track::new(policy.infrared),
            visible_new: false,
            infrared_new: false,
            waiting_since_us: None,
            infrared_was_absent: true,
        }
    }

    /// Notes a visible frame and its [`fingerprint`](super::fingerprint). True when its content is to be kept.
    pub fn visible(&mut self, info: FrameInfo, fingerprint: u32, now_us: u64) -> bool {
        let keep = self.visible.frame(info, fingerprint);
        if keep && !self.visible.is_frozen() {
            self.visible_new = true;
            self.waiting_since_us.get_or_insert(now_us);
        }
        keep
    }

    /// Notes an infrared frame likewise.
    pub fn infrared(&mut self, info: FrameInfo, fingerprint: u32) -> bool {
        let keep = self.infrared.frame(info, fingerprint);
        self.infrared_new |= keep && !self.infrared.is_frozen();
        keep
    }

    /// Notes an error of the visible camera's driver.
    pub const fn visible_error(&mut self) {
        self.visible.error();
    }

    /// Notes an error of the thermal camera's driver.
    pub const fn infrared_error(&mut self) {
        self.infrared.error();
    }

    /// Supervision of the visible camera.
    #[must_use]
    pub const fn visible_track(&self) -> &Track {
        &self.visible
    }

    /// Supervision of the thermal camera.
    #[must_use]
    pub const fn infrared_track(&self) -> &Track {
        &self.infrared
    }

    /// States and ages at `now_us`, whether a pair is due or not.
    pub fn status(&mut self, now_us: u64) -> Status {
        let (visible, visible_age) = self.visible.judge(now_us);
        let (infrared, infrared_age) = self.infrared.judge(now_us);
        Status {
            visible,
            infrared,
            scene_shift: false,
            gain_held: false,
            infrared_unused: infrared == SensorState::Absent,
            monitored: false,
            visible_age_ms: StatusWord::age_ms(visible_age),
            infrared_age_ms: StatusWord::age_ms(infrared_age),
        }
    }

    /// The pair that is due at `now_us`, once.
    ///
    /// Each visible frame gives a pair: with the infrared frame of its time, or after a wait of at most the tolerance
    /// with the last good one; at once, when the infrared is stale, in correction or gone. Without a healthy visible
    /// camera, each infrared frame gives one.
    pub fn due(&mut self, now_us: u64) -> Option<Decision> {
        let status = self.status(now_us);
        let waited_us = self.waiting_since_us.map_or(0, |since| now_us.saturating_sub(since));
        let due = if self.visible_new {
            status.infrared != SensorState::Ok || waited_us >= self.policy.tolerance_us || self.in_tolerance()
        } else {
            self.infrared_new && status.visible != SensorState::Ok
        };
        if !due {
            return None;
        }
        let infrared = !status.infrared_unused;
        let follow = match (infrared && self.infrared_new, self.infrared_was_absent) {
            (false, _) => Follow::Not,
            (true, true) => Follow::Afresh,
            (true, false) => Follow::Smoothly,
        };
        self.visible_new = false;
        self.infrared_new = false;
        self.waiting_since_us = None;
        self.infrared_was_absent = !infrared;
        Some(Decision { visible: status.visible != SensorState::Absent, infrared, follow, status })
    }

    fn in_tolerance(&self) -> bool {
        match (self.visible.good(), self.infrared.good()) {
            (Some(v), Some(i)) => v.timestamp_us.abs_diff(i.timestamp_us) <= self.policy.tolerance_us,
            _ => false,
        }
    }
}
