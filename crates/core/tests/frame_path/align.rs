use fusionproxy_core::align::{Calibration, FileError, FileProblem, GeometryError, Model, Warp};
use fusionproxy_core::frame::{FrameError, Plane};
use proptest::prelude::*;

const FILE: &str = "\
# rig 7
fusionproxy calibration 1

model = homography   # found with a heated checkerboard
infrared = 160x120
visible = 640x480
matrix = 3.9 0.01 12.5  -0.02 3.92 8.25  0 0.000001 1
rms_error_px = 0.8
";

fn homography(
    infrared: (usize, usize),
    visible: (usize, usize),
    m: [f32; 9],
) -> Result<Calibration, GeometryError> {
    Calibration::new(Model::Homography, infrared, visible, m, 0.5)
}

/// A homography as a perturbation of the scaling from infrared to visible size: rotation, shear, shift and
/// perspective, relative to the frame.
fn perturbed(infrared: (usize, usize), visible: (usize, usize), p: [f32; 8]) -> [f32; 9] {
    let (sx, sy) = (visible.0 as f32 / infrared.0 as f32, visible.1 as f32 / infrared.1 as f32);
    let (w, h) = (infrared.0 as f32, infrared.1 as f32);
    [
        sx * (1.0 + p[0]),
        sx * p[1],
        p[2] * sx * w,
        sy * p[3],
        sy * (1.0 + p[4]),
        p[5] * sy * h,
        p[6] / w,
        p[7] / h,
        1.0,
    ]
}

/// Source of a visible pixel by Cramer's rule in f64.
fn exact_source(m: &[f32; 9], x: usize, y: usize) -> (f64, f64) {
    let m: Vec<f64> = m.iter().map(|&v| f64::from(v)).collect();
    let (u, v) = (x as f64, y as f64);
    // (m0 − u m6) X + (m1 − u m7) Y = u m8 − m2, and likewise for v.
    let (a, b, e) = (m[0] - u * m[6], m[1] - u * m[7], u * m[8] - m[2]);
    let (c, d, f) = (m[3] - v * m[6], m[4] - v * m[7], v * m[8] - m[5]);
    let determinant = a * d - b * c;
    ((e * d - b * f) / determinant, (a * f - e * c) / determinant)
}

#[test]
fn a_file_reads_and_writes_back() {
    let calibration: Calibration = FILE.parse().unwrap();
    assert_eq!(calibration.model(), Model::Homography);
    assert_eq!((calibration.infrared(), calibration.visible()), ((160, 120), (640, 480)));
    assert_eq!(calibration.matrix(), [3.9, 0.01, 12.5, -0.02, 3.92, 8.25, 0.0, 0.000_001, 1.0]);
    assert_eq!(calibration.rms_error_px(), 0.8);
    assert_eq!(calibration.to_string().parse(), Ok(calibration));
    assert_eq!(FILE.replace('\n', "\r\n").parse(), Ok(calibration));
}

#[test]
fn file_errors_name_line_and_problem() {
    let fails = |from: &str, to: &str| {
        assert!(FILE.contains(from));
        FILE.replace(from, to).parse::<Calibration>().unwrap_err()
    };
    let at = |line, problem| FileError { line, problem };
    assert_eq!("".parse::<Calibration>().unwrap_err(), at(1, FileProblem::Header));
    assert_eq!(fails("fusionproxy", "fusion"), at(2, FileProblem::Header));
    assert_eq!(fails("calibration 1", "calibration 2"), at(2, FileProblem::Version));
    assert_eq!(fails("model = ", "model "), at(4, FileProblem::Syntax));
    assert_eq!(fails("model =", "Model ="), at(4, FileProblem::UnknownKey));
    assert_eq!(fails("= homography", "= thin-plate"), at(4, FileProblem::Model));
    assert_eq!(fails("160x120", "160"), at(5, FileProblem::Dimensions));
    assert_eq!(fails("160x120", "160x-1"), at(5, FileProblem::Dimensions));
    assert_eq!(fails("visible = 640x480", "infrared = 160x120"), at(6, FileProblem::Duplicate("infrared")));
    assert_eq!(fails("visible = 640x480\n", ""), at(7, FileProblem::Missing("visible")));
    assert_eq!(fails("12.5", "12,5"), at(7, FileProblem::Number));
    assert_eq!(fails("0.01 12.5", "12.5"), at(7, FileProblem::Entries(8)));
    assert_eq!(fails("0.01 12.5", "0.01 12.5 0"), at(7, FileProblem::Entries(10)));
    assert_eq!(fails("12.5", "NaN"), at(7, FileProblem::Geometry(GeometryError::NotFinite)));
    assert_eq!(fails("homography ", "affine "), at(7, FileProblem::Geometry(GeometryError::AffineRow)));
    assert_eq!(fails("0.8", "-1"), at(8, FileProblem::Geometry(GeometryError::RmsError)));
    assert_eq!(
        fails("640x480", "0x480"),
        at(6, FileProblem::Geometry(GeometryError::Size { which: "visible", found: (0, 480) }))
    );
    assert_eq!(fails("12.5", "x").to_string(), "calibration, line 7: expected a number");
}

