//! What one core of this machine can do at most, for comparison.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use fusionproxy_format::DType;

use crate::best_backend;
use crate::cli::peak::gmac_per_s;

/// How long the copy is measured.
const SPAN: Duration = Duration::from_millis(150);
/// Bytes that are copied: more than any cache holds.
const COPIED: usize = 256 << 20;

/// Limits of one core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// 8-bit multiply-accumulates, 10⁹ a second.
    pub(super) int8: f64,
    /// f32 multiply-accumulates, 10⁹ a second.
    pub(super) f32: f64,
    /// Multiply-accumulates of half-precision numbers, 10⁹ a second.
    pub(super) fp16: f64,
    /// Bytes read plus bytes written by a copy, 10⁹ a second.
    pub(super) copy: f64,
}

impl Limits {
    /// Measures this core: the fastest of many runs, so that other programs disturb little.
    pub(super) fn measure() -> Result<Self> {
        let backend = best_backend();
        Ok(Self {
            int8: gmac_per_s(backend, DType::U8)?,
            f32: gmac_per_s(backend, DType::F32)?,
            fp16: gmac_per_s(backend, DType::F16)?,
            copy: copy(),
        })
    }
}

/// 10⁹ bytes a second, read and written.
fn copy() -> f64 {
    let (source, mut target) = (vec![1_u8; COPIED], vec![0_u8; COPIED]);
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    while begin.elapsed() < SPAN {
        let start = Instant::now();
        black_box(&mut target).copy_from_slice(black_box(&source));
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * COPIED as f64 / best / 1e9
}
