//! Precisions: how close they come, and how operators are kept at a higher one.

use fusionproxy_compiler::{Options, Precision, RangeMethod, constants};
use fusionproxy_kernels::Scalar;

use crate::net::{Attr, Net, pairs};

/// A small U-Net with every kind of block of the light student.
fn student() -> Net {
    let mut n = Net::new(18);
    let encoder = |n: &mut Net, x: &str| {
        let a = n.conv(x, 1, 8, 3, 2);
        let a = n.node("Relu", &[&a], &[]);
        let b = n.depthwise(&a, 8);
        let b = n.conv(&b, 8, 12, 1, 1);
        let b = n.node("Relu", &[&b], &[]);
        let c = n.conv(&b, 12, 12, 3, 2);
        let c = n.node("Relu", &[&c], &[]);
        (b, c)
    };
    let (v, i) = (encoder(&mut n, "vis"), encoder(&mut n, "ir"));
    let fuse = |n: &mut Net, v: &str, i: &str| {
        let x = n.node("Concat", &[v, i], &[("axis", Attr::Int(1))]);
        let axes = n.ints(&[2, 3]);
        let g = n.node("ReduceMean", &[&x, &axes], &[]);
        let g = n.conv(&g, 24, 8, 1, 1);
        let g = n.node("Relu", &[&g], &[]);
        let g = n.conv(&g, 8, 12, 1, 1);
        let g = n.node("Sigmoid", &[&g], &[]);
        let p = n.conv(&x, 24, 12, 1, 1);
        let p = n.node("Mul", &[&g, &p], &[]);
        let s = n.node("Add", &[v, i], &[]);
        n.node("Add", &[&s, &p], &[])
    };
    let skip = fuse(&mut n, &v.0, &i.0);
    let deep = fuse(&mut n, &v.1, &i.1);
    let scale = n.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
    let up = n.node(
        "Resize",
        &[&deep, "", &scale],
        &[
            ("mode", Attr::Text("nearest")),
            ("coordinate_transformation_mode", Attr::Text("asymmetric")),
            ("nearest_mode", Attr::Text("floor")),
        ],
    );
    let x = n.node("Concat", &[&up, &skip], &[("axis", Attr::Int(1))]);
    let x = n.depthwise(&x, 24);
    let x = n.conv(&x, 24, 12, 1, 1);
    let x = n.node("HardSwish", &[&x], &[]);
    let x = n.conv(&x, 12, 8, 3, 1);
    let y = n.node("DepthToSpace", &[&x], &[("blocksize", Attr::Int(2)), ("mode", Attr::Text("CRD"))]);
    let sizes = n.ints(&[1, 1]);
    n.node_to("Split", &[&y, &sizes], &["a", "b"], &[("axis", Attr::Int(1))]);
    let w = n.node("Sigmoid", &["a"], &[]);
    let d = n.node("Sub", &["ir", "vis"], &[]);
    let d = n.node("Mul", &[&w, &d], &[]);
    let y = n.node("Add", &["vis", &d], &[]);
    let t = n.node("Tanh", &["b"], &[]);
    let k = n.floats(&[], &[0.25]);
    let t = n.node("Mul", &[&t, &k], &[]);
    let y = n.node("Add", &[&y, &t], &[]);
    let (lo, hi) = (n.floats(&[], &[0.0]), n.floats(&[], &[1.0]));
    n.node_to("Clip", &[&y, &lo, &hi], &["fused"], &[]);
    n
}

fn options(precision: Precision) -> Options {
    Options { precision, ..Options::default() }
}

