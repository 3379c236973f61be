use super::{Image, MetricError};

/// SCD: sum of the correlations of differences, −2…2.
///
/// `r(F − I, V) + r(F − V, I)`: what is left after taking one source away should look like the other. A correlation with
/// a constant is 0. V. Aslantas, E. Bendes, *A new image quality metric for image fusion: the sum of the correlations of
/// differences*, AEÜ Int. J. Electron. Commun. 69(12), 2015.
///
/// # Errors
/// [`MetricError::Mismatch`] when the sizes differ.
pub fn scd(visible: Image<'_>, infrared: Image<'_>, fused: Image<'_>) -> Result<f64, MetricError> {
    visible.same_size(&fused)?;
    infrared.same_size(&fused)?;
    Ok(correlation(fused, infrared, visible) + correlation(fused, visible, infrared))
}

/// Pearson correlation of `f − a` with `b`, from exact integer sums.
fn correlation(f: Image<'_>, a: Image<'_>, b: Image<'_>) -> f64 {
    let (mut sd, mut sb, mut sdd, mut sbb, mut sdb) = (0_i64, 0_i64, 0_i64, 0_i64, 0_i64);
    for ((&f, &a), &b) in f.data().iter().zip(a.data()).zip(b.data()) {
        let (d, b) = (i64::from(f) - i64::from(a), i64::from(b));
        sd += d;
        sb += b;
        sdd += d * d;
        sbb += b * b;
        sdb += d * b;
    }
    let n = f.data().len() as f64;
    let covariance = sdb as f64 - sd as f64 * sb as f64 / n;
    let spread = (sdd as f64 - sd as f64 * sd as f64 / n) * (sbb as f64 - sb as f64 * sb as f64 / n);
    if spread > 0.0 { covariance / spread.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        let image = |data| Image::new(data, 4, 1).unwrap();
        let (v, i) = (image(&[1, 2, 3, 4]), image(&[4, 8, 6, 2]));
        // F = V + I: each difference is the other source.
        assert!((scd(v, i, image(&[5, 10, 9, 6])).unwrap() - 2.0).abs() < 1e-12);
        // F = V: V − V is constant (0); V − I = −3 −6 −3 2 against V 1 2 3 4:
        // means −2.5, 2.5; covariance 9; variances 33 and 5.
        let expected = 9.0 / (33.0_f64 * 5.0).sqrt();
        assert!((scd(v, i, v).unwrap() - expected).abs() < 1e-12);
        assert_eq!(scd(v, v, v).unwrap(), 0.0);
    }
}
