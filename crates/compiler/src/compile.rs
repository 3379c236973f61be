//! The pipeline from an ONNX file to an artifact with its report.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use fusionproxy_format::{Artifact, DType, Precision as Stored};

use crate::calibrate::{Observations, Observer, Sample, Spot, size_for, watches};
use crate::emit::{Aligned, Header, emit};
use crate::fuse::{expand, with_logits};
use crate::ir::{Geometry, Graph, Node, ValueId, solve};
use crate::quantise::{RangeRecord, Typed, assign, equalise, normalise, scales};
use crate::source::Source;
use crate::verify::{LayerRecord, Verification, compare, largest_error, layers};
use crate::{Calibration, CalibrationPair, CompileError, Options, Precision, RangeMethod, Report};

/// What the compiler is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Reading and analysing the model.
    Import,
    /// First pass over the calibration pairs: bounds.
    Observe,
    /// Second pass: histograms.
    Calibrate,
    /// Running the f32 network for comparison.
    Reference,
    /// Running the artifact.
    Verify,
}

/// An artifact with what is known about it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The `.fpx` bytes.
    pub artifact: Vec<u8>,
    /// How it was made and how good it is.
    pub report: Report,
}

/// Size in px that a network with open axes is analysed at: a multiple of 64, its sides different.
const ANALYSED: (usize, usize) = (128, 192);
/// Size in px that a network with open axes is pinned to if its geometry is not relative.
const PINNED: (usize, usize) = (480, 640);
/// Largest size in px that pairs are cropped to.
const CALIBRATED: (usize, usize) = (512, 640);
/// Difference to tract's f32 above which the import is wrong and not merely rounded.
const IMPORT_TOLERANCE: f64 = 2e-3;
/// Pairs that range methods are compared on.
const TRIAL_PAIRS: usize = 8;
/// Side in px of the crops that operators are compared on.
const LAYER_CROP: usize = 256;
/// Pairs that operators are compared on.
const LAYER_PAIRS: usize = 3;

/// Compiles the network in `onnx`.
///
/// `pairs` calibrate an INT8 network and verify any; f32 and fp16 compile without them and are then verified on a
/// synthetic pair. `progress` is told the stage, the pairs done and the pairs in all.
///
/// # Errors
/// [`CompileError`] names what is wrong with the model, the pairs or the options.
pub fn compile(
    onnx: &Path,
    options: &Options,
    pairs: &[CalibrationPair],
    progress: &mut dyn FnMut(Stage, usize, usize),
) -> Result<Compiled, CompileError> {
    progress(Stage::Import, 0, 1);
    for (i, p) in pairs.iter().enumerate() {
        p.check(i)?;
    }
    if options.precision == Precision::Int8 && pairs.is_empty() {
        return Err(CompileError::NoCalibration("INT8"));
    }
    let source = Source::load(onnx, options)?;
    let (mut graph, geometry) = network(&source, options)?;
    progress(Stage::Import, 1, 1);

    if options.precision != Precision::Int8 {
        graph = expand(&graph);
    }
    let samples = samples(&source, &graph, &geometry, options, pairs);
    let (height, width) = (samples[0].height, samples[0].width);
    let mut work = Work {
        name: name(onnx, options),
        options,
        seen: Observations::default(),
        means: HashMap::new(),
        source: &source,
    };
    let want = work.observe(&mut graph, &samples, progress)?;
    let half: HashSet<ValueId> =
        graph.nodes.iter().filter(|n| kept(n, &options.keep_fp16)).map(|n| n.output).collect();
    if let Some(pattern) =
        options.keep_fp16.iter().find(|p| !graph.nodes.iter().any(|n| kept(n, std::slice::from_ref(p))))
    {
        return Err(CompileError::Option(format!(
            "no operator to keep at half precision matches `{pattern}`; names are those of the ONNX nodes"
        )));
    }
    let mut made = if options.precision == Precision::Int8 && !options.skip_verify {
        work.best(&graph, &half, &samples, &want)?
    } else {
        work.make(&graph, &half, options.range)?
    };
    let verification = if options.skip_verify {
        None
    } else {
        Some(work.verify(&graph, &mut made, half, (&samples, &want), progress)?)
    };
    let io = &source.interface;
    let report = Report {
        name: work.name.clone(),
        precision: options.precision,
        opset: source.opset,
        visible: (io.visible.name.clone(), io.visible.channels),
        infrared: (io.infrared.name.clone(), io.infrared.channels),
        fused: io.fused.clone(),
        guesses: io.guesses.clone(),
        params: source.params,
        stride: usize::from(geometry.stride),
        fixed_size: geometry.pinned.as_ref().map(|((h, w), _)| (*h as usize, *w as usize)),
        fixed_reason: geometry.pinned.map(|(_, reason)| reason),
        artifact_bytes: made.bytes.len(),
        operators: operators(&made.bytes)?,
        half_precision: made.half_nodes(&graph, options.precision),
        calibration: (options.precision == Precision::Int8).then_some(Calibration {
            pairs: pairs.len(),
            height,
            width,
            method: made.method,
            ranges: made.ranges,
        }),
        verification,
    };
    Ok(Compiled { artifact: made.bytes, report })
}

