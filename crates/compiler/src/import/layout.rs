//! Operators that rearrange, cut and join.

use fusionproxy_format::{PadMode, ResizeMode};

use super::node::OnnxNode;
use super::view::{C, H, Part, View, W};
use super::{Importer, NCHW, Result};
use crate::ir::{Conv, Kind};

/// A dimension as the specification counts it: negative from the end.
fn dimension(d: i64, rank: usize) -> Option<usize> {
    let d = if d < 0 { d + rank as i64 } else { d };
    usize::try_from(d).ok().filter(|d| *d < rank)
}

impl Importer {
    fn axis_of(&self, n: OnnxNode<'_>, d: i64, rank: usize) -> Result<usize> {
        dimension(d, rank).ok_or_else(|| {
            n.unsupported(format!("its axis {d} is outside of {rank} dimensions"), "export the network again")
        })
    }

    /// Operators that change nothing: the output is the input.
    pub(super) fn pass(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let float = |t: i64| matches!(t, 1 | 10 | 11 | 16);
        if n.op() == "Cast" && !float(n.int("to", 1)) {
            return Err(n.unsupported("it converts an image to integers", "keep images in floating point"));
        }
        let view = self.view(n, 0)?;
        self.finish(n, 0, view)
    }

    pub(super) fn reshape(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let shape = self.output_shape(n, 0)?;
        let view = view.reshaped(&shape).ok_or_else(|| {
            n.unsupported(
                format!("it turns the shape {:?} into {shape:?}, which cuts across dimensions", view.shape()),
                "artifacts hold images; split or merge whole dimensions only",
            )
        })?;
        self.finish(n, 0, view)
    }

    pub(super) fn transpose(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let rank = view.dims.len();
        let order: Vec<usize> = match n.ints("perm") {
            Some(p) => p.iter().map(|d| self.axis_of(n, *d, rank)).collect::<Result<_>>()?,
            None => (0..rank).rev().collect(),
        };
        let view = view
            .transposed(&order)
            .ok_or_else(|| n.unsupported("its perm does not fit its input", "export the network again"))?;
        self.finish(n, 0, view)
    }

    pub(super) fn depth_space(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let b = usize::try_from(n.int("blocksize", 0)).unwrap_or(0);
        let fail = || n.unsupported("its block does not fit its input", "use a block that divides the image");
        let &[one, c, h, w] = &view.shape()[..] else { return Err(fail()) };
        if b == 0 || (n.op() == "DepthToSpace" && !c.is_multiple_of(b * b)) {
            return Err(fail());
        }
        let view = if n.op() == "SpaceToDepth" {
            view.reshaped(&[one, c, h / b, b, w / b, b])
                .and_then(|v| v.transposed(&[0, 3, 5, 1, 2, 4]))
                .and_then(|v| v.reshaped(&[one, c * b * b, h / b, w / b]))
        } else if n.string("mode").unwrap_or("DCR") == "CRD" {
            view.reshaped(&[one, c / (b * b), b, b, h, w])
                .and_then(|v| v.transposed(&[0, 1, 4, 2, 5, 3]))
                .and_then(|v| v.reshaped(&[one, c / (b * b), h * b, w * b]))
        } else {
            view.reshaped(&[one, b, b, c / (b * b), h, w])
                .and_then(|v| v.transposed(&[0, 3, 4, 1, 5, 2]))
                .and_then(|v| v.reshaped(&[one, c / (b * b), h * b, w * b]))
        };
        self.finish(n, 0, view.ok_or_else(fail)?)
    }

