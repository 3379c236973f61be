//! A small deterministic generator (SplitMix64), so that a case is a function of its seed.

use core::ops::RangeInclusive;

pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn int(&mut self, range: RangeInclusive<i64>) -> i64 {
        range.start() + (self.next() % (range.end() - range.start() + 1) as u64) as i64
    }

    pub fn size(&mut self, range: RangeInclusive<usize>) -> usize {
        self.int(*range.start() as i64..=*range.end() as i64) as usize
    }

    pub fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    /// Once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.size(0..=values.len() - 1)]
    }

    /// Uniform in low..high, with few bits of mantissa, as real weights have.
    pub fn float(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.next() >> 48) as f32 / 65_536.0
    }
}
