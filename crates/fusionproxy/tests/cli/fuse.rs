//! Fusing files.

use fusionproxy_core::colour::{chroma_of, luma_of};
use image::GenericImageView;

use crate::support::{data, folder, fusionproxy, names, pair, save_pair};

#[test]
fn the_demo_writes_its_pictures() {
    let dir = folder();
    let report = fusionproxy(dir.path(), &["demo", "--json"]).json();
    assert_eq!(report["allocations_per_frame"], 0.0);
    assert!(report["arena_bytes"].as_u64() > Some(0));
    let out = dir.path().join("fusionproxy-demo");
    assert_eq!(names(&out), ["fused.png", "infrared.png", "sheet.png", "visible.png"]);
    assert_eq!(image::open(out.join("fused.png")).expect("a picture").dimensions(), (640, 480));
    assert_eq!(image::open(out.join("sheet.png")).expect("a picture").dimensions(), (3 * 640 + 16, 480 + 32));
}

#[test]
fn one_pair_of_any_size_keeps_size_and_colour() {
    for (w, h) in [(1, 1), (1, 7), (33, 2), (101, 75), (320, 240)] {
        let dir = folder();
        save_pair(dir.path(), "a", w, h);
        let run = fusionproxy(
            dir.path(),
            &["fuse", "--vis", "vis/a.png", "--ir", "ir/a.png", "-o", "f.png", "--json"],
        );
        let row = &run.json()["pairs"][0];
        assert_eq!(row["status"], "fused");
        assert_eq!((row["width"].as_u64(), row["height"].as_u64()), (Some(w as u64), Some(h as u64)));
        let fused = image::open(dir.path().join("f.png")).expect("a picture").to_rgb8();
        let (visible, _) = pair(w, h);
        assert_eq!(fused.dimensions(), visible.dimensions());
        for (f, v) in fused.pixels().zip(visible.pixels()) {
            // Where the fused luma pushes a channel against 0 or 255 the colour is drawn towards grey.
            if f.0.iter().any(|c| [0, 255].contains(c)) {
                continue;
            }
            for (a, b) in chroma_of(f.0).into_iter().zip(chroma_of(v.0)) {
                assert!(a.abs_diff(b) <= 1, "chroma of {f:?} and {v:?}");
            }
        }
    }
}

#[test]
fn a_thermal_image_of_another_size_is_stretched_with_a_notice() {
    let dir = folder();
    let (visible, _) = pair(96, 64);
    let (_, infrared) = pair(40, 32);
    visible.save(dir.path().join("v.png")).expect("saved");
    infrared.save(dir.path().join("i.png")).expect("saved");
    let run = fusionproxy(dir.path(), &["fuse", "--vis", "v.png", "--ir", "i.png", "-o", "f.png"]);
    assert!(run.ok, "{}", run.stderr);
    assert!(run.stderr.contains("notice: the infrared image is 40x32, stretched"), "{}", run.stderr);
}

#[test]
fn folders_are_paired_resumed_and_reported() {
    let dir = folder();
    for name in ["a", "b", "c"] {
        save_pair(dir.path(), name, 64, 48);
    }
    std::fs::remove_file(dir.path().join("ir/c.png")).expect("removed");
    let args = ["fuse", "--vis", "vis", "--ir", "ir", "-o", "out", "--json"];
    let report = fusionproxy(dir.path(), &args).json();
    assert_eq!(report["pairs"].as_array().map(Vec::len), Some(2));
    assert!(report["unpaired"][0].as_str().is_some_and(|p| p.ends_with("c.png")));
    assert_eq!(names(&dir.path().join("out")), ["a.png", "b.png"]);

    std::fs::remove_file(dir.path().join("out/b.png")).expect("removed");
    let report = fusionproxy(dir.path(), &args).json();
    let status: Vec<_> =
        report["pairs"].as_array().expect("pairs").iter().map(|p| p["status"].clone()).collect();
    assert_eq!(status, ["kept", "fused"]);
}

#[test]
fn threads_do_not_change_the_picture() {
    let dir = folder();
    save_pair(dir.path(), "a", 200, 120);
    let picture = |threads: &str| {
        let out = format!("f{threads}.png");
        let args = ["fuse", "--vis", "vis/a.png", "--ir", "ir/a.png", "-o", &out, "--threads", threads];
        assert!(fusionproxy(dir.path(), &args).ok);
        image::open(dir.path().join(out)).expect("a picture").to_rgb8().into_raw()
    };
    assert_eq!(picture("1"), picture("3"));
}

#[test]
fn every_validation_pair_keeps_size_and_colour() {
    let Some(data) = data("every_validation_pair_keeps_size_and_colour") else { return };
    let dir = folder();
    let path = |p: &str| data.join("val").join(p).display().to_string();
    let (vis, ir) = (path("vis"), path("ir"));
    let report = fusionproxy(dir.path(), &["fuse", "--vis", &vis, "--ir", &ir, "-o", "out", "--json"]).json();
    let pairs = report["pairs"].as_array().expect("pairs");
    assert_eq!(pairs.len(), 36);
    for row in pairs {
        assert_eq!(row["status"], "fused", "{row}");
        let name = row["name"].as_str().expect("a name");
        let fused =
            image::open(dir.path().join("out").join(format!("{name}.png"))).expect("a picture").to_rgb8();
        let visible = image::open(format!("{vis}/{name}.jpg")).expect("a picture").to_rgb8();
        assert_eq!(fused.dimensions(), visible.dimensions(), "{name}");
        let mut worst = 0;
        for (f, v) in fused.pixels().zip(visible.pixels()) {
            if f.0.iter().all(|c| !([0, 255].contains(c))) {
                for (a, b) in chroma_of(f.0).into_iter().zip(chroma_of(v.0)) {
                    worst = worst.max(a.abs_diff(b));
                }
            }
        }
        assert!(worst <= 1, "{name}: chroma moved by {worst}");
        let mean = |p: &image::RgbImage| {
            p.pixels().map(|p| f64::from(luma_of(p.0))).sum::<f64>() / p.pixels().len() as f64
        };
        assert!((mean(&fused) - mean(&visible)).abs() < 100.0, "{name}: the luma is far off");
    }
}
