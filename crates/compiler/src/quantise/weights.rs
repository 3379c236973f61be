//! Integer forms of convolutions and sums.

use fusionproxy_format::{FixedPoint, Quant};

use crate::ir::Conv;

/// A convolution in integers, unpacked.
#[derive(Clone, Debug)]
pub(crate) struct QuantisedConv {
    /// `[outputs][kernel_h][kernel_w][inputs / groups]`.
    pub(crate) weights: Vec<i8>,
    /// `[outputs]`, with the shares of the zero points.
    pub(crate) bias: Vec<i32>,
    /// `[outputs]`.
    pub(crate) scale: Vec<f32>,
}

/// Quantises `c`: weights symmetrically per output channel, the bias in units of input scale * weight scale.
///
/// `finish` is the quantisation behind the accumulator, `output` the tensor's; they differ where a table follows, and the
/// difference of their zero points goes into the bias. `mean` is the input's mean per channel: the rounding of the
/// weights shifts each output by a constant on average, which the bias takes back (Nagel et al., arXiv 1906.04721, 4.2).
pub(crate) fn convolution(
    c: &Conv,
    input: Quant,
    finish: Quant,
    output: Quant,
    mean: Option<&[f32]>,
) -> QuantisedConv {
    let per = c.per_output();
    let (per_in, per_out) = (c.inputs / c.groups, c.outputs / c.groups);
    let mut q = QuantisedConv { weights: Vec::with_capacity(c.weights.len()), bias: vec![], scale: vec![] };
    // 2^29 leaves room for the zero point's share in the 2^30 that artifacts allow.
    const LARGEST_BIAS: f64 = (1u32 << 29) as f64;
    for o in 0..c.outputs {
        let row = &c.weights[o * per..(o + 1) * per];
        let largest = row.iter().fold(0f32, |m, w| m.max(w.abs()));
        let finish_share = f64::from(finish.zero_point) - f64::from(output.zero_point);
        let in_scale = f64::from(input.scale);
        let real_bias = f64::from(c.bias[o]) + finish_share * f64::from(finish.scale);
        // A row that is nearly zero gets a coarser scale, so that its bias fits.
        let weight_scale =
            (f64::from(largest) / 127.0).max(real_bias.abs() / in_scale / LARGEST_BIAS).max(1e-30);
        let rounded: Vec<i8> = row
            .iter()
            .map(|w| (f64::from(*w) / weight_scale).round_ties_even().clamp(-127.0, 127.0) as i8)
            .collect();
        let group = o / per_out * per_in;
        let shift: f64 = mean.map_or(0.0, |mean| {
            let error = |(i, w): (usize, &i8)| {
                (f64::from(*w) * weight_scale - f64::from(row[i])) * f64::from(mean[group + i % per_in])
            };
            rounded.iter().enumerate().map(error).sum()
        });
        let unit = in_scale * weight_scale;
        let sum: i64 = rounded.iter().map(|w| i64::from(*w)).sum();
        let bias = ((real_bias - shift) / unit).round_ties_even() as i64 - i64::from(input.zero_point) * sum;
        q.bias.push(bias.clamp(-(1 << 30), 1 << 30) as i32);
        q.scale.push((unit / f64::from(finish.scale)) as f32);
        q.weights.extend(rounded);
    }
    q
}

/// `sign_b` is 1 for a sum and -1 for a difference. `finish` is the quantisation of the result (before a table).
pub(crate) fn sum(a: Quant, b: Quant, sign_b: f64, finish: Quant) -> FixedPoint {
    let ratio =
        [f64::from(a.scale) / f64::from(finish.scale), sign_b * f64::from(b.scale) / f64::from(finish.scale)];
    let zeros = [f64::from(a.zero_point), f64::from(b.zero_point)];
    let at = |shift: u32| {
        let unit = f64::from(1u32 << shift);
        let m = ratio.map(|r| (r * unit).round());
        // Rounding and the zero points, with the multipliers as they are.
        let half = if shift > 0 { unit / 2.0 } else { 0.0 };
        let offset = f64::from(finish.zero_point) * unit - m[0] * zeros[0] - m[1] * zeros[1] + half;
        let fits = m.iter().all(|m| m.abs() <= 32767.0)
            && 255.0 * (m[0].abs() + m[1].abs()) + offset.abs() <= f64::from(i32::MAX);
        fits.then_some(FixedPoint { a: m[0] as i32, b: m[1] as i32, offset: offset as i32, shift })
    };
    (0..=22u32).rev().find_map(at).unwrap_or_else(|| {
        // The inputs' steps are more than 2^15 of the result's: any input saturates it.
        FixedPoint {
            a: ratio[0].clamp(-32767.0, 32767.0) as i32,
            b: ratio[1].clamp(-32767.0, 32767.0) as i32,
            offset: i32::from(finish.zero_point)
                - (ratio[0].clamp(-32767.0, 32767.0) * zeros[0]
                    + ratio[1].clamp(-32767.0, 32767.0) * zeros[1]) as i32,
            shift: 0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantise::{dequantise, quantise};

    #[test]
    fn a_sum_is_right_to_one_step() {
        let (a, b) = (Quant { scale: 0.02, zero_point: 3 }, Quant { scale: 0.011, zero_point: 130 });
        let out = Quant { scale: 0.03, zero_point: 40 };
        for sign in [1.0, -1.0] {
            let f = sum(a, b, sign, out);
            for x in (0..=255u8).step_by(5) {
                for y in (0..=255u8).step_by(3) {
                    let got = (f.a * i32::from(x) + f.b * i32::from(y) + f.offset) >> f.shift;
                    let want = quantise(dequantise(x, a) + sign * dequantise(y, b), out);
                    assert!((got.clamp(0, 255) - i32::from(want)).abs() <= 1, "{x} {y}");
                }
            }
        }
    }

    #[test]
    fn a_convolution_is_right_to_half_a_step() {
        let c = Conv::pointwise(3, 2, vec![0.5, -0.25, 0.1, 1.5, 0.3, -2.0], vec![0.2, -0.7]);
        let input = Quant { scale: 0.01, zero_point: 20 };
        let out = Quant { scale: 0.02, zero_point: 100 };
        let q = convolution(&c, input, out, out, None);
        let x = [200u8, 17, 90];
        for o in 0..2 {
            let acc: i32 =
                (0..3).map(|i| i32::from(q.weights[o * 3 + i]) * i32::from(x[i])).sum::<i32>() + q.bias[o];
            let real: f64 =
                (0..3).map(|i| f64::from(c.weights[o * 3 + i]) * dequantise(x[i], input)).sum::<f64>()
                    + f64::from(c.bias[o]);
            let got = f64::from(acc) * f64::from(q.scale[o]) * f64::from(out.scale);
            assert!((got - real).abs() < 0.01, "{got} {real}");
        }
    }

    #[test]
    fn a_zero_filter_keeps_its_bias() {
        let c = Conv::pointwise(1, 1, vec![0.0], vec![0.5]);
        let image = crate::quantise::IMAGE;
        let q = convolution(&c, image, image, image, None);
        assert!((f64::from(q.bias[0]) * f64::from(q.scale[0]) - 127.5).abs() < 0.5);
    }
}