#[test]
fn maps_that_no_rig_has_are_refused() {
    let make = |m| homography((160, 120), (640, 480), m).map(|_| ());
    assert_eq!(make([4.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0, 1.0]), Err(GeometryError::Singular));
    assert_eq!(make([0.0; 9]), Err(GeometryError::Singular));
    assert_eq!(make([1e-3, 0.0, 0.0, 0.0, 1e-3, 0.0, 0.0, 0.0, 1.0]), Err(GeometryError::FarOutside));
    assert_eq!(make([4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.02, 0.0, 1.0]), Err(GeometryError::Horizon));
    assert_eq!(make([4.0, 0.0, 1e8, 0.0, 4.0, 0.0, 0.0, 0.0, 1.0]), Err(GeometryError::FarOutside));
    // A homography has no scale: a negative multiple is the same map.
    let m = [3.9, 0.01, 12.5, -0.02, 3.92, 8.25, 1e-5, 1e-6, 1.0];
    let a = Warp::new(&homography((160, 120), (640, 480), m).unwrap());
    let b = Warp::new(&homography((160, 120), (640, 480), m.map(|v| v * -2.0)).unwrap());
    assert_eq!(a.source(100, 200), b.source(100, 200));
}

#[test]
fn the_identity_copies() {
    let data = super::noise(37 * 11, 4);
    let plane = Plane::new(35, 11, 37, &data).unwrap();
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    for warp in [
        Warp::resize((35, 11), (35, 11)).unwrap(),
        Warp::new(&homography((35, 11), (35, 11), identity).unwrap()),
        Warp::new(&Calibration::new(Model::Affine, (35, 11), (35, 11), identity, 0.0).unwrap()),
    ] {
        let mut out = vec![0; 35 * 11];
        warp.run(&plane, 0..11, &mut out, 35).unwrap();
        for (y, row) in out.chunks(35).enumerate() {
            assert_eq!(row, plane.row(y));
        }
    }
}

#[test]
fn resize_has_half_pixel_centres() {
    let plane = Plane::new(2, 1, 2, &[0, 200]).unwrap();
    let mut out = [0; 4];
    Warp::resize((2, 1), (4, 1)).unwrap().run(&plane, 0..1, &mut out, 4).unwrap();
    assert_eq!(out, [0, 50, 150, 200]);
    let mut out = [0; 1];
    Warp::resize((2, 1), (1, 1)).unwrap().run(&plane, 0..1, &mut out, 1).unwrap();
    assert_eq!(out, [100]);
    assert_eq!(
        Warp::resize((0, 1), (4, 1)).unwrap_err(),
        GeometryError::Size { which: "infrared", found: (0, 1) }
    );
}

#[test]
fn a_shift_replicates_edges() {
    let data: Vec<u8> = (0..12).map(|i| i * 20).collect();
    let plane = Plane::new(4, 3, 4, &data).unwrap();
    let shift =
        Calibration::new(Model::Affine, (4, 3), (4, 3), [1.0, 0.0, 2.0, 0.0, 1.0, -1.0, 0.0, 0.0, 1.0], 0.0)
            .unwrap();
    let mut out = vec![0; 12];
    Warp::new(&shift).run(&plane, 0..3, &mut out, 4).unwrap();
    assert_eq!(out, [80, 80, 80, 100, 160, 160, 160, 180, 160, 160, 160, 180]);
}

#[test]
fn the_wrong_size_is_refused() {
    let warp = Warp::resize((4, 3), (8, 6)).unwrap();
    let plane = Plane::new(3, 4, 3, &[0; 12]).unwrap();
    assert_eq!(
        warp.run(&plane, 0..6, &mut [0; 48], 8),
        Err(FrameError::Size { image: "infrared plane", found: (3, 4), needed: (4, 3) })
    );
}

#[test]
fn a_rescaled_calibration_sees_the_same_view() {
    let calibration: Calibration = FILE.parse().unwrap();
    let half = calibration.rescaled((80, 60), (320, 240)).unwrap();
    let (full, half) = (Warp::new(&calibration), Warp::new(&half));
    for (x, y) in [(0, 0), (100, 17), (319, 239)] {
        // The centre of a half-size pixel is the corner that four full-size pixels share.
        let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| full.source(2 * x + i, 2 * y + j));
        let mean =
            |f: fn((i32, i32)) -> i32| four.iter().map(|&p| f64::from(f(p)) / 65_536.0).sum::<f64>() / 4.0;
        let (hx, hy) = half.source(x, y);
        let (hx, hy) = (f64::from(hx) / 65_536.0 * 2.0 + 0.5, f64::from(hy) / 65_536.0 * 2.0 + 0.5);
        assert!((hx - mean(|p| p.0)).abs() < 0.01 && (hy - mean(|p| p.1)).abs() < 0.01);
    }
    assert!(calibration.rescaled((0, 1), (1, 1)).is_err());
}

