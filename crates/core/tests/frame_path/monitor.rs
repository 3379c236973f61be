use fusionproxy_core::monitor::{
    MAX_FEATURES, Mixture, MixtureError, Monitor, Patience, channel_means, encode, encoded_len,
};
use proptest::prelude::*;

fn mixture(weights: &[f32], means: &[f32], variances: &[f32], raise: f32, clear: f32) -> Vec<u8> {
    let mut bytes = vec![0; encoded_len(means.len() / weights.len(), weights.len())];
    encode(weights, means, variances, raise, clear, &mut bytes).unwrap();
    bytes
}

/// `−log p` by the textbook formula in f64.
fn reference(weights: &[f32], means: &[f32], variances: &[f32], x: &[f32]) -> f64 {
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    let logs: Vec<f64> = weights
        .iter()
        .enumerate()
        .map(|(k, &w)| {
            let mut log = (f64::from(w) / total).ln();
            for (i, &x) in x.iter().enumerate() {
                let (m, v) = (f64::from(means[k * 3 + i]), f64::from(variances[k * 3 + i]));
                log -= 0.5 * ((2.0 * std::f64::consts::PI * v).ln() + (f64::from(x) - m).powi(2) / v);
            }
            log
        })
        .collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    -(largest + logs.iter().map(|l| (l - largest).exp()).sum::<f64>().ln())
}

proptest! {
    #[test]
    fn the_score_is_the_negative_log_density(
        weights in prop::collection::vec(0.05f32..1.0, 1..5),
        table in prop::collection::vec((-3.0f32..3.0, 0.1f32..4.0), 12..13),
        x in prop::array::uniform3(-9.0f32..9.0),
    ) {
        let n = weights.len() * 3;
        let (means, variances): (Vec<f32>, Vec<f32>) = table[..n].iter().copied().unzip();
        let bytes = mixture(&weights, &means, &variances, 10.0, 5.0);
        let score = f64::from(Mixture::new(&bytes).unwrap().score(&x).unwrap());
        let expected = reference(&weights, &means, &variances, &x);
        prop_assert!((score - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{score} {expected}");
    }

    /// No bytes panic, and what is accepted scores.
    #[test]
    fn damaged_bytes_give_errors(at in 0usize..76, value: u8, cut in 0usize..80) {
        let mut bytes = mixture(&[0.5, 0.5], &[0.0; 6], &[1.0; 6], 10.0, 5.0);
        bytes[at] = value;
        bytes.truncate(cut);
        if let Ok(mixture) = Mixture::new(&bytes) {
            prop_assert!(mixture.score(&vec![0.5; mixture.features()]).is_ok());
        }
    }

    #[test]
    fn channel_means_are_exact(channels in 1usize..70, pixels in 0usize..30, zero_point: u8, seed: u64) {
        let activation = super::noise(channels * pixels, seed);
        let mut means = vec![f32::NAN; channels];
        channel_means(&activation, 0.25, zero_point, &mut means);
        for (c, &mean) in means.iter().enumerate() {
            let sum: i32 = activation.iter().skip(c).step_by(channels).map(|&v| i32::from(v) - i32::from(zero_point)).sum();
            let expected = if pixels == 0 { 0.0 } else { 0.25 * f64::from(sum) / pixels as f64 };
            prop_assert_eq!(mean, expected as f32);
        }
    }
}

#[test]
fn far_and_broken_features_score_infinitely_bad() {
    let bytes = mixture(&[1.0], &[0.0; 3], &[1e-6; 3], 10.0, 5.0);
    let mixture = Mixture::new(&bytes).unwrap();
    assert_eq!(mixture.score(&[f32::MAX, 0.0, 0.0]).unwrap(), f32::INFINITY);
    assert_eq!(mixture.score(&[f32::NAN, 0.0, 0.0]).unwrap(), f32::INFINITY);
    assert_eq!(mixture.score(&[0.0; 2]), Err(MixtureError::Features { found: 2, needed: 3 }));
}

#[test]
fn the_flag_has_hysteresis() {
    let bytes = mixture(&[1.0], &[0.0], &[1.0], 10.0, 5.0);
    let patience = Patience { raise_after: 3, clear_after: 2 };
    let mut monitor = Monitor::new(Mixture::new(&bytes).unwrap(), patience);
    // Scores are 0.92 + x²/2: 0.92, 5.42 (between the thresholds), 18.9.
    let mut feed = |x: f32| monitor.update(&[x]).unwrap().shifted;
    assert_eq!([feed(6.0), feed(6.0), feed(0.0)], [false; 3], "two odd frames do not raise it");
    assert_eq!([feed(6.0), feed(6.0), feed(6.0)], [false, false, true]);
    assert_eq!([feed(3.0), feed(3.0), feed(3.0)], [true; 3], "the band between the thresholds keeps it");
    assert_eq!([feed(0.0), feed(3.0), feed(0.0)], [true; 3], "one normal frame does not clear it");
    assert!(!feed(0.0));
    assert_eq!([feed(3.0), feed(3.0), feed(3.0)], [false; 3]);
    assert_eq!([feed(f32::NAN), feed(f32::NAN), feed(f32::NAN)], [false, false, true]);
}

#[test]
fn bad_mixtures_are_named() {
    let good = mixture(&[1.0], &[0.0], &[1.0], 10.0, 5.0);
    let with = |at: usize, bytes: &[u8]| {
        let mut damaged = good.clone();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        Mixture::new(&damaged).unwrap_err()
    };
    assert_eq!(with(0, b"X"), MixtureError::Magic);
    assert_eq!(with(4, &[2]), MixtureError::Version(2));
    assert_eq!(with(6, &[0]), MixtureError::Shape { features: 0, components: 1 });
    assert_eq!(with(6, &[2]), MixtureError::Length { found: 32, needed: 40 });
    assert_eq!(with(10, &[1]), MixtureError::Reserved);
    assert_eq!(with(16, &11f32.to_le_bytes()), MixtureError::Thresholds);
    assert_eq!(with(28, &(-1f32).to_le_bytes()), MixtureError::Component(0));
    assert_eq!(Mixture::new(&[]).unwrap_err(), MixtureError::Length { found: 0, needed: 20 });
    let mut out = vec![0; encoded_len(1, 1)];
    assert_eq!(encode(&[1.0], &[0.0], &[0.0], 1.0, 1.0, &mut out), Err(MixtureError::Component(0)));
    let many = vec![0.0; MAX_FEATURES + 1];
    assert_eq!(
        encode(&[1.0], &many, &many, 1.0, 1.0, &mut out),
        Err(MixtureError::Shape { features: MAX_FEATURES + 1, components: 1 })
    );
}
