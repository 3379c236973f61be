//! Bad models, options and pairs: one clear error each.

use fusionproxy_compiler::{CalibrationPair, CompileError, Options, Precision, compile};
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

use crate::net::{Attr, Net, pairs, written};

fn f32() -> Options {
    Options { precision: Precision::F32, ..Options::default() }
}

/// The message that `n` fails with.
fn failure(n: &Net) -> String {
    n.compile(&f32(), &[]).expect_err("an error").to_string()
}

fn good() -> Net {
    let mut n = Net::new(17);
    let x = n.features(4);
    n.finish(&x, 4);
    n
}

fn of_bytes(bytes: &[u8]) -> CompileError {
    let (_folder, path) = written(bytes);
    compile(&path, &f32(), &[], &mut |_, _, _| ()).expect_err("an error")
}

#[test]
fn missing_empty_and_foreign_files() {
    let e = compile("/no/such/net.onnx".as_ref(), &f32(), &[], &mut |_, _, _| ()).unwrap_err();
    assert!(e.to_string().contains("/no/such/net.onnx"), "{e}");
    assert!(of_bytes(&[]).to_string().contains("the file is empty"));
    for bytes in [&b"\x89PNG\r\n\x1a\n and more"[..], b"hello", &[0xff; 100]] {
        assert!(matches!(of_bytes(bytes), CompileError::NotOnnx { .. }));
    }
}

#[test]
fn a_model_cut_anywhere() {
    let bytes = good().bytes();
    for cut in (1..bytes.len()).step_by(bytes.len() / 40) {
        let e = of_bytes(&bytes[..cut]).to_string();
        assert!(!e.is_empty());
    }
}

#[test]
fn a_model_with_flipped_bytes_never_panics() {
    let bytes = good().bytes();
    for at in (0..bytes.len()).step_by(bytes.len() / 60) {
        let mut b = bytes.clone();
        b[at] ^= 0x55;
        let (_folder, path) = written(&b);
        // It may still be a good model: a changed weight is one.
        let _ = compile(&path, &f32(), &[], &mut |_, _, _| ());
    }
}

#[test]
fn an_unknown_operator_is_named_with_its_nearest_form() {
    let mut n = Net::new(17);
    let x = n.features(4);
    let y = n.node("Einsum", &[&x], &[("equation", Attr::Text("abcd->abdc"))]);
    n.finish(&y, 4);
    let e = failure(&n);
    for part in ["Einsum:v", "(Einsum, opset 17)", "MatMul"] {
        assert!(e.contains(part), "{e}");
    }
    let mut n = Net::new(17);
    let x = n.features(4);
    let y = n.node("NoSuchOperator", &[&x], &[]);
    n.finish(&y, 4);
    assert!(failure(&n).contains("(NoSuchOperator, opset 17)"));
}

#[test]
fn unsupported_forms_say_what_would_do() {
    let mut n = Net::new(13);
    let x = n.features(4);
    let s = n.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
    let y = n.node("Resize", &[&x, "", &s], &[("mode", Attr::Text("cubic"))]);
    let y = n.conv(&y, 4, 4, 3, 2);
    n.finish(&y, 4);
    let e = failure(&n);
    assert!(e.contains("cubic") && e.contains("nearest or linear"), "{e}");

    let mut n = Net::new(13);
    let x = n.features(4);
    let (w, b) = (n.weights(&[4, 72, 88]), n.weights(&[4, 72, 88]));
    let y = n.node("LayerNormalization", &[&x, &w, &b], &[("axis", Attr::Int(1))]);
    n.finish(&y, 4);
    assert!(failure(&n).contains("LayerNorm"));
}

#[test]
fn one_input_and_three() {
    let mut n = Net::bare(13).input("vis", &[Some(1), Some(1), None, None]).output("fused");
    let y = n.conv("vis", 1, 1, 3, 1);
    n.node_to("Sigmoid", &[&y], &["fused"], &[]);
    let e = failure(&n);
    assert!(e.contains("1 input(s): `vis`") && e.contains("a visible and an infrared image"), "{e}");
    let n = good().input("mask", &[Some(1), Some(1), None, None]);
    assert!(failure(&n).contains("3 input(s)"));
}

