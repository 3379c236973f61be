use super::Image;

/// EN: Shannon entropy of the 256-bin histogram, bit (0…8).
///
/// `−Σ p(v) log₂ p(v)`. J. W. Roberts, J. van Aardt, F. Ahmed, *Assessment of image fusion procedures using entropy,
/// image quality, and multispectral classification*, J. Appl. Remote Sens. 2, 2008.
#[must_use]
pub fn entropy(image: Image<'_>) -> f64 {
    of_counts(image.histogram().into_iter())
}

/// Entropy of a distribution given by counts, bit.
pub(super) fn of_counts(counts: impl Iterator<Item = u64> + Clone) -> f64 {
    let total = counts.clone().sum::<u64>() as f64;
    let sum: f64 = counts.filter(|&n| n > 0).map(|n| n as f64 * libm::log2(n as f64)).sum();
    // Σ p log p = Σ n log n / N − log N; a constant picture may land a rounding below zero.
    (libm::log2(total) - sum / total).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        let of = |data: &[u8]| entropy(Image::new(data, data.len(), 1).unwrap());
        assert_eq!(of(&[9, 9, 9]), 0.0);
        assert_eq!(of(&[0, 255]), 1.0);
        // Half, quarter, quarter: 1/2 + 2/4 + 2/4.
        assert_eq!(of(&[1, 1, 2, 3]), 1.5);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(of(&all), 8.0);
    }
}
