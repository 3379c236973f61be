//! The compiler's own graph: images `[height, width, channels]`, operators close to the artifact's, weights as f32.

mod function;
mod geometry;
mod kind;

use std::collections::HashMap;

pub(crate) use function::{Function, activation, recognise};
pub(crate) use geometry::{Geometry, solve};
pub(crate) use kind::{Conv, Kind, Reduction};

/// Index of a value in [`Graph::values`].
pub(crate) type ValueId = usize;

/// Height, width, channels.
pub(crate) type Dims = [usize; 3];

/// How the axes of an image lie in the ONNX value that it stands for: the value is `[outer, channels, inner]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Name of the ONNX value.
    pub(crate) name: String,
    /// First of the dimensions that `inner` is the product of, where the channels are one dimension. Not the product:
    /// the graph is observed at another size than it was imported at.
    pub(crate) behind: Option<usize>,
}

/// An image.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// Name for reports and the artifact.
    pub(crate) name: String,
    /// At the size that the graph was imported at.
    pub(crate) dims: Dims,
    /// Elements of a constant, NHWC.
    pub(crate) data: Option<Vec<f32>>,
    /// The ONNX value with the same elements, if there is one.
    pub(crate) observed: Option<Observed>,
}

/// An operator.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Name of the ONNX node that it stems from.
    pub(crate) name: String,
    /// Operator of that node, for messages.
    pub(crate) op: String,
    pub(crate) kind: Kind,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) output: ValueId,
}

/// A network. `nodes` are in execution order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) visible: ValueId,
    pub(crate) infrared: ValueId,
    pub(crate) fused: ValueId,
    /// The source's operator set, for messages.
    pub(crate) opset: i64,
}

impl Graph {
    /// Adds a value.
    pub(crate) fn value(&mut self, name: impl Into<String>, dims: Dims) -> ValueId {
        self.values.push(Value { name: name.into(), dims, data: None, observed: None });
        self.values.len() - 1
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, name: impl Into<String>, dims: Dims, data: Vec<f32>) -> ValueId {
        debug_assert_eq!(data.len(), dims.iter().product::<usize>());
        self.values.push(Value { name: name.into(), dims, data: Some(data), observed: None });
        self.values.len() - 1
    }

    /// Adds an operator behind all others; its output is a new value.
    pub(crate) fn push(
        &mut self,
        origin: (&str, &str),
        kind: Kind,
        inputs: Vec<ValueId>,
        name: impl Into<String>,
        dims: Dims,
    ) -> ValueId {
        let output = self.value(name, dims);
        self.nodes.push(Node { name: origin.0.into(), op: origin.1.into(), kind, inputs, output });
        output
    }

    /// Channels of a value.
    pub(crate) fn channels(&self, v: ValueId) -> usize {
        self.values[v].dims[2]
    }

    /// Index of the node that makes each value.
    pub(crate) fn makers(&self) -> HashMap<ValueId, usize> {
        self.nodes.iter().enumerate().map(|(i, n)| (n.output, i)).collect()
    }

    /// Number of reads of each value; being the fused image counts as one.
    pub(crate) fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        for v in self.nodes.iter().flat_map(|n| &n.inputs) {
            uses[*v] += 1;
        }
        uses[self.fused] += 1;
        uses
    }

    /// Lets every reader of `old` read `new`.
    pub(crate) fn replace(&mut self, old: ValueId, new: ValueId) {
        for v in self.nodes.iter_mut().flat_map(|n| &mut n.inputs) {
            if *v == old {
                *v = new;
            }
        }
        if self.fused == old {
            self.fused = new;
        }
    }

    /// Drops operators whose result nothing needs, and puts the others in execution order.
    pub(crate) fn tidy(&mut self) {
        let makers = self.makers();
        let mut order = Vec::new();
        let mut state = vec![0u8; self.nodes.len()];
        let mut stack: Vec<(usize, bool)> =
            makers.get(&self.fused).map(|n| (*n, false)).into_iter().collect();
        while let Some((n, done)) = stack.pop() {
            if done {
                order.push(n);
                continue;
            }
            if std::mem::replace(&mut state[n], 1) == 1 {
                continue;
            }
            stack.push((n, true));
            for v in self.nodes[n].inputs.iter().rev() {
                if let Some(m) = makers.get(v)
                    && state[*m] == 0
                {
                    stack.push((*m, false));
                }
            }
        }
        let mut nodes: Vec<Option<Node>> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        // Depth-first order keeps few values alive; every node appears once.
        self.nodes = order.into_iter().filter_map(|n| nodes[n].take()).collect();
    }
}

#[cfg(test)]
mod tests {
    use fusionproxy_format::BinaryOp;

    use super::*;

    #[test]
    fn tidy_drops_dead_nodes_and_orders_the_rest() {
        let mut g = Graph::default();
        g.visible = g.value("vis", [4, 4, 1]);
        g.infrared = g.value("ir", [4, 4, 1]);
        let add = Kind::binary(BinaryOp::Add);
        let a = g.push(("a", "Add"), add.clone(), vec![g.visible, g.infrared], "a", [4, 4, 1]);
        g.push(("dead", "Add"), add.clone(), vec![a, a], "dead", [4, 4, 1]);
        let b = g.push(("b", "Add"), add, vec![a, a], "b", [4, 4, 1]);
        g.fused = b;
        g.nodes.reverse();
        g.tidy();
        assert_eq!(g.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(g.uses()[a], 2);
    }
}
