//! Exact numbers of instructions: the same on every machine that counts, so they are kept row by row.

use fusionproxy_eval::report::{Cell, Column, Table};
use serde_json::Value;

/// What a row is a count of.
pub(super) fn key(row: &Value) -> [Value; 5] {
    ["model", "precision", "height", "width", "cpu"].map(|k| row[k].clone())
}

/// `kept` with the rows of `new` in their places; what was not counted anew stays.
pub(super) fn merged(kept: &[Value], new: &[Value]) -> Vec<Value> {
    let mut rows = kept.to_vec();
    for row in new {
        match rows.iter_mut().find(|r| key(r) == key(row)) {
            Some(old) => *old = row.clone(),
            None => rows.push(row.clone()),
        }
    }
    rows.sort_by_key(|row| {
        let text = |k: &str| row[k].as_str().unwrap_or_default().to_owned();
        (text("cpu"), row["macs"].as_u64(), text("model"), text("precision"))
    });
    rows
}

/// The rows as a table.
pub(super) fn table(rows: &[Value]) -> Table {
    let mut columns = ["model", "precision", "frame", "CPU", "kernels"].map(Column::text).to_vec();
    columns.push(Column::number("M instructions a frame", 1));
    columns.push(Column::number("per MAC", 2));
    let mut table = Table::new(columns);
    for row in rows {
        let text = |key: &str| Cell::from(row[key].as_str().unwrap_or("scalar"));
        table.row(vec![
            text("model"),
            text("precision"),
            format!("{}x{}", row["height"], row["width"]).into(),
            text("cpu"),
            text("kernels"),
            row["instructions"].as_f64().map(|n| n / 1e6).into(),
            row["instructions_per_mac"].as_f64().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_take_the_places_of_old_ones() {
        let row = |model: &str, n: u64| json!({"model": model, "precision": "int8", "height": 1, "width": 2, "cpu": "c", "macs": 5, "instructions": n});
        let rows = merged(&[row("a", 1), row("b", 2)], &[row("c", 3), row("b", 4)]);
        assert_eq!(rows, [row("a", 1), row("b", 4), row("c", 3)]);
    }
}
