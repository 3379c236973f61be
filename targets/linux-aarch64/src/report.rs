//! What the daemon says about itself: the status page's JSON and the metrics are two views of it.

use std::sync::{Mutex, PoisonError};

use fusionproxy_board::rig::SensorCounters;
use fusionproxy_core::health::StatusWord;
use serde::Serialize;

use crate::source::Connection;

/// One sensor.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct SensorReport {
    /// `ok`, `stale`, `FFC` or `absent`.
    pub(crate) state: String,
    /// Age of its newest good frame, ms; 4095 for more, or never.
    pub(crate) age_ms: u16,
    /// Whether it is open, and what is wrong.
    #[serde(flatten)]
    pub(crate) connection: Connection,
    /// Frames that it gave.
    pub(crate) frames: u32,
    /// Frames missing by their numbers.
    pub(crate) lost: u32,
    /// Frames of a closed shutter.
    pub(crate) ffc: u32,
    /// Errors.
    pub(crate) errors: u32,
    /// Times that its picture stood still.
    pub(crate) frozen: u32,
    /// Times that it came back.
    pub(crate) recovered: u32,
}

impl SensorReport {
    /// Takes over the rig's counters.
    pub(crate) fn count(&mut self, counters: SensorCounters) {
        let SensorCounters { frames, lost, ffc, errors, frozen, recovered } = counters;
        (self.frames, self.lost, self.ffc) = (frames, lost, ffc);
        (self.errors, self.frozen, self.recovered) = (errors, frozen, recovered);
    }
}

/// The daemon at a moment.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    /// Version of the program.
    pub(crate) version: &'static str,
    /// The network.
    pub(crate) model: String,
    /// Its kernels.
    pub(crate) backend: String,
    /// Width and height of the fused frame, px.
    pub(crate) size: (usize, usize),
    /// The status word of the newest frame.
    pub(crate) status: u32,
    /// The same in words.
    pub(crate) status_text: String,
    /// Frames published.
    pub(crate) frames: u64,
    /// Frames that could not be fused.
    pub(crate) failed: u64,
    /// Frames a second, over the last two seconds.
    pub(crate) frames_per_second: f64,
    /// Time that fusion took, all frames together, s.
    pub(crate) fuse_seconds: f64,
    /// Of the newest frame, ms.
    pub(crate) fuse_ms: f64,
    /// The visible camera.
    pub(crate) visible: SensorReport,
    /// The thermal camera.
    pub(crate) infrared: SensorReport,
}

impl Report {
    /// Takes over a status word, in both forms.
    pub(crate) fn set_status(&mut self, word: StatusWord) {
        let status = word.unpack();
        self.status = word.0;
        self.status_text = word.to_string();
        self.visible.state = status.visible.to_string();
        self.visible.age_ms = status.visible_age_ms;
        self.infrared.state = status.infrared.to_string();
        self.infrared.age_ms = status.infrared_age_ms;
    }
}

/// The report that everyone reads and the fusion writes.
#[derive(Default)]
pub(crate) struct Board(Mutex<Report>);

impl Board {
    /// Changes it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A copy of it.
    pub(crate) fn read(&self) -> Report {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
