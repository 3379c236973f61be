//! The map from visible to infrared positions.
//!
//! Positions are independent of resolution: x runs from -1 at the left edge of a frame to 1 at the right one, y has the
//! same unit, and 0 is the centre.

/// Sizes of a rig's frames: width and height, px.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames {
    pub(crate) visible: (usize, usize),
    pub(crate) infrared: (usize, usize),
}

/// Free parameters of an affine map.
pub(crate) const AFFINE: usize = 6;
/// Free parameters of a homography.
pub(crate) const HOMOGRAPHY: usize = 8;

/// `(a x + b y + c, d x + e y + f) / (g x + h y + 1)`, the parameters in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Map(pub(crate) [f64; HOMOGRAPHY]);

type Matrix = [[f64; 3]; 3];

impl Map {
    /// Both frames show the same.
    pub(crate) const FULL_FRAME: Self = Self::shifted(1.0, 0.0, 0.0);

    /// Magnification and shift.
    pub(crate) const fn shifted(scale: f64, x: f64, y: f64) -> Self {
        Self([scale, 0.0, x, 0.0, scale, y, 0.0, 0.0])
    }

    /// Where `(x, y)` goes, and the derivatives of both coordinates by the parameters.
    pub(crate) fn apply(&self, x: f64, y: f64) -> ([f64; 2], [[f64; HOMOGRAPHY]; 2]) {
        let [a, b, c, d, e, f, g, h] = self.0;
        let w = 1.0 / (g * x + h * y + 1.0);
        let (u, v) = ((a * x + b * y + c) * w, (d * x + e * y + f) * w);
        let (x, y) = (x * w, y * w);
        ([u, v], [[x, y, w, 0.0, 0.0, 0.0, -u * x, -u * y], [0.0, 0.0, 0.0, x, y, w, -v * x, -v * y]])
    }

    /// The row-major matrix that takes infrared px to visible px, its last entry 1; `None` if there is none.
    pub(crate) fn infrared_to_visible(&self, frames: &Frames) -> Option<[f32; 9]> {
        let [a, b, c, d, e, f, g, h] = self.0;
        let own = [[a, b, c], [d, e, f], [g, h, 1.0]];
        let to_px = inverse(&positions(frames.infrared))?;
        let all = inverse(&product(&to_px, &product(&own, &positions(frames.visible))))?;
        let last = all[2][2];
        let mut flat = all.into_iter().flatten().map(|v| (v / last) as f32);
        let matrix = std::array::from_fn(|_| flat.next().unwrap_or(f32::NAN));
        matrix.iter().all(|v| v.is_finite()).then_some(matrix)
    }
}

/// The matrix from px, centres at whole numbers, to positions.
fn positions((width, height): (usize, usize)) -> Matrix {
    let (w, h) = (width as f64, height as f64);
    [[2.0 / w, 0.0, (1.0 - w) / w], [0.0, 2.0 / w, (1.0 - h) / w], [0.0, 0.0, 1.0]]
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

fn inverse(m: &Matrix) -> Option<Matrix> {
    let minor = |r: usize, c: usize| {
        let at = |i: usize, j: usize| m[(r + i) % 3][(c + j) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let det: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
    (det.is_finite() && det.abs() > 1e-12)
        .then(|| std::array::from_fn(|i| std::array::from_fn(|j| minor(j, i) / det)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_map() {
        let map = Map([1.1, 0.05, -0.2, -0.03, 0.9, 0.1, 0.02, -0.04]);
        let (at, by) = map.apply(0.7, -0.4);
        for (k, by) in (0..HOMOGRAPHY).map(|k| (k, [by[0][k], by[1][k]])) {
            let mut moved = map;
            moved.0[k] += 1e-6;
            let (there, _) = moved.apply(0.7, -0.4);
            for ((there, at), by) in there.iter().zip(at).zip(by) {
                assert!(((there - at) / 1e-6 - by).abs() < 1e-4, "by {k}");
            }
        }
    }

    #[test]
    fn frames_of_two_sizes_that_show_the_same_map_edge_to_edge() {
        let frames = Frames { visible: (640, 480), infrared: (160, 120) };
        let m = Map::FULL_FRAME.infrared_to_visible(&frames).unwrap();
        let want = [4.0, 0.0, 1.5, 0.0, 4.0, 1.5, 0.0, 0.0, 1.0];
        assert!(m.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4), "{m:?}");
    }
}
