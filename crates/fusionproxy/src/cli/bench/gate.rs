//! The regression gate: what must not get worse, on any machine.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::row::Row;

/// Ratios to the best peer may grow by this part: a shared machine moves them by about a tenth.
const RATIO: f64 = 1.15;
/// PSNR may fall by this much, dB.
const DB: f64 = 0.5;

/// Reads the rows of an earlier run.
pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read baseline {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("baseline {} is not the --json of a bench", path.display()))
}

/// Compares our rows with those of the baseline, and their ratios to those of `peers` that took part in it.
///
/// # Errors
/// Names everything that is worse, or was not measured.
pub(super) fn hold(rows: &[Row], baseline: &[Row], peers: &[&str]) -> Result<()> {
    let mut worse = Vec::new();
    for old in baseline.iter().filter(|r| r.is_ours()) {
        let what = format!("{} {}, {} thread(s)", old.model, old.precision, old.threads);
        let same = |r: &&Row| r.is_ours() && r.same_task(old) && r.precision == old.precision;
        let Some(new) = rows.iter().find(same) else {
            worse.push(format!("{what}: was not measured"));
            continue;
        };
        if let Some(best) = old.best_peer(baseline).filter(|p| peers.contains(&&*p.runtime)) {
            // A slower peer in its place would make the ratio look better.
            let there = rows
                .iter()
                .any(|r| r.same_task(old) && r.runtime == best.runtime && r.precision == best.precision);
            if !there {
                let (runtime, precision) = (&best.runtime, &best.precision);
                worse.push(format!("{what}: {runtime} {precision}, the fastest other one, was not measured"));
            }
        }
        if let (Some(was), Some(is)) = (old.ratio(baseline), new.ratio(rows))
            && is > was * RATIO
        {
            worse.push(format!("{what}: {is:.2} of the best peer's time instead of {was:.2}"));
        }
        let counts = [
            ("allocations a frame", old.allocations, new.allocations),
            ("arena bytes", old.arena_bytes.map(|b| b as f64), new.arena_bytes.map(|b| b as f64)),
            ("weight bytes", old.weights_bytes.map(|b| b as f64), new.weights_bytes.map(|b| b as f64)),
        ];
        for (name, was, is) in counts {
            if let (Some(was), Some(is)) = (was, is)
                && is > was
            {
                worse.push(format!("{what}: {is} {name} instead of {was}"));
            }
        }
        if let (Some(was), Some(is)) = (old.psnr_f32, new.psnr_f32)
            && is < was - DB
        {
            worse.push(format!("{what}: {is:.1} dB to f32 instead of {was:.1}"));
        }
    }
    if worse.is_empty() { Ok(()) } else { bail!("worse than the baseline: {}", worse.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    fn rows(ours: f64, peer: f64) -> Vec<Row> {
        vec![row("fusionproxy", "int8", ours, 45.0), row("tract", "f32", peer, 120.0)]
    }

    #[test]
    fn ratios_hold_not_milliseconds() {
        let baseline = rows(2.0, 4.0);
        // Twice as slow, and so is the peer.
        hold(&rows(4.0, 8.0), &baseline, &["tract"]).expect("the same ratio");
        hold(&rows(2.2, 4.0), &baseline, &["tract"]).expect("within the tolerance");
        let error = hold(&rows(2.4, 4.0), &baseline, &["tract"]).expect_err("0.6 of the peer").to_string();
        assert!(error.contains("0.60") && error.contains("0.50"), "{error}");
        // Where no peer is asked for, only counts are compared; one that is asked for and fails is missed.
        hold(&rows(9.0, 1.0)[..1], &baseline, &[]).expect("no peer");
        let error = hold(&rows(2.0, 4.0)[..1], &baseline, &["tract"]).expect_err("lost").to_string();
        assert!(error.contains("tract f32, the fastest other one, was not measured"), "{error}");
    }

    #[test]
    fn counts_are_exact() {
        let baseline = rows(1.0, 4.0);
        let with = |change: &dyn Fn(&mut Row)| {
            let mut rows = baseline.clone();
            change(&mut rows[0]);
            hold(&rows, &baseline, &[])
        };
        with(&|r| r.arena_bytes = Some(99)).expect("smaller is better");
        for (change, word) in [
            (&(|r: &mut Row| r.arena_bytes = Some(101)) as &dyn Fn(&mut Row), "arena"),
            (&|r: &mut Row| r.allocations = Some(1.0), "allocations"),
            (&|r: &mut Row| r.weights_bytes = Some(11), "weight"),
            (&|r: &mut Row| r.psnr_f32 = Some(44.0), "dB"),
            (&|r: &mut Row| r.precision = "fp16".into(), "not measured"),
        ] {
            let error = with(change).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
