//! Plain-text tables.

/// Rows of cells under a header, columns aligned: the first to the left, the others as `right` says.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these column titles; a title that starts with `>` makes its column right-aligned.
    pub(crate) fn new(titles: &[&str]) -> Self {
        let right = titles.iter().map(|t| t.starts_with('>')).collect();
        Self { rows: vec![titles.iter().map(|t| t.trim_start_matches('>').to_owned()).collect()], right }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |c: usize| {
            self.rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, w), right) in row.iter().zip(&widths).zip(&self.right) {
                line += &if *right { format!("{cell:>w$}  ") } else { format!("{cell:<w$}  ") };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Bytes with a binary unit.
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..10_240 => format!("{n} B"),
        10_240..10_485_760 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}
