use super::filter::{Border, Moments, Plane, gaussian};
use super::{Image, MetricError};

/// Stabilising constants for a dynamic range of 255: `(0.01·255)²`, `(0.03·255)²`.
pub(super) const C1: f64 = 6.5025;
pub(super) const C2: f64 = 58.5225;

/// The window of the paper: 11×11, σ 1.5.
pub(super) fn window() -> Vec<f64> {
    gaussian(11, 1.5)
}

/// SSIM: mean structural similarity, −1…1.
///
/// `(2μₐμᵦ + C₁)(2σₐᵦ + C₂) / ((μₐ² + μᵦ² + C₁)(σₐ² + σᵦ² + C₂))`, averaged over every pixel, with an 11×11 Gaussian
/// window of σ 1.5, biased moments, and the picture mirrored at its borders (so pictures of any size have a value).
/// Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, *Image quality assessment: from error visibility to structural
/// similarity*, IEEE TIP 13(4), 2004.
///
/// # Errors
/// [`MetricError::Mismatch`] when the sizes differ.
pub fn ssim(a: Image<'_>, b: Image<'_>) -> Result<f64, MetricError> {
    a.same_size(&b)?;
    Ok(means(&Plane::of(a), &Plane::of(b), Border::Symmetric).0)
}

/// Means of SSIM and of its contrast-structure factor.
pub(super) fn means(a: &Plane, b: &Plane, border: Border) -> (f64, f64) {
    let m = Moments::of(a, b, &window(), border);
    let (mut whole, mut structure) = (0.0, 0.0);
    for i in 0..m.covariance.data.len() {
        let (ma, mb) = (m.mean[0].data[i], m.mean[1].data[i]);
        let cs = (2.0 * m.covariance.data[i] + C2) / (m.variance[0].data[i] + m.variance[1].data[i] + C2);
        structure += cs;
        whole += cs * (2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1);
    }
    let n = m.covariance.data.len() as f64;
    (whole / n, structure / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        let flat = |v: u8| [v; 20 * 12];
        let (a, b) = (flat(100), flat(120));
        let (a, b) = (Image::new(&a, 20, 12).unwrap(), Image::new(&b, 20, 12).unwrap());
        assert!((ssim(a, a).unwrap() - 1.0).abs() < 1e-12);
        // No variance: the luminance term alone, (24000 + C1)/(10000 + 14400 + C1).
        assert!((ssim(a, b).unwrap() - (24000.0 + C1) / (24400.0 + C1)).abs() < 1e-9);
        let dot = Image::new(&[7], 1, 1).unwrap();
        assert!((ssim(dot, dot).unwrap() - 1.0).abs() < 1e-12);
    }
}
