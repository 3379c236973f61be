//! Geometry relative to the frame: from the sizes at which a graph was imported to sizes at any resolution.
//!
//! The analysis of an ONNX graph knows sizes at one resolution only, and static exports write them into the graph. The
//! operators tell how each output's size follows from its inputs': `frame * mul / div + add` per axis. Where that form
//! does not exist (position tables, products of height and width), the network is pinned to the size of its import.

use fusionproxy_format::{Axis, Extent};

use super::{Dims, Graph, Kind, Node};

/// Sizes of all values of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    /// Height and width per value.
    pub(crate) extents: Vec<[Extent; 2]>,
    /// Height and width must be multiples of this.
    pub(crate) stride: u16,
    /// Height and width that the network is pinned to, and why.
    pub(crate) pinned: Option<((u32, u32), String)>,
}

/// Solves `graph` for its relative geometry.
pub(crate) fn solve(graph: &Graph) -> Geometry {
    match relative(graph) {
        Ok((extents, stride)) => Geometry { extents, stride, pinned: None },
        Err(reason) => {
            let absolute = |d: &Dims| [Extent::absolute(d[0] as u32), Extent::absolute(d[1] as u32)];
            let [h, w, _] = graph.values[graph.visible].dims;
            Geometry {
                extents: graph.values.iter().map(|v| absolute(&v.dims)).collect(),
                stride: 1,
                pinned: Some(((h as u32, w as u32), reason)),
            }
        }
    }
}

type Solved = (Vec<[Extent; 2]>, u16);

fn relative(graph: &Graph) -> Result<Solved, String> {
    let frame = graph.values[graph.visible].dims;
    // Constants, and values that nothing makes, are as large as they are.
    let mut extents: Vec<[Extent; 2]> = graph
        .values
        .iter()
        .map(|v| [Extent::absolute(v.dims[0] as u32), Extent::absolute(v.dims[1] as u32)])
        .collect();
    let whole = Extent { mul: 1, div: 1, add: 0 };
    extents[graph.visible] = [whole; 2];
    extents[graph.infrared] = [whole; 2];
    let mut stride = 1usize;
    for node in &graph.nodes {
        for axis in 0..2 {
            let e = output(graph, node, axis, &extents, frame).ok_or_else(|| {
                format!(
                    "the size that `{}` ({}) makes depends on the frame's in no simple way",
                    node.name, node.op
                )
            })?;
            let dims = graph.values[node.output].dims;
            if e.resolve(frame[axis]) != Some(dims[axis]) {
                return Err(format!(
                    "`{}` ({}) makes {}x{} px of a frame of {}x{} px, which is no multiple of the network's stride",
                    node.name, node.op, dims[0], dims[1], frame[0], frame[1]
                ));
            }
            extents[node.output][axis] = e;
            stride = lcm(stride, usize::from(e.div));
        }
    }
    let stride = u16::try_from(stride).map_err(|_| "its stride exceeds 65535 px".to_owned())?;
    Ok((extents, stride))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: usize, b: usize) -> usize {
    a / gcd(a, b) * b
}

/// `e` with its slope times `mul` / `div` and the constant term `add`.
fn scaled(e: Extent, mul: usize, div: usize, add: i64) -> Option<Extent> {
    let (m, d) = (usize::from(e.mul) * mul, usize::from(e.div) * div);
    let g = gcd(m, d).max(1);
    Some(Extent {
        mul: u16::try_from(m / g).ok()?,
        div: u16::try_from(d / g).ok()?,
        add: i32::try_from(add).ok()?,
    })
}

fn shifted(e: Extent, by: i64) -> Option<Extent> {
    Some(Extent { add: i32::try_from(i64::from(e.add) + by).ok()?, ..e })
}

/// Extent of the node's output along `axis`; `None` where it has no relative form.
fn output(graph: &Graph, node: &Node, axis: usize, extents: &[[Extent; 2]], frame: Dims) -> Option<Extent> {
    let dim = |v: usize| graph.values[v].dims[axis];
    let first = *node.inputs.first()?;
    let input = extents[first][axis];
    let made = dim(node.output);
    let fixed = Extent::absolute(u32::try_from(made).ok()?);
    match &node.kind {
        Kind::Conv(c) if c.transposed => {
            let w = &c.window;
            let reach = (i64::from(w.kernel[axis]) - 1) * i64::from(w.dilation[axis]) + 1;
            let pad = i64::from(w.pad[axis]) + i64::from(w.pad[axis + 2]);
            let s = i64::from(w.stride[axis]);
            scaled(input, s as usize, 1, (i64::from(input.add) - 1) * s + reach - pad)
        }
        Kind::Conv(c) => windowed(&c.window, input, axis),
        // A window over all of an axis is as long as the frame makes it, and a window's length is fixed.
        Kind::Pool { window, .. }
            if input.mul != 0
                && made == 1
                && usize::from(window.kernel[axis]) == dim(first)
                && dim(first) > 1 =>
        {
            None
        }
        Kind::Pool { window, .. } => windowed(window, input, axis),
        Kind::Reduce { axis: Axis::Channel, .. }
        | Kind::Unary(_)
        | Kind::Affine { .. }
        | Kind::PRelu { .. }
        | Kind::Norm { .. }
        | Kind::Softmax { .. }
        | Kind::Convert
        | Kind::Blend { .. } => Some(input),
        Kind::Reduce { .. } => Some(fixed),
        Kind::Binary { .. } | Kind::Concat => {
            // Broadcast inputs have extent 1; all others must agree.
            let mut full = node.inputs.iter().filter(|v| dim(**v) == made).map(|v| extents[*v][axis]);
            let e = full.next()?;
            full.all(|other| other == e).then_some(e)
        }
        Kind::Resize { .. } => resized(input, dim(first), made, frame[axis]).or(Some(fixed)),
        Kind::Slice { .. } | Kind::Pad { .. } => shifted(input, made as i64 - dim(first) as i64),
        Kind::PixelShuffle { block, .. } => scaled(input, *block, 1, i64::from(input.add) * *block as i64),
        Kind::Transpose { order } => match order[axis] {
            2 => (extents[first].iter().all(|e| e.mul == 0)).then_some(fixed),
            from if order[2] == 2 => Some(extents[first][usize::from(from)]),
            _ => extents[first].iter().all(|e| e.mul == 0).then_some(fixed),
        },
        Kind::Reshape | Kind::Matmul { .. } => {
            node.inputs.iter().all(|v| extents[*v].iter().all(|e| e.mul == 0)).then_some(fixed)
        }
    }
}