/// Positions within 1/16 px of the exact map, and grey levels those of the position.
fn check(calibration: &Calibration, plane: &Plane<'_>) -> Result<f64, TestCaseError> {
    let warp = Warp::new(calibration);
    let (width, height) = calibration.visible();
    let mut out = vec![0; width * height];
    warp.run(plane, 0..height, &mut out, width).unwrap();
    let mut worst: f64 = 0.0;
    for y in 0..height {
        for x in 0..width {
            let (sx, sy) = warp.source(x, y);
            let (ex, ey) = exact_source(&calibration.matrix(), x, y);
            let (px, py) = (f64::from(sx) / 65_536.0, f64::from(sy) / 65_536.0);
            worst = worst.max((px - ex).abs()).max((py - ey).abs());
            prop_assert!(worst < 1.0 / 16.0, "({x}, {y}): {px} {py}, exactly {ex} {ey}");

            let cx = px.clamp(0.0, (plane.width() - 1) as f64);
            let cy = py.clamp(0.0, (plane.height() - 1) as f64);
            let (x0, y0) = (cx.floor() as usize, cy.floor() as usize);
            let (fx, fy) = (cx - cx.floor(), cy - cy.floor());
            let p = |x: usize, y: usize| f64::from(plane.row(y)[x.min(plane.width() - 1)]);
            let exact = (1.0 - fy) * ((1.0 - fx) * p(x0, y0) + fx * p(x0 + 1, y0))
                + fy * ((1.0 - fx) * p(x0, y0 + 1) + fx * p(x0 + 1, y0 + 1));
            // Positions are rounded to 1/256 px: at most 1/512 of the full step in each direction.
            prop_assert!((f64::from(out[y * width + x]) - exact).abs() <= 0.5 + 1.01, "({x}, {y})");
        }
    }
    Ok(worst)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn homographies_stay_within_a_sixteenth_pixel(
        iw in 1usize..80, ih in 1usize..60, vw in 1usize..150, vh in 1usize..60,
        p in prop::array::uniform8(-0.5f32..0.5), seed: u64,
    ) {
        let data = super::noise(iw * ih, seed);
        let plane = Plane::new(iw, ih, iw, &data).unwrap();
        if let Ok(calibration) = homography((iw, ih), (vw, vh), perturbed((iw, ih), (vw, vh), p)) {
            check(&calibration, &plane)?;
        }
    }

    /// Large frames, corners only: 16.16 positions must not overflow, nor lose precision.
    #[test]
    fn large_frames_stay_exact(
        iw in 1usize..=16_383, ih in 1usize..=16_383, vw in 1usize..=16_383, vh in 1usize..=16_383,
        p in prop::array::uniform8(-0.3f32..0.3),
    ) {
        let m = perturbed((iw, ih), (vw, vh), p);
        if let Ok(calibration) = homography((iw, ih), (vw, vh), m) {
            let warp = Warp::new(&calibration);
            for x in [0, vw / 3, vw / 2, vw - 1] {
                for y in [0, vh / 3, vh / 2, vh - 1] {
                    let ((sx, sy), (ex, ey)) = (warp.source(x, y), exact_source(&m, x, y));
                    prop_assert!((f64::from(sx) / 65_536.0 - ex).abs() < 1.0 / 16.0);
                    prop_assert!((f64::from(sy) / 65_536.0 - ey).abs() < 1.0 / 16.0);
                }
            }
        }
    }

    /// Whatever matrix passes the checks runs, and any split of the rows gives the same bytes.
    #[test]
    fn any_accepted_matrix_runs(
        m in prop::array::uniform9(prop_oneof![-4.0f32..4.0, -1e-3f32..1e-3, Just(0.0), any::<f32>()]),
        vw in 1usize..50, vh in 1usize..30, cut in 0usize..30,
    ) {
        if let Ok(calibration) = homography((20, 15), (vw, vh), m) {
            let data = super::noise(20 * 15, 9);
            let plane = Plane::new(20, 15, 20, &data).unwrap();
            let warp = Warp::new(&calibration);
            let cut = cut.min(vh);
            let (mut whole, mut parts) = (vec![0; vw * vh], vec![0; vw * vh]);
            warp.run(&plane, 0..vh, &mut whole, vw).unwrap();
            let (top, bottom) = parts.split_at_mut(cut * vw);
            warp.run(&plane, 0..cut, top, vw).unwrap();
            warp.run(&plane, cut..vh, bottom, vw).unwrap();
            prop_assert_eq!(whole, parts);
        }
    }

    #[test]
    fn no_text_panics(text in "(fusionproxy calibration 1\n)?[a-z =x0-9.\n#-]{0,200}") {
        let _ = text.parse::<Calibration>();
    }
}
