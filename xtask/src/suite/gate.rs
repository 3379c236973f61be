//! The regression gate on exact counts. Ratios to peers are `fusionproxy bench --assert`'s part.

use anyhow::{Result, bail};
use serde_json::Value;

use super::counts::key;
use super::report::Report;

/// Counts may grow by this part: a start-up that ends in another place moves them by a few hundred.
const TOLERANCE: f64 = 1.001;

/// Compares instructions a frame with those of the baseline.
///
/// # Errors
/// Names every count that has grown.
pub(super) fn hold(report: &Report, baseline: &[Value]) -> Result<()> {
    let worse = worse(&report.counts(), baseline);
    if worse.is_empty() { Ok(()) } else { bail!("worse than the baseline: {}", worse.join("; ")) }
}

fn worse(rows: &[Value], baseline: &[Value]) -> Vec<String> {
    let count = |r: &Value| r["instructions"].as_f64();
    let mut worse = Vec::new();
    for old in baseline {
        let Some(new) = rows.iter().find(|r| key(r) == key(old)) else { continue };
        if let (Some(was), Some(is)) = (count(old), count(new))
            && is > was * TOLERANCE
        {
            let name = key(old).map(|v| v.to_string()).join(" ");
            worse.push(format!("{name}: {is} instructions instead of {was}"));
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
        assert!(worse(&[], &[row(1)]).is_empty());
        assert_eq!(worse(&[row(1_100_000)], &[row(1_000_000)]).len(), 1);
    }
}
