//! ONNX tensors as views of images.
//!
//! The artifact's tensors are images `[height, width, channels]`; ONNX's have any rank and order. A [`View`] says, for
//! each ONNX dimension, which parts of which axes it runs over. Reshapes, transposes, squeezes and flattenings then
//! cost nothing: they rearrange the view. Only when an operator needs another arrangement of the same elements is a
//! view turned into an operator: a pixel shuffle, a transpose, or a reshape.

use fusionproxy_format::Window;

use crate::ir::{Conv, Dims, Graph, Kind, Observed, ValueId};

/// Height, width or channels of an image, as an index into [`Dims`].
pub(super) type AxisId = usize;
pub(super) const H: AxisId = 0;
pub(super) const W: AxisId = 1;
pub(super) const C: AxisId = 2;

/// A part of an axis: the index along the axis is the sum of the parts' indices times their steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) axis: AxisId,
    pub(super) size: usize,
    pub(super) step: usize,
}

/// An ONNX tensor as a view of an image. Dimensions of size 1 have no parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) value: ValueId,
    /// Parts of each ONNX dimension, the outermost first.
    pub(super) dims: Vec<Vec<Part>>,
}

/// Merges neighbouring parts that run over one axis without a gap.
fn merge(parts: Vec<Part>) -> Vec<Part> {
    let mut out: Vec<Part> = Vec::with_capacity(parts.len());
    for p in parts.into_iter().filter(|p| p.size > 1) {
        match out.last_mut() {
            Some(last) if last.axis == p.axis && last.step == p.size * p.step => {
                last.size *= p.size;
                last.step = p.step;
            }
            _ => out.push(p),
        }
    }
    out
}

impl View {
    /// The view of an image whose ONNX dimensions are whole axes; `None` stands for a dimension of size 1.
    pub(super) fn whole(value: ValueId, dims: Dims, order: &[Option<AxisId>]) -> Self {
        let part = |axis: AxisId| Part { axis, size: dims[axis], step: 1 };
        Self { value, dims: order.iter().map(|a| merge(a.map(part).into_iter().collect())).collect() }
    }

    /// The view `[1, C, H, W]` of an image.
    pub(super) fn nchw(value: ValueId, dims: Dims) -> Self {
        Self::whole(value, dims, &[None, Some(C), Some(H), Some(W)])
    }

    /// Size of each ONNX dimension.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.dims.iter().map(|d| d.iter().map(|p| p.size).product()).collect()
    }

    /// The axis that dimension `dim` runs over as a whole, `Some(None)` for a dimension of size 1.
    pub(super) fn axis(&self, dim: usize, dims: Dims) -> Option<Option<AxisId>> {
        match self.dims.get(dim)?[..] {
            [] => Some(None),
            [p] if p.step == 1 && p.size == dims[p.axis] => Some(Some(p.axis)),
            _ => None,
        }
    }

    /// The axes of all dimensions, if each runs over a whole one.
    pub(super) fn axes(&self, dims: Dims) -> Option<Vec<Option<AxisId>>> {
        (0..self.dims.len()).map(|d| self.axis(d, dims)).collect()
    }

    /// The same view of another image, whose axes may have other sizes where a dimension runs over a whole axis.
    pub(super) fn onto(&self, value: ValueId, from: Dims, to: Dims) -> Option<Self> {
        let resized = |p: &Part| match (from[p.axis] == to[p.axis], p.size == from[p.axis]) {
            (true, _) => Some(Some(*p)),
            (false, true) => Some((to[p.axis] > 1).then_some(Part { size: to[p.axis], ..*p })),
            (false, false) => (to[p.axis] == 1).then_some(None),
        };
        let dims = self
            .dims
            .iter()
            .map(|d| {
                let parts: Option<Vec<Option<Part>>> = d.iter().map(resized).collect();
                Some(parts?.into_iter().flatten().collect())
            })
            .collect::<Option<_>>()?;
        Some(Self { value, dims })
    }

    /// The view after a reshape; `None` where a new dimension would cut across parts.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let mut parts: std::collections::VecDeque<Part> = self.dims.iter().flatten().copied().collect();
        let mut dims = Vec::with_capacity(shape.len());
        for &want in shape {
            let (mut have, mut dim) = (1, Vec::new());
            while have < want {
                let p = parts.pop_front()?;
                let need = want.checked_div(have).filter(|n| n * have == want)?;
                if need % p.size == 0 {
                    have *= p.size;
                    dim.push(p);
                } else if p.size % need == 0 {
                    // The dimension takes the outer part and leaves the inner one to the next.
                    let inner = p.size / need;
                    dim.push(Part { size: need, step: p.step * inner, ..p });
                    parts.push_front(Part { size: inner, ..p });
                    have = want;
                } else {
                    return None;
                }
            }
            dims.push(merge(dim));
        }
        parts.is_empty().then_some(Self { value: self.value, dims })
    }

    /// The view after a permutation of its dimensions.
    pub(super) fn transposed(&self, order: &[usize]) -> Option<Self> {
        let dims = order.iter().map(|d| self.dims.get(*d).cloned()).collect::<Option<_>>()?;
        Some(Self { value: self.value, dims })
    }

    /// Where the channels lie in the ONNX tensor, for observation.
    pub(super) fn observed(&self, name: &str, dims: Dims) -> Observed {
        let at = (0..self.dims.len()).find(|d| self.axis(*d, dims) == Some(Some(C)));
        Observed { name: name.into(), behind: if dims[C] == 1 { Some(0) } else { at.map(|d| d + 1) } }
    }
}

