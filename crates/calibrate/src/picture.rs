//! Pictures of one channel.

/// Least side of a frame, px.
pub(crate) const LEAST_SIDE: usize = 24;

/// A picture of one channel in f32, rows packed. The unit of its values is of no consequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: usize,
    height: usize,
    data: Vec<f32>,
}

impl Picture {
    /// `data` is `[height][width]`; `None` when its length differs.
    #[must_use]
    pub fn new(width: usize, height: usize, data: impl IntoIterator<Item = impl Into<f32>>) -> Option<Self> {
        let data: Vec<f32> = data.into_iter().map(Into::into).collect();
        (data.len() == width * height).then_some(Self { width, height, data })
    }

    /// Width and height, px.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The picture at another size, each pixel the mean of the area that it covers.
    pub(crate) fn resampled(&self, width: usize, height: usize) -> Self {
        let columns = shares(self.width, width);
        let rows = shares(self.height, height);
        let mut narrow = vec![0.0; width * self.height];
        for (line, out) in self.data.chunks(self.width).zip(narrow.chunks_mut(width)) {
            for (o, (first, weights)) in out.iter_mut().zip(&columns) {
                *o = weights.iter().zip(&line[*first..]).map(|(w, v)| w * v).sum();
            }
        }
        let mut data = vec![0.0; width * height];
        for (out, (first, weights)) in data.chunks_mut(width).zip(&rows) {
            for (w, line) in weights.iter().zip(narrow.chunks(width).skip(*first)) {
                out.iter_mut().zip(line).for_each(|(o, v)| *o += w * v);
            }
        }
        Self { width, height, data }
    }

    /// Binomial blur (1 2 1) in both directions, edges replicated.
    pub(crate) fn blurred(&self) -> Self {
        self.map_neighbours(|n| {
            (n(-1, -1)
                + n(1, -1)
                + n(-1, 1)
                + n(1, 1)
                + 2.0 * (n(0, -1) + n(-1, 0) + n(1, 0) + n(0, 1))
                + 4.0 * n(0, 0))
                / 16.0
        })
    }

    /// Each pixel computed from its neighbours, which `f` asks for by offset; edges are replicated.
    pub(crate) fn map_neighbours(&self, f: impl Fn(&dyn Fn(isize, isize) -> f32) -> f32) -> Self {
        let (w, h) = (self.width as isize, self.height as isize);
        let data = (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).map(|(x, y)| {
            let at = |dx: isize, dy: isize| {
                self.data[((y + dy).clamp(0, h - 1) * w + (x + dx).clamp(0, w - 1)) as usize]
            };
            f(&at)
        });
        Self { width: self.width, height: self.height, data: data.collect() }
    }

    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }

    pub(crate) fn with_data(&self, data: Vec<f32>) -> Self {
        debug_assert_eq!(data.len(), self.data.len());
        Self { width: self.width, height: self.height, data }
    }

    /// Value and derivatives (per px) at `(x, y)` px, bilinear; `None` outside.
    pub(crate) fn sample(&self, x: f64, y: f64) -> Option<[f64; 3]> {
        if !(x >= 0.0 && y >= 0.0 && x <= (self.width - 1) as f64 && y <= (self.height - 1) as f64) {
            return None;
        }
        let (c, r) = ((x as usize).min(self.width - 2), (y as usize).min(self.height - 2));
        let (fx, fy) = (x - c as f64, y - r as f64);
        let at = |dx: usize, dy: usize| f64::from(self.data[(r + dy) * self.width + c + dx]);
        let (a, b, d, e) = (at(0, 0), at(1, 0), at(0, 1), at(1, 1));
        let (top, bottom) = (a + fx * (b - a), d + fx * (e - d));
        Some([top + fy * (bottom - top), (1.0 - fy) * (b - a) + fy * (e - d), bottom - top])
    }
}

/// For each of `to` pixels, the first of `from` pixels that it covers and their shares of its area.
fn shares(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let (start, end) = (i as f64 * scale, (i + 1) as f64 * scale);
            let first = start as usize;
            let last = (end.ceil() as usize).clamp(first + 1, from);
            let share = |p: usize| (end.min((p + 1) as f64) - start.max(p as f64)).max(0.0) / scale;
            (first, (first..last).map(|p| share(p) as f32).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_keeps_the_mean() {
        let p = Picture::new(7, 5, (0..35u8).collect::<Vec<_>>()).unwrap();
        for (w, h) in [(7, 5), (3, 2), (14, 10), (5, 5)] {
            let q = p.resampled(w, h);
            let mean = q.data.iter().sum::<f32>() / (w * h) as f32;
            assert!((mean - 17.0).abs() < 1e-4, "{w}x{h}: {mean}");
        }
        assert_eq!(p.resampled(7, 5), p);
    }

    #[test]
    fn samples_lie_on_the_plane() {
        let plane: Vec<f32> = (0..20).map(|i| 2.0 * (i % 5) as f32 - 3.0 * (i / 5) as f32).collect();
        let p = Picture::new(5, 4, plane).unwrap();
        assert_eq!(p.sample(1.25, 2.5), Some([2.5 - 7.5, 2.0, -3.0]));
        assert_eq!(p.sample(4.0, 3.0), Some([8.0 - 9.0, 2.0, -3.0]));
        assert_eq!(p.sample(4.1, 0.0), None);
        assert_eq!(p.sample(f64::NAN, 0.0), None);
    }
}
