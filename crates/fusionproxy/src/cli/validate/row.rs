//! A row of the table: one method on all pairs.

use anyhow::{Context, Result};
use fusionproxy_compiler::CalibrationPair;
use fusionproxy_core::colour::compose;
use fusionproxy_core::frame::Plane;
use fusionproxy_eval::detect::{Judged, Label, score};
use fusionproxy_eval::metrics::{FusionScores, Image, MetricError, psnr, ssim};
use indicatif::ProgressBar;
use serde::Serialize;

use super::detector::Detector;
use super::{Frames, baselines};
use crate::{FrameInfo, VisibleFormat, VisibleFrame, threads};

/// PSNR of equal frames, dB.
const EQUAL_DB: f64 = 100.0;

/// Means over the pairs; `null` where a column does not apply.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) model: String,
    pub(super) precision: Option<&'static str>,
    pub(super) params: Option<u64>,
    /// To the reference's f32 frames.
    pub(super) psnr_ref: Option<f64>,
    pub(super) ssim_ref: Option<f64>,
    /// To the model's own f32 frames.
    pub(super) psnr_f32: Option<f64>,
    pub(super) ssim_f32: Option<f64>,
    pub(super) en: f64,
    pub(super) mi: f64,
    pub(super) sf: f64,
    pub(super) ag: f64,
    pub(super) sd: f64,
    pub(super) scd: f64,
    pub(super) vif: f64,
    pub(super) qabf: f64,
    pub(super) ssim_vis: f64,
    pub(super) ssim_ir: f64,
    pub(super) ap50: Option<f64>,
    pub(super) recall: Option<f64>,
    pub(super) median_ms: Option<f64>,
    /// Where there are teachers: to the mean of their samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) psnr_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ssim_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) artifact_bytes: Option<usize>,
}

/// What rows are judged by.
pub(super) struct Judge<'a> {
    pub(super) pairs: &'a [CalibrationPair],
    pub(super) reference: Option<&'a [Vec<u8>]>,
    pub(super) mean: Option<&'a [Vec<u8>]>,
    pub(super) detector: Option<(&'a Detector, &'a [Option<Vec<Label>>])>,
    pub(super) bar: &'a ProgressBar,
}

/// PSNR and SSIM to another frame.
type Distance = Option<(f64, f64)>;

/// What one frame scores.
struct Scores {
    fusion: FusionScores,
    /// To the reference, to the model's own f32, to the ensemble's mean.
    distances: [Distance; 3],
}