/// Imports and fuses the network at the size that suits it.
fn network(source: &Source, options: &Options) -> Result<(Graph, Geometry), CompileError> {
    let at = |h, w| {
        let mut graph = crate::import::import(source, h, w)?;
        crate::fuse::fuse(&mut graph);
        let geometry = solve(&graph);
        Ok::<_, CompileError>((graph, geometry))
    };
    match source.interface.size {
        [Some(h), Some(w)] => match options.size {
            Some((oh, ow)) if (oh, ow) != (h, w) => Err(CompileError::Option(format!(
                "the model is exported for {h}x{w} px, not {oh}x{ow}; leave the size out or export it again"
            ))),
            _ => at(h, w),
        },
        [h, w] => {
            let (h, w) = (h.unwrap_or(ANALYSED.0), w.unwrap_or(ANALYSED.1));
            let (graph, geometry) = at(h, w)?;
            if geometry.pinned.is_none() {
                return Ok((graph, geometry));
            }
            let (h, w) = options.size.unwrap_or(PINNED);
            at(h, w)
        }
    }
}

/// Pairs as network inputs, all of one size; a synthetic one if there are none.
fn samples(
    source: &Source,
    graph: &Graph,
    geometry: &Geometry,
    options: &Options,
    pairs: &[CalibrationPair],
) -> Vec<Sample> {
    let [h, w, channels] = graph.values[graph.visible].dims;
    let fixed = geometry.pinned.is_some() || source.interface.size.iter().all(Option::is_some);
    if pairs.is_empty() {
        return vec![CalibrationPair::synthetic(h, w).sample(h, w, channels)];
    }
    let (h, w) = if fixed {
        (h, w)
    } else {
        size_for(pairs, usize::from(geometry.stride), options.size.unwrap_or(CALIBRATED))
    };
    pairs.iter().map(|p| p.sample(h, w, channels)).collect()
}

fn name(onnx: &Path, options: &Options) -> String {
    options
        .name
        .clone()
        .or_else(|| onnx.file_stem().map(|s| s.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "network".into())
}

/// Whether one of the patterns names the node.
fn kept(node: &Node, patterns: &[String]) -> bool {
    patterns.iter().any(|p| matches(p, &node.name))
}

/// Glob match with `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((first, rest)) => name.strip_prefix(first).is_some_and(|tail| {
            tail.char_indices().map(|(i, _)| i).chain([tail.len()]).any(|i| matches(rest, &tail[i..]))
        }),
    }
}

fn operators(artifact: &[u8]) -> Result<BTreeMap<String, usize>, CompileError> {
    let aligned = Aligned::new(artifact);
    let a = Artifact::new(aligned.bytes())?;
    let mut count = BTreeMap::new();
    for i in 0..a.op_count() {
        *count.entry(a.op(i)?.op.kind().name().to_owned()).or_default() += 1;
    }
    Ok(count)
}

/// One emitted artifact.
struct Made {
    bytes: Vec<u8>,
    typed: Typed,
    ranges: Vec<RangeRecord>,
    method: RangeMethod,
}

impl Made {
    /// ONNX nodes at half precision, where that is the exception.
    fn half_nodes(&self, graph: &Graph, precision: Precision) -> Vec<String> {
        let half = |n: &&Node| precision == Precision::Int8 && self.typed.dtypes[n.output] == DType::F16;
        graph.nodes.iter().filter(half).map(|n| n.name.clone()).collect()
    }
}

struct Work<'w> {
    name: String,
    options: &'w Options,
    seen: Observations,
    means: HashMap<ValueId, Vec<f32>>,
    source: &'w Source,
}

