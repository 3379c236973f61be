//! Errors in the debugger's log.

use core::fmt::Display;

use fusionproxy_board::repeats::{Repeats, SameKind};
use fusionproxy_board::rig::Errors;

use crate::now_us;

/// Logs the errors of one sensor, those of the same kind once in a while.
pub struct Log<E> {
    sensor: &'static str,
    repeats: Repeats<E>,
}

impl<E: SameKind + Display> Log<E> {
    /// No errors yet of the visible camera.
    #[must_use]
    pub const fn visible() -> Self {
        Self { sensor: "visible camera", repeats: Repeats::new() }
    }

    /// No errors yet of the thermal camera.
    #[must_use]
    pub const fn thermal() -> Self {
        Self { sensor: "thermal camera", repeats: Repeats::new() }
    }

    /// Counts an error, and logs it if it is news.
    pub fn note(&mut self, error: E) {
        if let Some((error, count)) = self.repeats.note(error, now_us()) {
            defmt::warn!("{}: {} (error {})", self.sensor, defmt::Display2Format(error), count);
        }
    }
}

/// The logs of a rig.
pub struct RigLog<V, I> {
    visible: Log<V>,
    thermal: Log<I>,
}

impl<V: SameKind + Display, I: SameKind + Display> RigLog<V, I> {
    /// No errors yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { visible: Log::visible(), thermal: Log::thermal() }
    }

    /// Counts the errors of one round of polling, and logs those that are news.
    pub fn note(&mut self, errors: Errors<V, I>) {
        if let Some(error) = errors.visible {
            self.visible.note(error);
        }
        if let Some(error) = errors.infrared {
            self.thermal.note(error);
        }
    }
}