impl Judge<'_> {
    /// Judges `frames`; `exact` are the same model's f32 frames.
    pub(super) fn row(&self, frames: &Frames, exact: Option<&[Vec<u8>]>) -> Result<Row> {
        self.bar.set_message(format!("{} {}", frames.name, frames.precision.unwrap_or_default()));
        let scores = self.scores(frames, exact)?;
        let n = scores.len() as f64;
        let mean = |f: fn(&FusionScores) -> f64| scores.iter().map(|s| f(&s.fusion)).sum::<f64>() / n;
        let distance = |which: usize| {
            let sums = scores.iter().try_fold((0.0, 0.0), |(p, s), scores| {
                scores.distances[which].map(|(psnr, ssim)| (p + psnr, s + ssim))
            });
            sums.map_or((None, None), |(p, s)| (Some(p / n), Some(s / n)))
        };
        let ((psnr_ref, ssim_ref), (psnr_f32, ssim_f32)) = (distance(0), distance(1));
        let (psnr_mean, ssim_mean) = distance(2);
        let detection = self.detect(frames)?;
        let mut times = frames.times.clone();
        times.sort_unstable();
        Ok(Row {
            model: frames.name.clone(),
            precision: frames.precision,
            params: frames.params,
            psnr_ref,
            ssim_ref,
            psnr_f32,
            ssim_f32,
            en: mean(|s| s.en),
            mi: mean(|s| s.mi),
            sf: mean(|s| s.sf),
            ag: mean(|s| s.ag),
            sd: mean(|s| s.sd),
            scd: mean(|s| s.scd),
            vif: mean(|s| s.vif),
            qabf: mean(|s| s.qabf),
            ssim_vis: mean(|s| s.ssim_vis),
            ssim_ir: mean(|s| s.ssim_ir),
            ap50: detection.map(|d| d.0),
            recall: detection.map(|d| d.1),
            median_ms: times.get(times.len() / 2).map(|t| t.as_secs_f64() * 1e3),
            psnr_mean,
            ssim_mean,
            artifact_bytes: frames.artifact_bytes,
        })
    }

    /// Scores of every pair, on all cores.
    fn scores(&self, frames: &Frames, exact: Option<&[Vec<u8>]>) -> Result<Vec<Scores>> {
        let all: Vec<usize> = (0..self.pairs.len()).collect();
        let share = all.len().div_ceil(threads()).max(1);
        std::thread::scope(|scope| {
            let one = |i: &usize| {
                let scored = self.pair(frames, exact, *i).with_context(|| self.pairs[*i].name.clone());
                self.bar.inc(1);
                scored
            };
            let jobs: Vec<_> = all
                .chunks(share)
                .map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>()))
                .collect();
            let done = jobs.into_iter().flat_map(|j| match j.join() {
                Ok(scores) => scores,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            done.collect()
        })
    }

    fn pair(&self, frames: &Frames, exact: Option<&[Vec<u8>]>, i: usize) -> Result<Scores, MetricError> {
        let pair = &self.pairs[i];
        let luma = baselines::visible(pair);
        let fused = image(pair, &frames.luma[i])?;
        let to = |other: Option<&[Vec<u8>]>| -> Result<Distance, MetricError> {
            let Some(other) = other else { return Ok(None) };
            let other = image(pair, &other[i])?;
            Ok(Some((psnr(other, fused)?.min(EQUAL_DB), ssim(other, fused)?)))
        };
        Ok(Scores {
            fusion: FusionScores::of(image(pair, &luma)?, image(pair, &pair.infrared)?, fused)?,
            distances: [to(self.reference)?, to(exact)?, to(self.mean)?],
        })
    }

    /// AP50 and recall of the detector on the labelled pairs.
    fn detect(&self, frames: &Frames) -> Result<Option<(f64, f64)>> {
        let Some((detector, labels)) = self.detector else { return Ok(None) };
        let mut judged = Vec::new();
        for (i, labels) in labels.iter().enumerate() {
            if let Some(labels) = labels {
                let rgb = rgb(&self.pairs[i], frames, i)?;
                let found = detector.detect(&rgb, (self.pairs[i].width, self.pairs[i].height))?;
                judged.push(Judged { found, labels: labels.clone() });
            }
        }
        Ok(score(&judged).map(|s| (s.ap50, s.recall)))
    }
}

fn image<'d>(pair: &CalibrationPair, data: &'d [u8]) -> Result<Image<'d>, MetricError> {
    Image::new(data, pair.width, pair.height)
}

/// A fused frame in the colours of its visible frame, as a device shows it; infrared alone is grey.
pub(super) fn rgb(pair: &CalibrationPair, frames: &Frames, i: usize) -> Result<Vec<u8>> {
    let (w, h) = (pair.width, pair.height);
    let luma = &frames.luma[i];
    if frames.grey {
        return Ok(luma.iter().flat_map(|v| [*v; 3]).collect());
    }
    let visible = VisibleFrame::new(VisibleFormat::Rgb8, w, h, w * 3, &pair.visible_rgb, FrameInfo::STILL)?;
    let mut rgb = vec![0; w * h * 3];
    compose(&visible, &Plane::new(w, h, w, luma)?, 0..h, &mut rgb, w * 3)?;
    Ok(rgb)
}
