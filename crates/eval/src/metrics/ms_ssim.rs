use super::filter::{Border, Plane};
use super::{Image, MetricError, ssim};

/// Exponents of the five scales, finest first (the paper's table).
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// Smallest side that [`ms_ssim`] takes, px: the 11-pixel window must fit after four halvings.
pub const MS_SSIM_SIDE: usize = 176;

/// MS-SSIM: SSIM's contrast-structure factor at five scales times its luminance factor at the coarsest, 0…1.
///
/// `Π csⱼ^wⱼ · SSIM₅^w₅`, weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333; 11×11 Gaussian window of σ 1.5 without
/// borders; scales by 2×2 means (an odd last row or column is dropped); negative factors count as 0. Z. Wang,
/// E. P. Simoncelli, A. C. Bovik, *Multiscale structural similarity for image quality assessment*, Asilomar 2003.
///
/// # Errors
/// [`MetricError::Mismatch`] when the sizes differ, [`MetricError::TooSmall`] below [`MS_SSIM_SIDE`].
pub fn ms_ssim(a: Image<'_>, b: Image<'_>) -> Result<f64, MetricError> {
    a.same_size(&b)?;
    a.at_least("MS-SSIM", MS_SSIM_SIDE)?;
    let (mut a, mut b) = (Plane::of(a), Plane::of(b));
    let mut product = 1.0;
    for (scale, weight) in WEIGHTS.into_iter().enumerate() {
        let (whole, structure) = ssim::means(&a, &b, Border::Valid);
        let last = scale + 1 == WEIGHTS.len();
        let factor = if last { whole } else { structure };
        product *= libm::pow(factor.max(0.0), weight);
        if !last {
            (a, b) = (a.halved(), b.halved());
        }
    }
    Ok(product)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ssim::C1;

    #[test]
    fn hand_computed() {
        let n = MS_SSIM_SIDE;
        let (a, b) = (vec![100; n * n], vec![120; n * n]);
        let (a, b) = (Image::new(&a, n, n).unwrap(), Image::new(&b, n, n).unwrap());
        assert!((ms_ssim(a, a).unwrap() - 1.0).abs() < 1e-9);
        // Flat pictures: structure is 1 everywhere, the luminance term counts once, at the last scale.
        let luminance = (24000.0 + C1) / (24400.0 + C1);
        assert!((ms_ssim(a, b).unwrap() - luminance.powf(0.1333)).abs() < 1e-9);
        let small = vec![0; 175 * 200];
        let small = Image::new(&small, 175, 200).unwrap();
        assert!(ms_ssim(small, small).unwrap_err().to_string().contains("at least 176x176"));
    }
}
