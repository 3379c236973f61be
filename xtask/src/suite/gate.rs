//! The regression gate on exact counts. Ratios to peers are `fusionproxy bench --assert`'s part.

use serde_json::Value;

use super::Platform;
use super::counts::key;

/// Counts may grow by this part: a start-up that ends in another place moves them by a few hundred.
const TOLERANCE: f64 = 1.001;

/// Whether a run of `platforms` with the students `models` (`all`, or names between commas) counts what `row` is a count of.
pub(super) fn asked(row: &Value, platforms: &[Platform], models: &str) -> bool {
    // The firmware has the one network that fits.
    if row["cpu"].as_str().is_some_and(|cpu| cpu.starts_with("qemu-")) {
        return platforms.contains(&Platform::CortexM);
    }
    let model = row["model"].as_str().unwrap_or_default();
    platforms.contains(&Platform::Aarch64) && (models == "all" || models.split(',').any(|m| m == model))
}

/// What of `baseline` was not counted anew, or has grown.
pub(super) fn worse(rows: &[Value], baseline: &[Value]) -> Vec<String> {
    let count = |r: &Value| r["instructions"].as_f64();
    let mut worse = Vec::new();
    for old in baseline {
        let name = key(old).map(|v| v.to_string()).join(" ");
        let new = rows.iter().find(|r| key(r) == key(old)).and_then(count);
        match (count(old), new) {
            (_, None) => worse.push(format!("{name}: was not counted")),
            (Some(was), Some(is)) if is > was * TOLERANCE => {
                worse.push(format!("{name}: {is} instructions instead of {was}"));
            }
            _ => {}
        }
    }
    worse
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_growth_counts() {
        let row = |n: u64| json!({"model": "m", "precision": "int8", "height": 1, "width": 2, "cpu": "c", "instructions": n});
        assert!(worse(&[row(1_000_000)], &[row(1_000_000)]).is_empty());
        assert!(worse(&[row(1_000_900)], &[row(1_000_000)]).is_empty());
        assert!(worse(&[row(900_000)], &[row(1_000_000)]).is_empty());
        assert_eq!(worse(&[row(1_100_000)], &[row(1_000_000)]).len(), 1);
        assert_eq!(worse(&[], &[row(1)]).len(), 1, "an emulator that failed");
    }

    #[test]
    fn only_what_is_asked_for_is_missed() {
        let row = |cpu: &str, model: &str| json!({"cpu": cpu, "model": model});
        let both = [Platform::Aarch64, Platform::CortexM];
        for (cpu, model) in [("cortex-a76", "b"), ("qemu-m7", "nano")] {
            assert!(asked(&row(cpu, model), &both, "all"));
            assert!(asked(&row(cpu, model), &both, "a,b"));
            assert!(!asked(&row(cpu, model), &[Platform::Native], "all"));
        }
        assert!(!asked(&row("cortex-a76", "c"), &both, "a,b"));
    }
}
