//! Matrix products: linear layers, and the two products of attention.

use super::node::OnnxNode;
use super::view::{C, H, Part, View, W};
use super::{Importer, Result};
use crate::ir::{Conv, Dims, Kind};

/// One operand of an attention product.
struct Tokens {
    /// Heads, and channels of each.
    heads: usize,
    depth: usize,
}

impl Importer {
    pub(super) fn matmul(&mut self, n: OnnxNode<'_>) -> Result<()> {
        if let Some(b) = self.constant(n, 1).cloned() {
            let &[ref batch @ .., k, o] = &b.shape[..] else {
                return Err(n.unsupported("its matrix has one dimension", "use a two-dimensional matrix"));
            };
            if batch.iter().any(|d| *d != 1) {
                return Err(n.unsupported(
                    format!("its constant has the shape {:?}", b.shape),
                    "use one matrix for all positions",
                ));
            }
            let mut weights = vec![0.0; k * o];
            for (i, v) in b.data.iter().enumerate() {
                weights[i % o * k + i / o] = *v;
            }
            return self.linear(n, weights, vec![0.0; o], k, o);
        }
        let (a, b) = (self.view(n, 0)?, self.view(n, 1)?);
        self.attention(n, &a, &b).ok_or_else(|| {
            n.unsupported(
                format!("it multiplies the shapes {:?} and {:?}", a.shape(), b.shape()),
                "artifacts have linear layers over channels, and attention over pixels (queries times keys, scores times values)",
            )
        })?
    }

    pub(super) fn gemm(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let b = self.needed_constant(n, 1, "matrix")?.clone();
        let &[rows, columns] = &b.shape[..] else {
            return Err(n.unsupported("its matrix is not two-dimensional", "export the network again"));
        };
        if n.int("transA", 0) != 0 {
            return Err(n.unsupported("its input is transposed", "transpose the weights instead"));
        }
        let transposed = n.int("transB", 0) != 0;
        let (k, o) = if transposed { (columns, rows) } else { (rows, columns) };
        let alpha = n.float("alpha", 1.0);
        let at = |out: usize, i: usize| if transposed { out * k + i } else { i * o + out };
        let weights =
            (0..o).flat_map(|out| (0..k).map(move |i| (out, i))).map(|(out, i)| alpha * b.data[at(out, i)]);
        let weights: Vec<f32> = weights.collect();
        let beta = n.float("beta", 1.0);
        let bias = match n.input(2) {
            None => vec![0.0; o],
            Some(_) => {
                let c = self.needed_constant(n, 2, "bias")?;
                match c.data.len() {
                    1 => vec![beta * c.data[0]; o],
                    l if l == o => c.data.iter().map(|v| beta * v).collect(),
                    _ => return Err(n.unsupported("its bias is a matrix", "use one bias per output")),
                }
            }
        };
        self.linear(n, weights, bias, k, o)
    }

    /// A linear layer over the last dimension: a 1x1 convolution, weights `[o][k]`.
    fn linear(
        &mut self,
        n: OnnxNode<'_>,
        weights: Vec<f32>,
        bias: Vec<f32>,
        k: usize,
        o: usize,
    ) -> Result<()> {
        let view = self.view(n, 0)?;
        let dims = self.dims(view.value);
        let last = view.dims.len().saturating_sub(1);
        let channels =
            matches!(view.axis(last, dims), Some(Some(C))) || (dims[2] == 1 && view.dims[last].is_empty());
        if !channels || dims[2] != k {
            return Err(n.unsupported(
                format!("it mixes the last dimension of {:?}, which is not the channels", view.shape()),
                "artifacts have linear layers over channels",
            ));
        }
        let to = [dims[0], dims[1], o];
        let kind = Kind::Conv(Box::new(Conv::pointwise(k, o, weights, bias)));
        let value = self.push(n, kind, vec![view.value], to);
        let mut out = view;
        out.value = value;
        out.dims[last] = if o > 1 { vec![Part { axis: C, size: o, step: 1 }] } else { vec![] };
        self.finish(n, 0, out)
    }

