//! Metrics against published implementations on a generated triple.

use fusionproxy_eval::metrics::{self, FusionScores, Image, MetricError};

const W: usize = 208;
const H: usize = 192;

/// Two patterned sources and a mixture, in integer arithmetic that the reference script repeats:
/// `a = (5x + 3y) mod 97 + 120·((x/16 + y/16) mod 2)`, `b = ((x² + 3y²)/64) mod 256`,
/// `f = (3·max(a,b) + min(a,b) + (7919x + 104729y) mod 17)/4`, integer divisions.
fn triple() -> [Vec<u8>; 3] {
    let mut out = [vec![0; W * H], vec![0; W * H], vec![0; W * H]];
    for y in 0..H {
        for x in 0..W {
            let a = (5 * x + 3 * y) % 97 + 120 * ((x / 16 + y / 16) % 2);
            let b = ((x * x + 3 * y * y) / 64) % 256;
            let f = (3 * a.max(b) + a.min(b) + (7919 * x + 104_729 * y) % 17) / 4;
            for (plane, v) in out.iter_mut().zip([a, b, f]) {
                plane[y * W + x] = v as u8;
            }
        }
    }
    out
}

fn close(name: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{name}: {found} instead of {expected}");
}

#[test]
fn agree_with_published_implementations() {
    let [a, b, f] = triple();
    assert_eq!(f.iter().map(|&v| u64::from(v)).sum::<u64>(), 5_510_521, "the pattern itself");
    let image = |d| Image::new(d, W, H).unwrap();
    let (a, b, f) = (image(&a), image(&b), image(&f));
    // scikit-image 0.26.0: measure.shannon_entropy, metrics.normalized_mutual_information (its (H+H)/H₁₂ turned into
    // Hossny's terms), peak_signal_noise_ratio, structural_similarity(gaussian_weights, sigma 1.5, population
    // covariance, full map averaged over every pixel).
    close("EN", metrics::entropy(f), 7.670_314_429_483_037, 1e-10);
    close("NMI", metrics::normalised_mutual_information(a, b, f).unwrap(), 0.400_280_845_122_384_7, 1e-9);
    close("PSNR", metrics::psnr(a, f).unwrap(), 12.285_299_294_491_928, 1e-10);
    close("SSIM(a, f)", metrics::ssim(a, f).unwrap(), 0.576_592_501_335_934, 1e-6);
    close("SSIM(b, f)", metrics::ssim(b, f).unwrap(), 0.529_021_342_566_852_7, 1e-6);
    // NumPy 2.4.6: histogram2d, corrcoef, diff, std.
    close("MI", metrics::mutual_information(a, b, f).unwrap(), 3.101_377_707_521_987, 1e-9);
    close("SCD", metrics::scd(a, b, f).unwrap(), 1.376_242_821_934_24, 1e-10);
    close("SF", metrics::spatial_frequency(f), 39.134_678_497_503_2, 1e-10);
    close("SD", metrics::standard_deviation(f), 52.524_831_609_888_395, 1e-10);
    close("AG", metrics::average_gradient(f), 14.344_832_277_359_234, 1e-10);
    // sewar 0.4.10 vifp; piq 0.8.0 vif_p gives 0.147213178152 and 0.134109461666.
    close("VIF(a, f)", metrics::vif(a, f).unwrap(), 0.147_213_178_156_597_73, 1e-9);
    close("VIF(b, f)", metrics::vif(b, f).unwrap(), 0.134_109_461_668_843_16, 1e-9);
    // piq 0.8.0 multi_scale_ssim.
    close("MS-SSIM(a, f)", metrics::ms_ssim(a, f).unwrap(), 0.623_700_795_404_174_2, 1e-6);
    close("MS-SSIM(b, f)", metrics::ms_ssim(b, f).unwrap(), 0.602_856_820_876_73, 1e-6);
    // SciPy 1.17.1: ndimage.sobel(mode="mirror"), then the paper's formula on arrays.
    close("Qabf", metrics::qabf(a, b, f).unwrap(), 0.408_616_117_609_062_13, 1e-10);

    let all = FusionScores::of(a, b, f).unwrap();
    close("VIF", all.vif, 0.281_322_639_825_440_9, 1e-9);
    assert_eq!((all.ssim_vis, all.ssim_ir), (metrics::ssim(a, f).unwrap(), metrics::ssim(b, f).unwrap()));
}

#[test]
fn unequal_or_empty_pictures_are_errors() {
    let (small, large) = ([0; 6], [0; 8]);
    assert_eq!(Image::new(&small, 2, 2), Err(MetricError::Shape { width: 2, height: 2, bytes: 6 }));
    assert!(Image::new(&[], 0, 0).is_err() && Image::new(&small, usize::MAX, 3).is_err());
    let (a, b) = (Image::new(&small, 2, 3).unwrap(), Image::new(&large, 2, 4).unwrap());
    let mismatch = Err(MetricError::Mismatch { a: [2, 3], b: [2, 4] });
    assert_eq!(metrics::ssim(a, b), mismatch);
    assert_eq!(metrics::mutual_information(a, b, b), mismatch);
    for f in [metrics::scd, metrics::qabf, metrics::normalised_mutual_information] {
        assert!(f(a, b, b).is_err() && f(b, a, b).is_err());
    }
    let text = FusionScores::of(a, a, a).unwrap_err().to_string();
    assert_eq!(text, "VIF needs at least 41x41 px: the picture has 2x3");
}
