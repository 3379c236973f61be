//! A frame scaled into a detector's input without changing its proportions.

use super::Area;

/// Grey of the border, as the YOLO family was trained with.
const BORDER: f32 = 114.0;

/// Where the scaled frame lies in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At the top left (YOLOX).
    TopLeft,
    /// In the middle (YOLOv8).
    Centre,
}

/// The mapping between a frame and an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letterbox {
    frame: (usize, usize),
    input: (usize, usize),
    scale: f32,
    inner: (usize, usize),
    offset: (usize, usize),
}

impl Letterbox {
    /// Fits a frame of `frame` (width, height; px) into `input`. No side may be zero.
    #[must_use]
    pub fn new(frame: (usize, usize), input: (usize, usize), anchor: Anchor) -> Self {
        let scale = (input.0 as f32 / frame.0 as f32).min(input.1 as f32 / frame.1 as f32);
        let fit = |n: usize, most: usize| ((n as f32 * scale).round() as usize).clamp(1, most);
        let inner = (fit(frame.0, input.0), fit(frame.1, input.1));
        let offset = match anchor {
            Anchor::TopLeft => (0, 0),
            Anchor::Centre => ((input.0 - inner.0) / 2, (input.1 - inner.1) / 2),
        };
        Self { frame, input, scale, inner, offset }
    }

    /// The input as planes R, G, B of 0…255, each `height × width` of the input: bilinear (pixel centres aligned) inside,
    /// grey around it. `rgb` is the frame, packed.
    #[must_use]
    pub fn planes(&self, rgb: &[u8]) -> Vec<f32> {
        let ((fw, fh), (iw, ih)) = (self.frame, self.input);
        let taps = |at: usize, frame: usize, inner: usize| {
            let centre = (at as f32 + 0.5) * frame as f32 / inner as f32 - 0.5;
            let centre = centre.clamp(0.0, (frame - 1) as f32);
            let first = centre as usize;
            (first, (first + 1).min(frame - 1), centre - first as f32)
        };
        let mut planes = vec![BORDER; 3 * iw * ih];
        for y in 0..self.inner.1 {
            let (top, bottom, v) = taps(y, fh, self.inner.1);
            for x in 0..self.inner.0 {
                let (left, right, u) = taps(x, fw, self.inner.0);
                let at = (y + self.offset.1) * iw + x + self.offset.0;
                for c in 0..3 {
                    let px = |row: usize, column: usize| f32::from(rgb[(row * fw + column) * 3 + c]);
                    let upper = px(top, left) + u * (px(top, right) - px(top, left));
                    let lower = px(bottom, left) + u * (px(bottom, right) - px(bottom, left));
                    planes[c * iw * ih + at] = upper + v * (lower - upper);
                }
            }
        }
        planes
    }

    /// A box of the input as a box of the frame, cut at the frame's edges.
    #[must_use]
    pub fn to_frame(&self, area: Area) -> Area {
        let x = |v: f32| ((v - self.offset.0 as f32) / self.scale).clamp(0.0, self.frame.0 as f32);
        let y = |v: f32| ((v - self.offset.1 as f32) / self.scale).clamp(0.0, self.frame.1 as f32);
        Area { x0: x(area.x0), y0: y(area.y0), x1: x(area.x1), y1: y(area.y1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_pads() {
        // 4x2 px into 2x2: half size is 2x1.
        let rgb: Vec<u8> = [10, 30, 50, 70, 20, 40, 60, 80].iter().flat_map(|v| [*v, 0, 255]).collect();
        let top = Letterbox::new((4, 2), (2, 2), Anchor::TopLeft);
        let planes = top.planes(&rgb);
        // Means of 2x2 blocks.
        assert_eq!(planes[..4], [25.0, 65.0, BORDER, BORDER]);
        assert_eq!(planes[4..8], [0.0, 0.0, BORDER, BORDER]);
        assert_eq!(planes[8..], [255.0, 255.0, BORDER, BORDER]);
        let area = Area { x0: 0.5, y0: -1.0, x1: 1.5, y1: 9.0 };
        assert_eq!(top.to_frame(area), Area { x0: 1.0, y0: 0.0, x1: 3.0, y1: 2.0 });
    }

    #[test]
    fn the_middle_has_a_border_on_both_sides() {
        let middle = Letterbox::new((4, 2), (4, 4), Anchor::Centre);
        let planes = middle.planes(&[9; 24]);
        assert_eq!(planes[..4], [BORDER; 4]);
        assert_eq!(planes[4..12], [9.0; 8]);
        assert_eq!(planes[12..16], [BORDER; 4]);
        let area = Area { x0: 1.0, y0: 1.0, x1: 3.0, y1: 3.0 };
        assert_eq!(middle.to_frame(area), Area { x0: 1.0, y0: 0.0, x1: 3.0, y1: 2.0 });
    }
}
