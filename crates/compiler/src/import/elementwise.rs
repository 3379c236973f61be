//! Functions of one value and arithmetic with broadcasting.

use fusionproxy_format::{Activation, BinaryOp};

use super::node::OnnxNode;
use super::view::{Part, View};
use super::{Importer, NCHW, Result};
use crate::ir::{Dims, Function, Kind, ValueId};
use crate::source::Constant;

fn affine(alpha: f32, beta: f32) -> Function {
    Function::Plain(Activation::Affine { alpha, beta })
}

impl Importer {
    /// Applies `f` to the value behind `view`.
    fn apply(&mut self, n: OnnxNode<'_>, view: View, f: Function) -> View {
        let dims = self.dims(view.value);
        let value = self.push(n, Kind::Unary(f), vec![view.value], dims);
        View { value, ..view }
    }

    pub(super) fn unary(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let plain = |a| vec![Function::Plain(a)];
        let steps = match n.op() {
            "Relu" => plain(Activation::Clamp { lo: 0.0, hi: f32::INFINITY }),
            "LeakyRelu" => plain(Activation::LeakyRelu { slope: n.float("alpha", 0.01) }),
            "Sigmoid" => plain(Activation::Sigmoid),
            "Tanh" => plain(Activation::Tanh),
            "HardSigmoid" => {
                plain(Activation::HardSigmoid { alpha: n.float("alpha", 0.2), beta: n.float("beta", 0.5) })
            }
            "HardSwish" => plain(Activation::HardSwish),
            "Gelu" if n.string("approximate") == Some("tanh") => plain(Activation::GeluTanh),
            "Gelu" => plain(Activation::Gelu),
            "Silu" | "Swish" if n.float("alpha", 1.0) == 1.0 => plain(Activation::Silu),
            "Exp" => plain(Activation::Exp),
            "Sqrt" => plain(Activation::Sqrt),
            "Abs" => plain(Activation::Abs),
            "Neg" => vec![affine(-1.0, 0.0)],
            "Clip" => {
                let bound = |im: &Self, i: usize, name: &str, open: f32| -> Result<f32> {
                    match n.input(i) {
                        Some(_) => {
                            Ok(im.needed_constant(n, i, "bounds")?.data.first().copied().unwrap_or(open))
                        }
                        None => Ok(n.float(name, open)),
                    }
                };
                let lo = bound(self, 1, "min", f32::NEG_INFINITY)?;
                let hi = bound(self, 2, "max", f32::INFINITY)?;
                // Exporters write an open bound as the largest float.
                let open = |v: f32| if v.abs() >= 3.4e38 { v.signum() * f32::INFINITY } else { v };
                let (lo, hi) = (open(lo), open(hi));
                if lo.is_nan() || hi.is_nan() || lo > hi {
                    return Err(n.unsupported(format!("it clips to {lo}..{hi}"), "clip to a range"));
                }
                plain(Activation::Clamp { lo, hi })
            }
            "Erf" => vec![Function::Erf],
            "Reciprocal" => vec![Function::Reciprocal],
            "Softplus" => vec![Function::Softplus],
            "Log" => vec![Function::Log],
            "Elu" => vec![Function::Elu(n.float("alpha", 1.0))],
            "Softsign" => vec![Function::Softsign],
            "Mish" => {
                let soft = self.apply(n, view.clone(), Function::Softplus);
                let gate = self.apply(n, soft, Function::Plain(Activation::Tanh));
                let dims = self.dims(view.value);
                let mul = Kind::binary(BinaryOp::Mul);
                let value = self.push(n, mul, vec![view.value, gate.value], dims);
                return self.finish(n, 0, View { value, ..view });
            }
            other => return Err(n.unsupported("this form is not supported", super::node::nearest(other))),
        };
        let view = steps.into_iter().fold(view, |v, f| self.apply(n, v, f));
        self.finish(n, 0, view)
    }

