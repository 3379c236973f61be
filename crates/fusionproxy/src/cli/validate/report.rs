//! The table as Markdown, and the report as HTML.

use anyhow::{Context, Result};
use fusionproxy_compiler::CalibrationPair;
use fusionproxy_eval::report::{Bars, Cell, Column, Layer, Page, Scatter, Scene, Table};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::row::{Row, rgb};
use super::{Args, Frames};
use crate::best_backend;

/// JPEG quality of embedded pictures.
const QUALITY: u8 = 90;

/// What there is to tell.
pub(super) struct Report<'a> {
    pub(super) rows: &'a [Row],
    pub(super) pairs: &'a [CalibrationPair],
    pub(super) reference: Option<&'a Frames>,
    pub(super) args: &'a Args,
}

impl Report<'_> {
    fn table(&self) -> Table {
        let mut columns = vec![Column::text("model"), Column::text("precision"), Column::number("params", 0)];
        columns.extend(
            [
                ("PSNR ref, dB", 2),
                ("SSIM ref", 4),
                ("PSNR f32, dB", 2),
                ("SSIM f32", 4),
                ("EN", 3),
                ("MI", 3),
                ("SF", 2),
                ("AG", 2),
                ("SD", 2),
                ("SCD", 3),
                ("VIF", 3),
                ("Qabf", 3),
                ("SSIM vis", 3),
                ("SSIM IR", 3),
                ("AP50", 3),
                ("recall", 3),
                ("median ms", 2),
                ("SSIM mean", 4),
                ("bytes", 0),
            ]
            .map(|(title, decimals)| Column::number(title, decimals)),
        );
        let mut table = Table::new(columns);
        for r in self.rows {
            let whole = |n: Option<u64>| Cell::from(n.map(|n| n as f64));
            let mut cells: Vec<Cell> = vec![
                r.model.clone().into(),
                r.precision.map_or(Cell::None, Cell::from),
                whole(r.params),
                r.psnr_ref.into(),
                r.ssim_ref.into(),
                r.psnr_f32.into(),
                r.ssim_f32.into(),
            ];
            cells.extend(
                [r.en, r.mi, r.sf, r.ag, r.sd, r.scd, r.vif, r.qabf, r.ssim_vis, r.ssim_ir].map(Cell::from),
            );
            cells.extend([r.ap50, r.recall, r.median_ms, r.ssim_mean].map(Cell::from));
            cells.push(whole(r.artifact_bytes.map(|b| b as u64)));
            table.row(cells);
        }
        table
    }

    /// One line on what was measured.
    fn summary(&self) -> String {
        let reference =
            self.reference.map_or_else(|| "no reference".to_owned(), |r| format!("reference {} f32", r.name));
        format!(
            "{} pairs of {}, luma, {reference}; {} kernels, {} thread(s)",
            self.pairs.len(),
            self.args.pairs.display(),
            best_backend().name(),
            self.args.threads
        )
    }

    /// The table with its heading.
    pub(super) fn markdown(&self) -> String {
        format!("{}\n\n{}", self.summary(), self.table().markdown())
    }

    /// The report; `shown` are the methods whose pictures it holds.
    pub(super) fn html<'f>(&self, shown: impl Iterator<Item = &'f Frames>) -> Result<String> {
        let mut page = Page::new("Fusion quality", &self.summary());
        page.section("Table")
            .text(
                "Means over the pairs, on luma of 8 bits. PSNR and SSIM “ref” compare with the reference model in f32, \
                 “f32” with the same model in f32, “SSIM mean” with the mean of the teachers. Click a title to sort.",
            )
            .table(&self.table());
        page.section("Charts");
        let group = |r: &Row| r.precision.unwrap_or("baseline");
        let name = |r: &Row| format!("{} {}", r.model, r.precision.unwrap_or_default()).trim().to_owned();
        let bars = |title: &str, unit: &str, value: &dyn Fn(&Row) -> Option<f64>| {
            self.rows.iter().fold(Bars::new(title, unit), |chart, r| match value(r) {
                Some(v) => chart.bar(&name(r), v, Some(group(r))),
                None => chart,
            })
        };
        page.bars(&bars("Edges kept (Qabf)", "", &|r| Some(r.qabf)));
        page.bars(&bars("SSIM to visible + SSIM to infrared", "", &|r| Some(r.ssim_vis + r.ssim_ir)));
        page.bars(&bars("Distance to the model's own f32 (PSNR)", "dB", &|r| {
            r.psnr_f32.filter(|_| r.precision != Some("f32"))
        }));
        if self.rows.iter().any(|r| r.ssim_mean.is_some()) {
            page.bars(&bars("SSIM to the teachers' mean", "", &|r| r.ssim_mean));
        }
        if self.rows.iter().any(|r| r.ap50.is_some()) {
            page.bars(&bars("Frozen detector, AP50", "", &|r| r.ap50));
        }
        let mut scatter = Scatter::new("Quality and cost", "median ms a frame", "Qabf");
        for r in self.rows {
            if let Some(ms) = r.median_ms {
                scatter = scatter.point(&name(r), ms, r.qabf, group(r));
            }
        }
        page.scatter(&scatter);
        page.section("Pictures").pictures(&self.scenes(shown)?);
        Ok(page.finish())
    }

    fn scenes<'f>(&self, shown: impl Iterator<Item = &'f Frames>) -> Result<Vec<Scene>> {
        let (all, take) = (self.pairs.len(), self.args.pictures.min(self.pairs.len()));
        let name = |f: &Frames| format!("{} {}", f.name, f.precision.unwrap_or_default()).trim().to_owned();
        let mut methods: Vec<(String, &Frames)> = shown.map(|f| (name(f), f)).collect();
        if let Some(r) = self.reference {
            methods.push((format!("{} f32 (reference)", r.name), r));
        }
        (0..take)
            .map(|k| {
                let i = k * all / take;
                let pair = &self.pairs[i];
                let layer = |(name, frames): &(String, &Frames)| {
                    let bytes = jpeg(&rgb(pair, frames, i)?, pair.width, pair.height)?;
                    Ok::<_, anyhow::Error>(Layer { name: name.clone(), media: "image/jpeg", bytes })
                };
                let layers = methods.iter().map(layer).collect::<Result<Vec<_>>>()?;
                Ok(Scene { name: pair.name.clone(), width: pair.width, height: pair.height, layers })
            })
            .collect()
    }
}

fn jpeg(rgb: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .write_image(rgb, width as u32, height as u32, ExtendedColorType::Rgb8)
        .context("cannot encode a picture of the report")?;
    Ok(bytes)
}
