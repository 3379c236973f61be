//! Where an artifact loses precision: every operator's result against the same operator's in f32.

use std::collections::HashMap;

use fusionproxy_core::executor::{Moment, Observation};
use fusionproxy_format::DType;
use serde::{Deserialize, Serialize};

use super::metrics::sqnr;
use super::run::run;
use crate::CompileError;
use crate::calibrate::Sample;
use crate::ir::{Graph, Kind, ValueId};
use crate::quantise::Typed;

/// Precision of one operator's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The ONNX node.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// Element type of the result.
    pub dtype: String,
    /// Signal to quantisation noise ratio of the result, dB.
    pub sqnr_db: f64,
    /// How much of it was lost here: the least ratio among the inputs less the result's, dB.
    pub loss_db: f64,
}

/// Compares the artifact of `typed` with the reference artifact of the same graph in f32, operator by operator.
pub(crate) fn layers(
    graph: &Graph,
    reference: &[u8],
    typed: &Typed,
    artifact: &[u8],
    samples: &[Sample],
) -> Result<Vec<LayerRecord>, CompileError> {
    let mut power: HashMap<ValueId, (f64, f64)> = HashMap::new();
    for sample in samples {
        let one = std::slice::from_ref(sample);
        let mut exact: HashMap<ValueId, Vec<f32>> = HashMap::new();
        let read = |o: &Observation<'_>| {
            let mut v = vec![0.0; o.output.shape().elements()];
            o.output.read_f32(&mut v).is_ok().then_some(v)
        };
        let mut keep = |_: usize, o: Observation<'_>| {
            if o.moment == Moment::After
                && let (Some(node), Some(v)) = (graph.nodes.get(o.op), read(&o))
            {
                exact.insert(node.output, v);
            }
        };
        run(reference, one, Some(&mut keep), &mut |_, _| Ok(()))?;
        let mut compare = |_: usize, o: Observation<'_>| {
            if o.moment == Moment::After
                && let Some(node) = typed.graph.nodes.get(o.op)
                && let Some(want) =
                    exact.get(&node.output).filter(|_| typed.origins[node.output] == node.output)
                && let Some(got) = read(&o)
            {
                let p = power.entry(node.output).or_default();
                for (w, g) in want.iter().zip(&got) {
                    p.0 += f64::from(*w).powi(2);
                    p.1 += f64::from(w - g).powi(2);
                }
            }
        };
        run(artifact, one, Some(&mut compare), &mut |_, _| Ok(()))?;
    }
    let ratio = |v: ValueId| power.get(&v).map(|(s, n)| sqnr(*s, *n));
    let mut out = vec![];
    for node in graph.nodes.iter().filter(|n| !matches!(n.kind, Kind::Convert)) {
        let Some(sqnr_db) = ratio(node.output) else { continue };
        // The inputs of the frame are exact.
        let inputs = node.inputs.iter().filter_map(|v| ratio(*v)).fold(super::metrics::EQUAL_DB, f64::min);
        let dtype = typed.dtypes[node.output];
        out.push(LayerRecord {
            node: node.name.clone(),
            op: node.op.clone(),
            dtype: dtype.name().into(),
            sqnr_db,
            // An operator fed by exact values is judged against what 8 bits can give.
            loss_db: inputs.min(if dtype == DType::U8 { 45.0 } else { 70.0 }) - sqnr_db,
        });
    }
    Ok(out)
}
