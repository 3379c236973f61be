//! Synthetic rigs whose cameras look apart by a known amount.
#![forbid(unsafe_code)]

use fusionproxy_calibrate::{CalibrateError, Pair, Picture, calibrate};
use fusionproxy_core::align::Model;
use fusionproxy_eval::scene::{Condition, Misalignment, Scene, View};

const VISIBLE: (usize, usize) = (320, 240);
/// A map is found to within this, visible px; docs/calibration.md says so.
const WITHIN_PX: f64 = 0.6;

/// Pairs of a rig whose thermal frames are `infrared` px and off by `misalignment`.
fn pairs(infrared: (usize, usize), misalignment: Misalignment) -> Vec<Pair> {
    [(Condition::Day, 3), (Condition::Dusk, 5), (Condition::Night, 8), (Condition::Dusk, 11)]
        .into_iter()
        .map(|(condition, seed)| {
            let mut scene = Scene::new(seed, condition);
            let view = View::new(VISIBLE.0, VISIBLE.1).at(2.0);
            let mut rgb = vec![0; view.pixels() * 3];
            scene.render_visible(&view, &mut rgb).unwrap();
            let luma: Vec<f32> = rgb
                .chunks(3)
                .map(|p| 0.3 * f32::from(p[0]) + 0.6 * f32::from(p[1]) + 0.1 * f32::from(p[2]))
                .collect();
            let own = View { misalignment, ..View::new(infrared.0, infrared.1).at(2.0) };
            let mut kelvin = vec![0u16; own.pixels()];
            scene.render_infrared(&own, &mut kelvin).unwrap();
            Pair {
                name: format!("{condition:?} {seed}"),
                visible: Picture::new(VISIBLE.0, VISIBLE.1, luma).unwrap(),
                infrared: Picture::new(infrared.0, infrared.1, kelvin).unwrap(),
            }
        })
        .collect()
}

/// Largest distance, in visible px, between where the found and the true map put a grid of infrared pixels.
fn worst(matrix: &[f32; 9], infrared: (usize, usize), m: Misalignment) -> f64 {
    let (w, h) = (infrared.0 as f64, infrared.1 as f64);
    let scale = VISIBLE.0 as f64 / w;
    let mut worst = 0.0f64;
    for k in 0..25 {
        let (x, y) = (f64::from(k % 5) / 4.0 * (w - 1.0), f64::from(k / 5) / 4.0 * (h - 1.0));
        // Undo shift, rotation and magnification about the centre, then go to the visible frame's pixels.
        let (cx, cy) = (x - (w - 1.0) / 2.0 - f64::from(m.dx), y - (h - 1.0) / 2.0 - f64::from(m.dy));
        let (sin, cos) = f64::from(m.rotation_deg).to_radians().sin_cos();
        let s = scale / f64::from(m.scale);
        let want = [
            (cos * cx + sin * cy) * s + (VISIBLE.0 as f64 - 1.0) / 2.0,
            (-sin * cx + cos * cy) * s + (VISIBLE.1 as f64 - 1.0) / 2.0,
        ];
        let of = |r: usize| {
            f64::from(matrix[3 * r]) * x + f64::from(matrix[3 * r + 1]) * y + f64::from(matrix[3 * r + 2])
        };
        let found = [of(0) / of(2), of(1) / of(2)];
        worst = worst.max((found[0] - want[0]).hypot(found[1] - want[1]));
    }
    worst
}

#[test]
fn the_map_of_a_rig_is_found() {
    for (infrared, m) in [
        ((320, 240), Misalignment { dx: 9.0, dy: -6.0, rotation_deg: 1.5, scale: 1.08 }),
        ((160, 120), Misalignment { dx: -11.0, dy: 7.0, rotation_deg: -2.0, scale: 1.3 }),
        ((160, 120), Misalignment::NONE),
    ] {
        let found = calibrate(&pairs(infrared, m), Model::Affine, &mut |_, _| ()).unwrap();
        let error = worst(&found.calibration.matrix(), infrared, m);
        let stated = found.calibration.rms_error_px();
        println!(
            "{m:?}: {error:.2} px off at worst, stated {stated:.2}, correlation {:.3}",
            found.correlation
        );
        assert!(error < WITHIN_PX, "{m:?}: {error} px");
        assert!(stated < 2.0 && found.correlation > 0.1 && found.blocks > 10, "{found:?}");
    }
}

#[test]
fn a_homography_is_as_good() {
    let m = Misalignment { dx: 6.0, dy: 4.0, rotation_deg: 1.0, scale: 1.1 };
    let found = calibrate(&pairs((160, 120), m), Model::Homography, &mut |_, _| ()).unwrap();
    assert_eq!(found.calibration.model(), Model::Homography);
    let error = worst(&found.calibration.matrix(), (160, 120), m);
    println!("{error:.2} px off at worst");
    assert!(error < WITHIN_PX, "{error} px");
}

#[test]
fn steps_are_told_in_order() {
    let mut told = vec![];
    let few = pairs((80, 60), Misalignment::NONE);
    calibrate(&few, Model::Affine, &mut |step, of| told.push((step, of))).unwrap();
    assert!(told.windows(2).all(|w| w[1].0 == w[0].0 + 1));
    assert_eq!(told.last().map(|(step, _)| step + 1), told.last().map(|(_, of)| *of));
}

#[test]
fn frames_that_do_not_belong_together_are_refused() {
    let good = pairs((80, 60), Misalignment::NONE);
    let message = |pairs: &[Pair]| calibrate(pairs, Model::Affine, &mut |_, _| ()).unwrap_err().to_string();
    assert!(message(&[]).contains("no pairs"));
    let mut mixed = good.clone();
    mixed[1].infrared = Picture::new(40, 30, vec![0u8; 1200]).unwrap();
    let said = message(&mixed);
    assert!(said.contains("Dusk 5: the infrared frame is 40x30 px, that of Day 3 80x60"), "{said}");
    let mut small = good[..1].to_vec();
    small[0].infrared = Picture::new(8, 8, vec![0u8; 64]).unwrap();
    assert!(message(&small).contains("8x8"));
    // Nothing to see at all, and noise that has nothing to do with the visible frame.
    let mut state = 1u32;
    let mut noise = |_: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for field in [vec![7u8; 4800], (0..4800).map(&mut noise).collect()] {
        let blind: Vec<Pair> = good
            .iter()
            .map(|p| Pair { infrared: Picture::new(80, 60, field.clone()).unwrap(), ..p.clone() })
            .collect();
        let error = calibrate(&blind, Model::Affine, &mut |_, _| ()).unwrap_err();
        use CalibrateError::{Disagree, FewEdges, NothingInCommon};
        assert!(matches!(error, NothingInCommon { .. } | FewEdges { .. } | Disagree { .. }), "{error}");
    }
}
