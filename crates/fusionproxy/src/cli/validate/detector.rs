//! A frozen object detector, run by tract.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use fusionproxy_compiler::CalibrationPair;
use fusionproxy_eval::detect::{COCO, Detection, Head, Label, Letterbox, parse_labels, same_class, suppress};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

/// Input of detectors that leave it open, px.
const SIDE: usize = 640;
/// Least score that counts for average precision.
const LEAST_SCORE: f32 = 0.01;
/// Overlap above which the weaker of two boxes of a class is dropped.
const SUPPRESSION_IOU: f32 = 0.65;

/// A detector that is ready to run.
pub(crate) struct Detector {
    plan: Arc<TypedRunnableModel>,
    head: Head,
    /// Width and height, px.
    input: (usize, usize),
    classes: Vec<String>,
}

impl Detector {
    /// Loads an ONNX detector of the YOLOX or YOLOv8 kind.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::load(path).with_context(|| format!("detector {}", path.display()))
    }

    fn load(path: &Path) -> Result<Self> {
        let failed = |e: TractError| anyhow!("tract cannot run it: {}", e.root_cause());
        std::fs::metadata(path)?;
        let proto = onnx()
            .proto_model_for_path(path)
            .map_err(|e| anyhow!("not an ONNX model: {}", e.root_cause()))?;
        let names = proto.metadata_props.iter().find(|p| p.key == "names").map(|p| quoted(&p.value));
        let mut model = onnx().model_for_path(path).map_err(failed)?;
        let shape = model.input_fact(0).map_err(failed)?.shape.concretize();
        let side = |axis: usize| {
            let known = shape.as_ref().and_then(|s| s.get(axis)?.to_usize().ok());
            known.unwrap_or(SIDE)
        };
        let input = (side(3), side(2));
        model = model
            .with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), [1, 3, input.1, input.0]))
            .map_err(failed)?;
        let model = model.into_optimized().map_err(failed)?;
        let shape = model.output_fact(0).map_err(failed)?.shape.as_concrete().map(<[usize]>::to_vec);
        let head = Head::of(&shape.context("its output has no fixed size")?, input)?;
        let classes = match names {
            Some(names) if names.len() == head.classes() => names,
            _ if head.classes() == COCO.len() => COCO.map(str::to_owned).to_vec(),
            _ => bail!("it has {} classes and no names; store them as its metadata `names`", head.classes()),
        };
        Ok(Self { plan: model.into_runnable().map_err(failed)?, head, input, classes })
    }

    /// Labels of the pairs in `folder`, with this detector's class numbers; `None` for pairs without a file. Classes that
    /// the detector does not know are left out, with a notice.
    pub(super) fn labels(&self, folder: &Path, pairs: &[CalibrationPair]) -> Result<Vec<Option<Vec<Label>>>> {
        let list = folder.join("classes.txt");
        let text = std::fs::read_to_string(&list)
            .with_context(|| format!("--detector needs labels: cannot read {}", list.display()))?;
        let names: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let known: Vec<Option<usize>> =
            names.iter().map(|n| self.classes.iter().position(|c| same_class(n, c))).collect();
        let (mut labels, mut dropped) = (Vec::with_capacity(pairs.len()), 0);
        for pair in pairs {
            let path = folder.join(&pair.name).with_added_extension("txt");
            if !path.is_file() {
                labels.push(None);
                continue;
            }
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let boxes = parse_labels(&text, (pair.width, pair.height), names.len())
                .with_context(|| path.display().to_string())?;
            let all = boxes.len();
            let mapped: Vec<Label> =
                boxes.into_iter().filter_map(|l| Some(Label { class: known[l.class]?, ..l })).collect();
            dropped += all - mapped.len();
            labels.push(Some(mapped));
        }
        let count = labels.iter().flatten().map(Vec::len).sum::<usize>();
        if count == 0 {
            bail!("{} has no boxes of classes that the detector knows for these pairs", folder.display());
        }
        if dropped > 0 {
            let unknown: Vec<&str> =
                names.iter().zip(&known).filter(|(_, k)| k.is_none()).map(|(n, _)| *n).collect();
            eprintln!(
                "notice: {dropped} boxes are left out: the detector has no class for {}",
                unknown.join(", ")
            );
        }
        Ok(labels)
    }

    /// Boxes in a frame of `size` (width, height; px), packed RGB.
    pub(super) fn detect(&self, rgb: &[u8], size: (usize, usize)) -> Result<Vec<Detection>> {
        let letterbox = Letterbox::new(size, self.input, self.head.anchor());
        let mut planes = letterbox.planes(rgb);
        self.head.prepare(&mut planes);
        let failed = |e: TractError| anyhow!("the detector fails: {}", e.root_cause());
        let input = Tensor::from_shape(&[1, 3, self.input.1, self.input.0], &planes).map_err(failed)?;
        let output = self.plan.run(tvec!(input.into())).map_err(failed)?;
        let ram = output[0].try_as_plain_ram().map_err(failed)?;
        let found = self.head.read(ram.as_slice::<f32>().map_err(failed)?, self.input, LEAST_SCORE);
        let mut kept = suppress(found, SUPPRESSION_IOU);
        for d in &mut kept {
            d.area = letterbox.to_frame(d.area);
        }
        Ok(kept)
    }
}

/// The words in quotes of a Python dictionary such as `{0: 'person', 1: "car"}`.
fn quoted(text: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), text);
    while let Some(open) = rest.find(['\'', '"']) {
        let quote = &rest[open..=open];
        let Some((word, after)) = rest[open + 1..].split_once(quote) else { break };
        words.push(word.to_owned());
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn names_of_a_dictionary() {
        assert_eq!(quoted("{0: 'person', 1: \"rider's bike\"}"), ["person", "rider's bike"]);
        assert!(quoted("{}").is_empty() && quoted("'open").is_empty());
    }
}