/// An image whose axes lie in the ONNX dimensions as `order` asks; made by an operator if `view` does not fit.
pub(super) fn arranged(
    graph: &mut Graph,
    origin: (&str, &str),
    view: &View,
    order: &[Option<AxisId>],
) -> Option<ValueId> {
    let dims = graph.values[view.value].dims;
    let mut parts: [&[Part]; 3] = [&[]; 3];
    for (d, want) in order.iter().enumerate() {
        match want {
            Some(axis) => parts[*axis] = view.dims.get(d)?,
            None if view.dims.get(d)?.is_empty() => {}
            None => return None,
        }
    }
    let size = |p: &[Part]| p.iter().map(|p| p.size).product::<usize>();
    let to = parts.map(size);
    let whole = |p: &[Part], axis: AxisId| match p {
        [] => dims[axis] == 1,
        [p] => p.axis == axis && p.step == 1 && p.size == dims[axis],
        _ => false,
    };
    if (0..3).all(|a| whole(parts[a], a)) {
        return Some(view.value);
    }
    let name = graph.values[view.value].name.clone();
    let mut push = |kind: Kind| {
        let v = graph.push(origin, kind, vec![view.value], name.clone(), to);
        Some(v)
    };
    // A permutation of whole axes.
    let axis_of = |p: &[Part]| match p {
        [p] if p.step == 1 && p.size == dims[p.axis] => Some(p.axis),
        _ => None,
    };
    let named = parts.map(axis_of);
    if parts.iter().zip(&named).all(|(p, n)| p.is_empty() || n.is_some()) {
        let mut unused = (0..3).filter(|a| !named.contains(&Some(*a)));
        let order = named.map(|n| n.or_else(|| unused.next()).unwrap_or(0) as u8);
        return push(Kind::Transpose { order });
    }
    // The same elements in the same order.
    let flat = merge(parts.iter().flat_map(|p| p.iter().copied()).collect());
    let natural = merge((0..3).map(|axis| Part { axis, size: dims[axis], step: 1 }).collect());
    if flat == natural {
        return push(Kind::Reshape);
    }
    if let Some(kind) = pixel_shuffle(parts, dims).or_else(|| one_hot(parts, dims)) {
        return push(kind);
    }
    None
}

/// Channels that become rows and columns.
fn pixel_shuffle(parts: [&[Part]; 3], dims: Dims) -> Option<Kind> {
    let split = |p: &[Part], axis: AxisId| match *p {
        [space, sub] if space.axis == axis && space.size == dims[axis] && sub.axis == C => Some(sub),
        [sub] if dims[axis] == 1 && sub.axis == C => Some(sub),
        _ => None,
    };
    let (dy, dx) = (split(parts[H], H)?, split(parts[W], W)?);
    let block = dy.size;
    if dx.size != block {
        return None;
    }
    let (channels, step) = match *parts[C] {
        [] => (1, None),
        [c] if c.axis == C => (c.size, Some(c.step)),
        _ => return None,
    };
    if channels * block * block != dims[C] {
        return None;
    }
    let major = dy.step == block && dx.step == 1 && step.is_none_or(|s| s == block * block);
    let minor = dx.step == channels && dy.step == block * channels && step.is_none_or(|s| s == 1);
    (major || minor).then_some(Kind::PixelShuffle { block, channel_major: major })
}

