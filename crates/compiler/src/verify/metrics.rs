//! Distances of two images whose samples are 0..=1.

/// Reported where two images are (nearly) equal, dB.
pub(crate) const EQUAL_DB: f64 = 120.0;

/// Peak signal to noise ratio in dB.
pub(crate) fn psnr(a: &[f32], b: &[f32]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    let mse = sum / a.len().max(1) as f64;
    if mse < 1e-12 { EQUAL_DB } else { -10.0 * mse.log10() }
}

/// Signal to quantisation noise ratio in dB.
pub(crate) fn sqnr(signal: f64, noise: f64) -> f64 {
    if noise <= signal * 1e-12 { EQUAL_DB } else { 10.0 * (signal.max(1e-30) / noise).log10() }
}

const RADIUS: usize = 5;

/// Structural similarity (Wang et al., IEEE TIP 13(4), 2004): Gaussian window 11x11 with sigma 1.5, over the pixels whose
/// window lies inside; one window over all of an image that is smaller. `[height][width][channels]`, mean over channels.
pub(crate) fn ssim(a: &[f32], b: &[f32], height: usize, width: usize) -> f64 {
    let channels = a.len() / (height * width);
    let plane = |v: &[f32], c: usize| -> Vec<f64> {
        v.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).collect()
    };
    (0..channels).map(|c| similarity(&plane(a, c), &plane(b, c), height, width)).sum::<f64>()
        / channels as f64
}

fn similarity(a: &[f64], b: &[f64], height: usize, width: usize) -> f64 {
    let products = |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x * y).collect() };
    let [ma, mb, aa, bb, ab] = [a.to_vec(), b.to_vec(), products(a, a), products(b, b), products(a, b)]
        .map(|v| blur(&v, height, width));
    let (c1, c2) = (0.01f64.powi(2), 0.03f64.powi(2));
    let sum: f64 = (0..ma.len())
        .map(|i| {
            let (va, vb, cov) = (aa[i] - ma[i] * ma[i], bb[i] - mb[i] * mb[i], ab[i] - ma[i] * mb[i]);
            (2.0 * ma[i] * mb[i] + c1) * (2.0 * cov + c2)
                / ((ma[i] * ma[i] + mb[i] * mb[i] + c1) * (va + vb + c2))
        })
        .sum();
    sum / ma.len() as f64
}

/// Gaussian means over all windows inside the image.
fn blur(v: &[f64], height: usize, width: usize) -> Vec<f64> {
    let size = 2 * RADIUS + 1;
    if height < size || width < size {
        return vec![v.iter().sum::<f64>() / v.len() as f64];
    }
    let g: Vec<f64> =
        (0..size).map(|i| (-(i as f64 - RADIUS as f64).powi(2) / (2.0 * 1.5 * 1.5)).exp()).collect();
    let norm: f64 = g.iter().sum();
    let (h, w) = (height - size + 1, width - size + 1);
    let mut rows = vec![0.0; height * w];
    for y in 0..height {
        for x in 0..w {
            rows[y * w + x] = (0..size).map(|k| g[k] * v[y * width + x + k]).sum::<f64>() / norm;
        }
    }
    let mut out = vec![0.0; h * w];
    for y in 0..h {
        for x in 0..w {
            out[y * w + x] = (0..size).map(|k| g[k] * rows[(y + k) * w + x]).sum::<f64>() / norm;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(seed: u32) -> Vec<f32> {
        (0..20 * 24u32).map(|i| ((i * 37 + seed * 11) % 97) as f32 / 97.0).collect()
    }

    #[test]
    fn equal_images() {
        let a = picture(1);
        assert_eq!(psnr(&a, &a), EQUAL_DB);
        assert!((ssim(&a, &a, 20, 24) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_known_error() {
        let a = picture(1);
        let b: Vec<f32> = a.iter().map(|v| v + 0.1).collect();
        assert!((psnr(&a, &b) - 20.0).abs() < 1e-4);
        assert!(ssim(&a, &b, 20, 24) < 1.0);
        assert!(ssim(&a, &picture(9), 20, 24) < 0.5);
    }

    #[test]
    fn small_images_have_one_window() {
        assert!((ssim(&[0.2, 0.4], &[0.2, 0.4], 1, 2) - 1.0).abs() < 1e-9);
    }
}