    pub(super) fn prelu(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let view = self.view(n, 0)?;
        let slope = self.needed_constant(n, 1, "slopes")?.clone();
        let dims = self.dims(view.value);
        let spread =
            spread(&slope, &view, dims).filter(|(d, _)| d[0] == 1 && d[1] == 1).ok_or_else(|| {
                n.unsupported("its slopes are not one per channel", "use one slope per channel")
            })?;
        let slope = match spread.1[..] {
            [one] => vec![one; dims[2]],
            _ => spread.1,
        };
        let value = self.push(n, Kind::PRelu { slope }, vec![view.value], dims);
        self.finish(n, 0, View { value, ..view })
    }

    pub(super) fn arithmetic(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let mut at = 0;
        // The first operand may be constant; start from it only together with the second.
        let mut acc = if n.inputs() == 1 {
            self.view(n, 0)?
        } else {
            at = 1;
            let (a, b) = (self.constant(n, 0).cloned(), self.constant(n, 1).cloned());
            match (a, b) {
                (None, None) => {
                    let (a, b) = (self.view(n, 0)?, self.view(n, 1)?);
                    self.two(n, a, b)?
                }
                (None, Some(c)) => {
                    let view = self.view(n, 0)?;
                    self.with_constant(n, view, &c, false)?
                }
                (Some(c), None) => {
                    let view = self.view(n, 1)?;
                    self.with_constant(n, view, &c, true)?
                }
                (Some(_), Some(_)) => {
                    return Err(n.unsupported("it mixes constants first", "fold the constants before export"));
                }
            }
        };
        for i in at + 1..n.inputs() {
            acc = match self.constant(n, i).cloned() {
                Some(c) => self.with_constant(n, acc, &c, false)?,
                None => {
                    let b = self.view(n, i)?;
                    self.two(n, acc, b)?
                }
            };
        }
        if n.op() == "Mean" {
            acc = self.apply(n, acc, affine(1.0 / n.inputs() as f32, 0.0));
        }
        self.finish(n, 0, acc)
    }

    fn operation(n: OnnxNode<'_>) -> Result<BinaryOp> {
        Ok(match n.op() {
            "Add" | "Sum" | "Mean" => BinaryOp::Add,
            "Sub" => BinaryOp::Sub,
            "Mul" => BinaryOp::Mul,
            "Div" => BinaryOp::Div,
            "Min" => BinaryOp::Min,
            "Max" => BinaryOp::Max,
            _ => return Err(n.unsupported("its exponent depends on the frames", "use a constant exponent")),
        })
    }

    /// An operation of two computed values.
    fn two(&mut self, n: OnnxNode<'_>, a: View, b: View) -> Result<View> {
        let op = Self::operation(n)?;
        let (mut a, mut b) = aligned(a, b);
        let joined = match self.joined(&a, &b) {
            Some(j) => j,
            None => {
                // The same elements in different arrangements: bring one into the other's, or both into the natural one.
                if let Some(v) = self.like(n, &b, &a) {
                    b = v;
                } else if let Some(v) = self.like(n, &a, &b) {
                    a = v;
                } else {
                    for v in [&mut a, &mut b] {
                        if v.dims.len() == 4
                            && let Some(value) = self.arrange(n, v, &NCHW)
                        {
                            *v = View::nchw(value, self.dims(value));
                        }
                    }
                }
                self.joined(&a, &b).ok_or_else(|| {
                    n.unsupported(
                        format!("it combines the shapes {:?} and {:?}", a.shape(), b.shape()),
                        "artifacts combine images of one arrangement; broadcast whole dimensions only",
                    )
                })?
            }
        };
        let (dims, view) = joined;
        let value = self.push(n, Kind::binary(op), vec![a.value, b.value], dims);
        Ok(View { value, dims: view })
    }

    /// `view` in the arrangement of `model`, if that has whole axes and `view` its shape.
    fn like(&mut self, n: OnnxNode<'_>, view: &View, model: &View) -> Option<View> {
        let dims = self.dims(model.value);
        let parts: Vec<Part> = model.dims.iter().flatten().copied().collect();
        let whole = parts.iter().all(|p| p.step == 1 && p.size == dims[p.axis]);
        if !whole || view.shape() != model.shape() {
            return None;
        }
        let sizes: Vec<usize> = parts.iter().map(|p| p.size).collect();
        let order: Vec<Option<usize>> = parts.iter().map(|p| Some(p.axis)).collect();
        let value = self.arrange(n, &view.reshaped(&sizes)?, &order)?;
        Some(View { value, dims: model.dims.clone() })
    }

