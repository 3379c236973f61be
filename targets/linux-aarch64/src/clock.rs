//! The clock of every time stamp: `CLOCK_MONOTONIC`, which V4L2 drivers stamp their frames with.

use rustix::time::{ClockId, clock_gettime};

/// Now, µs.
pub(crate) fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither part of a monotonic time is negative.
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}