#[test]
fn inputs_and_outputs_that_are_no_images() {
    let n = Net::bare(13)
        .input("vis", &[Some(1), Some(4), None, None])
        .input("ir", &[Some(1), Some(1), None, None])
        .output("fused");
    let mut n = n;
    let y = n.conv("vis", 4, 1, 3, 1);
    n.node_to("Add", &[&y, "ir"], &["fused"], &[]);
    assert!(failure(&n).contains("1x4x?x?"), "{}", failure(&n));

    let mut n = Net::new(13);
    let x = n.features(4);
    n.node_to("GlobalAveragePool", &[&x], &["fused"], &[]);
    assert!(failure(&n).contains("[1, 4, 1, 1]"), "{}", failure(&n));

    let mut n = Net::new(13);
    n.node_to("Identity", &["vis"], &["fused"], &[]);
    assert!(failure(&n).contains("is an input unchanged"));
}

#[test]
fn wrong_names_in_options() {
    let n = good();
    let e = |o: Options| n.compile(&o, &[]).unwrap_err().to_string();
    assert!(
        e(Options { visible: Some("rgb".into()), ..f32() })
            .contains("no input `rgb`; its inputs are `vis`, `ir`")
    );
    assert!(e(Options { output: Some("out".into()), ..f32() }).contains("no output `out`"));
    let both = Options { visible: Some("ir".into()), infrared: Some("ir".into()), ..f32() };
    assert!(e(both).contains("both inputs"));
    let keep = Options { keep_fp16: vec!["nothing*".into()], ..Options::default() };
    let e = n.compile(&keep, &pairs(1, 40, 48)).unwrap_err().to_string();
    assert!(e.contains("nothing*"), "{e}");
}

#[test]
fn weights_that_are_missing_or_not_numbers() {
    let mut n = good();
    n.graph().initializer[0].float_data[3] = f32::NAN;
    let e = failure(&n);
    assert!(e.contains("1 of 72 elements of `w") && e.contains("NaN"), "{e}");

    let mut n = good();
    let t = &mut n.graph().initializer[0];
    t.float_data.clear();
    t.data_location = Some(DataLocation::External as i32);
    t.external_data =
        vec![pb::StringStringEntryProto { key: "location".into(), value: "weights.bin".into() }];
    let e = failure(&n);
    assert!(e.contains("`weights.bin`, which is missing"), "{e}");
    n.graph().initializer[0].external_data[0].value = "../weights.bin".into();
    assert!(failure(&n).contains("not a path inside the model's folder"));
}

#[test]
fn a_value_that_nothing_makes() {
    let mut n = good();
    n.graph().node[0].input[0] = "ghost".into();
    assert!(failure(&n).contains("`ghost`, which nothing makes"));
}

#[test]
fn shapes_that_do_not_fit() {
    let mut n = Net::new(17);
    let x = n.features(4);
    let w = n.weights(&[4, 5, 3, 3]);
    let y = n.node("Conv", &[&x, &w], &[]);
    n.finish(&y, 4);
    let e = failure(&n);
    assert!(e.contains("Conv"), "{e}");
}

#[test]
fn weights_of_another_type() {
    let mut n = good();
    n.graph().initializer[0].data_type = DataType::String as i32;
    assert!(!failure(&n).is_empty());
}

#[test]
fn calibration_pairs_that_are_missing_or_broken() {
    let n = good();
    let e = n.compile(&Options::default(), &[]).unwrap_err().to_string();
    assert!(e.contains("INT8 needs calibration pairs"), "{e}");
    let mut p = pairs(2, 40, 48);
    p[1].visible_rgb.pop();
    let e = n.compile(&Options::default(), &p).unwrap_err().to_string();
    assert!(e.contains("pair 1: the visible buffer"), "{e}");
    let empty =
        CalibrationPair { name: String::new(), width: 0, height: 0, visible_rgb: vec![], infrared: vec![] };
    assert!(n.compile(&Options::default(), &[empty]).is_err());
    // A pair of one pixel is extended by its edge.
    assert!(n.compile(&Options::default(), &pairs(1, 1, 1)).is_ok());
}

#[test]
fn a_size_that_is_not_the_models() {
    let mut n = Net::bare(13)
        .input("vis", &[Some(1), Some(1), Some(32), Some(40)])
        .input("ir", &[Some(1), Some(1), Some(32), Some(40)])
        .output("fused");
    let x = n.features(4);
    n.finish(&x, 4);
    let e = n.compile(&Options { size: Some((64, 80)), ..f32() }, &[]).unwrap_err().to_string();
    assert!(e.contains("32x40"), "{e}");
    let c = n.compile(&f32(), &[]).unwrap();
    // Exported for one size, it still runs at any.
    assert_eq!(c.report.fixed_size, None);
}
