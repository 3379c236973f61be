//! Inputs and outputs under any names.

use fusionproxy_compiler::{Options, Precision};

use crate::net::{Attr, Net, pairs};

/// A network that weighs its inputs differently, so that swapping them shows.
fn net(first: (&str, usize), second: (&str, usize), output: &str) -> Net {
    let open = |c: usize| [Some(1), Some(c), None, None];
    let mut n = Net::bare(13).input(first.0, &open(first.1)).input(second.0, &open(second.1)).output(output);
    let x = n.node("Concat", &[first.0, second.0], &[("axis", Attr::Int(1))]);
    let y = n.conv(&x, first.1 + second.1, 1, 3, 1);
    n.node_to("Sigmoid", &[&y], &[output], &[]);
    n
}

#[test]
fn names_are_guessed_and_the_guess_is_told() {
    for (first, second, visible) in [
        (("thermal", 1), ("rgb", 1), "rgb"),
        (("input_vis", 1), ("input_ir", 1), "input_vis"),
        (("x", 1), ("y", 3), "y"),
        (("x", 1), ("y", 1), "x"),
        (("ir", 1), ("vis", 1), "vis"),
    ] {
        let c = net(first, second, "result").exact();
        assert_eq!(c.report.visible.0, visible);
        assert!(c.report.guesses.iter().any(|g| g.contains("`result`")), "{:?}", c.report.guesses);
    }
    assert!(net(("vis", 1), ("ir", 1), "fused").exact().report.guesses.is_empty());
}

#[test]
fn options_name_the_inputs() {
    let n = net(("a", 1), ("b", 1), "out");
    let options = Options {
        precision: Precision::F32,
        visible: Some("b".into()),
        infrared: Some("a".into()),
        output: Some("out".into()),
        name: Some("mine".into()),
        ..Options::default()
    };
    let c = n.compile(&options, &pairs(1, 32, 40)).unwrap();
    assert_eq!((c.report.visible.0.as_str(), c.report.infrared.0.as_str()), ("b", "a"));
    assert_eq!(c.report.name, "mine");
    assert!(c.report.guesses.is_empty());
    assert!(c.report.verification.unwrap().import_error < 1e-5);
}

#[test]
fn three_channels_on_either_side() {
    let c = net(("vis", 3), ("ir", 3), "fused").exact();
    assert_eq!((c.report.visible.1, c.report.infrared.1), (3, 3));
}

#[test]
fn a_report_survives_json() {
    let n = net(("vis", 1), ("ir", 1), "fused");
    let c = n.compile(&Options::default(), &pairs(3, 40, 48)).unwrap();
    let text = serde_json::to_string(&c.report).unwrap();
    let back: fusionproxy_compiler::Report = serde_json::from_str(&text).unwrap();
    assert_eq!(back.artifact_bytes, c.artifact.len());
    assert_eq!(back.operators, c.report.operators);
    assert_eq!(back.calibration.unwrap().pairs, 3);
}
