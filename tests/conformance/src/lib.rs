//! What the suite in `tests/` and the firmware under `targets/` have in common: an input that needs no arithmetic but
//! integers, and a checksum. Without the standard library, so that firmware can use it.
#![no_std]
#![forbid(unsafe_code)]

pub use crc32fast::Hasher as Crc32;

/// Fills rows of `width` bytes with a pattern of gradients and edges; `seed` tells two pictures apart.
pub fn pattern(width: usize, seed: u8, out: &mut [u8]) {
    for (y, row) in out.chunks_mut(width).enumerate() {
        for (x, v) in row.iter_mut().enumerate() {
            let blocks = ((x / 24) ^ (y / 16)) as u8;
            let gradient = (x + 2 * y) as u8;
            *v = blocks.wrapping_mul(seed).wrapping_mul(9) / 2 + gradient / 2;
        }
    }
}
