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
fn an_arena_that_is_asked_for_is_kept() {
    let dir = folder();
    let plan = |arena: &str| {
        let args = ["plan", "ultralight", "--size", "480x640", "--arena", arena, "--json"];
        fusionproxy(dir.path(), &args)
    };
    let report = plan("3MiB").json();
    assert!(report["arena_bytes"].as_u64().is_some_and(|b| b <= 3 << 20), "{}", report["arena_bytes"]);
    assert!(report["repeated_operators"].as_u64() > Some(0));
    plan("3KiB").fails_with(&["3072", "the least is"]);
    plan("3Mi").fails_with(&["3Mi", "3MiB"]);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_fusionproxy"))
        .args(["plan", "ultralight"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    let done = child.wait_with_output().expect("it ends");
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
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
