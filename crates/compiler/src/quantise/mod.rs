//! Quantisation: element types, scales, and the arrangement of the graph that they ask for.

mod equalise;
mod groups;
mod logits;
mod scales;
mod tables;
mod types;
mod weights;

use fusionproxy_format::{DType, Quant};

pub(crate) use equalise::equalise;
pub(crate) use logits::normalise;
pub use scales::RangeRecord;
pub(crate) use scales::{scaled, scales};
pub(crate) use tables::{exponentials, lookup, residuals, sigmoid_weights};
pub(crate) use types::assign;
pub(crate) use weights::{convolution, sum};

use crate::ir::{Graph, ValueId};

/// A graph whose values have element types and, where 8-bit, scales.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) graph: Graph,
    /// Element type per value; that of a constant is its reader's.
    pub(crate) dtypes: Vec<DType>,
    /// The value of the graph before types were assigned that each value has the elements of.
    pub(crate) origins: Vec<ValueId>,
    /// Quantisation per value.
    pub(crate) quants: Vec<Quant>,
    /// Quantisation before the table of the node that makes each value.
    pub(crate) before: Vec<Option<Quant>>,
}

/// The image's own quantisation: one step is one step of an 8-bit image.
pub(crate) const IMAGE: Quant = Quant { scale: 1.0 / 255.0, zero_point: 0 };

/// The quantisation whose 256 steps cover `lo..=hi` and hit 0 exactly.
pub(crate) fn covering(lo: f32, hi: f32) -> Quant {
    let (lo, hi) = (lo.min(0.0), hi.max(0.0));
    let scale = (hi - lo) / 255.0;
    if !(scale.is_finite() && scale > 1e-12) {
        return IMAGE;
    }
    Quant { scale, zero_point: (-lo / scale).round_ties_even().clamp(0.0, 255.0) as u8 }
}

/// The nearest 8-bit value.
pub(crate) fn quantise(v: f64, q: Quant) -> u8 {
    let n = (v / f64::from(q.scale)).round_ties_even() + f64::from(q.zero_point);
    // NaN, which a table may contain outside of a function's domain, becomes the zero point.
    if n.is_nan() { q.zero_point } else { n.clamp(0.0, 255.0) as u8 }
}

/// The real value of `q`.
pub(crate) fn dequantise(v: u8, q: Quant) -> f64 {
    f64::from(q.scale) * (f64::from(v) - f64::from(q.zero_point))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_in_every_range() {
        for (lo, hi) in [(0.0, 1.0), (-1.0, 3.0), (-5.0, -1.0), (2.0, 7.0), (0.0, 0.0)] {
            let q = covering(lo, hi);
            assert_eq!(dequantise(quantise(0.0, q), q), 0.0);
        }
        assert_eq!(covering(0.0, 1.0), IMAGE);
        assert_eq!(quantise(f64::NAN, IMAGE), 0);
    }
}
