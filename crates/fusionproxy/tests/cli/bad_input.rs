//! Wrong input of every kind: one clear error, a non-zero exit, nothing half-written.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{DynamicImage, RgbImage, RgbaImage};

use crate::support::{folder, fusionproxy, grey, names, pair, save_pair};

/// Fuses `v.png` with `i.png` in `folder`; after a failure only `before` is there.
fn refused(folder: &Path, args: &[&str], words: &[&str]) {
    let before = names(folder);
    fusionproxy(folder, args).fails_with(words);
    assert_eq!(names(folder), before, "a failed run left files behind");
}

const ONE: [&str; 7] = ["fuse", "--vis", "vis/a.png", "--ir", "ir/a.png", "-o", "f.png"];

#[test]
fn unreadable_images_are_named() {
    let dir = folder();
    let (visible, _) = save_pair(dir.path(), "a", 32, 24);
    let good = fs::read(&visible).expect("bytes");
    fs::remove_file(&visible).expect("removed");
    refused(dir.path(), &ONE, &["vis/a.png"]);
    for bytes in [&[][..], &good[..20], &good[..good.len() / 2], b"not a picture at all"] {
        fs::write(&visible, bytes).expect("written");
        refused(dir.path(), &ONE, &["vis/a.png"]);
    }
}

#[test]
fn infrared_must_be_grey_in_substance() {
    let dir = folder();
    save_pair(dir.path(), "a", 32, 24);
    // A grey picture saved as RGB is fine.
    let rgb = DynamicImage::ImageRgb8(grey(32, 24, 90).to_rgb8());
    rgb.save(dir.path().join("ir/a.png")).expect("saved");
    let run = fusionproxy(dir.path(), &ONE);
    assert!(run.ok, "{}", run.stderr);
}

#[test]
fn sixteen_bit_and_alpha_visible_images_work() {
    let dir = folder();
    save_pair(dir.path(), "a", 40, 30);
    let (visible, _) = pair(40, 30);
    let deep = DynamicImage::ImageRgb8(visible.clone()).to_rgb16();
    let alpha: RgbaImage = DynamicImage::ImageRgb8(visible).to_rgba8();
    let mut pictures = Vec::new();
    for picture in [DynamicImage::ImageRgb16(deep), DynamicImage::ImageRgba8(alpha)] {
        picture.save(dir.path().join("vis/a.png")).expect("saved");
        let run = fusionproxy(dir.path(), &ONE);
        assert!(run.ok, "{}", run.stderr);
        pictures.push(image::open(dir.path().join("f.png")).expect("a picture").to_rgb8().into_raw());
    }
    assert_eq!(pictures[0], pictures[1]);
}

#[test]
fn a_twenty_megapixel_pair_works() {
    let dir = folder();
    let (w, h) = (5472, 3648);
    let visible = RgbImage::from_fn(w, h, |x, y| image::Rgb([(x / 8) as u8, (y / 8) as u8, (x ^ y) as u8]));
    visible.save(dir.path().join("v.bmp")).expect("saved");
    grey(w, h, 128).save(dir.path().join("i.bmp")).expect("saved");
    let run = fusionproxy(dir.path(), &["fuse", "--vis", "v.bmp", "--ir", "i.bmp", "-o", "f.bmp"]);
    assert!(run.ok, "{}", run.stderr);
    assert_eq!(image::image_dimensions(dir.path().join("f.bmp")).expect("a picture"), (w, h));
}

#[test]
fn outputs_that_cannot_be_written_are_refused() {
    let dir = folder();
    save_pair(dir.path(), "a", 32, 24);
    let out = |o: &'static str| ["fuse", "--vis", "vis/a.png", "--ir", "ir/a.png", "-o", o];
    refused(dir.path(), &out("nowhere/f.png"), &["nowhere", "does not exist"]);
    refused(dir.path(), &out("/proc/f.png"), &["/proc/f.png"]);
    refused(dir.path(), &out("f.xyz"), &["f.xyz", ".png"]);
    refused(dir.path(), &out("vis/a.png"), &["is an input"]);
    refused(dir.path(), &["fuse", "--vis", "vis", "--ir", "ir", "-o", "vis"], &["is an input"]);
    refused(dir.path(), &["fuse", "--vis", "vis", "--ir", "ir", "-o", "ir/a.png"], &["is a file"]);
    refused(dir.path(), &["fuse", "--vis", "vis", "--ir", "ir/a.png", "-o", "o"], &["two folders"]);
}

#[test]
fn pairs_without_partner_are_refused() {
    let dir = folder();
    save_pair(dir.path(), "a", 32, 24);
    fs::rename(dir.path().join("ir/a.png"), dir.path().join("ir/b.png")).expect("renamed");
    refused(dir.path(), &["fuse", "--vis", "vis", "--ir", "ir", "-o", "out"], &["no pairs"]);
}

#[test]
fn one_bad_pair_does_not_stop_the_others() {
    let dir = folder();
    save_pair(dir.path(), "a", 32, 24);
    save_pair(dir.path(), "b", 32, 24);
    fs::write(dir.path().join("vis/a.png"), b"broken").expect("written");
    let run = fusionproxy(dir.path(), &["fuse", "--vis", "vis", "--ir", "ir", "-o", "out"]);
    run.fails_with(&["vis/a.png", "1 of 2"]);
    assert_eq!(names(&dir.path().join("out")), ["b.png"]);
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let dir = folder();
    save_pair(dir.path(), "a", 320, 240);
    let before = names(dir.path());
    // A file size limit of 4 KiB stands in for a full disk: both make a write fail half-way.
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec '{}' fuse --vis vis/a.png --ir ir/a.png -o f.png",
        env!("CARGO_BIN_EXE_fusionproxy")
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(dir.path()).output().expect("bash");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("cannot write f.png"), "{error}");
    assert_eq!(names(dir.path()), before);
}

#[test]
fn models_that_are_none_are_refused() {
    let dir = folder();
    save_pair(dir.path(), "a", 32, 24);
    let model = include_bytes!("../../../../models/ultralight/ultralight.int8.fpx");
    let mut flipped = model.to_vec();
    flipped[model.len() / 2] ^= 0x10;
    for (name, bytes, word) in [
        ("empty.fpx", &[][..], "cut short"),
        ("cut.fpx", &model[..1000], "cut short"),
        ("flipped.fpx", &flipped[..], "corrupt"),
        ("text.fpx", b"hello, this is text", "not an .fpx artifact"),
    ] {
        fs::write(dir.path().join(name), bytes).expect("written");
        refused(dir.path(), &["inspect", name], &[name, word]);
        refused(dir.path(), &[&ONE[..], &["--model", name]].concat(), &[name, word]);
    }
    refused(dir.path(), &["inspect", "none.fpx"], &["none.fpx", "cannot read"]);
    refused(dir.path(), &["inspect", "heavy"], &["no built-in model `heavy`", "ultralight.int8"]);
    refused(dir.path(), &["plan", "ultralight", "--size", "0x9"], &["0x9", "HEIGHTxWIDTH"]);
}

#[test]
fn a_calibration_that_is_none_is_refused_with_its_line() {
    let dir = folder();
    save_pair(dir.path(), "a", 32, 24);
    fs::write(dir.path().join("rig.txt"), "what = this\n").expect("written");
    refused(dir.path(), &[&ONE[..], &["--calibration", "rig.txt"]].concat(), &["rig.txt", "line 1"]);
}
