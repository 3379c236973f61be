//! Synthetic scenes: the same bytes everywhere, registered bands, distinct conditions, any size.

use fusionproxy_eval::scene::{Condition, Misalignment, Scene, SceneError, View, linear8};
use proptest::prelude::*;

fn pair(seed: u64, condition: Condition, view: &View) -> (Vec<u8>, Vec<u16>) {
    let mut rgb = vec![0; view.pixels() * 3];
    let mut ir = vec![0; view.pixels()];
    Scene::new(seed, condition).render(view, &mut rgb, &mut ir).unwrap();
    (rgb, ir)
}

/// FNV-1a, 64 bit.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn same_bytes_on_every_platform() {
    let golden: [(Condition, u64); 5] = [
        (Condition::Day, 0x7260_57e9_f3bf_0261),
        (Condition::Dusk, 0x0fd8_d555_7325_a0f2),
        (Condition::Night, 0xbc4c_9675_fbc9_6edf),
        (Condition::Fog, 0xa2fa_20df_5490_9445),
        (Condition::Glare, 0xf843_4c1c_57eb_5cbd),
    ];
    let view = View::new(96, 72).at(1.5);
    let found = golden.map(|(condition, _)| {
        let (rgb, ir) = pair(7, condition, &view);
        (condition, fnv(rgb.into_iter().chain(ir.into_iter().flat_map(u16::to_le_bytes))))
    });
    assert_eq!(found, golden, "the pictures changed: check them by eye, then store {found:#x?}");
}

#[test]
fn reused_scene_draws_the_same() {
    let view = View::new(80, 60).at(4.0);
    let (rgb, ir) = pair(3, Condition::Night, &view);
    let mut scene = Scene::new(3, Condition::Night);
    let (mut other_rgb, mut other_ir) = (vec![0; 31 * 7 * 3], vec![0; 31 * 7]);
    scene.render(&View::new(31, 7).at(9.0), &mut other_rgb, &mut other_ir).unwrap();
    let (mut rgb2, mut ir2) = (vec![0; rgb.len()], vec![0; ir.len()]);
    scene.render(&view, &mut rgb2, &mut ir2).unwrap();
    assert!(rgb == rgb2 && ir == ir2);
    // The single-band calls give the same pictures.
    let (mut rgb3, mut ir3) = (vec![0; rgb.len()], vec![0; ir.len()]);
    scene.render_infrared(&view, &mut ir3).unwrap();
    scene.render_visible(&view, &mut rgb3).unwrap();
    assert!(rgb == rgb3 && ir == ir3);
}

#[test]
fn seeds_times_and_conditions_differ() {
    let view = View::new(64, 48);
    let base = pair(1, Condition::Night, &view);
    assert_ne!(base, pair(2, Condition::Night, &view));
    assert_ne!(base, pair(1, Condition::Night, &view.at(0.5)));
    for (i, a) in Condition::ALL.into_iter().enumerate() {
        for b in &Condition::ALL[..i] {
            let ((va, ia), (vb, ib)) = (pair(1, a, &view), pair(1, *b, &view));
            let luma = |v: &[u8]| v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
            let kelvin = |v: &[u16]| v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64 / 100.0;
            let apart = (luma(&va) - luma(&vb)).abs() > 3.0 || (kelvin(&ia) - kelvin(&ib)).abs() > 0.5;
            assert!(apart, "{} and {} look alike", a.name(), b.name());
        }
    }
}

/// Gradient magnitude of a picture.
fn edges(picture: &[f32], w: usize, h: usize) -> Vec<f32> {
    let mut out = vec![0.0; w * h];
    for y in 1..h - 1 {
        for x in 1..w - 1 {
            let (gx, gy) = (
                picture[y * w + x + 1] - picture[y * w + x - 1],
                picture[(y + 1) * w + x] - picture[(y - 1) * w + x],
            );
            out[y * w + x] = (gx * gx + gy * gy).sqrt().min(40.0);
        }
    }
    out
}

/// The whole-pixel shift of `b` against `a` at which their edges agree best.
fn best_shift(a: &[f32], b: &[f32], w: usize, h: usize) -> (i32, i32) {
    let mut best = (f64::MIN, (0, 0));
    for dy in -6..=6_i32 {
        for dx in -6..=6_i32 {
            let mut sum = 0.0;
            for y in 8..h as i32 - 8 {
                for x in 8..w as i32 - 8 {
                    let at = |x: i32, y: i32| y as usize * w + x as usize;
                    sum += f64::from(a[at(x, y)] * b[at(x + dx, y + dy)]);
                }
            }
            if sum > best.0 {
                best = (sum, (dx, dy));
            }
        }
    }
    best.1
}

