use fusionproxy_core::frame::{FrameInfo, InfraredFormat, InfraredFrame};
use fusionproxy_core::gain::{Curve, Follow, GainControl, GainError, GainSettings};
use fusionproxy_core::health::SensorState;
use proptest::prelude::*;

const LINEAR: GainSettings = GainSettings {
    curve: Curve::Linear,
    low_tail_permille: 0,
    high_tail_permille: 0,
    min_span: 16,
    time_constant_frames: 0,
};
const PLATEAU: GainSettings =
    GainSettings { curve: Curve::Plateau { plateau_percent: 300, linear_percent: 20 }, ..LINEAR };

fn bytes(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn frame(format: InfraredFormat, width: usize, data: &[u8]) -> InfraredFrame<'_> {
    let stride = format.row_bytes(width);
    InfraredFrame::new(format, width, data.len() / stride, stride, data, FrameInfo::STILL).unwrap()
}

fn apply(gain: &GainControl, frame: &InfraredFrame<'_>) -> Vec<u8> {
    let mut out = vec![0; frame.width() * frame.height()];
    gain.apply(frame, 0..frame.height(), &mut out, frame.width()).unwrap();
    out
}

/// Observes and applies words as one Y16 frame of 10 columns.
fn run(gain: &mut GainControl, words: &[u16]) -> Vec<u8> {
    let data = bytes(words);
    let frame = frame(InfraredFormat::Y16, 10, &data);
    gain.observe(&frame, Follow::Smoothly);
    apply(gain, &frame)
}

/// A background with some spread and a warm object on a tenth of the pixels.
fn scene(background: u16, object: u16) -> Vec<u16> {
    (0..400u16).map(|i| if i % 10 == 9 { object + i % 7 } else { background + i * 37 % 61 }).collect()
}

#[test]
fn the_linear_curve_spreads_the_limits() {
    let mut gain = GainControl::new(LINEAR).unwrap();
    let out = run(&mut gain, &(0..100).map(|i| 7000 + i * 3).collect::<Vec<_>>());
    assert_eq!(gain.limits(), (7000, 7297));
    for (i, &o) in out.iter().enumerate() {
        assert!((f64::from(o) - i as f64 * 3.0 * 255.0 / 297.0).abs() <= 0.51, "{i} {o}");
    }
}

#[test]
fn tails_are_rejected_and_outliers_cost_no_resolution() {
    let settings = GainSettings { low_tail_permille: 10, high_tail_permille: 20, ..LINEAR };
    let mut gain = GainControl::new(settings).unwrap();
    let mut words: Vec<u16> = (0..1000).map(|i| 8000 + i % 500).collect();
    words[3] = 0;
    words[500] = 65_535;
    run(&mut gain, &words);
    // Sorted: 0, then pairs 8000, 8000, 8001, …: number 11 of 1000 from below, number 981 from below.
    let mut sorted = words.clone();
    sorted.sort_unstable();
    assert_eq!(gain.limits(), (i32::from(sorted[10]), i32::from(sorted[979])));
}

#[test]
fn a_flat_scene_is_mid_grey() {
    for settings in [LINEAR, PLATEAU, GainSettings::DEFAULT, GainSettings::STILL] {
        for value in [0, 1, 8192, 65_535] {
            let mut gain = GainControl::new(settings).unwrap();
            let out = run(&mut gain, &[value; 50]);
            assert!(out.iter().all(|&o| (127..=128).contains(&o)), "{settings:?} {value} {}", out[0]);
        }
    }
}

#[test]
fn the_least_span_limits_the_gain() {
    for settings in [LINEAR, PLATEAU] {
        let settings = GainSettings { min_span: 255, ..settings };
        let mut gain = GainControl::new(settings).unwrap();
        let out = run(&mut gain, &[8000, 8001, 8002, 8003, 8004, 8000, 8001, 8002, 8003, 8004]);
        // At most one level a count, or twice that with what plateau equalisation leaves over.
        assert!(out[4] - out[0] <= 8, "{out:?}");
        assert!(out[4] > out[0]);
    }
}

#[test]
fn plateau_equalisation_gives_levels_to_where_pixels_are() {
    let mut linear = GainControl::new(LINEAR).unwrap();
    let mut plateau = GainControl::new(PLATEAU).unwrap();
    let words = scene(8000, 9000);
    let contrast = |out: &[u8]| {
        let background = out.iter().enumerate().filter(|(i, _)| i % 10 != 9).map(|(_, &o)| o);
        background.clone().max().unwrap() - background.min().unwrap()
    };
    let (a, b) = (run(&mut linear, &words), run(&mut plateau, &words));
    assert!(contrast(&b) > 4 * contrast(&a), "{} {}", contrast(&a), contrast(&b));
    assert!(b[9] > b[8], "the object stays brighter than the background");
    assert!(b[9] >= 200, "{}", b[9]);
}

