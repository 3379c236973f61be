//! Charts as inline SVG, coloured by the page's style.

use super::text::html;

/// Width of a chart in its own units.
const WIDTH: f64 = 720.0;
/// Colours that the style names `--c0` and on.
const COLOURS: usize = 8;

/// Horizontal bars, each with its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    title: String,
    unit: String,
    bars: Vec<(String, f64, Option<String>)>,
}

impl Bars {
    /// A chart without bars; `unit` follows every number.
    #[must_use]
    pub fn new(title: &str, unit: &str) -> Self {
        Self { title: title.to_owned(), unit: unit.to_owned(), bars: Vec::new() }
    }

    /// Adds a bar. Bars of one `group` have one colour, in the order in which the groups come.
    #[must_use]
    pub fn bar(mut self, label: &str, value: f64, group: Option<&str>) -> Self {
        if value.is_finite() {
            self.bars.push((label.to_owned(), value, group.map(str::to_owned)));
        }
        self
    }

    /// As a picture: an SVG file that needs no page, light or dark with its reader.
    #[must_use]
    pub fn file(&self) -> String {
        let (rows, height, groups) = self.rows();
        let title = html(&self.title);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 -34 {WIDTH} {:.0}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>\n{}</style>\n<text y=\"-14\" class=\"number title\">{title}</text>\n{rows}",
            height + if groups.len() > 1 { 66.0 } else { 38.0 },
            include_str!("picture.css")
        );
        let mut x = 0.0;
        for (i, group) in groups.iter().enumerate().filter(|_| groups.len() > 1) {
            let y = height + 12.0;
            out += &format!(
                "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"12\" height=\"12\" rx=\"3\" class=\"k{}\"/>\
                 <text x=\"{:.0}\" y=\"{:.0}\">{}</text>\n",
                i % COLOURS,
                x + 18.0,
                y + 11.0,
                html(group)
            );
            // About as wide as the text.
            x += 40.0 + 7.5 * group.chars().count() as f64;
        }
        out + "</svg>\n"
    }

    pub(super) fn svg(&self) -> String {
        let (rows, height, groups) = self.rows();
        close(open(&self.title, height) + &rows, &groups)
    }

    /// The bars, their height and their groups.
    fn rows(&self) -> (String, f64, Vec<&str>) {
        const ROW: f64 = 26.0;
        const LABEL: f64 = 230.0;
        const NUMBER: f64 = 90.0;
        let most = self.bars.iter().map(|b| b.1.abs()).fold(f64::MIN_POSITIVE, f64::max);
        let mut groups: Vec<&str> = Vec::new();
        let mut out = String::new();
        for (i, (label, value, group)) in self.bars.iter().enumerate() {
            let colour = colour(&mut groups, group.as_deref().unwrap_or_default());
            let (y, length) = (i as f64 * ROW + 3.0, (WIDTH - LABEL - NUMBER) * value.abs() / most);
            let (text, label) = (y + 15.0, html(label));
            out += &format!(
                "<text x=\"{:.0}\" y=\"{text:.0}\" text-anchor=\"end\">{label}</text>\
                 <rect x=\"{LABEL}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"20\" rx=\"3\" class=\"{colour}\">\
                 <title>{label}: {value} {}</title></rect>\
                 <text x=\"{:.1}\" y=\"{text:.0}\" class=\"number\">{} {}</text>\n",
                LABEL - 10.0,
                html(&self.unit),
                LABEL + length + 8.0,
                short(*value),
                html(&self.unit),
            );
        }
        (out, ROW * self.bars.len() as f64 + 4.0, groups)
    }
}

/// Named points over two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    title: String,
    axes: [String; 2],
    points: Vec<(String, f64, f64, String)>,
}

impl Scatter {
    /// A chart without points; the axes' titles carry their units. The horizontal axis is logarithmic.
    #[must_use]
    pub fn new(title: &str, horizontal: &str, vertical: &str) -> Self {
        Self {
            title: title.to_owned(),
            axes: [horizontal.to_owned(), vertical.to_owned()],
            points: Vec::new(),
        }
    }

    /// Adds a point; points of one `group` have one colour. `x` must be positive to be shown.
    #[must_use]
    pub fn point(mut self, label: &str, x: f64, y: f64, group: &str) -> Self {
        if x > 0.0 && x.is_finite() && y.is_finite() {
            self.points.push((label.to_owned(), x, y, group.to_owned()));
        }
        self
    }

