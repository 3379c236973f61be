//! Time that moves only when it is told to.

use core::cell::Cell;

/// A clock that bus transfers and the caller move forward.
#[derive(Debug, Default)]
pub struct VirtualClock {
    ns: Cell<u64>,
}

impl VirtualClock {
    /// A clock at 0.
    #[must_use]
    pub const fn new() -> Self {
        Self { ns: Cell::new(0) }
    }

    /// The time, µs.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.ns.get() / 1000
    }

    /// The time, ns.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.ns.get()
    }

    /// Moves the clock forward.
    pub fn advance_us(&self, us: u64) {
        self.advance_ns(us * 1000);
    }

    /// Moves the clock forward.
    pub fn advance_ns(&self, ns: u64) {
        self.ns.set(self.ns.get() + ns);
    }
}
