//! Convolutions, batch normalisation and sliding windows.

use fusionproxy_format::{PoolKind, ReduceKind, Window};

use super::node::OnnxNode;
use super::{Importer, NCHW, Result};
use crate::ir::{Conv, Kind, Reduction};

impl Importer {
    /// Window of a convolution or pooling over an input of `size` (height, width) that makes `made`.
    fn window(
        &self,
        n: OnnxNode<'_>,
        kernel: [usize; 2],
        size: [usize; 2],
        made: [usize; 2],
        transposed: bool,
    ) -> Result<Window> {
        let byte = |v: i64, what: &str| {
            u8::try_from(v).map_err(|_| {
                n.unsupported(
                    format!("its {what} is {v}"),
                    format!("artifacts hold a {what} of 0 to 255; split the operator"),
                )
            })
        };
        let pair = |name: &str| match n.ints(name) {
            None => Ok([1u8, 1]),
            Some(v) => match v[..] {
                [a, b] => Ok([byte(a, name)?, byte(b, name)?]),
                _ => Err(n.unsupported(
                    format!("it has {} {name}", v.len()),
                    "artifacts have two-dimensional windows",
                )),
            },
        };
        let (stride, dilation) = (pair("strides")?, pair("dilations")?);
        let kernel = [byte(kernel[0] as i64, "kernel_shape")?, byte(kernel[1] as i64, "kernel_shape")?];
        let mut pads = [0i64; 4];
        let reach = |a: usize| (i64::from(kernel[a]) - 1) * i64::from(dilation[a]) + 1;
        let auto = n.string("auto_pad").unwrap_or("NOTSET");
        if let Some(p) = n.ints("pads").filter(|_| auto == "NOTSET") {
            pads = p.try_into().map_err(|_| n.unsupported("its pads are not four", "give four pads"))?;
        }
        for a in 0..2 {
            let (have, want, s) = (size[a] as i64, made[a] as i64, i64::from(stride[a]));
            if transposed {
                // Output padding is padding that is not cut off at the end.
                let full = (have - 1) * s + reach(a);
                let total = full - want;
                if auto != "NOTSET" {
                    pads[a] = if auto == "SAME_UPPER" { total - total / 2 } else { total / 2 };
                }
                pads[a + 2] = total - pads[a];
            } else {
                let needed = (want - 1) * s + reach(a) - have;
                match auto {
                    "SAME_UPPER" => pads[a] = needed.max(0) / 2,
                    "SAME_LOWER" => pads[a] = (needed.max(0) + 1) / 2,
                    _ => {}
                }
                if auto.starts_with("SAME") {
                    pads[a + 2] = needed.max(0) - pads[a];
                } else if n.int("ceil_mode", 0) != 0 {
                    pads[a + 2] = pads[a + 2].max(needed - pads[a]);
                }
            }
        }
        let mut pad = [0; 4];
        for (to, from) in pad.iter_mut().zip(pads) {
            *to = byte(from, "pads")?;
        }
        Ok(Window { kernel, stride, dilation, pad })
    }

