//! From ONNX nodes to the compiler's graph.
//!
//! Names, operators and attributes come from the ONNX file itself, so that messages name what the user sees; shapes and
//! folded constants come from tract's analysis at one frame size.

mod convolution;
mod elementwise;
mod layout;
mod node;
mod product;
mod reduction;
mod resample;
mod view;

use std::collections::{HashMap, HashSet};

use node::OnnxNode;
use view::{AxisId, C, H, View, W};

use crate::CompileError;
use crate::ir::{Dims, Graph, Kind, ValueId};
use crate::source::{Constant, Facts, Source};

type Result<T> = std::result::Result<T, CompileError>;

/// ONNX order of an image.
const NCHW: [Option<AxisId>; 4] = [None, Some(C), Some(H), Some(W)];

/// Imports the network at `height` x `width` px.
pub(crate) fn import(source: &Source, height: usize, width: usize) -> Result<Graph> {
    let facts = source.facts(height, width)?;
    let mut graph = Graph { opset: source.opset, ..Graph::default() };
    let io = &source.interface;
    graph.visible = graph.value(io.visible.name.clone(), [height, width, io.visible.channels]);
    graph.infrared = graph.value(io.infrared.name.clone(), [height, width, 1]);
    let mut im = Importer { facts, graph, views: HashMap::new(), elementwise_only: HashSet::new() };
    im.inputs(source);
    let needed = needed(source);
    im.elementwise_only = elementwise_only(source);
    for (proto, _) in source.graph().node.iter().zip(&needed).filter(|(_, needed)| **needed) {
        let n = OnnxNode { proto, opset: source.opset };
        let constant = |o: &String| o.is_empty() || im.facts.constants.contains_key(o);
        if !proto.output.iter().all(constant) {
            im.node(n).map_err(|e| im.or_analysis(e, n, height, width))?;
        }
    }
    im.output(source)?;
    im.graph.tidy();
    Ok(im.graph)
}

/// Which nodes the fused image depends on.
fn needed(source: &Source) -> Vec<bool> {
    let nodes = &source.graph().node;
    let mut wanted: HashSet<&str> = HashSet::from([source.interface.fused.as_str()]);
    let mut needed = vec![false; nodes.len()];
    for (i, n) in nodes.iter().enumerate().rev() {
        if n.output.iter().any(|o| wanted.contains(o.as_str())) {
            needed[i] = true;
            wanted.extend(n.input.iter().map(String::as_str));
        }
    }
    needed
}

/// Values that only element-wise operators of two inputs read: these broadcast by themselves.
fn elementwise_only(source: &Source) -> HashSet<String> {
    let mut other: HashSet<&str> = HashSet::from([source.interface.fused.as_str()]);
    let mut seen: HashSet<&str> = HashSet::new();
    for n in &source.graph().node {
        let names = n.input.iter().map(String::as_str);
        if matches!(n.op_type.as_str(), "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max") && n.input.len() == 2 {
            seen.extend(names);
        } else {
            other.extend(names);
        }
    }
    seen.difference(&other).map(|s| (*s).to_owned()).collect()
}

/// The graph so far.
struct Importer {
    facts: Facts,
    graph: Graph,
    /// ONNX values as views of images.
    views: HashMap<String, View>,
    elementwise_only: HashSet<String>,
}

impl Importer {
    fn inputs(&mut self, source: &Source) {
        let io = &source.interface;
        let (visible, infrared) = (self.graph.visible, self.graph.infrared);
        let mut ir = infrared;
        if io.infrared.channels == 3 {
            let [h, w, _] = self.graph.values[infrared].dims;
            let origin = (io.infrared.name.as_str(), "Input");
            ir =
                self.graph.push(origin, Kind::Concat, vec![infrared; 3], io.infrared.name.clone(), [h, w, 3]);
        }
        for (name, value) in [(&io.visible.name, visible), (&io.infrared.name, ir)] {
            let view = View::nchw(value, self.graph.values[value].dims);
            self.views.insert(name.clone(), view);
        }
    }

