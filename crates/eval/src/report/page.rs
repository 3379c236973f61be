//! A page: one file, no outside resources, light and dark.

use super::text::html;
use super::viewer::viewer;
use super::{Bars, Scatter, Scene, Table};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// An HTML page that is being written from top to bottom.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    subtitle: String,
    sections: Vec<String>,
    body: String,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(title: &str, subtitle: &str) -> Self {
        Self {
            title: title.to_owned(),
            subtitle: subtitle.to_owned(),
            sections: Vec::new(),
            body: String::new(),
        }
    }

    /// Begins a section.
    pub fn section(&mut self, heading: &str) -> &mut Self {
        self.sections.push(heading.to_owned());
        self.body += &format!("<h2 id=\"s{}\">{}</h2>\n", self.sections.len(), html(heading));
        self
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.body += &format!("<p>{}</p>\n", html(text));
        self
    }

    /// A table that can be sorted.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        self.body += &table.html();
        self
    }

    /// A bar chart.
    pub fn bars(&mut self, chart: &Bars) -> &mut Self {
        self.body += &chart.svg();
        self
    }

    /// A scatter chart.
    pub fn scatter(&mut self, chart: &Scatter) -> &mut Self {
        self.body += &chart.svg();
        self
    }

    /// Text as it is, such as a program's output.
    pub fn verbatim(&mut self, text: &str) -> &mut Self {
        self.body += &format!("<pre class=\"scroll\">{}</pre>\n", html(text));
        self
    }

    /// Pictures to compare.
    pub fn pictures(&mut self, scenes: &[Scene]) -> &mut Self {
        self.body += &viewer(scenes);
        self
    }

    /// The file's text.
    #[must_use]
    pub fn finish(&self) -> String {
        let (title, subtitle) = (html(&self.title), html(&self.subtitle));
        let links: String = self
            .sections
            .iter()
            .enumerate()
            .map(|(i, s)| format!("<a href=\"#s{}\">{}</a>", i + 1, html(s)))
            .collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header><div><h1>{title}</h1><p>{subtitle}</p></div><button id=\"theme\" type=\"button\" hidden>Theme</button>\
             <nav>{links}</nav></header>\n<main>\n{}</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_alone() {
        let mut page = Page::new("A & B", "sub");
        page.section("One <1>").text("x < y").verbatim("a\n<b>");
        let html = page.finish();
        assert!(html.contains("<title>A &amp; B</title>") && html.contains("x &lt; y"));
        assert!(html.contains("<a href=\"#s1\">One &lt;1&gt;</a>") && html.contains("id=\"s1\""));
        for outside in ["http://", "https://", "src=\"", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
