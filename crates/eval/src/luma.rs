//! Luma of RGB pictures: full-range BT.601, `Y = 0.299 R + 0.587 G + 0.114 B`, rounded to nearest.

/// Luma of one 8-bit pixel.
#[must_use]
pub const fn luma8([r, g, b]: [u8; 3]) -> u8 {
    ((299 * r as u32 + 587 * g as u32 + 114 * b as u32 + 500) / 1000) as u8
}

/// Luma of one 16-bit pixel.
#[must_use]
pub const fn luma16([r, g, b]: [u16; 3]) -> u16 {
    ((299 * r as u64 + 587 * g as u64 + 114 * b as u64 + 500) / 1000) as u16
}

/// Luma of packed RGB8, one byte a pixel; up to two bytes that make no pixel are left out.
#[must_use]
pub fn luma_of_rgb8(rgb: &[u8]) -> Vec<u8> {
    rgb.as_chunks::<3>().0.iter().copied().map(luma8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_are_kept_and_primaries_weighted() {
        assert!((0..=255).all(|v| luma8([v; 3]) == v));
        assert_eq!((luma16([65535; 3]), luma16([0; 3])), (65535, 0));
        assert_eq!(luma_of_rgb8(&[255, 0, 0, 0, 255, 0, 0, 0, 255, 9]), [76, 150, 29]);
    }
}
