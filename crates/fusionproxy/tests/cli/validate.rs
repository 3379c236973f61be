//! Judging students.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{data, folder, fusionproxy, grey, names, pair, save_pair};

/// The released models.
fn models() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").display().to_string()
}

const COLUMNS: [&str; 20] = [
    "model",
    "precision",
    "params",
    "psnr_ref",
    "ssim_ref",
    "psnr_f32",
    "ssim_f32",
    "en",
    "mi",
    "sf",
    "ag",
    "sd",
    "scd",
    "vif",
    "qabf",
    "ssim_vis",
    "ssim_ir",
    "ap50",
    "recall",
    "median_ms",
];

/// The rows of a `--json` file.
fn rows(path: &Path) -> Vec<Value> {
    let text = fs::read(path).expect("the rows were written");
    serde_json::from_slice(&text).expect("JSON rows")
}

/// The row of a model in a precision, `""` for none.
fn row<'r>(rows: &'r [Value], model: &str, precision: &str) -> &'r Value {
    rows.iter()
        .find(|r| r["model"] == model && r["precision"].as_str().unwrap_or_default() == precision)
        .unwrap_or_else(|| panic!("no row {model} {precision}"))
}

#[test]
fn every_precision_and_baseline_has_its_row() {
    let dir = folder();
    for name in ["a", "b"] {
        save_pair(&dir.path().join("p"), name, 96, 64);
    }
    for (sample, value) in [("a.1", 90), ("b.1", 100), ("a.2", 92), ("b.2", 102)] {
        fs::create_dir_all(dir.path().join("t/teacher")).expect("folder");
        grey(96, 64, value).save(dir.path().join(format!("t/teacher/{sample}.png"))).expect("saved");
    }
    let models = models();
    let args = [
        "validate",
        "--pairs",
        "p",
        "--models",
        "nano",
        "--model-dir",
        &models,
        "--reference",
        "nano",
        "--teachers",
        "t",
        "--json",
        "rows.json",
        "--html",
        "report.html",
    ];
    let run = fusionproxy(dir.path(), &args);
    assert!(run.ok, "{}", run.stderr);
    let rows = rows(&dir.path().join("rows.json"));
    let found: Vec<String> = rows
        .iter()
        .map(|r| format!("{} {}", r["model"].as_str().unwrap_or("?"), r["precision"].as_str().unwrap_or("-")))
        .collect();
    let want = [
        "visible -",
        "infrared -",
        "average -",
        "maximum -",
        "teacher 1 -",
        "teacher 2 -",
        "ensemble mean -",
        "nano f32",
        "nano fp16",
        "nano int8",
    ];
    assert_eq!(found, want);
    for r in &rows {
        for column in COLUMNS {
            assert!(r.get(column).is_some(), "{column} is missing in {r}");
        }
    }
    let number = |r: &Value, column: &str| r[column].as_f64().unwrap_or_else(|| panic!("{column} of {r}"));
    let (visible, exact) = (row(&rows, "visible", ""), row(&rows, "nano", "f32"));
    assert!((number(visible, "ssim_vis") - 1.0).abs() < 1e-9 && visible["params"].is_null());
    assert_eq!((number(exact, "psnr_ref"), number(exact, "psnr_f32")), (100.0, 100.0));
    for (precision, least) in [("fp16", 50.0), ("int8", 25.0)] {
        let r = row(&rows, "nano", precision);
        assert!((least..=100.0).contains(&number(r, "psnr_f32")), "{r}");
        assert_eq!(r["psnr_f32"], r["psnr_ref"], "the reference is the network's own f32");
        assert!(number(r, "median_ms") > 0.0 && number(r, "artifact_bytes") > 1e4);
    }
    assert_eq!(number(row(&rows, "ensemble mean", ""), "psnr_mean"), 100.0);

    assert!(run.stdout.contains("| nano ") && run.stdout.contains("reference nano f32"), "{}", run.stdout);
    let html = fs::read_to_string(dir.path().join("report.html")).expect("a report");
    assert!(html.contains("nano int8") && html.matches("data:image/jpeg;base64,").count() == 2 * 9);
    assert!(!html.contains("http://") && !html.contains("https://"));
}

