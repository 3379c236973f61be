//! Reports: one table as Markdown and as HTML, charts, pictures to zoom into, all in one file that needs no other.
//!
//! ```
//! use fusionproxy_eval::report::{Bars, Column, Page, Table};
//!
//! let mut table = Table::new(vec![Column::text("model"), Column::number("ms", 2)]);
//! table.row(vec!["nano".into(), 1.5.into()]);
//! assert_eq!(table.markdown(), "| model |   ms |\n|-------|-----:|\n| nano  | 1.50 |\n");
//! let mut page = Page::new("Latency", "one thread");
//! page.section("All models").table(&table).bars(&Bars::new("Median", "ms").bar("nano", 1.5, None));
//! assert!(page.finish().starts_with("<!doctype html>"));
//! ```

mod chart;
mod page;
mod table;
mod text;
mod viewer;

pub use chart::{Bars, Scatter};
pub use page::Page;
pub use table::{Cell, Column, Table};
pub use viewer::{Layer, Scene};