impl Work<'_> {
    /// Runs tract on the samples: calibrates and equalises an INT8 network. Gives the f32 results, which a caller that
    /// verifies nothing does without.
    fn observe(
        &mut self,
        graph: &mut Graph,
        samples: &[Sample],
        progress: &mut dyn FnMut(Stage, usize, usize),
    ) -> Result<Vec<Vec<f32>>, CompileError> {
        let total = samples.len();
        if self.options.precision != Precision::Int8 {
            if self.options.skip_verify {
                return Ok(vec![]);
            }
            let mut observer = Observer::new(self.source, samples, vec![])?;
            return observer.references(&mut |i| progress(Stage::Reference, i, total));
        }
        let mut observer = Observer::new(self.source, samples, watches(graph))?;
        let (seen, want) = observer.moments(&mut |i| progress(Stage::Observe, i, total))?;
        self.seen = seen;
        let factors = equalise(graph, &self.seen);
        normalise(graph, &self.seen);
        observer.histograms(&mut self.seen, &factors, &mut |i| progress(Stage::Calibrate, i, total))?;
        for (spot, channels) in &self.seen.channels {
            if let Spot::Value(v) = spot {
                self.means.insert(*v, channels.mean());
            }
        }
        Ok(want)
    }

    /// Emits the graph with the range method that was asked for. Where the choice was left open, each tensor's least
    /// squared error is tried against one method for all: a tensor's own error does not say what the image's will be.
    fn best(
        &self,
        graph: &Graph,
        half: &HashSet<ValueId>,
        samples: &[Sample],
        want: &[Vec<f32>],
    ) -> Result<Made, CompileError> {
        let own = self.make(graph, half, self.options.range)?;
        if self.options.range != RangeMethod::Auto {
            return Ok(own);
        }
        let step = samples.len().div_ceil(TRIAL_PAIRS);
        let few: Vec<Sample> = samples.iter().step_by(step).cloned().collect();
        let want: Vec<Vec<f32>> = want.iter().step_by(step).cloned().collect();
        let quality =
            |made: &Made| Ok::<_, CompileError>(compare(&made.bytes, &few, &want, &mut |_| ())?.psnr_mean);
        let mut best = (quality(&own)?, own);
        for method in [RangeMethod::Percentile, RangeMethod::MinMax] {
            let other = self.make(graph, half, method)?;
            let q = quality(&other)?;
            if q > best.0 {
                best = (q, other);
            }
        }
        Ok(best.1)
    }

    /// Emits the graph; `half` are the results kept at half precision in an INT8 artifact.
    fn make(
        &self,
        graph: &Graph,
        half: &HashSet<ValueId>,
        method: RangeMethod,
    ) -> Result<Made, CompileError> {
        let (image, stored) = match self.options.precision {
            Precision::F32 => (DType::F32, Stored::F32),
            Precision::Fp16 => (DType::F16, Stored::F16),
            Precision::Int8 if half.is_empty() => (DType::U8, Stored::Int8),
            Precision::Int8 => (DType::U8, Stored::Mixed),
        };
        // A composition at half precision has no tables that know the ranges of normalised logits.
        let written = half.contains(&graph.fused).then(|| with_logits(graph));
        let known = graph.values.len();
        let graph = written.as_ref().unwrap_or(graph);
        let halved = |v: ValueId| half.contains(&v) || v >= known;
        let mut typed = assign(graph, image, |n| if halved(n.output) { DType::F16 } else { image });
        let ranges = match image {
            DType::U8 => scales(&mut typed, &self.seen, method),
            DType::F16 | DType::F32 => vec![],
        };
        let geometry = solve(&typed.graph);
        let header = Header { name: &self.name, precision: stored, params: self.source.params };
        let bytes = emit(&typed, &geometry, &self.means, &header)?;
        Ok(Made { bytes, typed, ranges, method })
    }

    /// The graph in f32 and its artifact.
    fn reference(&self, graph: &Graph) -> Result<(Graph, Vec<u8>), CompileError> {
        let graph = expand(graph);
        let typed = assign(&graph, DType::F32, |_| DType::F32);
        let header = Header { name: &self.name, precision: Stored::F32, params: self.source.params };
        let bytes = emit(&typed, &solve(&typed.graph), &HashMap::new(), &header)?;
        Ok((graph, bytes))
    }

    /// Verifies, and, where a PSNR is asked for, moves operators to half precision until it is reached.
    fn verify(
        &self,
        graph: &Graph,
        made: &mut Made,
        mut half: HashSet<ValueId>,
        (samples, want): (&[Sample], &[Vec<f32>]),
        progress: &mut dyn FnMut(Stage, usize, usize),
    ) -> Result<Verification, CompileError> {
        let total = samples.len();
        // Functions that only 8 bits have leave no f32 form to compare with.
        let exact = self.reference(graph).ok();
        let mut import_error = 0.0;
        if let Some((_, exact)) = &exact {
            import_error = largest_error(exact, &samples[..1], &want[..1])?;
            if import_error > IMPORT_TOLERANCE {
                return Err(CompileError::Run(format!(
                    "as imported it differs from tract's f32 by {import_error:.2e} of full range; please report this network"
                )));
            }
        }
        let crops = crops(samples, &solve(graph));
        let mut v = compare(&made.bytes, samples, want, &mut |i| progress(Stage::Verify, i, total))?;
        let mut records = vec![];
        if let Some((plain, exact)) = &exact {
            records = layers(plain, exact, &made.typed, &made.bytes, &crops)?;
            let mut batch = 1;
            let int8 = self.options.precision == Precision::Int8;
            while let Some(target) = self.options.target_psnr.filter(|t| int8 && v.psnr_mean < *t) {
                let more = lossiest(graph, &records, &half, batch);
                if more.is_empty() {
                    return Err(CompileError::Option(format!(
                        "{target} dB cannot be reached: with every operator at half precision it is {:.1} dB",
                        v.psnr_mean
                    )));
                }
                half.extend(more);
                *made = self.make(graph, &half, made.method)?;
                v = compare(&made.bytes, samples, want, &mut |i| progress(Stage::Verify, i, total))?;
                records = layers(plain, exact, &made.typed, &made.bytes, &crops)?;
                batch *= 2;
            }
        }
        v.import_error = import_error;
        v.worst_layers = worst(&records);
        v.suggestions = self.suggestions(&v);
        Ok(v)
    }

    fn suggestions(&self, v: &Verification) -> Vec<String> {
        let mut out = vec![];
        if self.options.precision != Precision::Int8 || v.psnr_mean >= 42.0 && v.psnr_min >= 38.0 {
            return out;
        }
        let names: Vec<&str> = v.worst_layers.iter().take(3).map(|l| l.node.as_str()).collect();
        out.push(format!("keep the operators that lose most at half precision: {}", names.join(", ")));
        out.push("give a target PSNR, and as many operators as it takes are kept at half precision".into());
        if v.pairs < 16 {
            out.push(format!("calibrate with more than {} pairs, of all the scenes that are met", v.pairs));
        }
        if self.options.range != RangeMethod::Auto {
            out.push("let the range method be chosen per tensor (auto)".into());
        }
        out
    }
}

