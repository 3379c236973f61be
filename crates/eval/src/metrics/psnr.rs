use super::{Image, MetricError};

/// PSNR in dB: `10 log₁₀(255² / MSE)`; infinite for equal pictures.
///
/// # Errors
/// [`MetricError::Mismatch`] when the sizes differ.
pub fn psnr(a: Image<'_>, b: Image<'_>) -> Result<f64, MetricError> {
    a.same_size(&b)?;
    let square = |(&x, &y): (&u8, &u8)| u64::from(x.abs_diff(y)) * u64::from(x.abs_diff(y));
    let sum: u64 = a.data().iter().zip(b.data()).map(square).sum();
    if sum == 0 {
        return Ok(f64::INFINITY);
    }
    Ok(10.0 * libm::log10(255.0 * 255.0 * a.data().len() as f64 / sum as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        let image = |data| Image::new(data, 2, 2).unwrap();
        let a = image(&[0, 10, 20, 30]);
        assert_eq!(psnr(a, a).unwrap(), f64::INFINITY);
        assert_eq!(psnr(image(&[0; 4]), image(&[255; 4])).unwrap(), 0.0);
        // MSE (1 + 1 + 1 + 1)/4 = 1.
        assert!((psnr(a, image(&[1, 11, 19, 29])).unwrap() - 48.130_803_6).abs() < 1e-6);
        let other = Image::new(&[0; 2], 2, 1).unwrap();
        assert_eq!(psnr(a, other), Err(MetricError::Mismatch { a: [2, 2], b: [2, 1] }));
    }
}
