//! Tables that are written as Markdown and as HTML.

use super::text::html;

/// A column: its title and how its numbers are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    title: String,
    decimals: Option<usize>,
}

impl Column {
    /// A column of words, aligned to the left.
    #[must_use]
    pub fn text(title: &str) -> Self {
        Self { title: title.to_owned(), decimals: None }
    }

    /// A column of numbers with `decimals` digits after the point, aligned to the right.
    #[must_use]
    pub fn number(title: &str, decimals: usize) -> Self {
        Self { title: title.to_owned(), decimals: Some(decimals) }
    }
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number, written as its column says.
    Number(f64),
    /// There is no value: an en dash.
    None,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}
impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::None, Self::Number)
    }
}

/// Rows under titled columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub const fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; cells beyond the columns are left out, missing ones are empty.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    fn write(&self, row: &[Cell], column: usize) -> String {
        match row.get(column).unwrap_or(&Cell::None) {
            Cell::Text(t) => t.clone(),
            Cell::Number(v) if v.is_finite() => {
                grouped(&format!("{v:.*}", self.columns[column].decimals.unwrap_or(3)))
            }
            Cell::Number(_) | Cell::None => "–".to_owned(),
        }
    }

    /// As a Markdown table whose source is aligned, too.
    #[must_use]
    pub fn markdown(&self) -> String {
        let safe = |t: String| t.replace('|', "\\|").replace('\n', " ");
        let mut lines = vec![self.columns.iter().map(|c| safe(c.title.clone())).collect::<Vec<_>>()];
        for row in &self.rows {
            lines.push((0..self.columns.len()).map(|c| safe(self.write(row, c))).collect());
        }
        let widest = |c: usize| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(widest).collect();
        let mut out = String::new();
        for (i, line) in lines.iter().enumerate() {
            for ((cell, w), column) in line.iter().zip(&widths).zip(&self.columns) {
                out += &match column.decimals {
                    Some(_) => format!("| {cell:>w$} "),
                    None => format!("| {cell:<w$} "),
                };
            }
            out += "|\n";
            if i == 0 {
                for (w, column) in widths.iter().zip(&self.columns) {
                    let rule = "-".repeat(w + 1);
                    out += &format!("|{rule}{}", if column.decimals.is_some() { ":" } else { "-" });
                }
                out += "|\n";
            }
        }
        out
    }

    /// As an HTML table; the page's script sorts it by a click on a title.
    pub(super) fn html(&self) -> String {
        let class = |c: &Column| if c.decimals.is_some() { " class=\"n\"" } else { "" };
        let mut out = String::from("<div class=\"scroll\"><table><thead><tr>");
        for column in &self.columns {
            out += &format!("<th{} scope=\"col\">{}</th>", class(column), html(&column.title));
        }
        out += "</tr></thead><tbody>\n";
        for row in &self.rows {
            out += "<tr>";
            for (i, column) in self.columns.iter().enumerate() {
                let key = match row.get(i) {
                    Some(Cell::Number(v)) if v.is_finite() => format!(" data-v=\"{v}\""),
                    _ => String::new(),
                };
                out += &format!("<td{}{key}>{}</td>", class(column), html(&self.write(row, i)));
            }
            out += "</tr>\n";
        }
        out + "</tbody></table></div>\n"
    }
}

/// A number with a comma at every third place of its whole part.
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |d| ("-", d));
    let (whole, fraction) = digits.find('.').map_or((digits, ""), |p| digits.split_at(p));
    let mut out = sign.to_owned();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut t = Table::new(vec![Column::text("who"), Column::number("ms", 1)]);
        t.row(vec!["a|b".into(), 1234.56.into()]);
        t.row(vec!["<c>".into(), None.into()]);
        t.row(vec!["d".into()]);
        t
    }

    #[test]
    fn markdown_is_aligned_and_escaped() {
        assert_eq!(
            table().markdown(),
            "| who  |      ms |\n|------|--------:|\n| a\\|b | 1,234.6 |\n| <c>  |       – |\n| d    |       – |\n"
        );
    }

    #[test]
    fn html_is_escaped_and_sortable() {
        let html = table().html();
        assert!(html.contains("<td>&lt;c&gt;</td>") && !html.contains("<c>"));
        assert!(html.contains("<td class=\"n\" data-v=\"1234.56\">1,234.6</td>"));
    }

    #[test]
    fn groups_of_three() {
        let cases = [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-1234567.25", "-1,234,567.25")];
        for (plain, written) in cases {
            assert_eq!(grouped(plain), written);
        }
    }
}
