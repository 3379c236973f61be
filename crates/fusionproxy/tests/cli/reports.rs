//! Commands that report.

use crate::support::{folder, fusionproxy};

#[test]
fn inspect_tells_what_the_built_in_model_holds() {
    let dir = folder();
    let report = fusionproxy(dir.path(), &["inspect", "ultralight", "--json"]).json();
    for field in ["params", "macs", "weights_bytes"] {
        assert!(report[field].as_u64() > Some(1000), "{field}: {}", report[field]);
    }
    assert!(report["operators"].as_array().is_some_and(|o| o.len() > 20));
    let text = fusionproxy(dir.path(), &["inspect", "ultralight", "--operators"]);
    assert!(text.ok && text.stdout.contains("conv"), "{}", text.stderr);
}

#[test]
fn the_plan_is_close_to_its_lower_bound() {
    let dir = folder();
    for model in ["ultralight", "ultralight.fp16"] {
        let report = fusionproxy(dir.path(), &["plan", model, "--size", "480x640", "--json"]).json();
        let number = |f: &str| report[f].as_u64().expect("a number");
        assert!(
            number("arena_bytes") as f64 <= 1.10 * number("lower_bound_bytes") as f64,
            "{model}: {report}"
        );
        assert_eq!(number("arena_bytes"), number("activation_bytes") + number("scratch_bytes"));
    }
    let text = fusionproxy(dir.path(), &["plan", "ultralight"]);
    assert!(text.stdout.contains("lower bound"), "{}", text.stderr);
}

#[test]
fn explain_names_a_kernel_for_every_operator_and_counts_no_allocation() {
    let dir = folder();
    for threads in ["1", "2"] {
        let args =
            ["explain", "ultralight", "--size", "240x320", "--frames", "3", "--threads", threads, "--json"];
        let report = fusionproxy(dir.path(), &args).json();
        assert_eq!(report["allocations_per_frame"], 0.0, "{threads} threads");
        let operators = report["operators"].as_array().expect("operators");
        assert!(operators.iter().all(|o| !o["kernel"].as_str().unwrap_or("").is_empty()));
        assert!(report["chains"].as_array().is_some_and(|c| c.len() >= 2), "{threads} threads");
    }
}

#[test]
fn help_has_examples() {
    let dir = folder();
    for command in ["demo", "fuse", "compile", "inspect", "explain", "plan", "validate", "bench"] {
        let run = fusionproxy(dir.path(), &[command, "--help"]);
        assert!(run.ok && run.stdout.contains("Examples:"), "{command}");
    }
}
