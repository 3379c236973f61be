//! How close the released artifacts come to their f32 networks, on the local validation pairs.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use fusionproxy::{AlignedBytes, Artifact, Model, Pool, best_backend};
use fusionproxy_compiler::{CalibrationPair, Options, Precision, compile};
use fusionproxy_core::executor::Executor;
use fusionproxy_core::frame::Plane;
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
use fusionproxy_eval::metrics::{Image, psnr, ssim};
use fusionproxy_eval::pairs::{Pairing, Samples};

/// One validation pair as the network sees it.
struct Sample {
    name: String,
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    luma: Vec<u8>,
    infrared: Vec<u8>,
}

/// The local validation pairs, or a loud skip.
fn samples(test: &str) -> Option<Vec<Sample>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("FUSIONPROXY_DATA").map_or(root, PathBuf::from);
    if !data.join("val").is_dir() {
        assert!(
            std::env::var_os("FUSIONPROXY_REQUIRE_DATA").is_none(),
            "{test}: no pairs at {}",
            data.display()
        );
        eprintln!("SKIPPED {test}: no image pairs at {}", data.display());
        return None;
    }
    let pairing = Pairing::under(&data.join("val")).expect("pairs");
    let sample = |pair: &fusionproxy_eval::pairs::Pair| {
        let (visible, infrared) = pair.load().expect("a pair");
        let Samples::Grey8(grey) = infrared.samples else { panic!("{}: 8-bit infrared", pair.name) };
        Sample {
            name: pair.name.clone(),
            width: visible.width,
            height: visible.height,
            luma: visible.luma(),
            rgb: visible.data,
            infrared: grey,
        }
    };
    Some(pairing.pairs.iter().map(sample).collect())
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

#[test]
fn released_artifacts_are_close_to_f32() {
    let Some(samples) = samples("released_artifacts_are_close_to_f32") else { return };
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    for name in ["ultralight", "nano"] {
        let folder = models.join(name);
        let options = Options { precision: Precision::F32, ..Options::default() };
        // tract's f32 sees a few of the pairs; its own frames are slow.
        let pairs: Vec<CalibrationPair> = samples
            .iter()
            .step_by(9)
            .map(|s| CalibrationPair {
                name: s.name.clone(),
                width: s.width,
                height: s.height,
                visible_rgb: s.rgb.clone(),
                infrared: s.infrared.clone(),
            })
            .collect();
        let compiled = compile(&folder.join(format!("{name}.onnx")), &options, &pairs, &mut |_, _, _| {})
            .expect("f32 compiles");
        let error = compiled.report.verification.expect("verified").import_error;
        assert!(error <= 1e-4, "{name}: f32 differs from tract's by {error}");

        let exact = Model::from_bytes(AlignedBytes::copy_of(&compiled.artifact)).expect("an artifact");
        let artifact = exact.artifact().expect("an artifact");
        let reference: Vec<Vec<u8>> = samples.iter().map(|s| fuse(&artifact, s)).collect();
        for (precision, mean_bar, worst_bar, ssim_bar) in
            [("int8", 42.0, 38.0, 0.99), ("fp16", 60.0, 55.0, 0.999)]
        {
            let model = Model::open(&folder.join(format!("{name}.{precision}.fpx"))).expect("a model");
            let (mean, worst, similar) = closeness(&model, &samples, &reference);
            println!(
                "{name} {precision}: PSNR mean {mean:.2} dB, worst {worst:.2} dB, SSIM {similar:.4}; f32 to tract {error:.1e}"
            );
            assert!(
                mean >= mean_bar && worst >= worst_bar && similar >= ssim_bar,
                "{name} {precision} is too far off"
            );
        }
    }
}