#[test]
fn bands_are_registered_and_misaligned_as_asked() {
    let view = View::new(320, 240).at(1.0);
    for (dx, dy) in [(0, 0), (4, -3), (-5, 2)] {
        let shift = Misalignment { dx: dx as f32, dy: dy as f32, ..Misalignment::NONE };
        let (rgb, ir) = pair(11, Condition::Day, &view.misaligned(shift));
        let luma: Vec<f32> = rgb.as_chunks::<3>().0.iter().map(|p| f32::from(p[1])).collect();
        let heat: Vec<f32> = ir.iter().map(|&t| f32::from(t) * 0.1).collect();
        let (a, b) = (edges(&luma, 320, 240), edges(&heat, 320, 240));
        assert_eq!(best_shift(&a, &b, 320, 240), (dx, dy));
    }
}

#[test]
fn misalignment_turns_and_scales_about_the_centre() {
    let view = View::new(200, 160).at(1.0);
    let m = Misalignment { dx: 3.0, dy: 1.0, rotation_deg: 5.0, scale: 1.1 };
    let (rgb, straight) = pair(11, Condition::Night, &view);
    let (rgb2, turned) = pair(11, Condition::Night, &view.misaligned(m));
    assert_eq!(rgb, rgb2, "the visible camera does not move");
    let (s, c) = 5.0_f64.to_radians().sin_cos();
    let (mut near, mut all) = (0, 0);
    for y in 20..140_usize {
        for x in 20..180_usize {
            // Clockwise on a picture whose rows run down.
            let (u, v) = (x as f64 + 0.5 - 100.0, y as f64 + 0.5 - 80.0);
            let (px, py) = (1.1 * (c * u - s * v) + 103.0, 1.1 * (s * u + c * v) + 81.0);
            if !(0.0..200.0).contains(&px) || !(0.0..160.0).contains(&py) {
                continue;
            }
            all += 1;
            let t = f64::from(straight[y * 200 + x]) - f64::from(turned[py as usize * 200 + px as usize]);
            near += i32::from(t.abs() < 80.0);
        }
    }
    assert!(near > all * 9 / 10, "{near} of {all} pixels within 0.8 K");
}

#[test]
fn people_stand_out_in_the_thermal_band_at_night() {
    let (rgb, ir) = pair(11, Condition::Night, &View::new(320, 240).at(1.0));
    let skin: Vec<usize> = (0..ir.len()).filter(|&i| ir[i] > 30000).collect();
    assert!(skin.len() > 20, "{} pixels above 300 K", skin.len());
    let mut sorted = ir.clone();
    sorted.sort_unstable();
    assert!(sorted[ir.len() / 2] < 28700, "the street is cold");
    let mean = rgb.iter().map(|&v| u32::from(v)).sum::<u32>() as usize / rgb.len();
    assert!(mean < 40, "the night is dark: mean {mean}");
}

#[test]
fn one_pixel_and_extreme_shapes() {
    for (w, h) in [(1, 1), (1, 9), (9, 1), (33, 2), (640, 3)] {
        for condition in Condition::ALL {
            let (rgb, ir) = pair(5, condition, &View::new(w, h));
            assert!(rgb.len() == w * h * 3 && ir.iter().all(|&t| (20000..40000).contains(&t)));
        }
    }
}

#[test]
fn errors_name_the_cause() {
    let mut scene = Scene::new(0, Condition::Fog);
    let (mut rgb, mut ir) = (vec![0; 12], vec![0; 4]);
    let mut draw = |v: View| scene.render(&v, &mut rgb, &mut ir).unwrap_err();
    assert_eq!(draw(View::new(0, 4)), SceneError::Size { width: 0, height: 4 });
    assert_eq!(draw(View::new(9000, 4)), SceneError::Size { width: 9000, height: 4 });
    assert!(matches!(draw(View::new(2, 2).at(f64::NAN)), SceneError::Time(_)));
    let flat = Misalignment { scale: 0.0, ..Misalignment::NONE };
    assert!(matches!(draw(View::new(2, 2).misaligned(flat)), SceneError::Misalignment(_)));
    let short = draw(View::new(3, 2));
    assert_eq!(short, SceneError::Buffer { name: "visible", expected: 18, found: 12 });
    assert!(short.to_string().contains("exactly 18"));
}

#[test]
fn linear_grey_is_clamped() {
    let mut out = [9; 4];
    linear8(&[27000, 28000, 29000, 40000], 280.0, 300.0, &mut out);
    assert_eq!(out, [0, 0, 128, 255]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_view_renders(
        seed: u64, w in 1..70_usize, h in 1..70_usize, time in -1e9..1e9_f64, which in 0..5_usize,
        dx in -90.0..90.0_f32, dy in -90.0..90.0_f32, turn in -200.0..200.0_f32, scale in 0.02..40.0_f32,
    ) {
        let m = Misalignment { dx, dy, rotation_deg: turn, scale };
        let (_, ir) = pair(seed, Condition::ALL[which], &View::new(w, h).at(time).misaligned(m));
        prop_assert!(ir.iter().all(|&t| (22000..38000).contains(&t)));
    }
}