    pub(super) fn concat(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let shape = self.output_shape(n, 0)?;
        let axis = self.axis_of(n, n.int("axis", 1), shape.len())?;
        let mut values = Vec::new();
        let mut like: Option<View> = None;
        for i in 0..n.inputs() {
            if let Some(c) = self.constant(n, i).cloned() {
                let &[1, ch, h, w] = &c.shape[..] else {
                    return Err(n.unsupported(
                        format!("it joins a constant of shape {:?}", c.shape),
                        "join constants 1xCxHxW",
                    ));
                };
                let data =
                    (0..h * w).flat_map(|p| (0..ch).map(move |k| (k, p))).map(|(k, p)| c.data[k * h * w + p]);
                let name = n.input(i).unwrap_or("constant").to_owned();
                values.push(self.graph.constant(name, [h, w, ch], data.collect()));
                continue;
            }
            let view = self.view(n, i)?;
            // Along whole channels the arrangement of the other dimensions is kept, if all inputs share it.
            let dims = self.dims(view.value);
            let along = view.axis(axis, dims) == Some(Some(C))
                && view.axes(dims).is_some()
                && like.as_ref().is_none_or(|l| {
                    (0..l.dims.len()).filter(|d| *d != axis).all(|d| l.dims.get(d) == view.dims.get(d))
                });
            if along {
                values.push(view.value);
                like.get_or_insert(view);
            } else {
                if axis != 1 || shape.len() != 4 {
                    return Err(n.unsupported(
                        format!("it joins along dimension {axis} of {shape:?}"),
                        "artifacts join images along their channels",
                    ));
                }
                let v = self.image(n, i, &NCHW)?;
                like.get_or_insert(View::nchw(v, self.dims(v)));
                values.push(v);
            }
        }
        let (Some(like), Some(first)) = (like, values.first()) else {
            return Err(n.unsupported("it joins constants only", "fold the constants before export"));
        };
        let [h, w, _] = self.dims(*first);
        let channels = values.iter().map(|v| self.dims(*v)[2]).sum();
        if values.iter().any(|v| self.dims(*v)[..2] != [h, w]) {
            return Err(n.unsupported("it joins images of different sizes", "resize them to one size first"));
        }
        let v = self.push(n, Kind::Concat, values, [h, w, channels]);
        let mut dims = like.dims;
        dims[axis] = View::whole(v, [h, w, channels], &[Some(C)]).dims.remove(0);
        self.finish(n, 0, View { value: v, dims })
    }

    /// `view` with its elements in their natural arrangement, if they have one: what is cut before it is rearranged
    /// would have to be rearranged piece by piece.
    fn settled(&mut self, n: OnnxNode<'_>, view: View) -> View {
        let whole = view.axes(self.dims(view.value)).is_some();
        match (view.dims.len() == 4 && !whole).then(|| self.arrange(n, &view, &NCHW)).flatten() {
            Some(v) => {
                let view = View::nchw(v, self.dims(v));
                if let Some(name) = n.input(0) {
                    self.views.insert(name.into(), view.clone());
                }
                view
            }
            None => view,
        }
    }

    /// `len` indices from `start` of dimension `dim`.
    fn cut(&mut self, n: OnnxNode<'_>, view: &View, dim: usize, start: usize, len: usize) -> Result<View> {
        let have: usize = view.shape()[dim];
        if start == 0 && len == have {
            return Ok(view.clone());
        }
        let mut view = view.clone();
        let dims = self.dims(view.value);
        let outermost = |view: &View, dims: crate::ir::Dims| match view.dims[dim][..] {
            [p] if p.size * p.step == dims[p.axis] => Some(p),
            _ => None,
        };
        let p = outermost(&view, dims).ok_or_else(|| {
            n.unsupported(
                format!("it cuts dimension {dim} of {:?}, which is interleaved with others", view.shape()),
                "cut whole channels, rows or columns",
            )
        })?;
        let mut first = [0; 3];
        first[p.axis] = start * p.step;
        let mut to = dims;
        to[p.axis] = len * p.step;
        let value = self.push(n, Kind::Slice { start: first }, vec![view.value], to);
        view.dims[dim] = if len > 1 { vec![Part { size: len, ..p }] } else { vec![] };
        Ok(View { value, dims: view.dims })
    }

    pub(super) fn split(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let view = self.settled(n, view);
        let axis = self.axis_of(n, n.int("axis", 0), view.dims.len())?;
        let mut start = 0;
        for i in 0..n.proto.output.len() {
            let len = self.output_shape(n, i)?[axis];
            let out = self.cut(n, &view, axis, start, len)?;
            start += len;
            let name = n.output(i).map(str::to_owned);
            self.finish(n, i, out.clone())?;
            if let Some(name) = name
                && out.value != view.value
            {
                self.graph.values[out.value].name = name;
            }
        }
        Ok(())
    }