#[test]
fn an_unreleased_reference_is_replaced_and_said() {
    let dir = folder();
    save_pair(dir.path(), "a", 64, 48);
    let models = models();
    let run = fusionproxy(
        dir.path(),
        &["validate", "--pairs", ".", "--models", "nano", "--model-dir", &models, "--reference", "no-such"],
    );
    assert!(run.ok, "{}", run.stderr);
    assert!(
        run.stderr.contains("`no-such` is not released")
            && run.stderr.contains("`nano` is the reference instead"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_artifact_alone_is_judged_as_far_as_it_goes() {
    let dir = folder();
    for name in ["a", "b"] {
        save_pair(dir.path(), name, 64, 48);
        pair(32, 24).1.save(dir.path().join(format!("ir/{name}.png"))).expect("saved");
    }
    let run = fusionproxy(
        dir.path(),
        &["validate", "--pairs", ".", "--models", "ultralight", "--model-dir", "none", "--json", "rows.json"],
    );
    assert!(run.ok, "{}", run.stderr);
    assert!(run.stderr.contains("not judged in f32"), "{}", run.stderr);
    let stretched =
        "a: the infrared image is 32x24, stretched to the visible one's 64x48 (and 1 more like it)";
    assert!(run.stderr.contains(stretched), "{}", run.stderr);
    let rows = rows(&dir.path().join("rows.json"));
    let int8 = row(&rows, "ultralight", "int8");
    assert!(int8["psnr_f32"].is_null() && int8["psnr_ref"].is_null() && int8["qabf"].as_f64() > Some(0.0));
}

#[test]
fn rows_are_kept_where_nobody_reads_the_table() {
    let dir = folder();
    save_pair(dir.path(), "a", 64, 48);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_fusionproxy"))
        .args([
            "validate",
            "--pairs",
            ".",
            "--models",
            "ultralight",
            "--model-dir",
            "none",
            "--json",
            "rows.json",
        ])
        .current_dir(dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    child.wait().expect("it ends");
    assert!(!rows(&dir.path().join("rows.json")).is_empty());
}

#[test]
fn what_cannot_be_judged_is_refused_and_leaves_nothing() {
    let dir = folder();
    save_pair(&dir.path().join("good"), "a", 64, 48);
    save_pair(&dir.path().join("small"), "a", 40, 48);
    save_pair(&dir.path().join("broken"), "a", 64, 48);
    fs::write(dir.path().join("broken/vis/a.png"), b"no picture").expect("written");
    save_pair(&dir.path().join("apart"), "a", 64, 48);
    fs::rename(dir.path().join("apart/ir/a.png"), dir.path().join("apart/ir/b.png")).expect("renamed");
    fs::write(dir.path().join("text.onnx"), b"no network").expect("written");
    save_pair(&dir.path().join("lab"), "a", 64, 48);
    fs::create_dir(dir.path().join("lab/labels")).expect("folder");
    save_pair(&dir.path().join("warped"), "a", 64, 48);
    pair(100, 30).1.save(dir.path().join("warped/ir/a.png")).expect("saved");
    let models = models();
    let nano = format!("{models}/nano/nano.onnx");
    let before = names(dir.path());
    let on = |pairs: &str, more: &[&str]| -> Vec<String> {
        ["validate", "--pairs", pairs, "--model-dir", &models]
            .iter()
            .chain(more)
            .map(|w| (*w).to_owned())
            .collect()
    };
    for (args, words) in [
        (on("nowhere", &["--models", "nano"]), &["nowhere", "vis and ir"][..]),
        (on("apart", &["--models", "nano"]), &["no pairs"]),
        (on("broken", &["--models", "nano"]), &["broken/vis/a.png"]),
        (on("warped", &["--models", "nano"]), &["a: the infrared image is 100x30 and the visible one 64x48"]),
        (on("small", &["--models", "nano", "--reference", "nano"]), &["a: VIF needs at least 41x41"]),
        (on("good", &["--models", "nanno"]), &["`nanno`", "nano"]),
        (on("good", &["--models", "text.onnx", "--reference", "text.onnx"]), &["text.onnx"]),
        (on("good", &["--models", "nano", "--json", "no/rows.json"]), &["no/rows.json", "does not exist"]),
        (on("good", &["--models", "nano", "--teachers", "good/vis"]), &["--teachers good/vis"]),
        (on("good", &["--models", "nano", "--detector", "none.onnx"]), &["none.onnx"]),
        (on("good", &["--models", "nano", "--detector", "text.onnx"]), &["text.onnx"]),
        (on("good", &["--models", "nano", "--detector", &nano]), &["nano.onnx"]),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        fusionproxy(dir.path(), &args).fails_with(words);
        assert_eq!(names(dir.path()), before, "{args:?} left files behind");
    }
}

#[test]
fn a_frozen_detector_is_scored_on_labelled_pairs() {
    let Some(data) = data("a_frozen_detector_is_scored_on_labelled_pairs") else { return };
    let dir = folder();
    for folder in ["vis", "ir", "labels"] {
        fs::create_dir(dir.path().join(folder)).expect("folder");
    }
    for name in ["m3fd_00000", "m3fd_00042", "m3fd_00118", "m3fd_00232"] {
        for (folder, end) in [("vis", "jpg"), ("ir", "jpg"), ("labels", "txt")] {
            let file = format!("{folder}/{name}.{end}");
            // One of the pairs has no labels: it is fused and not scored.
            if data.join("val").join(&file).is_file() {
                fs::copy(data.join("val").join(&file), dir.path().join(&file)).expect("copied");
            }
        }
    }
    let detector = data.join("models/yolox_nano.onnx").display().to_string();
    let models = models();
    let args = [
        "validate",
        "--pairs",
        ".",
        "--models",
        "nano",
        "--model-dir",
        &models,
        "--reference",
        "nano",
        "--detector",
        &detector,
        "--json",
        "rows.json",
    ];
    fusionproxy(dir.path(), &args).fails_with(&["classes.txt"]);
    fs::copy(data.join("val/labels/classes.txt"), dir.path().join("labels/classes.txt")).expect("copied");
    let run = fusionproxy(dir.path(), &args);
    assert!(run.ok, "{}", run.stderr);
    assert!(run.stderr.contains("no class for Lamp"), "{}", run.stderr);
    let rows = rows(&dir.path().join("rows.json"));
    for r in &rows {
        for column in ["ap50", "recall"] {
            assert!(r[column].as_f64().is_some_and(|v| (0.0..=1.0).contains(&v)), "{column} of {r}");
        }
    }
    // A detector that was trained on RGB finds something in the visible frames.
    assert!(row(&rows, "visible", "")["ap50"].as_f64() > Some(0.1), "{}", run.stdout);

    fs::write(dir.path().join("labels/m3fd_00000.txt"), "0 0.5 0.5 0.1\n").expect("written");
    fusionproxy(dir.path(), &args).fails_with(&["m3fd_00000.txt", "line 1"]);
}
