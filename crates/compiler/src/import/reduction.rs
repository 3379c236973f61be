//! Reductions, global pooling, normalisation and softmax.

use fusionproxy_format::{Axis, NormKind, PoolKind, ReduceKind, Window};

use super::node::OnnxNode;
use super::view::{C, H, View, W};
use super::{Importer, NCHW, Result};
use crate::ir::{Kind, Reduction};

impl Importer {
    pub(super) fn global_pool(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let x = self.image(n, 0, &NCHW)?;
        let kind = if n.op() == "GlobalMaxPool" { ReduceKind::Max } else { ReduceKind::Mean };
        let kind = Kind::Reduce { kind: Reduction::Plain(kind), axis: Axis::Space };
        let c = self.dims(x)[2];
        let v = self.push(n, kind, vec![x], [1, 1, c]);
        self.finish_image(n, v)
    }

    pub(super) fn reduce(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let rank = view.dims.len() as i64;
        // The axes became an input in opset 18, for ReduceSum in 13.
        let axes = match self.integers(n, 1, "axes")? {
            Some(a) => Some(a),
            None => n.ints("axes"),
        };
        let axes: Vec<usize> = match axes {
            Some(a) => a.iter().map(|d| (if *d < 0 { d + rank } else { *d }) as usize).collect(),
            None if n.int("noop_with_empty_axes", 0) != 0 => vec![],
            None => (0..rank as usize).collect(),
        };
        let kind = match n.op() {
            "ReduceMean" => Reduction::Plain(ReduceKind::Mean),
            "ReduceSum" => Reduction::Plain(ReduceKind::Sum),
            "ReduceMax" => Reduction::Plain(ReduceKind::Max),
            _ => Reduction::L2,
        };
        let dims = self.dims(view.value);
        let fail = |what: String| {
            n.unsupported(what, "artifacts reduce over height and width together, or over all channels")
        };
        let mut over = [false; 3];
        for p in axes.iter().filter_map(|d| view.dims.get(*d)).flatten() {
            if p.step != 1 || p.size != dims[p.axis] {
                return Err(fail(format!("it reduces a part of the axes of {:?}", view.shape())));
            }
            over[p.axis] = true;
        }
        let space = (over[H] || dims[H] == 1) && (over[W] || dims[W] == 1) && (over[H] || over[W]);
        let mut out = view;
        if space {
            out = self.reduced(n, &out, Kind::Reduce { kind, axis: Axis::Space }, [1, 1, dims[C]])?;
        } else if over[H] || over[W] {
            // Rows or columns alone: a window as long as the axis.
            let axis = if over[H] { H } else { W };
            let len =
                u8::try_from(dims[axis]).map_err(|_| fail("it reduces rows or columns alone".into()))?;
            let pool = match kind {
                Reduction::Plain(ReduceKind::Mean) => PoolKind::Average,
                Reduction::Plain(ReduceKind::Max) => PoolKind::Max,
                _ => return Err(fail("it sums rows or columns alone".into())),
            };
            let mut window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 4] };
            window.kernel[axis] = len;
            let mut to = dims;
            to[axis] = 1;
            out = self.reduced(n, &out, Kind::Pool { kind: pool, window, count_include_pad: false }, to)?;
        }
        if over[C] {
            if kind == Reduction::L2 && space {
                return Err(fail("it takes the norm over space and channels".into()));
            }
            let [h, w, _] = self.dims(out.value);
            out = self.reduced(n, &out, Kind::Reduce { kind, axis: Axis::Channel }, [h, w, 1])?;
        }
        if n.int("keepdims", 1) == 0 {
            let mut gone = axes;
            gone.sort_unstable();
            for d in gone.into_iter().rev() {
                if d < out.dims.len() {
                    out.dims.remove(d);
                }
            }
        }
        self.finish(n, 0, out)
    }

    fn reduced(&mut self, n: OnnxNode<'_>, view: &View, kind: Kind, to: crate::ir::Dims) -> Result<View> {
        let from = self.dims(view.value);
        let value = self.push(n, kind, vec![view.value], to);
        view.onto(value, from, to)
            .ok_or_else(|| n.unsupported("its input is interleaved", "reduce an image over whole dimensions"))
    }

    pub(super) fn normalization(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let dims = self.dims(view.value);
        let kind = if n.op() == "InstanceNormalization" { NormKind::Instance } else { NormKind::Layer };
        if kind == NormKind::Layer {
            let rank = view.dims.len() as i64;
            let axis = n.int("axis", -1);
            let from = (if axis < 0 { axis + rank } else { axis }) as usize;
            let parts: Vec<_> = view.dims.iter().skip(from).flatten().collect();
            let channels = matches!(parts[..], [p] if p.axis == C && p.step == 1 && p.size == dims[C]);
            if !channels {
                return Err(n.unsupported(
                    format!(
                        "it normalises from dimension {axis} of {:?}, which is more than the channels",
                        view.shape()
                    ),
                    "artifacts normalise over the channels of each pixel (LayerNorm on channels-last)",
                ));
            }
            if n.output(1).is_some() || n.output(2).is_some() {
                return Err(n.unsupported("its mean or deviation is used", "use the normalised values only"));
            }
        } else if view.axis(1, dims) != Some(Some(C)) && dims[C] != 1 {
            return Err(n.unsupported("its dimension 1 is not the channels", "normalise 1xCxHxW images"));
        }
        let channels = dims[2];
        let vector = |i: usize, open: f32| -> Result<Vec<f32>> {
            let Some(_) = n.input(i) else { return Ok(vec![open; channels]) };
            let v = self.needed_constant(n, i, "gain and offset")?.data.clone();
            match v.len() {
                l if l == channels => Ok(v),
                1 => Ok(vec![v[0]; channels]),
                l => Err(n.unsupported(
                    format!("it has {l} gains for {channels} channels"),
                    "use one gain per channel",
                )),
            }
        };
        let (gamma, beta) = (vector(1, 1.0)?, vector(2, 0.0)?);
        let epsilon = n.float("epsilon", 1e-5);
        let value = self.push(n, Kind::Norm { kind, epsilon, gamma, beta }, vec![view.value], dims);
        self.finish(n, 0, View { value, ..view })
    }

    pub(super) fn softmax(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let dims = self.dims(view.value);
        let rank = view.dims.len() as i64;
        let axis = n.int("axis", if n.opset < 13 { 1 } else { -1 });
        let d = (if axis < 0 { axis + rank } else { axis }) as usize;
        let trailing: usize = view.shape().iter().skip(d + 1).product();
        let over = match view.axis(d, dims) {
            Some(Some(C)) => Some(Axis::Channel),
            Some(Some(W)) => Some(Axis::Width),
            _ => None,
        };
        let axis = over.filter(|_| n.opset >= 13 || trailing == 1).ok_or_else(|| {
            n.unsupported(
                format!("it runs over dimension {axis} of {:?}", view.shape()),
                "artifacts have softmax over channels, and over the keys of attention scores",
            )
        })?;
        let value = self.push(n, Kind::Softmax { axis }, vec![view.value], dims);
        self.finish(n, 0, View { value, ..view })
    }
}
