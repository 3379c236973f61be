//! From a histogram to the range that 256 steps cover.

use serde::Serialize;

use super::histogram::{BINS, Histogram};
use crate::RangeMethod;

/// A chosen range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Range {
    /// Lower end, at most 0.
    pub(crate) lo: f32,
    /// Upper end, at least 0.
    pub(crate) hi: f32,
    /// The method that gave it.
    pub(crate) method: RangeMethod,
}

/// Fewer values than this say little about the ends of their distribution: they are all kept, and a margin.
const FEW: u64 = 8192;
/// Margin on either end of few values.
const MARGIN: f32 = 1.1;

/// Chooses the range of `h`.
pub(crate) fn select(h: &Histogram, method: RangeMethod) -> Range {
    let range = |(lo, hi), method| Range { lo, hi, method };
    if h.total() + h.zeros < FEW && method == RangeMethod::Auto {
        return range((h.lo * MARGIN, h.hi * MARGIN), RangeMethod::MinMax);
    }
    match method {
        RangeMethod::MinMax => range((h.lo, h.hi), method),
        RangeMethod::Percentile => range(percentile(h, 1e-4), method),
        RangeMethod::Mse => range(least_mse(h), method),
        RangeMethod::Kl => range(least_divergence(h), method),
        RangeMethod::Auto => {
            use RangeMethod::{Kl, MinMax, Mse, Percentile};
            let all = [MinMax, Percentile, Mse, Kl].map(|m| select(h, m));
            let cost = all.map(|r| mse(h, r.lo, r.hi));
            // The first of equals: the widest range.
            let best = (0..all.len()).min_by(|a, b| cost[*a].total_cmp(&cost[*b])).unwrap_or(0);
            all[best]
        }
    }
}

/// The range without the fraction `cut` of the values at either end.
fn percentile(h: &Histogram, cut: f64) -> (f32, f32) {
    let limit = (h.total() + h.zeros) as f64 * cut;
    let edge = |mut bins: Box<dyn Iterator<Item = usize> + '_>| {
        let mut sum = 0.0;
        bins.find(|b| {
            sum += h.bins[*b] as f64;
            sum > limit
        })
    };
    let lo = edge(Box::new(0..BINS)).map_or(0.0, |b| h.centre(b) - h.step() / 2.0);
    let hi = edge(Box::new((0..BINS).rev())).map_or(0.0, |b| h.centre(b) + h.step() / 2.0);
    (lo.min(0.0), hi.max(0.0))
}

/// Mean squared error of 256 steps over `lo..=hi`: uniform rounding noise inside, the distance to the end outside.
fn mse(h: &Histogram, lo: f32, hi: f32) -> f64 {
    let step = f64::from(hi - lo) / 255.0;
    let noise = step * step / 12.0;
    let mut sum = 0.0;
    for (i, n) in h.bins.iter().enumerate().filter(|(_, n)| **n > 0) {
        let v = f64::from(h.centre(i));
        let out = (f64::from(lo) - v).max(v - f64::from(hi)).max(0.0);
        sum += *n as f64 * if out > 0.0 { out * out } else { noise };
    }
    sum / (h.total() + h.zeros).max(1) as f64
}

/// Fractions of the full range that the searches try.
const STEPS: usize = 40;

fn least_mse(h: &Histogram) -> (f32, f32) {
    let mut best = (h.lo, h.hi);
    let mut cost = mse(h, best.0, best.1);
    // The ends are nearly independent: alternate between them.
    for end in [1, 0, 1, 0] {
        let (lo, hi) = best;
        for k in 1..STEPS {
            let f = 1.0 - k as f32 / STEPS as f32;
            let c = if end == 1 { (lo, h.hi * f) } else { (h.lo * f, hi) };
            if c.1 <= c.0 {
                continue;
            }
            let e = mse(h, c.0, c.1);
            if e < cost {
                (best, cost) = (c, e);
            }
        }
    }
    best
}

