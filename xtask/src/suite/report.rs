//! What was measured, as JSON, Markdown and HTML.

use std::collections::HashSet;

use fusionproxy_eval::report::{Bars, Cell, Column, Page, Table};
use serde_json::{Value, json};

use super::counts;

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Report {
    /// Rows of `fusionproxy bench`.
    pub(super) native: Vec<Value>,
    /// What it printed: the machine's limits and the table.
    pub(super) native_text: String,
    pub(super) node: Option<Value>,
    /// The npm package and onnxruntime-web in one page.
    pub(super) browser: Vec<Value>,
    pub(super) aarch64: Vec<Value>,
    pub(super) cortex_m: Vec<Value>,
    /// Real boards.
    pub(super) boards: Vec<Value>,
    /// What could not be measured, and why.
    pub(super) skipped: Vec<String>,
}

impl Report {
    /// All of it.
    pub(super) fn json(&self) -> Value {
        json!({
            "native": self.native,
            "node": self.node,
            "browser": self.browser,
            "aarch64": self.aarch64,
            "cortex_m": self.cortex_m,
            "boards": self.boards,
            "skipped": self.skipped,
        })
    }

    /// What every machine counts alike: rows with exact instructions.
    pub(super) fn counts(&self) -> Vec<Value> {
        self.aarch64.iter().chain(&self.cortex_m).cloned().collect()
    }

    /// Real boards.
    pub(super) fn boards_table(&self) -> Option<Table> {
        (!self.boards.is_empty()).then(|| times("board", "cpu", &self.boards))
    }

    /// The npm package in Node.
    pub(super) fn node_table(&self) -> Option<Table> {
        self.node.as_ref().map(|row| times("Node", "node", std::slice::from_ref(row)))
    }

    /// The npm package and onnxruntime-web in one page of a browser.
    pub(super) fn browser_table(&self) -> Option<Table> {
        let mut columns = ["runtime", "runs on", "browser"].map(Column::text).to_vec();
        columns
            .extend(["median ms", "min ms", "processor ms", "first result ms"].map(|t| Column::number(t, 1)));
        columns.push(Column::number("rounds", 0));
        columns.push(Column::number("PSNR to f32, dB", 1));
        columns.push(Column::text("note"));
        let mut table = Table::new(columns);
        for row in &self.browser {
            let text = |key: &str| row[key].as_str().unwrap_or_default();
            table.row(vec![
                text("contestant").into(),
                format!("{} {}", text("kernels"), text("precision")).into(),
                text("browser").into(),
                row["median_ms"].as_f64().into(),
                row["min_ms"].as_f64().into(),
                row["processor_ms"].as_f64().into(),
                row["first_ms"].as_f64().into(),
                row["rounds"].as_f64().into(),
                row["psnr_f32"].as_f64().into(),
                note(row).into(),
            ]);
        }
        (!self.browser.is_empty()).then_some(table)
    }

    /// Our rows of this CPU beside the fastest other runtime, one line a student, precision and number of threads.
    pub(super) fn summary_table(&self) -> Table {
        let mut columns = ["student", "precision"].map(Column::text).to_vec();
        columns.extend([("threads", 0), ("median ms", 2)].map(|(t, d)| Column::number(t, d)));
        columns.push(Column::text("fastest other runtime"));
        columns.extend(
            [("its ms", 2), ("ratio", 2), ("arena KiB", 0), ("allocations", 0), ("PSNR to f32, dB", 1)]
                .map(|(t, d)| Column::number(t, d)),
        );
        let mut table = Table::new(columns);
        for row in self.native.iter().filter(|r| r["runtime"] == "fusionproxy") {
            let best = best_peer(row, &self.native);
            let ms = |row: &Value| row["median_ms"].as_f64();
            let name = best.map(|b| {
                let word = |key: &str| b[key].as_str().unwrap_or_default().to_owned();
                Cell::from(format!("{} {}", word("runtime"), word("precision")))
            });
            table.row(vec![
                row["model"].as_str().unwrap_or_default().into(),
                row["precision"].as_str().unwrap_or_default().into(),
                row["threads"].as_f64().into(),
                ms(row).into(),
                name.unwrap_or(Cell::None),
                best.and_then(ms).into(),
                best.and_then(|b| Some(ms(row)? / ms(b)?)).into(),
                row["arena_bytes"].as_f64().map(|b| b / 1024.0).into(),
                row["allocations"].as_f64().into(),
                row["psnr_f32"].as_f64().into(),
            ]);
        }
        table
    }

