//! Which graph inputs are the frames and which output is the fused image.

use std::path::Path;

use tract_onnx::pb;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;

use crate::{CompileError, Options};

/// One image value of the graph's interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// ONNX name.
    pub(crate) name: String,
    /// Channels: 1 or 3.
    pub(crate) channels: usize,
}

/// The network's inputs and output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) visible: Image,
    pub(crate) infrared: Image,
    /// ONNX name of the output.
    pub(crate) fused: String,
    /// Position of the visible input among the graph's inputs that are no initialisers.
    pub(crate) visible_first: bool,
    /// Height and width in px if the model fixes them.
    pub(crate) size: [Option<usize>; 2],
    /// What was guessed, in a sentence each.
    pub(crate) guesses: Vec<String>,
}

const VISIBLE_WORDS: [&str; 8] = ["vis", "visible", "rgb", "vi", "color", "colour", "img1", "a"];
const INFRARED_WORDS: [&str; 9] = ["ir", "infrared", "thermal", "inf", "lwir", "tir", "fir", "img2", "b"];

/// Finds the images of `graph`.
pub(super) fn interface(
    path: &Path,
    graph: &pb::GraphProto,
    options: &Options,
) -> Result<Interface, CompileError> {
    let fail = |problem: String, remedy: &str| CompileError::Interface {
        path: path.into(),
        problem,
        remedy: remedy.into(),
    };
    let inputs: Vec<&pb::ValueInfoProto> =
        graph.input.iter().filter(|i| graph.initializer.iter().all(|t| t.name != i.name)).collect();
    let names = inputs.iter().map(|i| format!("`{}`", i.name)).collect::<Vec<_>>().join(", ");
    let [first, second] = inputs[..] else {
        return Err(fail(
            format!("it has {} input(s): {names}", inputs.len()),
            "a fusion network has two, a visible and an infrared image",
        ));
    };
    let mut guesses = Vec::new();
    let find = |wanted: &Option<String>| {
        wanted.as_ref().map(|w| {
            inputs
                .iter()
                .position(|i| i.name == *w)
                .ok_or_else(|| fail(format!("it has no input `{w}`"), &format!("its inputs are {names}")))
        })
    };
    let (visible, infrared) = (find(&options.visible).transpose()?, find(&options.infrared).transpose()?);
    let visible_first = match (visible, infrared) {
        (Some(v), Some(i)) if v == i => {
            return Err(fail(
                format!("`{}` is named as both inputs", inputs[v].name),
                "name one input as the visible and the other as the infrared image",
            ));
        }
        (Some(v), _) => v == 0,
        (None, Some(i)) => i == 1,
        (None, None) => {
            let (first_is_visible, reason) = guess(first, second);
            if let Some(reason) = reason {
                let (v, i) = if first_is_visible { (first, second) } else { (second, first) };
                guesses.push(format!(
                    "took `{}` for the visible and `{}` for the infrared input, {reason}",
                    v.name, i.name
                ));
            }
            first_is_visible
        }
    };
    let (visible, infrared) = if visible_first { (first, second) } else { (second, first) };
    let fused = match &options.output {
        Some(o) => graph.output.iter().find(|x| x.name == *o).ok_or_else(|| {
            fail(format!("it has no output `{o}`"), &format!("its outputs are {}", list(&graph.output)))
        })?,
        None => match &graph.output[..] {
            [only] => only,
            many => many.iter().find(|o| o.name == "fused").ok_or_else(|| {
                fail(
                    format!("it has the outputs {}", list(many)),
                    "name the fused image with the output option",
                )
            })?,
        },
    };
    if options.output.is_none() && fused.name != "fused" {
        guesses.push(format!("took the output `{}` for the fused image", fused.name));
    }
    let (vis, vis_size) = image(visible).map_err(|p| fail(p, "export the network with NCHW images"))?;
    let (ir, ir_size) = image(infrared).map_err(|p| fail(p, "export the network with NCHW images"))?;
    let mut size = [None; 2];
    for axis in 0..2 {
        size[axis] = match (vis_size[axis], ir_size[axis]) {
            (Some(a), Some(b)) if a != b => {
                return Err(fail(
                    format!("its inputs have different sizes, {a} and {b} px"),
                    "export the network with images of one size",
                ));
            }
            (a, b) => a.or(b),
        };
    }
    Ok(Interface { visible: vis, infrared: ir, fused: fused.name.clone(), visible_first, size, guesses })
}

fn list(values: &[pb::ValueInfoProto]) -> String {
    values.iter().map(|v| format!("`{}`", v.name)).collect::<Vec<_>>().join(", ")
}

/// Whether the first input is the visible one, and why unless the names are those of the contract.
fn guess(first: &pb::ValueInfoProto, second: &pb::ValueInfoProto) -> (bool, Option<&'static str>) {
    match (first.name.as_str(), second.name.as_str()) {
        ("vis", "ir") => return (true, None),
        ("ir", "vis") => return (false, None),
        _ => {}
    }
    let is = |v: &pb::ValueInfoProto, words: &[&str]| {
        v.name
            .to_ascii_lowercase()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|part| words.contains(&part) || words.contains(&part.trim_end_matches(char::is_numeric)))
    };
    let named = "by their names";
    let score = |v, i| u8::from(is(v, &VISIBLE_WORDS)) + u8::from(is(i, &INFRARED_WORDS));
    match score(first, second).cmp(&score(second, first)) {
        std::cmp::Ordering::Greater => return (true, Some(named)),
        std::cmp::Ordering::Less => return (false, Some(named)),
        std::cmp::Ordering::Equal => {}
    }
    match (channels(first), channels(second)) {
        (Some(3), Some(1)) => (true, Some("because it has three channels")),
        (Some(1), Some(3)) => (false, Some("because it has three channels")),
        _ => (true, Some("by their order")),
    }
}

fn dims(v: &pb::ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let Some(pb::type_proto::Value::TensorType(t)) = v.r#type.as_ref()?.value.as_ref() else {
        return None;
    };
    let dims = &t.shape.as_ref()?.dim;
    Some(
        dims.iter()
            .map(|d| match d.value {
                Some(Dim::DimValue(n)) if n > 0 => usize::try_from(n).ok(),
                _ => None,
            })
            .collect(),
    )
}

fn channels(v: &pb::ValueInfoProto) -> Option<usize> {
    dims(v).filter(|d| d.len() == 4).and_then(|d| d[1])
}

/// Name, channels and the fixed part of the size of an image input.
fn image(v: &pb::ValueInfoProto) -> Result<(Image, [Option<usize>; 2]), String> {
    let d = dims(v).unwrap_or(vec![None; 4]);
    let shape = d.iter().map(|n| n.map_or("?".into(), |n| n.to_string())).collect::<Vec<_>>().join("x");
    let [batch, c, h, w] = d[..] else {
        return Err(format!("its input `{}` has the shape {shape}, not 1x{{1,3}}xHxW", v.name));
    };
    let c = c.unwrap_or(1);
    if batch.is_some_and(|b| b != 1) || !matches!(c, 1 | 3) {
        return Err(format!("its input `{}` has the shape {shape}, not 1x{{1,3}}xHxW", v.name));
    }
    Ok((Image { name: v.name.clone(), channels: c }, [h, w]))
}