fn windowed(w: &fusionproxy_format::Window, input: Extent, axis: usize) -> Option<Extent> {
    let reach = (i64::from(w.kernel[axis]) - 1) * i64::from(w.dilation[axis]) + 1;
    let pad = i64::from(w.pad[axis]) + i64::from(w.pad[axis + 2]);
    let s = i64::from(w.stride[axis]);
    scaled(input, 1, s as usize, (i64::from(input.add) + pad - reach).div_euclid(s) + 1)
}

/// A resampled extent: by a small ratio of its input, or else a whole fraction of the frame.
fn resized(input: Extent, from: usize, to: usize, frame: usize) -> Option<Extent> {
    let g = gcd(from, to);
    let (num, den) = (to / g, from / g);
    if input.mul != 0 && num <= 8 && den <= 8 {
        let add = i64::from(input.add) * num as i64;
        return (add % den as i64 == 0).then(|| scaled(input, num, den, add / den as i64)).flatten();
    }
    let whole = Extent { mul: 1, div: 1, add: 0 };
    (to > 1 && frame.is_multiple_of(to) && (frame / to).is_power_of_two())
        .then(|| scaled(whole, 1, frame / to, 0))
        .flatten()
}

#[cfg(test)]
mod tests {
    use fusionproxy_format::{BinaryOp, ResizeMode, Window};

    use super::*;
    use crate::ir::Conv;

    fn conv(k: u8, s: u8, pad: u8) -> Kind {
        let window = Window { kernel: [k; 2], stride: [s; 2], dilation: [1; 2], pad: [pad; 4] };
        Kind::Conv(Box::new(Conv { window, ..Conv::pointwise(1, 1, vec![1.0], vec![0.0]) }))
    }

    fn graph() -> Graph {
        let mut g = Graph::default();
        g.visible = g.value("vis", [64, 96, 1]);
        g.infrared = g.value("ir", [64, 96, 1]);
        g
    }

    #[test]
    fn a_pyramid_is_relative() {
        let mut g = graph();
        let a = g.push(("a", "Conv"), conv(3, 2, 1), vec![g.visible], "a", [32, 48, 1]);
        let b = g.push(("b", "Conv"), conv(2, 2, 0), vec![a], "b", [16, 24, 1]);
        let up = Kind::Resize { mode: ResizeMode::NearestFloor };
        let c = g.push(("c", "Resize"), up, vec![b], "c", [32, 48, 1]);
        let d = g.push(("d", "Add"), Kind::binary(BinaryOp::Add), vec![a, c], "d", [32, 48, 1]);
        g.fused = d;
        let s = solve(&g);
        assert_eq!(s.pinned, None);
        assert_eq!(s.stride, 4);
        assert_eq!(s.extents[d], [Extent { mul: 1, div: 2, add: 0 }; 2]);
        assert_eq!(s.extents[b][0].resolve(480), Some(120));
    }

    #[test]
    fn a_valid_convolution_has_a_constant_term() {
        let mut g = graph();
        g.fused = g.push(("a", "Conv"), conv(5, 1, 0), vec![g.visible], "a", [60, 92, 1]);
        assert_eq!(solve(&g).extents[g.fused][1], Extent { mul: 1, div: 1, add: -4 });
    }

    #[test]
    fn a_window_over_a_whole_axis_pins() {
        let mut g = graph();
        let window = Window { kernel: [64, 1], stride: [1; 2], dilation: [1; 2], pad: [0; 4] };
        let kind = fusionproxy_format::PoolKind::Average;
        let pool = Kind::Pool { kind, window, count_include_pad: false };
        g.fused = g.push(("rows", "ReduceMean"), pool, vec![g.visible], "rows", [1, 96, 1]);
        assert!(solve(&g).pinned.is_some_and(|(size, reason)| size == (64, 96) && reason.contains("`rows`")));
    }

    #[test]
    fn a_position_table_pins() {
        let mut g = graph();
        let table = g.constant("table", [64, 96, 1], vec![0.0; 64 * 96]);
        let add = Kind::binary(BinaryOp::Add);
        g.fused = g.push(("pos", "Add"), add, vec![g.visible, table], "out", [64, 96, 1]);
        let s = solve(&g);
        let (size, reason) = s.pinned.unwrap();
        assert_eq!(size, (64, 96));
        assert!(reason.contains("`pos`"));
        assert_eq!(s.extents[g.visible][0], Extent::absolute(64));
    }
}
