//! Verification: the artifact, executed, against the network in tract's f32.

mod layers;
mod metrics;
mod run;

use serde::{Deserialize, Serialize};

pub use layers::LayerRecord;
pub(crate) use layers::layers;
pub(crate) use run::run;

use crate::CompileError;
use crate::calibrate::Sample;

/// How close the artifact is to the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Pairs that were compared.
    pub pairs: usize,
    /// Largest absolute difference of the network as imported, executed in f32, and tract's run; samples are 0..=1.
    pub import_error: f64,
    /// Mean over pairs of the fused image's PSNR against tract's f32, dB; 120 where they are equal.
    pub psnr_mean: f64,
    /// Least PSNR, dB.
    pub psnr_min: f64,
    /// Mean SSIM.
    pub ssim_mean: f64,
    /// Least SSIM.
    pub ssim_min: f64,
    /// The pair with the least PSNR.
    pub worst_pair: String,
    /// The operators that lose most, the worst first.
    pub worst_layers: Vec<LayerRecord>,
    /// What to try.
    pub suggestions: Vec<String>,
}

/// Largest absolute difference of `artifact` and the references.
pub(crate) fn largest_error(
    artifact: &[u8],
    samples: &[Sample],
    want: &[Vec<f32>],
) -> Result<f64, CompileError> {
    let mut largest = 0f64;
    run(artifact, samples, None, &mut |i, got| {
        for (w, g) in want[i].iter().zip(got) {
            let d = f64::from((w - g).abs());
            // NaN is a difference too.
            largest = if d.is_nan() { f64::INFINITY } else { largest.max(d) };
        }
        Ok(())
    })?;
    Ok(largest)
}

/// PSNR and SSIM of `artifact` against the references.
pub(crate) fn compare(
    artifact: &[u8],
    samples: &[Sample],
    want: &[Vec<f32>],
    progress: &mut dyn FnMut(usize),
) -> Result<Verification, CompileError> {
    let mut v = Verification { psnr_min: f64::INFINITY, ssim_min: f64::INFINITY, ..Verification::default() };
    run(artifact, samples, None, &mut |i, got| {
        if got.iter().any(|g| !g.is_finite()) {
            return Err(CompileError::Range {
                value: samples[i].name.clone(),
                problem: "leaves the range of half precision inside the network".into(),
                remedy: "compile for int8 or f32".into(),
            });
        }
        let (psnr, ssim) =
            (metrics::psnr(&want[i], got), metrics::ssim(&want[i], got, samples[i].height, samples[i].width));
        v.pairs += 1;
        v.psnr_mean += psnr;
        v.ssim_mean += ssim;
        v.ssim_min = v.ssim_min.min(ssim);
        if psnr < v.psnr_min {
            v.psnr_min = psnr;
            v.worst_pair.clone_from(&samples[i].name);
        }
        progress(i + 1);
        Ok(())
    })?;
    v.psnr_mean /= v.pairs.max(1) as f64;
    v.ssim_mean /= v.pairs.max(1) as f64;
    Ok(v)
}
