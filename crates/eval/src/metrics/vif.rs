use super::filter::{Border, Moments, Plane, gaussian};
use super::{Image, MetricError};

/// Variance of the visual noise of the model.
const NOISE: f64 = 2.0;
const TINY: f64 = 1e-10;

/// Smallest side that [`vif`] takes, px: the window must fit at the coarsest of four scales.
pub const VIF_SIDE: usize = 41;

/// VIF in the pixel domain: share of `reference`'s visual information that `image` keeps (above 1 when it adds contrast).
///
/// Over four scales: `Σ log₁₀(1 + g²σᵣ²/(σᵥ² + 2)) / Σ log₁₀(1 + σᵣ²/2)` with gain `g = σᵣᵢ/σᵣ²` and residual
/// `σᵥ² = σᵢ² − g·σᵣᵢ` under Gaussian windows of 17, 9, 5 and 3 pixels (σ a fifth of them), without borders; each scale is
/// the window's filter and every second pixel of the one before. A reference without any variance has nothing to lose:
/// the value is 1. H. R. Sheikh, A. C. Bovik, *Image information and visual quality*, IEEE TIP 15(2), 2006, in the
/// authors' multi-scale pixel-domain form (`vifp_mscale`).
///
/// # Errors
/// [`MetricError::Mismatch`] when the sizes differ, [`MetricError::TooSmall`] below [`VIF_SIDE`].
pub fn vif(reference: Image<'_>, image: Image<'_>) -> Result<f64, MetricError> {
    reference.same_size(&image)?;
    reference.at_least("VIF", VIF_SIDE)?;
    let (mut r, mut d) = (Plane::of(reference), Plane::of(image));
    let (mut kept, mut all) = (0.0, 0.0);
    for scale in 0..4 {
        let n = (16 >> scale) + 1;
        let window = gaussian(n, n as f64 / 5.0);
        if scale > 0 {
            r = r.filtered(&window, Border::Valid).decimated();
            d = d.filtered(&window, Border::Valid).decimated();
        }
        let m = Moments::of(&r, &d, &window, Border::Valid);
        for i in 0..m.covariance.data.len() {
            let (vr, vd) = (m.variance[0].data[i].max(0.0), m.variance[1].data[i].max(0.0));
            let cov = m.covariance.data[i];
            let vr_or_zero = if vr < TINY { 0.0 } else { vr };
            all += libm::log10(1.0 + vr_or_zero / NOISE);
            // The model's special cases, as its authors' code orders them.
            let gain = cov / (vr + TINY);
            let (gain, residual) = if vd < TINY {
                (0.0, 0.0)
            } else if vr < TINY || gain < 0.0 {
                (0.0, vd)
            } else {
                (gain, vd - gain * cov)
            };
            kept += libm::log10(1.0 + gain * gain * vr_or_zero / (residual.max(TINY) + NOISE));
        }
    }
    Ok(if all > 0.0 { kept / all } else { 1.0 })
}

/// VIF of a fused picture: `vif(V, F) + vif(I, F)`.
///
/// # Errors
/// As [`vif`].
pub fn fusion_vif(visible: Image<'_>, infrared: Image<'_>, fused: Image<'_>) -> Result<f64, MetricError> {
    Ok(vif(visible, fused)? + vif(infrared, fused)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let n = VIF_SIDE;
        let ramp: Vec<u8> = (0..n * n).map(|i| ((i * 37) % 251) as u8).collect();
        let flat = vec![90; n * n];
        let (ramp, flat) = (Image::new(&ramp, n, n).unwrap(), Image::new(&flat, n, n).unwrap());
        assert!((vif(ramp, ramp).unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(vif(ramp, flat).unwrap(), 0.0);
        assert_eq!(vif(flat, ramp).unwrap(), 1.0);
        assert_eq!(fusion_vif(flat, ramp, flat).unwrap(), 1.0);
        let narrow = Image::new(&[0; 40 * 41], 40, 41).unwrap();
        assert!(matches!(vif(narrow, narrow), Err(MetricError::TooSmall { side: 41, .. })));
    }
}
