//! All pairs at one resolution.

use crate::Pair;
use crate::edges::Edges;
use crate::map::{HOMOGRAPHY, Map};

/// Edge fields of all pairs, the visible ones `width` px wide.
pub(crate) struct Level {
    /// Width of the visible fields, px.
    pub(crate) width: usize,
    /// Their height, px.
    pub(crate) height: usize,
    pub(crate) pairs: Vec<(Edges, Edges)>,
    /// Width and height of the infrared fields, px.
    infrared: (usize, usize),
    /// Height by width of the frames.
    aspects: (f64, f64),
}

impl Level {
    /// `pairs` are of one size and not empty.
    pub(crate) fn new(pairs: &[Pair], width: usize) -> Self {
        let size = |from: (usize, usize), width: usize| (width, (from.1 * width).div_ceil(from.0).max(2));
        let (visible, infrared) = (pairs[0].visible.size(), pairs[0].infrared.size());
        let (width, height) = size(visible, width.min(visible.0));
        let own = size(infrared, width.min(infrared.0));
        let fields = |p: &Pair| {
            let visible = Edges::of(&p.visible.resampled(width, height));
            (visible, Edges::of(&p.infrared.resampled(own.0, own.1)))
        };
        let aspect = |s: (usize, usize)| s.1 as f64 / s.0 as f64;
        Self {
            width,
            height,
            pairs: pairs.iter().map(fields).collect(),
            infrared: own,
            aspects: (aspect(visible), aspect(infrared)),
        }
    }

    /// Position of the visible pixel.
    fn position(&self, x: usize, y: usize) -> (f64, f64) {
        let of = |p: usize, n: usize| (2 * p + 1) as f64 / n as f64 - 1.0;
        (of(x, self.width), of(y, self.height) * self.aspects.0)
    }

    /// Infrared px of the visible pixel `(x, y)`, and their derivatives by the map's parameters.
    fn source(&self, map: &Map, x: usize, y: usize) -> ([f64; 2], [[f64; HOMOGRAPHY]; 2]) {
        let (px, py) = self.position(x, y);
        let ([u, v], [mut du, mut dv]) = map.apply(px, py);
        let (sx, sy) = (self.infrared.0 as f64 / 2.0, self.infrared.1 as f64 / 2.0 / self.aspects.1);
        du.iter_mut().for_each(|d| *d *= sx);
        dv.iter_mut().for_each(|d| *d *= sy);
        let centre = |half: f64| half - 0.5;
        ([u * sx + centre(sx), v * sy + centre(self.infrared.1 as f64 / 2.0)], [du, dv])
    }

    /// Sums over all pixels of all pairs.
    pub(crate) fn sums(&self, map: &Map, derivatives: bool) -> Sums {
        let mut s = Sums::default();
        for y in 0..self.height {
            for x in 0..self.width {
                let ([u, v], by) = self.source(map, x, y);
                let i = y * self.width + x;
                for (visible, infrared) in &self.pairs {
                    for (t, w) in [(&visible.cosine, &infrared.cosine), (&visible.sine, &infrared.sine)] {
                        let t = f64::from(t.data()[i]);
                        s.tt += t * t;
                        let Some([w, dx, dy]) = w.sample(u, v) else { continue };
                        s.ww += w * w;
                        s.tw += t * w;
                        if derivatives {
                            s.add(t, w, std::array::from_fn(|k| dx * by[0][k] + dy * by[1][k]));
                        }
                    }
                }
            }
        }
        s
    }

    /// The infrared field of `pair` in visible geometry, zero where it has nothing.
    pub(crate) fn warped(&self, map: &Map, pair: usize) -> Vec<[f32; 2]> {
        let infrared = &self.pairs[pair].1;
        let mut out = Vec::with_capacity(self.width * self.height);
        for y in 0..self.height {
            for x in 0..self.width {
                let ([u, v], _) = self.source(map, x, y);
                let value = |p: &crate::Picture| p.sample(u, v).map_or(0.0, |s| s[0] as f32);
                out.push([value(&infrared.cosine), value(&infrared.sine)]);
            }
        }
        out
    }
}

/// Products of the visible field t, the warped infrared field w and its derivatives g by the parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    tt: f64,
    pub(crate) ww: f64,
    pub(crate) tw: f64,
    pub(crate) gg: [[f64; HOMOGRAPHY]; HOMOGRAPHY],
    pub(crate) gw: [f64; HOMOGRAPHY],
    pub(crate) gt: [f64; HOMOGRAPHY],
}

impl Sums {
    fn add(&mut self, t: f64, w: f64, g: [f64; HOMOGRAPHY]) {
        for i in 0..HOMOGRAPHY {
            self.gw[i] += g[i] * w;
            self.gt[i] += g[i] * t;
            for j in 0..=i {
                self.gg[i][j] += g[i] * g[j];
            }
        }
    }

    /// Correlation, 0 where there is nothing. The whole visible field counts, so that a small overlap does not pay.
    pub(crate) fn correlation(&self) -> f64 {
        let size = (self.tt * self.ww).sqrt();
        if size > 0.0 { self.tw / size } else { 0.0 }
    }
}
