//! Labels in YOLO's text format.

use super::Area;

/// A box that is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// Number of the class.
    pub class: usize,
    /// Where, px of the frame.
    pub area: Area,
}

/// A line that is no label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{text}` is not `class cx cy w h` with numbers in 0…1 and a class below {classes}")]
pub struct LabelError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
    /// Classes that there are.
    pub classes: usize,
}

/// Reads lines of `class cx cy w h`, centre and size as parts of the frame's `width` and `height` px. Empty lines are
/// passed over.
///
/// # Errors
/// [`LabelError`] names the first line that is of another form.
pub fn parse_labels(
    text: &str,
    (width, height): (usize, usize),
    classes: usize,
) -> Result<Vec<Label>, LabelError> {
    let mut labels = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let class = words.next().and_then(|w| w.parse().ok()).filter(|c| *c < classes);
        let numbers: Vec<f32> =
            words.filter_map(|w| w.parse().ok()).filter(|v| (0.0..=1.0).contains(v)).collect();
        let (Some(class), [cx, cy, w, h], 5) = (class, &numbers[..], line.split_whitespace().count()) else {
            return Err(LabelError { line: i + 1, text: line.trim().to_owned(), classes });
        };
        let (sx, sy) = (width as f32, height as f32);
        labels.push(Label { class, area: Area::centred(cx * sx, cy * sy, w * sx, h * sy) });
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let labels = parse_labels("1 0.5 0.25 0.2 0.5\n\n0 0.1 0.1 0.2 0.2\r\n", (100, 40), 2).unwrap();
        assert_eq!(labels.len(), 2);
        assert_eq!(labels[0].class, 1);
        let Area { x0, y0, x1, y1 } = labels[0].area;
        assert!((x0 - 40.0).abs() < 1e-4 && (y0 - 0.0).abs() < 1e-4 && (x1 - 60.0).abs() < 1e-4);
        assert!((y1 - 20.0).abs() < 1e-4);
        for bad in
            ["x 0 0 1 1", "2 0 0 1 1", "0 0 0 1", "0 0 0 1 1 1", "0 0 0 1.5 1", "0 a 0 1 1", "0 nan 0 1 1"]
        {
            let error = parse_labels(&format!("0 0 0 1 1\n{bad}"), (9, 9), 2).unwrap_err();
            assert_eq!((error.line, error.text.as_str()), (2, bad));
        }
    }
}
