use super::Image;

/// SD: standard deviation of the grey levels (of the population: divided by the number of pixels), 0…127.5.
///
/// `√(Σ (F − mean F)² / (M·N))`. Y.-J. Rao, *In-fibre Bragg grating sensors*, Meas. Sci. Technol. 8, 1997, the usual
/// source in fusion papers.
#[must_use]
pub fn standard_deviation(image: Image<'_>) -> f64 {
    let mean = image.mean();
    let sum: f64 = image.data().iter().map(|&v| (f64::from(v) - mean) * (f64::from(v) - mean)).sum();
    (sum / image.data().len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        let of = |data: &[u8]| standard_deviation(Image::new(data, data.len(), 1).unwrap());
        assert_eq!(of(&[42; 5]), 0.0);
        assert_eq!(of(&[0, 255]), 127.5);
        // Mean 5, squares 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32, over 8: 4.
        assert_eq!(of(&[2, 4, 4, 4, 5, 5, 7, 9]), 2.0);
    }
}