    /// Size and view of the combination of two views, if their dimensions agree part by part.
    fn joined(&self, a: &View, b: &View) -> Option<(Dims, Vec<Vec<Part>>)> {
        let (da, db) = (self.dims(a.value), self.dims(b.value));
        let fits = (0..3).all(|i| da[i] == db[i] || da[i] == 1 || db[i] == 1);
        let view = a
            .dims
            .iter()
            .zip(&b.dims)
            .map(|(x, y)| match (x.is_empty(), y.is_empty()) {
                (true, _) => Some(y.clone()),
                (_, true) => Some(x.clone()),
                _ => (x == y).then(|| x.clone()),
            })
            .collect::<Option<Vec<_>>>()?;
        let dims = [0, 1, 2].map(|i| da[i].max(db[i]));
        // Every axis must be covered exactly once, or the broadcast would mean something else.
        let mut covered = [1; 3];
        for p in view.iter().flatten() {
            covered[p.axis] *= p.size;
        }
        (fits && covered == dims).then_some((dims, view))
    }

    /// An operation of a computed value and a constant; `first`: the constant is the first operand.
    fn with_constant(&mut self, n: OnnxNode<'_>, view: View, c: &Constant, first: bool) -> Result<View> {
        let rank = view.dims.len().max(c.shape.len());
        let mut view = view;
        while view.dims.len() < rank {
            view.dims.insert(0, vec![]);
        }
        if let [v, ref rest @ ..] = c.data[..]
            && rest.iter().all(|r| *r == v)
            && c.shape.iter().rev().zip(view.shape().iter().rev()).all(|(c, x)| *c == 1 || c == x)
        {
            return self.with_scalar(n, view, v, first);
        }
        let op = Self::operation(n)?;
        let dims = self.dims(view.value);
        let (cd, data) = match spread(c, &view, dims) {
            Some(s) => s,
            None => self.table(n, c, &view)?,
        };
        let per_channel = cd[0] == 1 && cd[1] == 1 && dims[2] == data.len();
        let inverse = || data.iter().map(|v| 1.0 / v).collect::<Vec<f32>>();
        let (zeros, ones) = (vec![0.0; data.len()], vec![1.0; data.len()]);
        let kind = match (op, first) {
            _ if !per_channel => None,
            (BinaryOp::Add, _) => Some((ones, data.clone())),
            (BinaryOp::Sub, false) => Some((ones, data.iter().map(|v| -v).collect())),
            (BinaryOp::Sub, true) => Some((vec![-1.0; data.len()], data.clone())),
            (BinaryOp::Mul, _) => Some((data.clone(), zeros)),
            (BinaryOp::Div, false) if data.iter().all(|v| *v != 0.0) => Some((inverse(), zeros)),
            _ => None,
        };
        if let Some((scale, shift)) = kind {
            let value = self.push(n, Kind::Affine { scale, shift }, vec![view.value], dims);
            return Ok(View { value, ..view });
        }
        let name = n.input(usize::from(!first)).unwrap_or("constant");
        let constant = self.graph.constant(name, cd, data);
        let made = [0, 1, 2].map(|i| dims[i].max(cd[i]));
        let inputs = if first { vec![constant, view.value] } else { vec![view.value, constant] };
        let value = self.push(n, Kind::binary(op), inputs, made);
        if made == dims {
            return Ok(View { value, ..view });
        }
        Ok(View::nchw(value, made))
    }

