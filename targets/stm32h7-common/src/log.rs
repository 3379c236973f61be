//! Errors in the debugger's log.

use core::fmt::Display;

use fusionproxy_board::repeats::{Repeats, SameKind};

use crate::now_us;

/// Logs the errors of one sensor, those of the same kind once in a while.
pub struct Log<E> {
    sensor: &'static str,
    repeats: Repeats<E>,
}

impl<E: SameKind + Display> Log<E> {
    /// No errors yet of this sensor.
    #[must_use]
    pub const fn new(sensor: &'static str) -> Self {
        Self { sensor, repeats: Repeats::new() }
    }

    /// Counts an error, and logs it if it is news.
    pub fn note(&mut self, error: E) {
        if let Some((error, count)) = self.repeats.note(error, now_us()) {
            defmt::warn!("{}: {} (error {})", self.sensor, defmt::Display2Format(error), count);
        }
    }
}