    /// Medians on one core, in parts of the fastest other runtime's: ours, and the three fastest of the others.
    pub(super) fn picture(&self) -> Bars {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let mut bars =
            Bars::new("A frame at 480x640 on one core, in parts of the fastest other runtime's time", "");
        let ours = |precision: &'static str| {
            let own = self.native.iter().filter(|r| r["runtime"] == "fusionproxy" && r["threads"] == 1);
            own.filter(move |r| r["precision"] == precision)
        };
        for own in ours("int8") {
            let mut rows = vec![(own, "fusionproxy int8")];
            rows.extend(ours("fp16").find(|r| r["model"] == own["model"]).map(|r| (r, "fusionproxy fp16")));
            let mut others: Vec<&Value> = same_frames(own, &self.native).collect();
            others.sort_by(|a, b| median(a).total_cmp(&median(b)));
            let Some(best) = others.first().map(|r| median(r)) else { continue };
            // Each runtime once, at the precision at which it is fastest.
            let mut seen = HashSet::new();
            others.retain(|r| seen.insert(r["runtime"].as_str()));
            rows.extend(others.into_iter().take(3).map(|r| (r, "other runtimes")));
            for (row, group) in rows {
                let who = text(row, if row["runtime"] == "fusionproxy" { "model" } else { "runtime" });
                let label = format!("{who} {}, {:.1} ms", text(row, "precision"), median(row));
                bars = bars.bar(&label, median(row) / best, Some(group));
            }
        }
        bars
    }

    /// One file with everything.
    pub(super) fn html(&self) -> String {
        let machine = self.native_text.lines().next().unwrap_or_default();
        let mut page = Page::new("fusionproxy on every platform", machine);
        page.section("This CPU").table(&self.summary_table());
        let mut ratios = Bars::new("Median in parts of the fastest other runtime's", "");
        for row in self.native.iter().filter(|r| r["runtime"] == "fusionproxy") {
            if let Some((own, peer)) = best_peer(row, &self.native)
                .and_then(|b| row["median_ms"].as_f64().zip(b["median_ms"].as_f64()))
            {
                let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                let label = format!("{} {}, {}", word("model"), word("precision"), row["threads"]);
                ratios = ratios.bar(&label, own / peer, row["precision"].as_str());
            }
        }
        page.bars(&ratios).section("All runtimes").verbatim(&self.native_text);
        page.section("Emulated CPUs").table(&counts::table(&self.counts()));
        if let Some(table) = self.node_table() {
            page.section("wasm32 in Node").table(&table);
        }
        if let Some(table) = self.browser_table() {
            page.section("Chromium").table(&table);
        }
        if let Some(table) = self.boards_table() {
            page.section("Boards").table(&table);
        }
        if !self.skipped.is_empty() {
            page.section("Not measured");
            for line in &self.skipped {
                page.text(line);
            }
        }
        page.finish()
    }
}

/// Times of rows, whose platform is called `title` and told under `key`.
fn times(title: &str, key: &str, rows: &[Value]) -> Table {
    let mut columns = ["model", "precision", "frame", title, "kernels"].map(Column::text).to_vec();
    columns.extend(["median ms", "min ms"].map(|t| Column::number(t, 2)));
    columns.push(Column::text("note"));
    let mut table = Table::new(columns);
    for row in rows {
        let text = |key: &str| Cell::from(row[key].as_str().unwrap_or_default());
        table.row(vec![
            text("model"),
            text("precision"),
            format!("{}x{}", row["height"], row["width"]).into(),
            text(key),
            text("kernels"),
            row["median_ms"].as_f64().into(),
            row["min_ms"].as_f64().into(),
            note(row).into(),
        ]);
    }
    table
}

/// What a reader should know of a row, by the rule of `fusionproxy bench`.
fn note(row: &Value) -> String {
    let least = row["min_ms"].as_f64().unwrap_or(f64::INFINITY);
    let disturbed = if median(row) > 1.25 * least { "disturbed" } else { "" };
    let own = row["note"].as_str().unwrap_or_default();
    [own, disturbed].into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>().join("; ")
}

/// The fastest other runtime on the same task whose frame is the f32 network's, as `fusionproxy bench` counts it.
fn best_peer<'r>(row: &Value, rows: &'r [Value]) -> Option<&'r Value> {
    same_frames(row, rows).min_by(|a, b| median(a).total_cmp(&median(b)))
}

/// A row's median, ms.
fn median(row: &Value) -> f64 {
    row["median_ms"].as_f64().unwrap_or(f64::INFINITY)
}

/// Rows of other runtimes on the task of `row` whose frame is the f32 network's.
fn same_frames<'r>(row: &Value, rows: &'r [Value]) -> impl Iterator<Item = &'r Value> {
    let task = |r: &Value| ["model", "height", "width", "threads"].map(|k| r[k].clone());
    let wanted = task(row);
    rows.iter()
        .filter(move |r| r["runtime"] != "fusionproxy" && task(r) == wanted)
        .filter(|r| r["psnr_f32"].as_f64().is_none_or(|db| db >= 50.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_name_the_best_right_peer() {
        let row = |runtime: &str, ms: f64, db: f64| {
            json!({"runtime": runtime, "model": "m", "precision": "int8", "height": 2, "width": 3, "threads": 1,
                "median_ms": ms, "min_ms": ms, "psnr_f32": db, "arena_bytes": 2048, "allocations": 0.0})
        };
        let native = vec![row("fusionproxy", 2.0, 45.0), row("a", 8.0, 90.0), row("b", 1.0, 20.0)];
        let report = Report { native, skipped: vec!["x".into()], ..Report::default() };
        let table = report.summary_table().markdown();
        assert!(table.contains("a int8") && table.contains("0.25"), "{table}");
        let picture = report.picture().file();
        // Ours at a quarter of the right peer, and no bar for the wrong one.
        assert!(
            picture.contains("m int8, 2.0 ms: 0.25") && picture.contains("a int8, 8.0 ms: 1 "),
            "{picture}"
        );
        assert!(!picture.contains("b int8"));
        assert!(report.html().contains("Not measured"));
        assert!(report.node_table().is_none() && report.counts().is_empty());
    }
}
