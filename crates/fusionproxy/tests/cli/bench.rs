//! Timing students beside other runtimes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{folder, fusionproxy, names};

const COLUMNS: [&str; 12] = [
    "runtime",
    "model",
    "precision",
    "height",
    "width",
    "threads",
    "median_ms",
    "min_ms",
    "allocations",
    "arena_bytes",
    "weights_bytes",
    "psnr_f32",
];

/// The released models.
fn models() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").display().to_string()
}

fn rows(path: &Path) -> Vec<Value> {
    serde_json::from_slice(&fs::read(path).expect("the rows were written")).expect("JSON rows")
}

/// A peer that says that it takes 1.5 ms, gives back the visible frame, and has no INT8.
#[cfg(unix)]
fn write_peer(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let script = r#"#!/bin/sh
if [ "$2" = int8 ]; then echo "error it has no INT8"; exit 1; fi
frames=$6
echo "ready 1.0"
while read -r word rest; do
  case "$word" in
    run) line=ms; n=0; while [ "$n" -lt "$rest" ]; do line="$line 1.5"; n=$((n + 1)); done; echo "$line" ;;
    allocations) echo "allocations 7" ;;
    output) cp "$frames/0.vis.f32" "$rest"; echo done ;;
  esac
done
"#;
    fs::create_dir_all(folder).expect("folder");
    let path = folder.join("ort");
    fs::write(&path, script).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
}

#[test]
#[cfg(unix)]
fn ours_and_peers_take_turns_and_are_compared() {
    let dir = folder();
    write_peer(&dir.path().join("peers"));
    let models = models();
    let mut args = vec![
        "bench",
        "--model",
        "nano",
        "--model-dir",
        &models,
        "--size",
        "72x96",
        "--frames",
        "4",
        "--peers",
        "tract,ort,ncnn",
        "--peer-dir",
        "peers",
        "--json",
        "rows.json",
    ];
    let run = fusionproxy(dir.path(), &[&args[..], &["--html", "bench.html"]].concat());
    assert!(run.ok, "{}", run.stderr);
    let found = rows(&dir.path().join("rows.json"));
    let names: Vec<String> = found
        .iter()
        .map(|r| [&r["runtime"], &r["precision"]].map(|v| v.as_str().unwrap_or("?")).join(" "))
        .collect();
    assert_eq!(names, ["fusionproxy f32", "fusionproxy fp16", "fusionproxy int8", "tract f32", "ort f32"]);
    for r in &found {
        for column in COLUMNS {
            assert!(r.get(column).is_some(), "{column} is missing in {r}");
        }
        assert_eq!(
            (r["height"].as_u64(), r["width"].as_u64(), r["threads"].as_u64()),
            (Some(72), Some(96), Some(1))
        );
        assert!(r["min_ms"].as_f64() > Some(0.0) && r["min_ms"].as_f64() <= r["median_ms"].as_f64());
    }
    for r in &found[..3] {
        assert_eq!(r["allocations"], 0.0, "{r}");
        for count in ["arena_bytes", "weights_bytes", "macs", "bytes_moved"] {
            assert!(r[count].as_u64() > Some(0), "{count} of {r}");
        }
    }
    let db = |i: usize| found[i]["psnr_f32"].as_f64().expect("a PSNR");
    assert!(db(0) == 120.0 && db(1) > 50.0 && db(2) > 30.0, "{found:?}");
    // tract runs the same network in f32 and allocates for it.
    assert!(db(3) > 90.0 && found[3]["allocations"].as_f64() > Some(100.0), "{}", found[3]);
    assert_eq!((found[4]["median_ms"].as_f64(), found[4]["allocations"].as_f64()), (Some(1.5), Some(7.0)));
    assert!(db(4) < 50.0, "the peer's frame is another one");

    assert!(run.stderr.contains("ort int8 of nano is not measured: it has no INT8"), "{}", run.stderr);
    assert!(
        run.stderr.contains("ncnn f32 of nano is not measured") && run.stderr.contains("cargo xtask suite")
    );
    assert!(run.stdout.contains("GMAC/s INT8") && run.stdout.contains("another picture"), "{}", run.stdout);
    let html = fs::read_to_string(dir.path().join("bench.html")).expect("a report");
    assert!(html.contains("ort f32") && !html.contains("http://") && !html.contains("https://"));

    // The gate: the same again holds, a smaller arena in the baseline does not.
    args.retain(|a| *a != "tract,ort,ncnn" && *a != "--peers");
    let baseline = |change: &dyn Fn(&mut Value)| {
        let mut rows = found.clone();
        change(&mut rows[2]);
        fs::write(dir.path().join("base.json"), serde_json::to_vec(&rows).expect("JSON")).expect("written");
        fusionproxy(dir.path(), &[&args[..], &["--assert", "base.json"]].concat())
    };
    let same = baseline(&|_| ());
    assert!(same.ok, "{}", same.stderr);
    baseline(&|r| r["arena_bytes"] = 1.into()).fails_with(&["worse than the baseline", "nano int8", "arena"]);
    baseline(&|r| r["precision"] = "gone".into()).fails_with(&["nano gone", "not measured"]);
    // What a baseline holds of other students was not asked for.
    let others = baseline(&|r| r["model"] = "gone".into());
    assert!(others.ok, "{}", others.stderr);
    fs::write(dir.path().join("base.json"), "[]").expect("written");
    fusionproxy(dir.path(), &[&args[..], &["--assert", "base.json"]].concat())
        .fails_with(&["the baseline has no row of what was measured"]);
}

#[test]
fn what_cannot_be_timed_is_refused() {
    let dir = folder();
    fs::write(dir.path().join("text.json"), b"no rows").expect("written");
    let before = names(dir.path());
    for (args, words) in [
        (&["bench", "--model", "heavy"][..], &["`heavy`"][..]),
        (&["bench", "--size", "0x9"], &["0x9", "HEIGHTxWIDTH"]),
        (&["bench", "--peers", "torch"], &["torch"]),
        (&["bench", "--model", "ultralight", "--threads", "256"], &["cores"]),
        (&["bench", "--model", "ultralight", "--assert", "none.json"], &["none.json"]),
        (&["bench", "--model", "ultralight", "--assert", "text.json"], &["text.json"]),
        (&["bench", "--model", "ultralight", "--json", "no/rows.json"], &["no/rows.json", "does not exist"]),
    ] {
        fusionproxy(dir.path(), args).fails_with(words);
        assert_eq!(names(dir.path()), before, "{args:?} left files behind");
    }
}