#[test]
fn two_temperatures_stay_apart() {
    let words: Vec<u16> = (0..400).map(|i| if i % 10 == 9 { 9000 } else { 8000 }).collect();
    let out = run(&mut GainControl::new(PLATEAU).unwrap(), &words);
    assert!(out[9] - out[8] > 200, "{} {}", out[8], out[9]);
}

#[test]
fn eight_bits_pass_through_and_change_nothing() {
    let data = super::noise(60, 5);
    let mut gain = GainControl::new(GainSettings::DEFAULT).unwrap();
    let limits = gain.limits();
    let frame = frame(InfraredFormat::Grey8, 10, &data);
    gain.observe(&frame, Follow::Afresh);
    assert_eq!(gain.limits(), limits);
    assert_eq!(apply(&gain, &frame), data);
}

#[test]
fn y14_ignores_the_two_high_bits() {
    let words: Vec<u16> = (0..100).map(|i| 5000 + i).collect();
    let marked: Vec<u16> = words.iter().map(|w| w | 0xc000).collect();
    let (plain, marked) = (bytes(&words), bytes(&marked));
    for settings in [LINEAR, PLATEAU] {
        let mut a = GainControl::new(settings).unwrap();
        let mut b = a.clone();
        let (plain, marked) =
            (frame(InfraredFormat::Y14, 10, &plain), frame(InfraredFormat::Y14, 10, &marked));
        a.observe(&plain, Follow::Smoothly);
        b.observe(&marked, Follow::Smoothly);
        assert_eq!(a.limits(), (5000, 5099));
        assert_eq!(apply(&a, &plain), apply(&b, &marked));
    }
}

#[test]
fn smoothing_follows_with_its_time_constant() {
    for settings in [LINEAR, PLATEAU] {
        let mut gain = GainControl::new(GainSettings { time_constant_frames: 7, ..settings }).unwrap();
        let (before, after) = (scene(8000, 8500), scene(8000, 9300));
        let first = run(&mut gain, &before);
        assert_eq!(gain.limits(), (8000, 8506), "the first frame is taken at once");
        let second = run(&mut gain, &after);
        assert_eq!(gain.limits(), (8000, 8606), "an eighth of the way");
        // Background pixels do not jump when the object warms up.
        for (i, (a, b)) in first.iter().zip(&second).enumerate().filter(|(i, _)| i % 10 != 9) {
            assert!(a.abs_diff(*b) <= 16, "{i} {a} {b}");
        }
        for _ in 0..120 {
            run(&mut gain, &after);
        }
        let high = gain.limits().1;
        assert!((9305..=9307).contains(&high), "{high}");
        let mut fresh = GainControl::new(settings).unwrap();
        for (a, b) in run(&mut gain, &after).iter().zip(run(&mut fresh, &after)) {
            assert!(a.abs_diff(b) <= 1, "settles on the frame's own curve: {a} {b}");
        }
    }
}

#[test]
fn a_cut_is_taken_at_once() {
    let mut gain = GainControl::new(GainSettings { time_constant_frames: 50, ..PLATEAU }).unwrap();
    run(&mut gain, &scene(8000, 8500));
    let words = bytes(&scene(12_000, 12_900));
    let cut = frame(InfraredFormat::Y16, 10, &words);
    gain.observe(&cut, Follow::Afresh);
    let mut fresh = GainControl::new(PLATEAU).unwrap();
    fresh.observe(&cut, Follow::Smoothly);
    assert_eq!(apply(&gain, &cut), apply(&fresh, &cut));
}

#[test]
fn a_change_of_format_is_a_cut() {
    let mut gain = GainControl::new(GainSettings { time_constant_frames: 50, ..LINEAR }).unwrap();
    run(&mut gain, &scene(40_000, 41_000));
    let words = bytes(&(0..100).map(|i| 5000 + i).collect::<Vec<_>>());
    gain.observe(&frame(InfraredFormat::Y14, 10, &words), Follow::Smoothly);
    assert_eq!(gain.limits(), (5000, 5099));
}

#[test]
fn the_shutter_holds_the_curve() {
    let mut gain = GainControl::new(GainSettings { time_constant_frames: 3, ..PLATEAU }).unwrap();
    let flat = bytes(&[7000; 100]);
    let info = FrameInfo { state: SensorState::Ffc, ..FrameInfo::STILL };
    let shutter = InfraredFrame::new(InfraredFormat::Y16, 10, 10, 20, &flat, info).unwrap();

    // A shutter at power-on is shown, but not followed: the first frame of the scene is taken at once.
    gain.observe(&shutter, Follow::Smoothly);
    assert!(gain.is_held());
    assert!((127..=128).contains(&apply(&gain, &shutter)[0]));
    let words = scene(8000, 8500);
    let out = run(&mut gain, &words);
    assert!(!gain.is_held());
    assert_eq!(gain.limits(), (8000, 8506));

    gain.observe(&shutter, Follow::Smoothly);
    assert!(gain.is_held());
    let data = bytes(&words);
    let scene = frame(InfraredFormat::Y16, 10, &data);
    assert_eq!(apply(&gain, &scene), out, "the curve is the one before the shutter closed");
    gain.observe(&scene, Follow::Not);
    assert!(gain.is_held());
}