    /// The fused image, in its natural arrangement and of the frame's size.
    fn output(&mut self, source: &Source) -> Result<()> {
        let io = &source.interface;
        let fail = |problem: String, remedy: &str| CompileError::Interface {
            path: source.path.clone(),
            problem,
            remedy: remedy.into(),
        };
        let Some(view) = self.views.get(&io.fused).cloned() else {
            return Err(fail(
                format!("its output `{}` does not depend on its inputs", io.fused),
                "name the fused image with the output option",
            ));
        };
        let [h, w, _] = self.graph.values[self.graph.visible].dims;
        let shape = view.shape();
        let channels = match shape[..] {
            [1, c @ (1 | 3), y, x] if [y, x] == [h, w] => c,
            _ => {
                return Err(fail(
                    format!("its output `{}` has the shape {shape:?} at {h}x{w} px", io.fused),
                    "a fused image has the shape 1x{1,3}xHxW of its inputs",
                ));
            }
        };
        let v = view::arranged(&mut self.graph, (&io.fused, "Output"), &view, &NCHW)
            .filter(|v| self.graph.channels(*v) == channels)
            .ok_or_else(|| {
                fail(
                    format!("its output `{}` is no rearrangement of an image", io.fused),
                    "end the network in an image",
                )
            })?;
        if v == self.graph.visible || v == self.graph.infrared {
            return Err(fail(
                format!("its output `{}` is an input unchanged", io.fused),
                "name the fused image with the output option",
            ));
        }
        self.graph.fused = v;
        self.graph.values[v].name.clone_from(&io.fused);
        Ok(())
    }

    /// A problem of the analysis explains a missing shape better than the node that first misses it.
    fn or_analysis(&self, e: CompileError, n: OnnxNode<'_>, height: usize, width: usize) -> CompileError {
        match &self.facts.problem {
            Some(reason) if n.proto.output.iter().any(|o| self.shape(o).is_none()) => match e {
                CompileError::Unsupported { ref problem, .. } if problem == NO_SHAPE => {
                    CompileError::Analysis { height, width, reason: reason.clone() }
                }
                e => e,
            },
            _ => e,
        }
    }

    fn node(&mut self, n: OnnxNode<'_>) -> Result<()> {
        if !matches!(n.proto.domain.as_str(), "" | "ai.onnx" | "com.microsoft") {
            return Err(n.unsupported(
                format!("it is of the operator domain `{}`", n.proto.domain),
                "use operators of the default domain",
            ));
        }
        match n.op() {
            "Conv" | "ConvTranspose" => self.convolution(n),
            "BatchNormalization" => self.batch_normalization(n),
            "MaxPool" | "AveragePool" => self.pool(n),
            "GlobalAveragePool" | "GlobalMaxPool" => self.global_pool(n),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceL2" => self.reduce(n),
            "LayerNormalization" | "InstanceNormalization" => self.normalization(n),
            "Softmax" => self.softmax(n),
            "Relu" | "LeakyRelu" | "Sigmoid" | "Tanh" | "HardSigmoid" | "HardSwish" | "Gelu" | "Erf"
            | "Exp" | "Sqrt" | "Abs" | "Neg" | "Reciprocal" | "Clip" | "Softplus" | "Log" | "Elu"
            | "Softsign" | "Mish" | "Silu" | "Swish" => self.unary(n),
            "PRelu" => self.prelu(n),
            "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max" | "Pow" | "Sum" | "Mean" => self.arithmetic(n),
            "Identity" | "Dropout" | "Cast" => self.pass(n),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshape(n),
            "Transpose" => self.transpose(n),
            "DepthToSpace" | "SpaceToDepth" => self.depth_space(n),
            "Concat" => self.concat(n),
            "Split" => self.split(n),
            "Slice" => self.slice(n),
            "Gather" => self.gather(n),
            "Expand" => self.expand(n),
            "Pad" => self.pad(n),
            "Resize" | "Upsample" => self.resize(n),
            "MatMul" => self.matmul(n),
            "Gemm" => self.gemm(n),
            other => Err(n.unsupported("artifacts have no such operator", node::nearest(other))),
        }
    }