    /// The two products of attention, if the operands are arranged as such.
    fn attention(&mut self, n: OnnxNode<'_>, a: &View, b: &View) -> Option<Result<()>> {
        let (da, db) = (self.dims(a.value), self.dims(b.value));
        let (ra, rb) = (a.dims.len(), b.dims.len());
        if ra < 2 || rb != ra || ra > 4 {
            return None;
        }
        let lead = |v: &View| v.dims[..ra - 2].iter().flatten().copied().collect::<Vec<Part>>();
        let [qa, ka] = [&a.dims[ra - 2], &a.dims[ra - 1]];
        let [kb, vb] = [&b.dims[ra - 2], &b.dims[ra - 1]];
        // Scores: [heads, queries, depth] x [heads, depth, keys].
        if let (Some(q), Some(k)) = (tokens(&lead(a), qa, ka, da), tokens(&lead(b), vb, kb, db))
            && q.heads == k.heads
            && q.depth == k.depth
        {
            let to = [da[0] * da[1], db[0] * db[1], q.heads];
            let kind = Kind::Matmul { transpose_b: true, heads: q.heads, scale: 1.0 };
            let value = self.push(n, kind, vec![a.value, b.value], to);
            let mut dims = vec![vec![]; ra];
            if q.heads > 1 {
                dims[ra - 3] = vec![Part { axis: C, size: q.heads, step: 1 }];
            }
            dims[ra - 2] = vec![Part { axis: H, size: to[0], step: 1 }];
            dims[ra - 1] = vec![Part { axis: W, size: to[1], step: 1 }];
            for d in &mut dims {
                d.retain(|p| p.size > 1);
            }
            return Some(self.finish(n, 0, View { value, dims }));
        }
        // Application: [heads, queries, keys] x [heads, keys, depth].
        let whole = |parts: &[Part], axis: usize| match parts {
            [] => da[axis] == 1,
            [p] => p.axis == axis && p.step == 1 && p.size == da[axis],
            _ => false,
        };
        let v = tokens(&lead(b), kb, vb, db)?;
        if !whole(&lead(a), C) || !whole(qa, H) || !whole(ka, W) || da[2] != v.heads || da[1] != db[0] * db[1]
        {
            return None;
        }
        let to = [da[0], 1, db[2]];
        let kind = Kind::Matmul { transpose_b: false, heads: v.heads, scale: 1.0 };
        let value = self.push(n, kind, vec![a.value, b.value], to);
        let mut dims = vec![vec![]; ra];
        if ra > 2 {
            dims[ra - 3] = vec![Part { axis: C, size: v.heads, step: v.depth }];
        }
        dims[ra - 2] = vec![Part { axis: H, size: to[0], step: 1 }];
        dims[ra - 1] = vec![Part { axis: C, size: v.depth, step: 1 }];
        for d in &mut dims {
            d.retain(|p| p.size > 1);
        }
        Some(self.finish(n, 0, View { value, dims }))
    }
}

/// Heads and depth of `[heads, positions, depth]` over an image whose positions are all pixels in order and whose
/// channels are (head, depth).
fn tokens(heads: &[Part], positions: &[Part], depth: &[Part], dims: Dims) -> Option<Tokens> {
    let whole: Vec<Part> = [H, W]
        .into_iter()
        .map(|axis| Part { axis, size: dims[axis], step: 1 })
        .filter(|p| p.size > 1)
        .collect();
    if positions != whole {
        return None;
    }
    let (d, step) = match depth {
        [] => (1, 1),
        [p] if p.axis == C => (p.size, p.step),
        _ => return None,
    };
    let (h, outer) = match heads {
        [] => (1, d),
        [p] if p.axis == C => (p.size, p.step),
        _ => return None,
    };
    (step == 1 && outer == d && h * d == dims[2]).then_some(Tokens { heads: h, depth: d })
}
