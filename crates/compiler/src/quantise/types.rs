//! Element types, and the conversions and requantisations between operators that differ.

use std::collections::HashMap;

use fusionproxy_format::{Activation, DType};

use super::{IMAGE, Typed};
use crate::ir::{Function, Graph, Kind, Node, ValueId};

/// Gives every operator the type that `of` says, and inserts what that takes. `image` is the type of the inputs.
pub(crate) fn assign(graph: &Graph, image: DType, of: impl Fn(&Node) -> DType) -> Typed {
    let mut t = Typed {
        graph: Graph { nodes: vec![], ..graph.clone() },
        dtypes: vec![image; graph.values.len()],
        origins: (0..graph.values.len()).collect(),
        quants: vec![],
        before: vec![],
    };
    let mut converted: HashMap<(ValueId, DType), ValueId> = HashMap::new();
    for node in &graph.nodes {
        let dtype = of(node);
        t.dtypes[node.output] = dtype;
        let mut node = node.clone();
        for v in &mut node.inputs {
            if t.graph.values[*v].data.is_none() && t.dtypes[*v] != dtype {
                *v = *converted
                    .entry((*v, dtype))
                    .or_insert_with(|| t.copied(*v, dtype, Kind::Convert, dtype.name()));
            }
        }
        t.graph.nodes.push(node);
    }
    t.separate();
    t.quants = vec![IMAGE; t.graph.values.len()];
    t.before = vec![None; t.graph.values.len()];
    t
}

impl Typed {
    /// A copy of `v` made by `kind`.
    fn copied(&mut self, v: ValueId, dtype: DType, kind: Kind, suffix: &str) -> ValueId {
        let from = &self.graph.values[v];
        let (name, dims) = (format!("{}.{suffix}", from.name), from.dims);
        let copy = self.graph.push((&name, "Convert"), kind, vec![v], name.clone(), dims);
        self.dtypes.push(dtype);
        self.origins.push(self.origins[v]);
        copy
    }

    /// Requantises what has a fixed scale where it is joined with values that have not: a concatenation's inputs share
    /// one scale, and the image's would cut features off.
    fn separate(&mut self) {
        let fixed = self.fixed();
        let nodes = std::mem::take(&mut self.graph.nodes);
        for mut node in nodes {
            if matches!(node.kind, Kind::Concat) && self.dtypes[node.output] == DType::U8 {
                let any = node.inputs.iter().any(|v| fixed[*v]);
                let all = node.inputs.iter().all(|v| fixed[*v]);
                if any && !all {
                    for v in node.inputs.iter_mut().filter(|v| fixed[**v]) {
                        let same = Kind::Unary(Function::Plain(Activation::None));
                        *v = self.copied(*v, DType::U8, same, "requantised");
                    }
                }
            }
            self.graph.nodes.push(node);
        }
    }

    /// Values whose scale is that of an image, whatever the calibration shows: inputs, softmax, the fused image,
    /// normalised logits, and what only rearranges these.
    pub(super) fn fixed(&self) -> Vec<bool> {
        let mut fixed = vec![false; self.graph.values.len()];
        for v in [self.graph.visible, self.graph.infrared, self.graph.fused] {
            fixed[v] = self.dtypes[v] == DType::U8;
        }
        for n in &self.graph.nodes {
            fixed[n.output] |= matches!(n.kind, Kind::Softmax { .. })
                || (n.kind.keeps_quantisation() && n.inputs.iter().all(|v| fixed[*v]));
            if let Kind::Blend { planes: Some(_), .. } = n.kind {
                fixed[n.inputs[2]] = self.dtypes[n.inputs[2]] == DType::U8;
            }
        }
        fixed
    }
}
