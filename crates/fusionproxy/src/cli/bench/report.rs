//! The table as Markdown, and the report as HTML.

use fusionproxy_eval::report::{Bars, Cell, Column, Page, Table};

use super::limits::Limits;
use super::row::{Row, SAME_DB};
use super::{Args, kernels};

/// Median over minimum from which a measurement counts as disturbed.
const DISTURBED: f64 = 1.25;

/// What there is to tell.
pub(super) struct Report<'a> {
    pub(super) rows: &'a [Row],
    pub(super) limits: &'a Limits,
    pub(super) args: &'a Args,
    pub(super) pinned: bool,
}

impl Report<'_> {
    fn table(&self) -> Table {
        let mut columns = ["model", "runtime", "precision"].map(Column::text).to_vec();
        columns.extend(
            [
                ("threads", 0),
                ("median ms", 2),
                ("min ms", 2),
                ("to best peer", 2),
                ("GMAC/s", 1),
                ("% of peak", 1),
                ("allocations", 0),
                ("arena KiB", 0),
                ("weights KiB", 0),
                ("PSNR f32, dB", 1),
            ]
            .map(|(title, decimals)| Column::number(title, decimals)),
        );
        columns.push(Column::text("note"));
        let mut table = Table::new(columns);
        for r in self.rows {
            let rate = r.macs.map(|m| m as f64 / r.median_ms / 1e6);
            let peak = match &*r.precision {
                "int8" => self.limits.int8,
                "fp16" => self.limits.fp16,
                _ => self.limits.f32,
            };
            let kib = |bytes: Option<usize>| Cell::from(bytes.map(|b| b as f64 / 1024.0));
            table.row(vec![
                r.model.clone().into(),
                r.runtime.clone().into(),
                r.precision.clone().into(),
                f64::from(r.threads).into(),
                r.median_ms.into(),
                r.min_ms.into(),
                r.is_ours().then(|| r.ratio(self.rows)).flatten().into(),
                rate.into(),
                rate.map(|g| 100.0 * g / (peak * f64::from(r.threads))).into(),
                r.allocations.into(),
                kib(r.arena_bytes),
                kib(r.weights_bytes),
                r.psnr_f32.into(),
                note(r).into(),
            ]);
        }
        table
    }

    /// What a frame costs, whatever computes it.
    fn costs(&self) -> Table {
        let mut columns = ["model", "precision"].map(Column::text).to_vec();
        columns.extend(
            [("M MAC", 1), ("MB moved", 1), ("MAC a byte", 1)].map(|(title, d)| Column::number(title, d)),
        );
        let mut table = Table::new(columns);
        let first = |r: &Row| r.threads == self.rows.first().map_or(1, |r| r.threads);
        for r in self.rows.iter().filter(|r| r.is_ours() && first(r)) {
            let (macs, bytes) = (r.macs.map(|n| n as f64), r.bytes_moved.map(|n| n as f64));
            table.row(vec![
                r.model.clone().into(),
                r.precision.clone().into(),
                macs.map(|n| n / 1e6).into(),
                bytes.map(|n| n / 1e6).into(),
                macs.zip(bytes).map(|(m, b)| m / b).into(),
            ]);
        }
        table
    }

    /// What was measured, and on what.
    fn summary(&self) -> String {
        format!(
            "{} px, {} kernels, frames in turns{}; one core: {:.0} GMAC/s INT8, {:.0} FP16, {:.0} f32, {:.1} GB/s copied",
            self.args.size,
            kernels(),
            if self.pinned { ", pinned" } else { ", not pinned (no taskset)" },
            self.limits.int8,
            self.limits.fp16,
            self.limits.f32,
            self.limits.copy
        )
    }

    /// The tables under what was measured.
    pub(super) fn markdown(&self) -> String {
        format!(
            "{}\n\n{}\nWhat operators multiply, and read and write, in a frame, weights included:\n\n{}",
            self.summary(),
            self.table().markdown(),
            self.costs().markdown()
        )
    }

    /// The report.
    pub(super) fn html(&self) -> String {
        let mut page = Page::new("Latency", &self.summary());
        page.section("Table")
            .text(&format!(
                "“To best peer” is our median in parts of the fastest other runtime's whose frame has at least \
                 {SAME_DB} dB to the f32 network, in any precision. The peaks are those of our own kernels in a \
                 1x1 convolution out of the cache, in the same precision. Click a title to sort."
            ))
            .table(&self.table())
            .section("Cost of a frame")
            .text("What operators multiply, and read and write, weights included, whatever cache they are in.")
            .table(&self.costs())
            .section("Charts");
        let mut done: Vec<&Row> = Vec::new();
        for task in self.rows {
            if done.iter().any(|d| d.same_task(task)) {
                continue;
            }
            done.push(task);
            let title = format!("{} at {}, {} thread(s)", task.model, self.args.size, task.threads);
            let chart =
                self.rows.iter().filter(|r| r.same_task(task)).fold(Bars::new(&title, "ms"), |c, r| {
                    c.bar(&format!("{} {}", r.runtime, r.precision), r.median_ms, Some(&r.runtime))
                });
            page.bars(&chart);
        }
        page.finish()
    }
}

/// What a reader should know of a row.
fn note(row: &Row) -> &'static str {
    let wrong = !row.is_ours() && row.psnr_f32.is_some_and(|db| db < SAME_DB);
    let disturbed = row.median_ms > DISTURBED * row.min_ms;
    match (wrong, disturbed) {
        (true, true) => "another picture; disturbed",
        (true, false) => "another picture",
        (false, true) => "disturbed",
        (false, false) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn notes() {
        assert_eq!(note(&row("fusionproxy", "int8", 1.0, 40.0)), "");
        assert_eq!(note(&row("ort", "int8", 1.0, 40.0)), "another picture");
        assert_eq!(note(&Row { min_ms: 0.5, ..row("ort", "f32", 1.0, 99.0) }), "disturbed");
    }
}
