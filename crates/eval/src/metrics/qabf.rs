use core::f64::consts::FRAC_PI_2;

use super::{Image, MetricError};

/// Sigmoid of the edge-strength term: Γg, κg, σg.
const STRENGTH: [f64; 3] = [0.9994, -15.0, 0.5];
/// Sigmoid of the orientation term: Γα, κα, σα.
const ORIENTATION: [f64; 3] = [0.9879, -22.0, 0.8];

/// Qabf: share of the sources' edges, in strength and orientation, that the fused picture shows, 0…1.
///
/// `Σ (Q_VF·g_V + Q_IF·g_I) / Σ (g_V + g_I)`, `Q = Γg/(1+e^{κg(G−σg)}) · Γα/(1+e^{κα(A−σα)})`, `G` the smaller edge
/// strength over the larger (1 when equal), `A = 1 − |α_S − α_F|/(π/2)`, strength and orientation `atan(s_y/s_x)`
/// (π/2 for `s_x = 0`) by the 3×3 Sobel operator, borders mirrored without repeating the edge. Sources without edges
/// have nothing to lose: the value is 1. C. S. Xydeas, V. Petrović, *Objective image fusion performance measure*,
/// Electron. Lett. 36(4), 2000.
///
/// # Errors
/// [`MetricError::Mismatch`] when the sizes differ.
pub fn qabf(visible: Image<'_>, infrared: Image<'_>, fused: Image<'_>) -> Result<f64, MetricError> {
    visible.same_size(&fused)?;
    infrared.same_size(&fused)?;
    let (mut kept, mut all) = (0.0, 0.0);
    for y in 0..fused.height() {
        for x in 0..fused.width() {
            let f = Edge::at(fused, x, y);
            for source in [visible, infrared] {
                let s = Edge::at(source, x, y);
                all += s.strength;
                if s.strength > 0.0 {
                    kept += s.strength * s.preserved(&f);
                }
            }
        }
    }
    Ok(if all > 0.0 { kept / all } else { 1.0 })
}

struct Edge {
    strength: f64,
    angle: f64,
}

impl Edge {
    fn at(image: Image<'_>, x: usize, y: usize) -> Self {
        let (w, h) = (image.width(), image.height());
        let before = |i: usize, n: usize| if i > 0 { i - 1 } else { 1.min(n - 1) };
        let after = |i: usize, n: usize| if i + 1 < n { i + 1 } else { n.saturating_sub(2) };
        let (l, r, u, d) = (before(x, w), after(x, w), before(y, h), after(y, h));
        let p = |x: usize, y: usize| i32::from(image.data()[y * w + x]);
        let sx = p(r, u) - p(l, u) + 2 * (p(r, y) - p(l, y)) + p(r, d) - p(l, d);
        let sy = p(l, d) - p(l, u) + 2 * (p(x, d) - p(x, u)) + p(r, d) - p(r, u);
        let angle = if sx == 0 { FRAC_PI_2 } else { libm::atan(f64::from(sy) / f64::from(sx)) };
        Self { strength: f64::from(sx * sx + sy * sy).sqrt(), angle }
    }

    /// Q of this source edge in the fused picture's edge `f`.
    fn preserved(&self, f: &Self) -> f64 {
        let ratio = self.strength.min(f.strength) / self.strength.max(f.strength);
        let aligned = 1.0 - (self.angle - f.angle).abs() / FRAC_PI_2;
        let sigmoid =
            |[gamma, kappa, sigma]: [f64; 3], v: f64| gamma / (1.0 + libm::exp(kappa * (v - sigma)));
        sigmoid(STRENGTH, ratio) * sigmoid(ORIENTATION, aligned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(low: u8, high: u8) -> Vec<u8> {
        (0..48).map(|i| if i % 8 < 4 { low } else { high }).collect()
    }

    fn of(v: &[u8], i: &[u8], f: &[u8]) -> f64 {
        let image = |d| Image::new(d, 8, 6).unwrap();
        qabf(image(v), image(i), image(f)).unwrap()
    }

    #[test]
    fn hand_computed() {
        let flat = vec![50; 48];
        let sigmoid = |[g, k, s]: [f64; 3], v: f64| g / (1.0 + (k * (v - s)).exp());
        // All edges kept: both arguments are 1.
        let best = sigmoid(STRENGTH, 1.0) * sigmoid(ORIENTATION, 1.0);
        assert!((of(&step(0, 100), &flat, &step(0, 100)) - best).abs() < 1e-12);
        // Half the strength, same orientation.
        let half = sigmoid(STRENGTH, 0.5) * sigmoid(ORIENTATION, 1.0);
        assert!((of(&step(0, 100), &flat, &step(0, 50)) - half).abs() < 1e-12);
        // Edges lost: strength ratio 0, and the flat picture's orientation is π/2 by convention.
        let lost = sigmoid(STRENGTH, 0.0) * sigmoid(ORIENTATION, 0.0);
        assert!((of(&step(0, 100), &flat, &flat) - lost).abs() < 1e-12);
        assert_eq!(of(&flat, &flat, &step(0, 9)), 1.0);
        let dot = Image::new(&[7], 1, 1).unwrap();
        assert_eq!(qabf(dot, dot, dot).unwrap(), 1.0);
    }
}