#[test]
fn settings_out_of_range_are_named() {
    let error = |settings| GainControl::new(settings).unwrap_err();
    assert_eq!(error(GainSettings { min_span: 0, ..LINEAR }), GainError::MinSpan);
    assert_eq!(
        error(GainSettings { low_tail_permille: 600, high_tail_permille: 400, ..LINEAR }),
        GainError::Tails { low: 600, high: 400 }
    );
    let curve = |plateau_percent, linear_percent| Curve::Plateau { plateau_percent, linear_percent };
    assert_eq!(error(GainSettings { curve: curve(0, 0), ..LINEAR }), GainError::Plateau);
    assert_eq!(error(GainSettings { curve: curve(1, 101), ..LINEAR }), GainError::LinearPercent(101));
}

#[test]
fn large_frames_are_sampled() {
    let words: Vec<u16> = (0..640 * 480u32).map(|i| (i % 900) as u16).collect();
    let data = bytes(&words);
    let frame = frame(InfraredFormat::Y16, 640, &data);
    let mut gain = GainControl::new(LINEAR).unwrap();
    gain.observe(&frame, Follow::Smoothly);
    let (low, high) = gain.limits();
    assert!(low <= 9 && high >= 890, "{low} {high}");
}

fn settings() -> impl Strategy<Value = GainSettings> {
    let curve = prop_oneof![
        Just(Curve::Linear),
        (1u16.., 0u8..=100)
            .prop_map(|(plateau_percent, linear_percent)| Curve::Plateau { plateau_percent, linear_percent }),
    ];
    (curve, 0u16..450, 0u16..450, 1u16.., 0u16..20).prop_map(|(curve, low, high, min_span, frames)| {
        GainSettings {
            curve,
            low_tail_permille: low,
            high_tail_permille: high,
            min_span,
            time_constant_frames: frames,
        }
    })
}

proptest! {
    /// No settings and no words panic or overflow; hotter is never darker; rows split anywhere.
    #[test]
    fn hotter_is_never_darker(
        settings in settings(), y14: bool, spread in 0u32..16, cut in 0usize..9,
        frames in prop::collection::vec(prop::collection::vec(any::<u16>(), 72..73), 1..4),
    ) {
        let format = if y14 { InfraredFormat::Y14 } else { InfraredFormat::Y16 };
        let mut gain = GainControl::new(settings).unwrap();
        for words in &frames {
            let words: Vec<u16> = words.iter().map(|w| (w >> spread).saturating_add(300)).map(|w| w & format.max_value()).collect();
            let data = bytes(&words);
            let frame = frame(format, 8, &data);
            gain.observe(&frame, Follow::Smoothly);
            let out = apply(&gain, &frame);
            let mut pairs: Vec<(u16, u8)> = words.iter().copied().zip(out.iter().copied()).collect();
            pairs.sort_unstable();
            prop_assert!(pairs.windows(2).all(|w| w[0].1 <= w[1].1 || w[0].0 == w[1].0));

            let mut parts = vec![0; 72];
            let (top, bottom) = parts.split_at_mut(cut * 8);
            gain.apply(&frame, 0..cut, top, 8).unwrap();
            gain.apply(&frame, cut..9, bottom, 8).unwrap();
            prop_assert_eq!(out, parts);
        }
    }

    /// The limits are the order statistics that the settings ask for, within the resolution of the fine histogram.
    #[test]
    fn limits_are_order_statistics(
        words in prop::collection::vec(any::<u16>(), 10..300), spread in 0u32..10,
        low in 0u16..300, high in 0u16..300,
    ) {
        let words: Vec<u16> = words.iter().map(|w| w >> spread).collect();
        let n = words.len() / 10 * 10;
        let settings = GainSettings { low_tail_permille: low, high_tail_permille: high, min_span: 1, ..LINEAR };
        let mut gain = GainControl::new(settings).unwrap();
        run(&mut gain, &words[..n]);
        let mut sorted = words[..n].to_vec();
        sorted.sort_unstable();
        let expected_low = i32::from(sorted[n * usize::from(low) / 1000]);
        let expected_high = i32::from(sorted[n - 1 - n * usize::from(high) / 1000]);
        let tolerance = if expected_high - expected_low <= 960 { 1 } else { (expected_high - expected_low) / 400 };
        let (low, high) = gain.limits();
        prop_assert!((low - expected_low).abs() <= tolerance, "{low} {expected_low}");
        prop_assert!((high - expected_high).abs() <= tolerance, "{high} {expected_high}");
    }
}