    pub(super) fn svg(&self) -> String {
        const HEIGHT: f64 = 360.0;
        const LEFT: f64 = 64.0;
        const BOTTOM: f64 = 46.0;
        const EDGE: f64 = 16.0;
        let span = |values: &mut dyn Iterator<Item = f64>| {
            let (lo, hi) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            let margin = ((hi - lo) * 0.08).max(hi.abs().max(1e-9) * 0.01);
            (lo - margin, hi + margin)
        };
        let mut groups: Vec<&str> = Vec::new();
        let mut out = open(&self.title, HEIGHT);
        if self.points.is_empty() {
            return close(out, &groups);
        }
        let (x0, x1) = span(&mut self.points.iter().map(|p| libm::log10(p.1)));
        let (y0, y1) = span(&mut self.points.iter().map(|p| p.2));
        let at_x = |v: f64| LEFT + (libm::log10(v) - x0) / (x1 - x0) * (WIDTH - LEFT - EDGE);
        let at_y = |v: f64| HEIGHT - BOTTOM - (v - y0) / (y1 - y0) * (HEIGHT - BOTTOM - EDGE);
        let (base, right) = (HEIGHT - BOTTOM, WIDTH - EDGE);
        for i in 0..=4 {
            let v = y0 + (y1 - y0) * f64::from(i) / 4.0;
            let y = at_y(v);
            out += &format!(
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"grid\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 8.0,
                y + 4.0,
                short(v)
            );
        }
        for v in (-6..9).flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * libm::pow(10.0, f64::from(e)))) {
            if (x0..=x1).contains(&libm::log10(v)) {
                let x = at_x(v);
                out += &format!(
                    "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{EDGE}\" y2=\"{base}\" class=\"grid\"/>\
                     <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>\n",
                    base + 18.0,
                    short(v)
                );
            }
        }
        let [across, up] = self.axes.each_ref().map(|t| html(t));
        out += &format!(
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\" class=\"axis\">{across}</text>\
             <text transform=\"translate(14 {:.0}) rotate(-90)\" text-anchor=\"middle\" class=\"axis\">{up}</text>\n",
            f64::midpoint(LEFT, right),
            HEIGHT - 8.0,
            base / 2.0
        );
        for (label, x, y, group) in &self.points {
            let colour = colour(&mut groups, group);
            let (px, py, label) = (at_x(*x), at_y(*y), html(label));
            // Labels of points at the right edge stand to the left.
            let (dx, anchor) = if px > WIDTH * 0.75 { (-9.0, "end") } else { (9.0, "start") };
            out += &format!(
                "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"5.5\" class=\"{colour}\">\
                 <title>{label}: {across} {x}, {up} {y}</title></circle>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" class=\"number\">{label}</text>\n",
                px + dx,
                py + 4.0
            );
        }
        close(out, &groups)
    }
}

fn open(title: &str, height: f64) -> String {
    let title = html(title);
    format!(
        "<figure class=\"chart\"><figcaption>{title}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n"
    )
}

fn close(mut out: String, groups: &[&str]) -> String {
    out += "</svg>";
    if groups.len() > 1 {
        out += "<p class=\"legend\">";
        for (i, g) in groups.iter().enumerate() {
            out += &format!("<span><i class=\"k{}\"></i>{}</span>", i % COLOURS, html(g));
        }
        out += "</p>";
    }
    out + "</figure>\n"
}

/// The class of a group's colour; new groups are appended.
fn colour<'g>(groups: &mut Vec<&'g str>, group: &'g str) -> String {
    let i = groups.iter().position(|g| *g == group).unwrap_or_else(|| {
        groups.push(group);
        groups.len() - 1
    });
    format!("k{}", i % COLOURS)
}

/// A number with as many digits as a chart has room for.
fn short(v: f64) -> String {
    let text = match v.abs() {
        0.0 => return "0".to_owned(),
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        a if a >= 1.0 => format!("{v:.2}"),
        _ => format!("{v:.3}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        let svg = Bars::new("t<", "ms").bar("a", 10.0, Some("x")).bar("b", 5.0, Some("y")).svg();
        assert!(svg.contains("width=\"400.0\"") && svg.contains("width=\"200.0\""), "{svg}");
        assert!(svg.contains("t&lt;") && svg.contains("class=\"k0\"") && svg.contains("class=\"k1\""));
        assert!(svg.contains("legend"));
        let file = Bars::new("t<", "ms").bar("a", 10.0, Some("x")).bar("b", 5.0, Some("y")).file();
        assert!(
            file.starts_with("<svg xmlns=") && file.contains("width=\"200.0\"") && file.contains(">y</text>")
        );
        // What has no value has no bar.
        assert_eq!(Bars::new("t", "").bar("a", f64::NAN, None).bars.len(), 0);
    }

    #[test]
    fn points_lie_where_they_belong() {
        let chart = Scatter::new("t", "ms", "dB").point("a", 1.0, 0.0, "g").point("b", 100.0, 10.0, "g");
        let svg = chart.point("c", 10.0, 5.0, "g").point("none", 0.0, 1.0, "g").svg();
        // The middle of a logarithmic axis from 1 to 100 is 10.
        assert!(svg.contains("cx=\"384.0\" cy=\"165.0\""), "{svg}");
        assert!(!svg.contains("none"));
        assert!(Scatter::new("t", "", "").svg().contains("</svg>"));
    }

    #[test]
    fn numbers_are_short() {
        let cases =
            [(0.0, "0"), (0.5, "0.5"), (1.25, "1.25"), (12.34, "12.3"), (1234.5, "1234"), (100.0, "100")];
        for (v, text) in cases {
            assert_eq!(short(v), text);
        }
    }
}