/// Rows and columns that become channels, or channels in another order: a convolution that selects.
fn one_hot(parts: [&[Part]; 3], dims: Dims) -> Option<Kind> {
    let mut block = [1usize; 2];
    for axis in [H, W] {
        block[axis] = match *parts[axis] {
            [] => dims[axis],
            [p] if p.axis == axis && p.size * p.step == dims[axis] => p.step,
            _ => return None,
        };
    }
    let outputs: usize = parts[C].iter().map(|p| p.size).product();
    let [kh, kw] = [u8::try_from(block[0]).ok()?, u8::try_from(block[1]).ok()?];
    if outputs != dims[C] * block[0] * block[1] {
        return None;
    }
    let mut weights = vec![0.0; outputs * block[0] * block[1] * dims[C]];
    for o in 0..outputs {
        let (mut rest, mut at) = (o, [0usize; 3]);
        for p in parts[C].iter().rev() {
            at[p.axis] += rest % p.size * p.step;
            rest /= p.size;
        }
        if at[H] >= block[0] || at[W] >= block[1] || at[C] >= dims[C] {
            return None;
        }
        weights[((o * block[0] + at[H]) * block[1] + at[W]) * dims[C] + at[C]] = 1.0;
    }
    let window = Window { kernel: [kh, kw], stride: [kh, kw], dilation: [1; 2], pad: [0; 4] };
    let base = Conv::pointwise(0, 0, vec![], vec![0.0; outputs]);
    Some(Kind::Conv(Box::new(Conv { window, inputs: dims[C], outputs, weights, ..base })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NCHW: [Option<AxisId>; 4] = [None, Some(C), Some(H), Some(W)];

    fn image(dims: Dims) -> (Graph, View) {
        let mut g = Graph::default();
        let v = g.value("x", dims);
        (g, View::nchw(v, dims))
    }

    fn kind_of(mut g: Graph, v: &View) -> (Kind, Dims) {
        let out = arranged(&mut g, ("n", "Reshape"), v, &NCHW).expect("an arrangement");
        (g.nodes.last().expect("an operator").kind.clone(), g.values[out].dims)
    }

    #[test]
    fn layouts_that_only_look_different_cost_nothing() {
        let (mut g, v) = image([6, 8, 4]);
        let nhwc = v.transposed(&[0, 2, 3, 1]).unwrap();
        assert_eq!(nhwc.shape(), [1, 6, 8, 4]);
        let tokens = v.reshaped(&[1, 4, 48]).unwrap().transposed(&[0, 2, 1]).unwrap();
        assert_eq!(tokens.shape(), [1, 48, 4]);
        let back = tokens.transposed(&[0, 2, 1]).unwrap().reshaped(&[1, 4, 6, 8]).unwrap();
        assert_eq!(back, v);
        assert_eq!(arranged(&mut g, ("n", "x"), &back, &NCHW), Some(v.value));
        assert!(g.nodes.is_empty());
    }

    #[test]
    fn reshape_transpose_reshape_is_a_pixel_shuffle() {
        for (split, order, major) in
            [([1, 3, 2, 2, 6, 8], [0, 1, 4, 2, 5, 3], true), ([1, 2, 2, 3, 6, 8], [0, 3, 4, 1, 5, 2], false)]
        {
            let (g, v) = image([6, 8, 12]);
            let v =
                v.reshaped(&split).unwrap().transposed(&order).unwrap().reshaped(&[1, 3, 12, 16]).unwrap();
            let (kind, dims) = kind_of(g, &v);
            assert!(matches!(kind, Kind::PixelShuffle { block: 2, channel_major } if channel_major == major));
            assert_eq!(dims, [12, 16, 3]);
        }
    }

    #[test]
    fn space_to_depth_is_a_selecting_convolution() {
        let (g, v) = image([4, 6, 3]);
        let v = v.reshaped(&[1, 3, 2, 2, 3, 2]).unwrap().transposed(&[0, 3, 5, 1, 2, 4]).unwrap();
        let (kind, dims) = kind_of(g, &v.reshaped(&[1, 12, 2, 3]).unwrap());
        assert_eq!(dims, [2, 3, 12]);
        let Kind::Conv(c) = kind else { panic!("{kind:?}") };
        assert_eq!(c.window.kernel, [2, 2]);
        // Output 4 = (dy 0, dx 1, channel 1).
        let row = &c.weights[4 * 12..5 * 12];
        assert_eq!(row.iter().position(|w| *w == 1.0), Some(3 + 1));
        assert_eq!(row.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn channel_shuffle_selects_too() {
        let (g, v) = image([4, 6, 6]);
        let v = v.reshaped(&[1, 2, 3, 4, 6]).unwrap().transposed(&[0, 2, 1, 3, 4]).unwrap();
        let (kind, _) = kind_of(g, &v.reshaped(&[1, 6, 4, 6]).unwrap());
        let Kind::Conv(c) = kind else { panic!("{kind:?}") };
        assert_eq!(c.weights[6..12].iter().position(|w| *w == 1.0), Some(3));
    }

    #[test]
    fn a_token_grid_unfolds() {
        let mut g = Graph::default();
        let x = g.value("x", [48, 1, 4]);
        let v = View::whole(x, [48, 1, 4], &[None, Some(C), Some(H)]);
        let v = v.reshaped(&[1, 4, 6, 8]).unwrap();
        let (kind, dims) = kind_of(g, &v);
        assert!(matches!(kind, Kind::Reshape));
        assert_eq!(dims, [6, 8, 4]);
    }

    #[test]
    fn a_reshape_across_axes_is_refused() {
        let (_, v) = image([6, 8, 4]);
        assert!(v.reshaped(&[1, 6, 4, 8]).is_none());
    }
}
