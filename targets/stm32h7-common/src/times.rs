//! What a pair takes on this board, for its log. `cargo xtask suite --probe` reads it there.

/// Pairs whose times are told together.
const PAIRS: usize = 16;

/// Times of the last pairs, from frames to picture, µs. Interrupts that read the cameras meanwhile are part of them.
pub(crate) struct Times {
    us: [u32; PAIRS],
    count: usize,
}

impl Times {
    pub(crate) const fn new() -> Self {
        Self { us: [0; PAIRS], count: 0 }
    }

    /// Adds a pair; every [`PAIRS`] of them, the log tells their median and least.
    pub(crate) fn add(&mut self, us: u64) {
        self.us[self.count] = u32::try_from(us).unwrap_or(u32::MAX);
        self.count += 1;
        if self.count == PAIRS {
            self.count = 0;
            self.us.sort_unstable();
            defmt::info!("fused {} pairs: median_us {} min_us {}", PAIRS, self.us[PAIRS / 2], self.us[0]);
        }
    }
}
