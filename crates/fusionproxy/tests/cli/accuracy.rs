//! How good the released models are on the local validation pairs, by `fusionproxy validate` as a user runs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fusionproxy::{AlignedBytes, Artifact, Model, Pool, best_backend};
use fusionproxy_compiler::{CalibrationPair, Options, Precision, compile};
use fusionproxy_core::executor::Executor;
use fusionproxy_core::frame::Plane;
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
use fusionproxy_eval::metrics::{Image, psnr, ssim};
use fusionproxy_eval::pairs::{Pair, Pairing, Samples};
use serde_json::Value;

use crate::support::{data, folder, fusionproxy};

/// The students, in the order of their cost.
const STUDENTS: [&str; 5] = ["nano", "ultralight", "mobilenetv4", "efficientformerv2", "convnextv2"];

/// Columns that quantisation may move by at most 2 %.
const METRICS: [&str; 10] = ["en", "mi", "sf", "ag", "sd", "scd", "vif", "qabf", "ssim_vis", "ssim_ir"];

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// Rows of the report, by model and precision.
struct Rows(BTreeMap<(String, String), Value>);

impl Rows {
    /// Judges `models` on the validation pairs.
    fn of(data: &Path, models_named: &str, more: &[&str]) -> Self {
        let folder = folder();
        let (models, pairs, json) = (models(), data.join("val"), folder.path().join("rows.json"));
        let paths = [&models, &pairs, &json].map(|p| p.to_str().expect("UTF-8"));
        let mut args = vec!["validate", "--models", models_named, "--model-dir", paths[0]];
        args.extend(["--pairs", paths[1], "--json", paths[2]]);
        args.extend(more);
        let run = fusionproxy(folder.path(), &args);
        assert!(run.ok, "{}", run.stderr);
        println!("{}", run.stdout);
        let rows: Vec<Value> =
            serde_json::from_slice(&std::fs::read(&json).expect("rows")).expect("JSON rows");
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
    let samples = Sample::all(&data);
    // The light ones are held on more pairs in the other test.
    for name in &STUDENTS[2..] {
        imported(name, &samples, 18);
    }
}

/// One validation pair as the network sees it.
struct Sample {
    name: String,
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    luma: Vec<u8>,
    infrared: Vec<u8>,
}

impl Sample {
    /// All validation pairs.
    fn all(data: &Path) -> Vec<Self> {
        let pairing = Pairing::under(&data.join("val")).expect("pairs");
        pairing.pairs.iter().map(Self::of).collect()
    }

    fn of(pair: &Pair) -> Self {
        let (visible, infrared) = pair.load().expect("a pair");
        let Samples::Grey8(grey) = infrared.samples else { panic!("{}: 8-bit infrared", pair.name) };
        Self {
            name: pair.name.clone(),
            width: visible.width,
            height: visible.height,
            luma: visible.luma(),
            rgb: visible.data,
            infrared: grey,
        }
    }

    fn to_calibrate(&self) -> CalibrationPair {
        CalibrationPair {
            name: self.name.clone(),
            width: self.width,
            height: self.height,
            visible_rgb: self.rgb.clone(),
            infrared: self.infrared.clone(),
        }
    }
}

/// The f32 network of a student, after asserting that it computes what tract does on every `step`th pair: tract is slow.
fn imported(name: &str, samples: &[Sample], step: usize) -> Vec<u8> {
    let options = Options { precision: Precision::F32, ..Options::default() };
    let pairs: Vec<CalibrationPair> = samples.iter().step_by(step).map(Sample::to_calibrate).collect();
    let onnx = models().join(name).join(format!("{name}.onnx"));
    let compiled = compile(&onnx, &options, &pairs, &mut |_, _, _| {}).expect("f32 compiles");
    let error = compiled.report.verification.expect("verified").import_error;
    println!("{name}: f32 differs from tract's by {error:.1e}");
    assert!(error <= 1e-4, "{name}: f32 differs from tract's by {error}");
    compiled.artifact
}

fn fuse(artifact: &Artifact<'_>, sample: &Sample) -> Vec<u8> {
    let Sample { width, height, .. } = *sample;
    let pool = Pool::new(2).expect("threads");
    let (mut tensors, mut steps) =
        (vec![TensorSlot::EMPTY; artifact.tensor_count()], vec![Step::EMPTY; artifact.op_count()]);
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let options = PlanOptions { workers: 2, ..PlanOptions::default() };
    let plan = Plan::new(artifact, height, width, options, best_backend(), storage).expect("a plan");
    let mut arena = AlignedBytes::zeroed(plan.arena_bytes());
    let mut executor = Executor::new(&plan, arena.as_mut(), best_backend(), &pool).expect("an executor");
    let plane = |data| Plane::new(width, height, width, data).expect("a plane");
    let mut fused = vec![0; width * height];
    executor.run(plane(&sample.luma), plane(&sample.infrared), &mut fused, width).expect("a frame");
    fused
}

/// Mean and worst PSNR in dB, and mean SSIM, of `model` to the f32 frames.
fn closeness(model: &Model, samples: &[Sample], reference: &[Vec<u8>]) -> (f64, f64, f64) {
    let artifact = model.artifact().expect("an artifact");
    let mut sums = (0.0, f64::INFINITY, 0.0);
    for (sample, exact) in samples.iter().zip(reference) {
        let fused = fuse(&artifact, sample);
        let image = |data| Image::new(data, sample.width, sample.height).expect("an image");
        let (exact, fused) = (image(exact), image(&fused));
        let db = psnr(exact, fused).expect("a PSNR").min(100.0);
        sums = (sums.0 + db, f64::min(sums.1, db), sums.2 + ssim(exact, fused).expect("an SSIM"));
    }
    let n = samples.len() as f64;
    (sums.0 / n, sums.1, sums.2 / n)
}

/// The two light students, at each pair's own size: the worst pair too.
#[test]
fn released_artifacts_are_close_to_f32() {
    let Some(data) = data("released_artifacts_are_close_to_f32") else { return };
    let samples = Sample::all(&data);
    for name in ["ultralight", "nano"] {
        let compiled = imported(name, &samples, 9);
        let exact = Model::from_bytes(AlignedBytes::copy_of(&compiled)).expect("an artifact");
        let artifact = exact.artifact().expect("an artifact");
        let reference: Vec<Vec<u8>> = samples.iter().map(|s| fuse(&artifact, s)).collect();
        for (precision, mean_bar, worst_bar, ssim_bar) in
            [("int8", 42.0, 38.0, 0.99), ("fp16", 60.0, 55.0, 0.999)]
        {
            let model =
                Model::open(&models().join(name).join(format!("{name}.{precision}.fpx"))).expect("a model");
            let (mean, worst, similar) = closeness(&model, &samples, &reference);
            println!("{name} {precision}: PSNR mean {mean:.2} dB, worst {worst:.2} dB, SSIM {similar:.4}");
            assert!(
                mean >= mean_bar && worst >= worst_bar && similar >= ssim_bar,
                "{name} {precision} is too far off"
            );
        }
    }
}
