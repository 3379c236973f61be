//! Calibrating a rig from files.

use fusionproxy_core::align::Calibration;
use fusionproxy_eval::scene::{Condition, Misalignment, Scene, View};
use image::{GrayImage, ImageBuffer, Luma, RgbImage};

use crate::support::{folder, fusionproxy, names};

/// Pairs of a rig whose 160x120 thermal camera looks 6 px to the left of the 320x240 visible one.
fn rig(dir: &std::path::Path) {
    let misalignment = Misalignment { dx: 6.0, ..Misalignment::NONE };
    for band in ["vis", "ir"] {
        std::fs::create_dir_all(dir.join(band)).expect("a folder");
    }
    for seed in 0..4 {
        let mut scene = Scene::new(seed, Condition::Dusk);
        let view = View::new(320, 240);
        let mut rgb = vec![0; view.pixels() * 3];
        scene.render_visible(&view, &mut rgb).expect("a frame");
        let own = View { misalignment, ..View::new(160, 120) };
        let mut kelvin = vec![0; own.pixels()];
        scene.render_infrared(&own, &mut kelvin).expect("a frame");
        let visible = RgbImage::from_raw(320, 240, rgb).expect("a picture");
        let infrared: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_raw(160, 120, kelvin).expect("a picture");
        visible.save(dir.join(format!("vis/{seed}.png"))).expect("saved");
        infrared.save(dir.join(format!("ir/{seed}.png"))).expect("saved");
    }
}

#[test]
fn a_rig_is_calibrated_and_used() {
    let dir = folder();
    rig(dir.path());
    let args = ["calibrate", "--vis", "vis", "--ir", "ir", "-o", "rig.txt", "--model", "affine"];
    let report = fusionproxy(dir.path(), &[&args[..], &["--picture", "check.png", "--json"]].concat()).json();
    assert_eq!(report["pairs"], 4);
    assert!(report["rms_error_px"].as_f64().is_some_and(|e| e < 2.0), "{report}");
    let text = std::fs::read_to_string(dir.path().join("rig.txt")).expect("the file");
    let calibration: Calibration = text.parse().expect("a calibration");
    // The thermal frame's centre shows what lies 12 px left of the visible frame's centre.
    let m = calibration.matrix();
    let x = m[0] * 79.5 + m[1] * 59.5 + m[2];
    assert!((x - (159.5 - 12.0)).abs() < 1.0, "{x}");
    assert_eq!(
        image::image_dimensions(dir.path().join("check.png")).expect("a picture"),
        (2 * 320 + 8, 240 + 32)
    );
    let fuse = ["fuse", "--vis", "vis/1.png", "--ir", "ir/1.png", "--calibration", "rig.txt", "-o", "f.png"];
    let run = fusionproxy(dir.path(), &fuse);
    assert!(run.ok && run.stderr.is_empty(), "{}", run.stderr);
}

#[test]
fn frames_that_show_nothing_in_common_are_refused() {
    let dir = folder();
    rig(dir.path());
    for seed in 0..4 {
        GrayImage::from_pixel(160, 120, Luma([9]))
            .save(dir.path().join(format!("ir/{seed}.png")))
            .expect("saved");
    }
    let before = names(dir.path());
    let args = ["calibrate", "--vis", "vis", "--ir", "ir", "-o", "rig.txt"];
    fusionproxy(dir.path(), &args).fails_with(&["too little in common", "give more pairs"]);
    GrayImage::from_pixel(80, 60, Luma([9])).save(dir.path().join("ir/2.png")).expect("saved");
    fusionproxy(dir.path(), &args).fails_with(&["2: the infrared frame is 80x60", "160x120"]);
    assert_eq!(names(dir.path()), before);
}