/// The range whose 256-step histogram diverges least from the original, both ends shrunk together.
fn least_divergence(h: &Histogram) -> (f32, f32) {
    let mut best = ((h.lo, h.hi), f64::INFINITY);
    for k in 0..STEPS {
        let f = 1.0 - k as f32 / STEPS as f32;
        let (lo, hi) = (h.lo * f, h.hi * f);
        let d = divergence(h, lo, hi);
        if d < best.1 {
            best = ((lo, hi), d);
        }
    }
    best.0
}

/// Kullback-Leibler divergence of the histogram, its outliers moved to the ends, from its 256-step form.
fn divergence(h: &Histogram, lo: f32, hi: f32) -> f64 {
    let first = ((lo - h.lo) / h.step()).round() as usize;
    let last = (((hi - h.lo) / h.step()).round() as usize).clamp(first + 1, BINS);
    let inner = &h.bins[first..last];
    let mut p: Vec<f64> = inner.iter().map(|n| *n as f64).collect();
    let end = p.len() - 1;
    p[0] += h.bins[..first].iter().sum::<u64>() as f64;
    p[end] += h.bins[last..].iter().sum::<u64>() as f64;
    let mut q = vec![0.0; p.len()];
    for level in 0..256 {
        let (a, b) = (level * p.len() / 256, (level + 1) * p.len() / 256);
        let used = inner[a..b].iter().filter(|n| **n > 0).count();
        let mean = inner[a..b].iter().sum::<u64>() as f64 / used.max(1) as f64;
        for i in a..b {
            q[i] = if inner[i] > 0 { mean } else { 0.0 };
        }
    }
    let (sp, sq) = (p.iter().sum::<f64>().max(1.0), q.iter().sum::<f64>().max(1.0));
    p.iter()
        .zip(&q)
        .filter(|(p, _)| **p > 0.0)
        // What the 256 steps cannot express at all costs as if it were very rare.
        .map(|(p, q)| p / sp * ((p / sp) / (q / sq).max(1e-9)).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bell with one far outlier.
    fn bell() -> Histogram {
        let mut h = Histogram::new(-4.0, 100.0);
        let n = 200_000;
        h.add((0..n).map(|i| {
            let u = (f64::from(i) + 0.5) / f64::from(n);
            // Logistic quantile: close to a bell.
            ((u / (1.0 - u)).ln() / 4.0) as f32
        }));
        h.add([100.0f32].into_iter());
        h
    }

    #[test]
    fn min_max_keeps_everything() {
        let r = select(&bell(), RangeMethod::MinMax);
        assert_eq!((r.lo, r.hi), (-4.0, 100.0));
    }

    #[test]
    fn every_other_method_drops_the_outlier() {
        let h = bell();
        for m in [RangeMethod::Percentile, RangeMethod::Mse, RangeMethod::Kl, RangeMethod::Auto] {
            let r = select(&h, m);
            assert!(r.hi < 90.0, "{m:?} gives {r:?}");
            if matches!(r.method, RangeMethod::Mse) {
                assert!(mse(&h, r.lo, r.hi) < mse(&h, -4.0, 100.0), "{m:?}");
            }
        }
    }

    #[test]
    fn auto_is_never_worse() {
        let h = bell();
        let auto = select(&h, RangeMethod::Auto);
        for m in [RangeMethod::MinMax, RangeMethod::Percentile, RangeMethod::Mse, RangeMethod::Kl] {
            let r = select(&h, m);
            assert!(mse(&h, auto.lo, auto.hi) <= mse(&h, r.lo, r.hi));
        }
    }

    #[test]
    fn histograms_of_different_ranges_merge() {
        let mut a = Histogram::new(0.0, 1.0);
        a.add([0.5f32, 0.0].into_iter());
        let mut b = Histogram::new(-2.0, 0.0);
        b.add([-1.0f32; 3].into_iter());
        a.merge(&b);
        assert_eq!((a.lo, a.hi, a.total(), a.zeros), (-2.0, 1.0, 4, 1));
    }
}
