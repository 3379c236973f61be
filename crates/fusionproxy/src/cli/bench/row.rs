//! A row of the table.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// PSNR of equal frames, dB.
const EQUAL_DB: f64 = 120.0;
/// PSNR from which a peer's frame counts as the network's, dB.
pub(super) const SAME_DB: f64 = 50.0;

/// One runtime on one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) runtime: String,
    pub(super) model: String,
    pub(super) precision: String,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) threads: u16,
    pub(super) median_ms: f64,
    pub(super) min_ms: f64,
    /// Heap allocations a frame, where they can be counted.
    pub(super) allocations: Option<f64>,
    pub(super) arena_bytes: Option<usize>,
    pub(super) weights_bytes: Option<usize>,
    /// To the f32 network, dB.
    pub(super) psnr_f32: Option<f64>,
    /// Multiply-accumulates of a frame, where they are known.
    pub(super) macs: Option<u64>,
    /// Bytes that the operators of a frame read and write, weights included, where they are known.
    pub(super) bytes_moved: Option<u64>,
}

impl Row {
    /// Whether this is a row of ours.
    pub(super) fn is_ours(&self) -> bool {
        self.runtime == super::contender::OURS
    }

    /// Whether both rows are of one network, size and number of threads.
    pub(super) fn same_task(&self, other: &Self) -> bool {
        (&self.model, self.height, self.width, self.threads)
            == (&other.model, other.height, other.width, other.threads)
    }

    /// The fastest peer on the same task, of those whose frame is the network's.
    pub(super) fn best_peer<'r>(&self, rows: &'r [Self]) -> Option<&'r Self> {
        rows.iter()
            .filter(|r| !r.is_ours() && r.same_task(self) && r.psnr_f32.is_none_or(|db| db >= SAME_DB))
            .min_by(|a, b| a.median_ms.total_cmp(&b.median_ms))
    }

    /// Time in parts of the fastest peer's.
    pub(super) fn ratio(&self, rows: &[Self]) -> Option<f64> {
        self.best_peer(rows).map(|best| self.median_ms / best.median_ms)
    }
}

/// PSNR of a frame of 0…1, dB.
pub(super) fn psnr(exact: &[f32], found: &[f32]) -> Result<f64> {
    if exact.len() != found.len() {
        bail!("a frame has {} samples instead of {}", found.len(), exact.len());
    }
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    let error = exact.iter().zip(found).map(square).sum::<f64>() / exact.len() as f64;
    Ok((-10.0 * error.log10()).clamp(0.0, EQUAL_DB))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn row(runtime: &str, precision: &str, ms: f64, db: f64) -> Row {
        Row {
            runtime: runtime.into(),
            model: "m".into(),
            precision: precision.into(),
            height: 2,
            width: 2,
            threads: 1,
            median_ms: ms,
            min_ms: ms,
            allocations: Some(0.0),
            arena_bytes: Some(100),
            weights_bytes: Some(10),
            psnr_f32: Some(db),
            macs: None,
            bytes_moved: None,
        }
    }

    #[test]
    fn the_best_peer_is_the_fastest_that_is_right() {
        let rows = [
            row("fusionproxy", "int8", 2.0, 45.0),
            row("a", "f32", 8.0, 120.0),
            row("b", "bf16", 4.0, 55.0),
            row("c", "int8", 1.0, 30.0),
            Row { threads: 2, ..row("b", "f32", 1.0, 120.0) },
        ];
        assert_eq!(rows[0].best_peer(&rows), Some(&rows[2]));
        assert_eq!(rows[0].ratio(&rows), Some(0.5));
        assert_eq!(rows[0].ratio(&rows[..1]), None);
    }

    #[test]
    fn psnr_by_hand() {
        assert_eq!(psnr(&[0.5; 4], &[0.5; 4]).expect("equal"), EQUAL_DB);
        assert!((psnr(&[0.0; 4], &[0.1; 4]).expect("a tenth") - 20.0).abs() < 1e-4);
        assert!(psnr(&[0.0; 4], &[0.0; 3]).is_err());
    }
}
