//! Tables between markers of the documentation: `<!-- suite: NAME -->` … `<!-- /suite: NAME -->`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::report::Report;
use super::{counts, write};

/// Writes every table where its markers stand; `counts` are all rows of instructions.
pub(super) fn write_tables(report: &Report, counts: &[Value]) -> Result<()> {
    let mut tables = Vec::new();
    if !report.native.is_empty() {
        tables.push(("summary", report.summary_table().markdown()));
        tables.push(("native", report.native_text.trim().to_owned()));
    }
    tables.push(("counts", counts::table(counts).markdown()));
    tables.extend(report.node_table().map(|t| ("node", t.markdown())));
    tables.extend(report.browser_table().map(|t| ("browser", t.markdown())));
    tables.extend(report.boards_table().map(|t| ("boards", t.markdown())));
    for file in ["README.md", "docs/performance.md"] {
        let path = Path::new(file);
        let mut text = std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
        for (name, table) in &tables {
            if let Some(new) = replaced(&text, name, table).with_context(|| file.to_owned())? {
                text = new;
                println!("wrote table `{name}` into {file}");
            }
        }
        write(path, &text)?;
    }
    Ok(())
}

/// `text` with `table` between the markers of `name`; `None` where it has none.
fn replaced(text: &str, name: &str, table: &str) -> Result<Option<String>> {
    let (open, close) = (format!("<!-- suite: {name} -->"), format!("<!-- /suite: {name} -->"));
    let Some((before, rest)) = text.split_once(&open) else { return Ok(None) };
    let Some((_, after)) = rest.split_once(&close) else { bail!("the marker `{open}` has no `{close}`") };
    Ok(Some(format!("{before}{open}\n{}\n{close}{after}", table.trim())))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_what_is_between_is_replaced() {
        let text = "a\n<!-- suite: x -->\nold\n<!-- /suite: x -->\nb";
        let new = replaced(text, "x", "| t |\n").expect("closed").expect("there");
        assert_eq!(new, "a\n<!-- suite: x -->\n| t |\n<!-- /suite: x -->\nb");
        assert_eq!(replaced(&new, "x", "| t |").expect("closed").as_deref(), Some(&new[..]));
        assert_eq!(replaced(text, "y", "t").expect("none"), None);
        assert!(replaced("<!-- suite: x -->", "x", "t").is_err());
    }
}