#[test]
fn every_precision_comes_close() {
    let n = student();
    n.exact();
    for (precision, mean, least) in [(Precision::Fp16, 60.0, 58.0), (Precision::Int8, 40.0, 36.0)] {
        let c = n.compile(&options(precision), &pairs(6, 72, 88)).unwrap();
        let v = c.report.verification.unwrap();
        assert!(v.psnr_mean > mean && v.psnr_min > least, "{precision:?}: {} {}", v.psnr_mean, v.psnr_min);
        assert!(v.ssim_min > 0.97, "{precision:?}: {}", v.ssim_min);
        assert_eq!((c.report.stride, c.report.fixed_size), (4, None));
        assert_eq!(c.report.operators["blend"], 1);
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let n = student();
    let make = || n.compile(&options(Precision::Int8), &pairs(3, 72, 88)).unwrap().artifact;
    assert_eq!(make(), make());
}

#[test]
fn every_range_method_works() {
    let n = student();
    for range in [RangeMethod::MinMax, RangeMethod::Percentile, RangeMethod::Mse, RangeMethod::Kl] {
        let o = Options { range, ..options(Precision::Int8) };
        let c = n.compile(&o, &pairs(3, 72, 88)).unwrap();
        assert!(c.report.verification.unwrap().psnr_mean > 30.0, "{range:?}");
        assert_eq!(c.report.calibration.unwrap().method, range);
    }
}

#[test]
fn operators_kept_at_half_precision() {
    let n = student();
    let o = Options { keep_fp16: vec!["Conv:*".into()], ..options(Precision::Int8) };
    let c = n.compile(&o, &pairs(3, 72, 88)).unwrap();
    assert!(c.report.operators["convert"] > 2, "{:?}", c.report.operators);
    assert!(c.report.half_precision.iter().all(|n| n.starts_with("Conv:")));
    let plain = n.compile(&options(Precision::Int8), &pairs(3, 72, 88)).unwrap();
    let psnr = |c: &fusionproxy_compiler::Compiled| c.report.verification.as_ref().unwrap().psnr_mean;
    assert!(psnr(&c) > psnr(&plain));
    assert!(plain.report.half_precision.is_empty());
}

#[test]
fn a_target_is_reached_by_keeping_operators() {
    let n = student();
    let plain = n.compile(&options(Precision::Int8), &pairs(3, 72, 88)).unwrap();
    let target = plain.report.verification.unwrap().psnr_mean + 3.0;
    let o = Options { target_psnr: Some(target), ..options(Precision::Int8) };
    let c = n.compile(&o, &pairs(3, 72, 88)).unwrap();
    assert!(c.report.verification.unwrap().psnr_mean >= target);
    assert!(!c.report.half_precision.is_empty());
    let o = Options { target_psnr: Some(119.0), ..options(Precision::Int8) };
    let e = n.compile(&o, &pairs(2, 72, 88)).unwrap_err().to_string();
    assert!(e.contains("119 dB cannot be reached"), "{e}");
}

#[test]
fn joined_with_the_image_features_keep_their_scale() {
    // An image of 0..1 beside features of another size, in one concatenation.
    let mut n = Net::new(13);
    let f = n.features(4);
    let hundred = n.floats(&[], &[100.0]);
    let f = n.node("Mul", &[&f, &hundred], &[]);
    let x = n.node("Concat", &["vis", &f], &[("axis", Attr::Int(1))]);
    let y = n.conv(&x, 5, 4, 3, 1);
    let small = n.floats(&[], &[0.01]);
    let y = n.node("Mul", &[&y, &small], &[]);
    n.finish(&y, 4);
    let c = n.compile(&options(Precision::Int8), &pairs(3, 48, 56)).unwrap();
    let v = c.report.verification.unwrap();
    assert!(v.psnr_mean > 38.0, "{:#?} {v:#?}", c.report.calibration);
}

#[test]
fn functions_that_only_tables_have() {
    let mut n = Net::new(13);
    let x = n.features(4);
    let y = n.node("Softplus", &[&x], &[]);
    let z = n.node("Elu", &[&x], &[]);
    let y = n.node("Mul", &[&y, &z], &[]);
    n.finish(&y, 4);
    let c = n.compile(&options(Precision::Int8), &pairs(3, 48, 56)).unwrap();
    assert!(c.report.verification.unwrap().psnr_mean > 40.0);
    let e = n.compile(&options(Precision::F32), &[]).unwrap_err().to_string();
    assert!(e.contains("Softplus") && e.contains("int8"), "{e}");
}

#[test]
fn constants_for_firmware() {
    let c = student().compile(&options(Precision::Int8), &pairs(2, 72, 88)).unwrap();
    let k = constants(&c.artifact, 120, 160, 1, &Scalar::ALL).unwrap();
    assert!(k.source.contains(&format!("pub const ARENA_BYTES: usize = {};", k.arena_bytes)));
    assert!(k.source.contains("pub const OPERATOR_NAMES: [&str; 6] = [\"conv\", \"binary\", \"reduce\", \"resize\", \"concat\", \"blend\"];"), "{}", k.source);
    let larger = constants(&c.artifact, 240, 320, 1, &Scalar::ALL).unwrap();
    assert!(larger.arena_bytes > 3 * k.arena_bytes);
}
