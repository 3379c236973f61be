//! How good the released models are on the local validation pairs, by `fusionproxy validate` as a user runs it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fusionproxy_compiler::{CalibrationPair, Options, Precision, compile};
use fusionproxy_eval::pairs::{Pairing, Samples};
use serde_json::Value;

/// The students, in the order of their cost.
const STUDENTS: [&str; 5] = ["nano", "ultralight", "mobilenetv4", "efficientformerv2", "convnextv2"];

/// Columns that quantisation may move by at most 2 %.
const METRICS: [&str; 10] = ["en", "mi", "sf", "ag", "sd", "scd", "vif", "qabf", "ssim_vis", "ssim_ir"];

/// The local pairs, or a loud skip.
fn data(test: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("FUSIONPROXY_DATA").map_or(root, PathBuf::from);
    if data.join("val").is_dir() {
        return Some(data);
    }
    assert!(
        std::env::var_os("FUSIONPROXY_REQUIRE_DATA").is_none(),
        "{test}: no image pairs at {}",
        data.display()
    );
    eprintln!("SKIPPED {test}: no image pairs at {}", data.display());
    None
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// Rows of the report, by model and precision.
struct Rows(BTreeMap<(String, String), Value>);

impl Rows {
    /// Judges `models` on the validation pairs.
    fn of(data: &Path, models_named: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let json = folder.path().join("rows.json");
        let run = Command::new(env!("CARGO_BIN_EXE_fusionproxy"))
            .args(["validate", "--models", models_named, "--model-dir"])
            .arg(models())
            .arg("--pairs")
            .arg(data.join("val"))
            .arg("--json")
            .arg(&json)
            .args(more)
            .output()
            .expect("the command starts");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        println!("{}", String::from_utf8_lossy(&run.stdout));
        let rows: Vec<Value> =
            serde_json::from_slice(&std::fs::read(json).expect("rows")).expect("JSON rows");
        let key = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Self(rows.into_iter().map(|row| ((key(&row, "model"), key(&row, "precision")), row)).collect())
    }

    fn get(&self, model: &str, precision: &str, column: &str) -> f64 {
        let row = &self.0[&(model.to_owned(), precision.to_owned())];
        row[column].as_f64().unwrap_or_else(|| panic!("{model} {precision} has no {column}"))
    }
}

/// Asserts that `model`'s quantised frames are those of its f32 network, as far as 8 and 16 bits go.
fn quantisation_is_close(rows: &Rows, model: &str) {
    let int8 = |column| rows.get(model, "int8", column);
    assert!(int8("psnr_f32") >= 40.0, "{model} INT8: {} dB to f32", int8("psnr_f32"));
    assert!(int8("ssim_f32") >= 0.985, "{model} INT8: SSIM {} to f32", int8("ssim_f32"));
    for column in METRICS {
        let (exact, got) = (rows.get(model, "f32", column), int8(column));
        assert!(
            (got - exact).abs() <= 0.02 * exact.abs(),
            "{model} INT8: {column} is {got}, f32 has {exact}"
        );
    }
    let fp16 = rows.get(model, "fp16", "psnr_f32");
    assert!(fp16 >= 60.0, "{model} FP16: {fp16} dB to f32");
}

#[test]
fn the_students_reach_their_bars() {
    let Some(data) = data("the_students_reach_their_bars") else { return };
    let teachers = data.join("teachers/val").display().to_string();
    let rows = Rows::of(&data, "all", &["--reference", "convnextv2", "--teachers", &teachers]);
    let f32 = |model, column| rows.get(model, "f32", column);

    let best = |column| f32("convnextv2", column);
    assert!(best("qabf") >= 0.60 && best("sf") >= 13.0 && best("ag") >= 5.0);
    assert!(best("ssim_vis") + best("ssim_ir") >= 1.353);
    assert!(best("ssim_mean") >= 0.93);
    for pair in STUDENTS[1..].windows(2) {
        let [small, large] = [pair[0], pair[1]].map(|m| f32(m, "ssim_mean"));
        assert!(small <= large, "{} is nearer to the ensemble mean than {}", pair[0], pair[1]);
    }
    for (model, share) in [("ultralight", 0.85), ("mobilenetv4", 0.9), ("efficientformerv2", 0.9)] {
        let (own, reference) = (f32(model, "qabf"), best("qabf"));
        assert!(own >= share * reference, "{model}: Qabf {own}, ConvNeXtV2 has {reference}");
    }
    for model in STUDENTS {
        quantisation_is_close(&rows, model);
    }
}

#[test]
fn nano_reaches_its_bar_at_its_own_size() {
    let Some(data) = data("nano_reaches_its_bar_at_its_own_size") else { return };
    let rows = Rows::of(&data, "nano,convnextv2", &["--reference", "convnextv2", "--long-side", "160"]);
    let [own, reference] = ["nano", "convnextv2"].map(|m| rows.get(m, "f32", "qabf"));
    assert!(own >= 0.8 * reference, "Qabf {own}, ConvNeXtV2 has {reference}");
    quantisation_is_close(&rows, "nano");
}

#[test]
fn imported_networks_compute_what_tract_computes() {
    let Some(data) = data("imported_networks_compute_what_tract_computes") else { return };
    let pairing = Pairing::under(&data.join("val")).expect("pairs");
    for name in STUDENTS {
        let options = Options { precision: Precision::F32, ..Options::default() };
        // tract's frames are slow.
        let pairs: Vec<CalibrationPair> = pairing
            .pairs
            .iter()
            .step_by(18)
            .map(|pair| {
                let (visible, infrared) = pair.load().expect("a pair");
                let Samples::Grey8(grey) = infrared.samples else { panic!("{}: 8-bit infrared", pair.name) };
                CalibrationPair {
                    name: pair.name.clone(),
                    width: visible.width,
                    height: visible.height,
                    visible_rgb: visible.data,
                    infrared: grey,
                }
            })
            .collect();
        let onnx = models().join(name).join(format!("{name}.onnx"));
        let compiled = compile(&onnx, &options, &pairs, &mut |_, _, _| {}).expect("f32 compiles");
        let error = compiled.report.verification.expect("verified").import_error;
        println!("{name}: f32 differs from tract's by {error:.1e}");
        assert!(error <= 1e-4, "{name}: f32 differs from tract's by {error}");
    }
}
