//! Separable Gaussian windows over planes of `f64`.

use super::Image;

/// A plane of real numbers, rows packed.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) data: Vec<f64>,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// What a window sees beyond the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Border {
    /// Nothing: the result shrinks by the window.
    Valid,
    /// The picture mirrored at its edge, the edge pixel repeated (`d c b a | a b c d | d c b a`).
    Symmetric,
}

/// Normalised Gaussian weights, `n` of them (odd).
pub(super) fn gaussian(n: usize, sigma: f64) -> Vec<f64> {
    let middle = (n / 2) as f64;
    let raw = (0..n).map(|i| libm::exp(-(i as f64 - middle) * (i as f64 - middle) / (2.0 * sigma * sigma)));
    let sum: f64 = raw.clone().sum();
    raw.map(|v| v / sum).collect()
}

/// Index of the pixel that position `i` (possibly outside) shows under [`Border::Symmetric`].
fn mirror(i: isize, n: usize) -> usize {
    let period = 2 * n as isize;
    let k = i.rem_euclid(period) as usize;
    if k < n { k } else { 2 * n - 1 - k }
}

impl Plane {
    pub(super) fn of(image: Image<'_>) -> Self {
        Self {
            data: image.data().iter().copied().map(f64::from).collect(),
            width: image.width(),
            height: image.height(),
        }
    }

    /// Combines two planes of one size pixel by pixel.
    pub(super) fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let data = self.data.iter().zip(&other.data).map(|(&a, &b)| f(a, b)).collect();
        Self { data, ..*self }
    }

    /// The plane filtered by `kernel` along both axes.
    pub(super) fn filtered(&self, kernel: &[f64], border: Border) -> Self {
        let (w, h, n) = (self.width, self.height, kernel.len());
        let (out_w, out_h, lead) = match border {
            Border::Valid => ((w + 1).saturating_sub(n), (h + 1).saturating_sub(n), 0),
            Border::Symmetric => (w, h, (n / 2) as isize),
        };
        let mut across = vec![0.0; out_w * h];
        let mut line = vec![0.0; out_w + n - 1];
        for (row, out) in self.data.chunks_exact(w).zip(across.chunks_exact_mut(out_w.max(1))) {
            for (i, v) in line.iter_mut().enumerate() {
                *v = row[mirror(i as isize - lead, w)];
            }
            // Tap by tap over the whole row, which the compiler turns into vectors.
            for (j, &k) in kernel.iter().enumerate() {
                for (o, v) in out.iter_mut().zip(&line[j..]) {
                    *o += k * v;
                }
            }
        }
        let mut data = vec![0.0; out_w * out_h];
        for (y, out) in data.chunks_exact_mut(out_w.max(1)).enumerate() {
            for (j, &k) in kernel.iter().enumerate() {
                let from = mirror((y + j) as isize - lead, h) * out_w;
                for (o, v) in out.iter_mut().zip(&across[from..from + out_w]) {
                    *o += k * v;
                }
            }
        }
        Self { data, width: out_w, height: out_h }
    }

    /// Every second pixel of every second row, from the first.
    pub(super) fn decimated(&self) -> Self {
        let rows = self.data.chunks_exact(self.width).step_by(2);
        let data = rows.flat_map(|r| r.iter().step_by(2).copied()).collect();
        Self { data, width: self.width.div_ceil(2), height: self.height.div_ceil(2) }
    }

    /// Means of 2×2 blocks; an odd last row or column is dropped.
    pub(super) fn halved(&self) -> Self {
        let (w, h) = (self.width / 2, self.height / 2);
        let at = |x: usize, y: usize| self.data[y * self.width + x];
        let mean = |x: usize, y: usize| {
            0.25 * (at(2 * x, 2 * y) + at(2 * x + 1, 2 * y) + at(2 * x, 2 * y + 1) + at(2 * x + 1, 2 * y + 1))
        };
        let data = (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).map(|(x, y)| mean(x, y)).collect();
        Self { data, width: w, height: h }
    }
}

/// Local means, variances and covariance of two pictures under one window.
pub(super) struct Moments {
    pub(super) mean: [Plane; 2],
    pub(super) variance: [Plane; 2],
    pub(super) covariance: Plane,
}

impl Moments {
    pub(super) fn of(a: &Plane, b: &Plane, kernel: &[f64], border: Border) -> Self {
        let mean = [a.filtered(kernel, border), b.filtered(kernel, border)];
        let product = |p: &Plane, q: &Plane, mp: &Plane, mq: &Plane| {
            let squares = p.zip(q, |x, y| x * y).filtered(kernel, border);
            squares.zip(&mp.zip(mq, |x, y| x * y), |s, m| s - m)
        };
        let variance = [product(a, a, &mean[0], &mean[0]), product(b, b, &mean[1], &mean[1])];
        let covariance = product(a, b, &mean[0], &mean[1]);
        Self { mean, variance, covariance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders() {
        let p = Plane { data: vec![1.0, 2.0, 4.0], width: 3, height: 1 };
        let k = [0.25, 0.5, 0.25];
        assert_eq!(p.filtered(&k, Border::Symmetric).data, [1.25, 2.25, 3.5]);
        assert_eq!(p.filtered(&[1.0], Border::Valid).data, p.data);
        // A window larger than the picture leaves nothing.
        assert!(p.filtered(&k, Border::Valid).data.is_empty());
        assert_eq!([-3, -2, -1, 0, 1, 2, 3].map(|i| mirror(i, 2)), [1, 1, 0, 0, 1, 1, 0]);
        assert_eq!([-1, 0, 5].map(|i| mirror(i, 1)), [0, 0, 0]);
    }

    #[test]
    fn sampling() {
        let p = Plane { data: (0..15).map(f64::from).collect(), width: 5, height: 3 };
        assert_eq!(p.decimated().data, [0.0, 2.0, 4.0, 10.0, 12.0, 14.0]);
        assert_eq!(p.halved().data, [3.0, 5.0]);
        assert!((gaussian(11, 1.5).iter().sum::<f64>() - 1.0).abs() < 1e-15);
    }
}