    pub(super) fn convolution(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let transposed = n.op() == "ConvTranspose";
        let x = self.image(n, 0, &NCHW)?;
        let w = self.needed_constant(n, 1, "weights")?.clone();
        let made = self.output_shape(n, 0)?;
        let (&[o, i, kh, kw], &[_, outputs, height, width]) = (&w.shape[..], &made[..]) else {
            return Err(n.unsupported(
                format!("its weights have the shape {:?}", w.shape),
                "artifacts have two-dimensional convolutions; use Conv2d with a kernel height of 1",
            ));
        };
        let groups = usize::try_from(n.int("group", 1)).unwrap_or(1).max(1);
        let [h, width_in, inputs] = self.dims(x);
        let consistent = if transposed {
            o == inputs && i * groups == outputs
        } else {
            i * groups == inputs && o == outputs
        };
        if !consistent || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return Err(n.unsupported(
                format!("weights {:?} in {groups} group(s) do not fit {inputs} channels", w.shape),
                "export the network again",
            ));
        }
        let window = self.window(n, [kh, kw], [h, width_in], [height, width], transposed)?;
        let (per_in, per_out) = (inputs / groups, outputs / groups);
        let mut weights = vec![0.0; outputs * kh * kw * per_in];
        for oc in 0..outputs {
            for ic in 0..per_in {
                for k in 0..kh * kw {
                    // Forward [O][I / g][kh][kw]; transposed [I][O / g][kh][kw].
                    let from = if transposed {
                        ((oc / per_out * per_in + ic) * per_out + oc % per_out) * kh * kw + k
                    } else {
                        (oc * per_in + ic) * kh * kw + k
                    };
                    weights[(oc * kh * kw + k) * per_in + ic] = w.data[from];
                }
            }
        }
        let bias = match n.input(2) {
            Some(_) => self.needed_constant(n, 2, "bias")?.data.clone(),
            None => vec![0.0; outputs],
        };
        let base = Conv::pointwise(0, 0, vec![], bias);
        let conv = Conv { window, groups, inputs, outputs, weights, transposed, ..base };
        let v = self.push(n, Kind::Conv(Box::new(conv)), vec![x], [height, width, outputs]);
        self.finish_image(n, v)
    }

    pub(super) fn batch_normalization(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let dims = self.dims(view.value);
        if view.axis(1, dims) != Some(Some(super::C)) && view.axis(1, dims) != Some(None) {
            return Err(n.unsupported("its dimension 1 is not the channels", "normalise 1xCxHxW images"));
        }
        let epsilon = n.float("epsilon", 1e-5);
        let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|i| self.needed_constant(n, i, "parameters"));
        let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
        let scale: Vec<f32> =
            gamma.data.iter().zip(&variance.data).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
        let shift: Vec<f32> =
            beta.data.iter().zip(&mean.data).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        if scale.iter().chain(&shift).any(|v| !v.is_finite()) {
            return Err(n.unsupported("its statistics are not finite", "take an earlier checkpoint"));
        }
        let v = self.push(n, Kind::Affine { scale, shift }, vec![view.value], dims);
        self.finish(n, 0, super::View { value: v, ..view })
    }

    pub(super) fn pool(&mut self, n: OnnxNode<'_>) -> Result<()> {
        if n.output(1).is_some() {
            return Err(n.unsupported("it gives the indices of its maxima", "use the pooled values only"));
        }
        let x = self.image(n, 0, &NCHW)?;
        let made = self.output_shape(n, 0)?;
        let [h, w, c] = self.dims(x);
        let (Some(kernel), &[_, _, height, width]) = (n.ints("kernel_shape"), &made[..]) else {
            return Err(n.unsupported("it is not two-dimensional", "pool 1xCxHxW images"));
        };
        let &[kh, kw] = &kernel[..] else {
            return Err(n.unsupported("it is not two-dimensional", "pool 1xCxHxW images"));
        };
        let kind = if n.op() == "MaxPool" { PoolKind::Max } else { PoolKind::Average };
        let count_include_pad = n.int("count_include_pad", 0) != 0;
        let kernel = [kh as usize, kw as usize];
        let whole =
            kernel == [h, w] && [height, width] == [1, 1] && n.ints("pads").is_none_or(|p| p == [0; 4]);
        let node = if whole {
            let kind = if kind == PoolKind::Max { ReduceKind::Max } else { ReduceKind::Mean };
            Kind::Reduce { kind: Reduction::Plain(kind), axis: fusionproxy_format::Axis::Space }
        } else {
            let window = self.window(n, kernel, [h, w], [height, width], false)?;
            let ceil = n.int("ceil_mode", 0) != 0;
            if kind == PoolKind::Average && window.dilation != [1, 1] {
                return Err(n.unsupported("it averages with dilation", "use a depthwise convolution"));
            }
            let declared = n.ints("pads").unwrap_or(vec![0; 4]);
            let extended = window.pad.iter().zip(&declared).any(|(a, b)| i64::from(*a) != *b);
            if kind == PoolKind::Average && ceil && count_include_pad && extended {
                return Err(n.unsupported(
                    "it counts padding, but not the part that ceil_mode adds",
                    "use count_include_pad=False or ceil_mode=False",
                ));
            }
            Kind::Pool { kind, window, count_include_pad }
        };
        let v = self.push(n, node, vec![x], [height, width, c]);
        self.finish_image(n, v)
    }
}
