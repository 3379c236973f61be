//! A small generator of pseudo-random numbers (SplitMix64; Steele, Lea and Flood, OOPSLA 2014).

/// The generator; equal seeds give equal sequences on every platform.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator with a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`, or 0 if `n` is 0. The bias for small `n` is below 2⁻³².
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.next_u64() >> 32) * u64::from(n)) >> 32) as u32
    }
}

/// A hash of `x` that changes half of its bits with any bit of `x`.
pub(super) const fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Noise of about unit variance for sample `index` of stream `seed`: the sum of four uniform numbers, rounded.
pub(super) fn noise(seed: u64, index: u64) -> i32 {
    let h = mix(seed ^ mix(index));
    // Each byte is uniform on 0..256 with standard deviation 74; four have 148.
    let sum = (0..4).map(|i| (h >> (8 * i) & 0xff) as i32).sum::<i32>() - 510;
    (sum + if sum < 0 { -74 } else { 74 }) / 148
}