    pub(super) fn slice(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let mut view = self.settled(n, view);
        let rank = view.dims.len();
        let missing = || n.unsupported("its bounds are missing", "export the network again");
        let (starts, ends, axes, steps) = if n.opset < 10 {
            (n.ints("starts"), n.ints("ends"), n.ints("axes"), None)
        } else {
            let get = |i| self.integers(n, i, "bounds");
            (get(1)?, get(2)?, get(3)?, get(4)?)
        };
        let (starts, ends) = (starts.ok_or_else(missing)?, ends.ok_or_else(missing)?);
        let axes = axes.unwrap_or((0..starts.len() as i64).collect());
        for (i, (start, end)) in starts.iter().zip(&ends).enumerate() {
            let dim = self.axis_of(n, *axes.get(i).ok_or_else(missing)?, rank)?;
            let step = steps.as_ref().and_then(|s| s.get(i)).copied().unwrap_or(1);
            let have = view.shape()[dim] as i64;
            let clamp = |v: i64| (if v < 0 { v + have } else { v }).clamp(0, have);
            let (from, to) = (clamp(*start), clamp(*end));
            if step < 1 || to <= from {
                return Err(n.unsupported(
                    format!("it cuts {start}..{end} in steps of {step}"),
                    "artifacts cut non-empty ranges forwards",
                ));
            }
            view = self.cut(n, &view, dim, from as usize, (to - from) as usize)?;
            if step > 1 {
                view = self.every(n, &view, dim, step as usize)?;
            }
        }
        self.finish(n, 0, view)
    }

    /// Every `step`-th row or column: a depthwise convolution with a 1x1 kernel and that stride.
    fn every(&mut self, n: OnnxNode<'_>, view: &View, dim: usize, step: usize) -> Result<View> {
        let dims = self.dims(view.value);
        let Some(Some(axis @ (H | W))) = view.axis(dim, dims) else {
            return Err(n.unsupported(
                format!("it takes every {step}th index of dimension {dim}"),
                "artifacts take steps along rows and columns only",
            ));
        };
        let mut conv = Conv::per_channel(vec![1.0; dims[2]], vec![0.0; dims[2]]);
        conv.window.stride[axis] = u8::try_from(step)
            .map_err(|_| n.unsupported(format!("its step is {step}"), "use a step below 256"))?;
        let mut to = dims;
        to[axis] = dims[axis].div_ceil(step);
        let value = self.push(n, Kind::Conv(Box::new(conv)), vec![view.value], to);
        view.onto(value, dims, to).ok_or_else(|| n.unsupported("its input is interleaved", "cut an image"))
    }

    pub(super) fn gather(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let view = self.settled(n, view);
        let dim = self.axis_of(n, n.int("axis", 0), view.dims.len())?;
        let index = self.needed_constant(n, 1, "indices")?.clone();
        let have = view.shape()[dim];
        let at: Vec<usize> = index
            .data
            .iter()
            .map(|i| dimension(*i as i64, have))
            .collect::<Option<_>>()
            .ok_or_else(|| n.unsupported("an index is out of range", "export the network again"))?;
        let run = at.windows(2).all(|w| w[1] == w[0] + 1);
        let (Some(first), true) = (at.first(), run) else {
            return Err(n.unsupported("it takes scattered indices", "take a range with Slice"));
        };
        let mut out = self.cut(n, &view, dim, *first, at.len())?;
        if index.shape.is_empty() {
            out.dims.remove(dim);
        }
        self.finish(n, 0, out)
    }

