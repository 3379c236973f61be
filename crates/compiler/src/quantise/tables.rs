//! Tables that 8-bit operators look up instead of computing.

use fusionproxy_format::Quant;

use super::{dequantise, quantise};

/// `f` from 8-bit values of quantisation `from` to those of `to`.
pub(crate) fn lookup(f: impl Fn(f64) -> f64, from: Quant, to: Quant) -> [u8; 256] {
    std::array::from_fn(|q| quantise(f(dequantise(q as u8, from)), to))
}

/// Softmax: entry d is round(65535 * exp(-d * scale)).
pub(crate) fn exponentials(scale: f32) -> [u16; 256] {
    std::array::from_fn(|d| (65535.0 * (-(d as f64) * f64::from(scale)).exp()).round() as u16)
}

/// Blend: round(32768 * sigmoid(x)) of each 8-bit logit.
pub(crate) fn sigmoid_weights(logit: impl Fn(u8) -> f64) -> [i32; 256] {
    std::array::from_fn(|q| (32768.0 / (1.0 + (-logit(q as u8)).exp())).round() as i32)
}

/// Blend: round(32768 * 255 * gain * tanh(x)) of each 8-bit logit.
pub(crate) fn residuals(logit: impl Fn(u8) -> f64, gain: f32) -> [i32; 256] {
    std::array::from_fn(|q| (32768.0 * 255.0 * f64::from(gain) * logit(q as u8).tanh()).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hit_their_anchors() {
        let q = Quant { scale: 0.05, zero_point: 128 };
        assert_eq!(sigmoid_weights(|v| dequantise(v, q))[128], 16384);
        assert_eq!(residuals(|v| dequantise(v, q), 0.25)[128], 0);
        assert_eq!(exponentials(0.1)[0], 65535);
        let t = lookup(|x| x, q, q);
        assert!((0..256).all(|i| usize::from(t[i]) == i));
    }
}
