//! The metrics on real pairs against a table computed by another program.
//!
//! The data is not redistributed: `FUSIONPROXY_DATA` or `../shared/data` beside the workspace names its place.
#![cfg(feature = "images")]

use std::path::{Path, PathBuf};

use fusionproxy_eval::metrics::{self, Image};
use fusionproxy_eval::pairs::{Pair, Pairing, Samples, load_infrared};

fn data() -> Option<PathBuf> {
    let root = std::env::var_os("FUSIONPROXY_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    root.join("val/vis").is_dir().then_some(root)
}

fn grey(samples: Samples) -> Vec<u8> {
    match samples {
        Samples::Grey8(v) => v,
        Samples::Grey16(v) => v.into_iter().map(|v| (v >> 8) as u8).collect(),
    }
}

/// EN, SD, SF, AG, Qabf, SSIM to visible, SSIM to infrared.
type Row = [f64; 7];

/// Means over the 36 validation pairs, by a program of its own (NumPy), as printed. Its decoder was libjpeg-turbo, which
/// differs from ours by up to a grey level in some pixels.
const TABLE: [(&str, Row); 4] = [
    ("visible", [6.762, 44.1, 14.10, 5.32, 0.580, 1.000, 0.355]),
    ("infrared", [7.150, 51.5, 10.60, 4.32, 0.495, 0.355, 1.000]),
    ("average", [6.662, 32.0, 9.06, 3.87, 0.355, 0.757, 0.688]),
    ("maximum", [6.875, 43.4, 13.69, 5.08, 0.565, 0.789, 0.574]),
];
/// One unit of the last printed digit.
const DIGIT: Row = [0.001, 0.1, 0.01, 0.01, 0.001, 0.001, 0.001];

/// The table's teacher rows were computed before the teachers' pictures were stored as JPEG: only near them.
const TEACHERS: [(&str, Row); 2] = [
    ("sage", [6.779, 43.1, 13.13, 5.14, 0.456, 0.822, 0.544]),
    ("seafusion", [6.939, 42.7, 14.79, 6.17, 0.538, 0.768, 0.585]),
];

fn score(v: Image<'_>, i: Image<'_>, f: Image<'_>) -> Row {
    [
        metrics::entropy(f),
        metrics::standard_deviation(f),
        metrics::spatial_frequency(f),
        metrics::average_gradient(f),
        metrics::qabf(v, i, f).unwrap(),
        metrics::ssim(v, f).unwrap(),
        metrics::ssim(i, f).unwrap(),
    ]
}

/// Sums of the six fusions' scores over some pairs.
fn rows(root: &Path, pairs: &[Pair]) -> [Row; 6] {
    let mut sums = [[0.0; 7]; 6];
    for pair in pairs {
        let (visible, infrared) = pair.load().unwrap();
        let (w, h) = (visible.width, visible.height);
        let (vis, ir) = (visible.luma(), grey(infrared.samples));
        // Rounded up at a half.
        let average: Vec<u8> = vis.iter().zip(&ir).map(|(&a, &b)| a.max(b) - a.abs_diff(b) / 2).collect();
        let maximum: Vec<u8> = vis.iter().zip(&ir).map(|(&a, &b)| a.max(b)).collect();
        let teacher = |name: &str| {
            let file = root.join(format!("teachers/val/{name}/{}.1.0.jpg", pair.name));
            grey(load_infrared(&file).unwrap().samples)
        };
        let image = |d| Image::new(d, w, h).unwrap();
        let (v, i) = (image(&vis), image(&ir));
        let fused = [&vis, &ir, &average, &maximum, &teacher("sage"), &teacher("seafusion")];
        for (sum, f) in sums.iter_mut().zip(fused) {
            for (s, x) in sum.iter_mut().zip(score(v, i, image(f))) {
                *s += x;
            }
        }
    }
    sums
}

#[test]
fn baseline_table_is_reproduced() {
    let Some(root) = data() else {
        eprintln!(
            "SKIPPED baseline_table_is_reproduced: no data; set FUSIONPROXY_DATA to a folder with val/vis and val/ir"
        );
        return;
    };
    let pairing = Pairing::under(&root.join("val")).unwrap();
    assert_eq!((pairing.pairs.len(), pairing.notice()), (36, None));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<[Row; 6]> = std::thread::scope(|scope| {
        let chunks = pairing.pairs.chunks(pairing.pairs.len().div_ceil(threads));
        let jobs: Vec<_> = chunks.map(|pairs| scope.spawn(|| rows(&root, pairs))).collect();
        jobs.into_iter().map(|j| j.join().unwrap()).collect()
    });
    let mut sums = [[0.0; 7]; 6];
    for part in parts {
        for (x, y) in sums.as_flattened_mut().iter_mut().zip(part.as_flattened()) {
            *x += y / 36.0;
        }
    }
    for (name, found) in ["visible", "infrared", "average", "maximum", "sage", "seafusion"].iter().zip(&sums)
    {
        println!("{name:9} {found:.4?}");
    }
    for ((name, expected), found) in TABLE.iter().zip(&sums) {
        for ((e, f), digit) in expected.iter().zip(found).zip(DIGIT) {
            // Rounding to the digit, and a tenth of it for the other decoder.
            assert!((e - f).abs() <= 0.6 * digit, "{name}: {found:.4?} instead of {expected:?}");
        }
    }
    for ((name, expected), found) in TEACHERS.iter().zip(&sums[4..]) {
        for (e, f) in expected.iter().zip(found) {
            assert!((e - f).abs() <= 0.03 * e, "{name}: {found:.4?} far from {expected:?}");
        }
    }
}
