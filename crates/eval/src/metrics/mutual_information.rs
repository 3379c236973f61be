use super::entropy::of_counts;
use super::{Image, MetricError, entropy};

/// MI: what the fused picture tells about both sources, bit.
///
/// `I(V;F) + I(I;F)` with `I(A;F) = H(A) + H(F) − H(A,F)`, over 256-bin and 256×256-bin histograms. G. Qu, D. Zhang,
/// P. Yan, *Information measure for performance of image fusion*, Electron. Lett. 38(7), 2002.
///
/// # Errors
/// [`MetricError::Mismatch`] when the sizes differ.
pub fn mutual_information(
    visible: Image<'_>,
    infrared: Image<'_>,
    fused: Image<'_>,
) -> Result<f64, MetricError> {
    Ok(shared(visible, fused)? + shared(infrared, fused)?)
}

/// Normalised MI, 0…2: `2·[I(V;F)/(H(V)+H(F)) + I(I;F)/(H(I)+H(F))]`; a term whose pictures are both constant is 0.
///
/// M. Hossny, S. Nahavandi, D. Creighton, *Comments on "Information measure for performance of image fusion"*,
/// Electron. Lett. 44(18), 2008.
///
/// # Errors
/// [`MetricError::Mismatch`] when the sizes differ.
pub fn normalised_mutual_information(
    visible: Image<'_>,
    infrared: Image<'_>,
    fused: Image<'_>,
) -> Result<f64, MetricError> {
    let term = |source: Image<'_>| -> Result<f64, MetricError> {
        let both = entropy(source) + entropy(fused);
        let shared = shared(source, fused)?;
        Ok(if both > 0.0 { 2.0 * shared / both } else { 0.0 })
    };
    Ok(term(visible)? + term(infrared)?)
}

fn shared(a: Image<'_>, b: Image<'_>) -> Result<f64, MetricError> {
    a.same_size(&b)?;
    let mut joint = vec![0_u64; 65536];
    for (&x, &y) in a.data().iter().zip(b.data()) {
        joint[usize::from(x) << 8 | usize::from(y)] += 1;
    }
    Ok((entropy(a) + entropy(b) - of_counts(joint.into_iter())).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        let image = |data| Image::new(data, 4, 1).unwrap();
        let f = image(&[0, 0, 255, 255]);
        // F determines V (1 bit) and is independent of I (0 bit).
        let (v, i) = (image(&[7, 7, 9, 9]), image(&[3, 4, 3, 4]));
        assert_eq!(mutual_information(v, i, f).unwrap(), 1.0);
        // 2·1/(1+1) + 0.
        assert_eq!(normalised_mutual_information(v, i, f).unwrap(), 1.0);
        // I(V;F) with one bit of V hidden: H(V) = 2, H(F) = 1, H(V,F) = 2.
        let v = image(&[1, 2, 3, 4]);
        assert_eq!(mutual_information(v, v, f).unwrap(), 2.0);
        assert_eq!(mutual_information(f, f, image(&[5; 4])).unwrap(), 0.0);
        assert_eq!(
            normalised_mutual_information(image(&[5; 4]), image(&[6; 4]), image(&[5; 4])).unwrap(),
            0.0
        );
    }
}