/// Smaller crops of a few samples, for comparing every operator.
fn crops(samples: &[Sample], geometry: &Geometry) -> Vec<Sample> {
    let few = &samples[..samples.len().min(LAYER_PAIRS)];
    if geometry.pinned.is_some() {
        return few.to_vec();
    }
    let stride = usize::from(geometry.stride);
    let side = |n: usize| n.min((LAYER_CROP / stride).max(1) * stride);
    few.iter().map(|s| s.crop(side(s.height), side(s.width))).collect()
}

/// The operators that lose most, worst first, that are not at half precision yet.
fn lossiest(graph: &Graph, records: &[LayerRecord], half: &HashSet<ValueId>, count: usize) -> Vec<ValueId> {
    let loss: HashMap<&str, f64> = records.iter().map(|r| (r.node.as_str(), r.loss_db)).collect();
    let mut open: Vec<(f64, ValueId)> = graph
        .nodes
        .iter()
        .filter(|n| !half.contains(&n.output))
        .map(|n| (loss.get(n.name.as_str()).copied().unwrap_or(f64::NEG_INFINITY), n.output))
        .collect();
    open.sort_by(|a, b| b.0.total_cmp(&a.0));
    open.into_iter().take(count).map(|(_, v)| v).collect()
}

fn worst(records: &[LayerRecord]) -> Vec<LayerRecord> {
    let mut all = records.to_vec();
    all.sort_by(|a, b| b.loss_db.total_cmp(&a.loss_db));
    all.truncate(8);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, want) in [
            ("/head/Conv", "/head/Conv", true),
            ("/head/Conv", "/head/Conv_1", false),
            ("/head/*", "/head/Conv", true),
            ("*Conv", "/head/Conv", true),
            ("*Conv", "/head/Conv/Relu", false),
            ("/a*b*c", "/axxbyyc", true),
            ("/a*b*c", "/axxbyy", false),
            ("*", "anything", true),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }
}