    pub(super) fn expand(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let shape = self.output_shape(n, 0)?;
        if view.shape() == shape {
            return self.finish(n, 0, view);
        }
        let name = n.output(0).unwrap_or("").to_owned();
        if self.elementwise_only.contains(&name) {
            let mut view = view;
            while view.dims.len() < shape.len() {
                view.dims.insert(0, vec![]);
            }
            self.views.insert(name, view);
            return Ok(());
        }
        let fail = |p: &str| n.unsupported(p, "artifacts spread images 1xCx1x1 over height and width");
        let &[1, c, h, w] = &shape[..] else { return Err(fail("it makes no image 1xCxHxW")) };
        let mut v = self.image(n, 0, &NCHW)?;
        let [h0, w0, c0] = self.dims(v);
        if c0 != c {
            if c0 != 1 {
                return Err(fail("it repeats channels"));
            }
            let conv = Conv::pointwise(1, c, vec![1.0; c], vec![0.0; c]);
            v = self.push(n, Kind::Conv(Box::new(conv)), vec![v], [h0, w0, c]);
        }
        if [h0, w0] != [h, w] {
            v = self.push(n, Kind::Resize { mode: ResizeMode::NearestFloor }, vec![v], [h, w, c]);
        }
        self.finish_image(n, v)
    }

    pub(super) fn pad(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let rank = view.dims.len();
        let (pads, value) = if n.opset < 11 {
            (n.ints("pads"), n.float("value", 0.0))
        } else {
            let value = match n.input(2) {
                Some(_) => self.needed_constant(n, 2, "padding value")?.data.first().copied().unwrap_or(0.0),
                None => 0.0,
            };
            (self.integers(n, 1, "pads")?, value)
        };
        let pads = pads.ok_or_else(|| n.unsupported("its pads are missing", "export the network again"))?;
        let axes: Vec<usize> = match self.integers(n, 3, "axes")? {
            Some(a) => a.iter().map(|d| self.axis_of(n, *d, rank)).collect::<Result<_>>()?,
            None => (0..rank).collect(),
        };
        let mode = match n.string("mode").unwrap_or("constant") {
            "constant" => PadMode::Constant,
            "reflect" => PadMode::Reflect,
            "edge" => PadMode::Edge,
            other => {
                return Err(n.unsupported(
                    format!("its mode is {other}"),
                    "artifacts pad with a constant, by reflection, or with the edge",
                ));
            }
        };
        if pads.len() != 2 * axes.len() {
            return Err(n.unsupported("its pads do not fit its input", "export the network again"));
        }
        let dims = self.dims(view.value);
        let (mut before, mut to, mut cut) = ([0usize; 3], dims, [0usize; 3]);
        let mut shrunk = dims;
        for (i, dim) in axes.iter().enumerate() {
            let (b, e) = (pads[i], pads[i + axes.len()]);
            if b == 0 && e == 0 {
                continue;
            }
            let axis = match view.axis(*dim, dims) {
                Some(Some(axis @ (H | W))) => axis,
                // A dimension of size 1 may be a height or width of 1.
                Some(None) if rank == 4 && *dim >= 2 && dims[*dim - 2] == 1 => *dim - 2,
                _ => {
                    return Err(n.unsupported(
                        format!("it pads dimension {dim} of {:?}", view.shape()),
                        "artifacts pad rows and columns; join constant channels with Concat",
                    ));
                }
            };
            cut[axis] = (-b).max(0) as usize;
            shrunk[axis] = dims[axis].saturating_sub(cut[axis] + (-e).max(0) as usize);
            before[axis] = b.max(0) as usize;
            to[axis] = shrunk[axis] + before[axis] + e.max(0) as usize;
        }
        if to.contains(&0) || shrunk.contains(&0) {
            return Err(n.unsupported("it removes the whole image", "use smaller pads"));
        }
        let mut value_id = view.value;
        if shrunk != dims {
            value_id = self.push(n, Kind::Slice { start: cut }, vec![value_id], shrunk);
        }
        if to != shrunk {
            let kind = Kind::Pad { mode, before: [before[H], before[W]], value };
            value_id = self.push(n, kind, vec![value_id], to);
        }
        let grown = (0..2).any(|a| dims[a] == 1 && to[a] > 1);
        let out = if grown { Some(View::nchw(value_id, to)) } else { view.onto(value_id, dims, to) };
        let out = out.ok_or_else(|| n.unsupported("its input is interleaved", "pad an image"))?;
        self.finish(n, 0, out)
    }
}