    /// Shape of an ONNX value.
    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.facts.shapes.get(name).map(Vec::as_slice)
    }

    /// Shape of the node's output `i`.
    fn output_shape(&self, n: OnnxNode<'_>, i: usize) -> Result<Vec<usize>> {
        n.output(i)
            .and_then(|o| self.shape(o))
            .map(<[usize]>::to_vec)
            .ok_or_else(|| n.unsupported(NO_SHAPE, "export the network with static shapes"))
    }

    /// Input `i` where it is constant.
    fn constant(&self, n: OnnxNode<'_>, i: usize) -> Option<&Constant> {
        self.facts.constants.get(n.input(i)?)
    }

    /// Input `i`, which must be constant.
    fn needed_constant(&self, n: OnnxNode<'_>, i: usize, what: &str) -> Result<&Constant> {
        self.constant(n, i).ok_or_else(|| {
            n.unsupported(
                format!("its {what} depend(s) on the frames"),
                "artifacts need it to be a constant of the network",
            )
        })
    }

    /// Input `i` as integers, where it is given; it must then be constant.
    fn integers(&self, n: OnnxNode<'_>, i: usize, what: &str) -> Result<Option<Vec<i64>>> {
        match n.input(i) {
            None => Ok(None),
            Some(_) => {
                let c = self.needed_constant(n, i, what)?;
                Ok(Some(c.data.iter().map(|v| *v as i64).collect()))
            }
        }
    }

    /// Input `i` as a view.
    fn view(&self, n: OnnxNode<'_>, i: usize) -> Result<View> {
        let name = n
            .input(i)
            .ok_or_else(|| n.unsupported(format!("its input {i} is missing"), "export the network again"))?;
        self.views.get(name).cloned().ok_or_else(|| {
            n.unsupported(
                format!("its input `{name}` is a constant where an image is needed"),
                "fold the constant before export",
            )
        })
    }

    /// Input `i` as an image whose axes lie as `order` says.
    fn image(&mut self, n: OnnxNode<'_>, i: usize, order: &[Option<AxisId>]) -> Result<ValueId> {
        let view = self.view(n, i)?;
        self.arrange(n, &view, order).ok_or_else(|| {
            n.unsupported(
                format!("its input of shape {:?} is no rearrangement of an image", view.shape()),
                "artifacts hold images 1xCxHxW; keep batch, channels and pixels in their own dimensions",
            )
        })
    }

    /// `view` as an image whose axes lie as `order` says.
    fn arrange(&mut self, n: OnnxNode<'_>, view: &View, order: &[Option<AxisId>]) -> Option<ValueId> {
        let known = self.graph.values.len();
        let v = view::arranged(&mut self.graph, n.origin(), view, order)?;
        if v >= known
            && let Some(o) = &self.graph.values[view.value].observed
        {
            // The elements are those of the value that was rearranged: its histogram is the same.
            let name = o.name.clone();
            self.graph.values[v].observed = Some(crate::ir::Observed { name, behind: None });
        }
        Some(v)
    }

    fn dims(&self, v: ValueId) -> Dims {
        self.graph.values[v].dims
    }

    /// Adds an operator and gives its output.
    fn push(&mut self, n: OnnxNode<'_>, kind: Kind, inputs: Vec<ValueId>, dims: Dims) -> ValueId {
        let name = n.output(0).unwrap_or(n.name());
        self.graph.push(n.origin(), kind, inputs, name, dims)
    }

    /// Records the node's output `i`. Its shape must be what the analysis found.
    fn finish(&mut self, n: OnnxNode<'_>, i: usize, view: View) -> Result<()> {
        let Some(name) = n.output(i) else { return Ok(()) };
        if let Some(want) = self.shape(name)
            && want != view.shape()
        {
            return Err(n.unsupported(
                format!("it makes the shape {want:?}, understood as {:?}", view.shape()),
                node::nearest(n.op()),
            ));
        }
        let dims = self.dims(view.value);
        let observed = view.observed(name, dims);
        let v = &mut self.graph.values[view.value];
        let input = view.value == self.graph.visible || view.value == self.graph.infrared;
        if v.observed.is_none() && !input && v.data.is_none() {
            v.observed = Some(observed);
            v.name = name.into();
        }
        self.views.insert(name.into(), view);
        Ok(())
    }

    /// Records an image `[1, C, H, W]` as the node's output 0.
    fn finish_image(&mut self, n: OnnxNode<'_>, value: ValueId) -> Result<()> {
        let view = View::nchw(value, self.dims(value));
        self.finish(n, 0, view)
    }
}

/// A node whose shape the analysis does not know.
const NO_SHAPE: &str = "its shape is unknown";