    fn with_scalar(&mut self, n: OnnxNode<'_>, view: View, v: f32, first: bool) -> Result<View> {
        let clamp = |lo, hi| Function::Plain(Activation::Clamp { lo, hi });
        let f = match (n.op(), first) {
            ("Add" | "Sum" | "Mean", _) => affine(1.0, v),
            ("Sub", false) => affine(1.0, -v),
            ("Sub", true) => affine(-1.0, v),
            ("Mul", _) => affine(v, 0.0),
            ("Div", false) if v != 0.0 => affine(1.0 / v, 0.0),
            ("Div", true) => {
                let view = self.apply(n, view, Function::Reciprocal);
                return Ok(if v == 1.0 { view } else { self.apply(n, view, affine(v, 0.0)) });
            }
            ("Min", _) => clamp(f32::NEG_INFINITY, v),
            ("Max", _) => clamp(v, f32::INFINITY),
            ("Pow", false) if v == 1.0 => return Ok(view),
            ("Pow", false) if v == 2.0 => {
                let dims = self.dims(view.value);
                let inputs = vec![view.value; 2];
                let value = self.push(n, Kind::binary(BinaryOp::Mul), inputs, dims);
                return Ok(View { value, ..view });
            }
            ("Pow", false) if v == 0.5 => Function::Plain(Activation::Sqrt),
            ("Pow", false) if v == -1.0 => Function::Reciprocal,
            ("Pow", false) => Function::Pow(v),
            _ => return Err(n.unsupported(format!("its constant is {v}"), "use another constant")),
        };
        Ok(self.apply(n, view, f))
    }

    /// A constant that is larger than the value that it is combined with: an image of its own.
    fn table(&self, n: OnnxNode<'_>, c: &Constant, view: &View) -> Result<(Dims, Vec<f32>)> {
        let fail = || {
            n.unsupported(
                format!("it combines the shape {:?} with a constant of shape {:?}", view.shape(), c.shape),
                "artifacts combine images with constants 1xCxHxW whose dimensions are whole or 1",
            )
        };
        let mut shape = c.shape.clone();
        while shape.len() < 4 {
            shape.insert(0, 1);
        }
        let dims = self.dims(view.value);
        let natural =
            view.dims.len() <= 4 && *view == View { dims: trailing(dims, view.dims.len()), ..view.clone() };
        let &[1, ch, h, w] = &shape[..] else { return Err(fail()) };
        if !natural {
            return Err(fail());
        }
        let mut data = Vec::with_capacity(c.data.len());
        for p in 0..h * w {
            data.extend((0..ch).map(|k| c.data[k * h * w + p]));
        }
        Ok(([h, w, ch], data))
    }
}

/// The last `rank` dimensions of the natural view.
fn trailing(dims: Dims, rank: usize) -> Vec<Vec<Part>> {
    View::nchw(0 as ValueId, dims).dims.split_off(4 - rank.min(4))
}

/// Brings two views to one rank by leading dimensions of size 1, as broadcasting does.
fn aligned(mut a: View, mut b: View) -> (View, View) {
    let rank = a.dims.len().max(b.dims.len());
    for v in [&mut a, &mut b] {
        while v.dims.len() < rank {
            v.dims.insert(0, vec![]);
        }
    }
    (a, b)
}

/// A constant spread over the image behind `view`: per axis as large as the image, or 1. `None` where it does not
/// broadcast to the view.
fn spread(c: &Constant, view: &View, dims: Dims) -> Option<(Dims, Vec<f32>)> {
    let rank = view.dims.len();
    let lead = rank.checked_sub(c.shape.len())?;
    let shape = view.shape();
    let mut size = [1; 3];
    for (d, n) in c.shape.iter().enumerate() {
        if *n == 1 {
            continue;
        }
        if *n != shape[lead + d] {
            return None;
        }
        for p in &view.dims[lead + d] {
            size[p.axis] = dims[p.axis];
        }
    }
    let mut data = Vec::with_capacity(size.iter().product());
    for y in 0..size[0] {
        for x in 0..size[1] {
            for ch in 0..size[2] {
                let at = [y, x, ch];
                let mut index = 0;
                for (d, n) in c.shape.iter().enumerate() {
                    let mut i = 0;
                    if *n > 1 {
                        for p in &view.dims[lead + d] {
                            i = i * p.size + at[p.axis] / p.step % p.size;
                        }
                    }
                    index = index * n + i;
                }
                data.push(*c.data.get(index)?);
            }
        }
    }
    Some((size, data))
}
