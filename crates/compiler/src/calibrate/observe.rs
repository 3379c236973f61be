//! Observation of tract's f32 run.

use std::collections::HashMap;

use super::histogram::Histogram;
use super::pair::Sample;
use crate::CompileError;
use crate::ir::{Graph, Kind, ValueId};
use crate::source::{Session, Source};

/// What is observed: a value of the graph, or what an operator has before its fused activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Spot {
    /// A value.
    Value(ValueId),
    /// The operator that makes this value, before its activation.
    Before(ValueId),
}

/// One observed ONNX value.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) spot: Spot,
    pub(crate) name: String,
    /// See [`crate::ir::Observed::behind`].
    behind: Option<usize>,
    pub(crate) channels: usize,
}

impl Watch {
    /// Elements of one channel in a row, in an ONNX value of this shape.
    fn run(&self, shape: &[usize]) -> Option<usize> {
        let inner = shape.get(self.behind?..)?.iter().product();
        (inner > 0 && shape.iter().product::<usize>().is_multiple_of(inner * self.channels)).then_some(inner)
    }
}

/// Statistics per channel.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    pub(crate) min: Vec<f32>,
    pub(crate) max: Vec<f32>,
    sum: Vec<f64>,
    count: u64,
}

impl Channels {
    /// Mean of each channel.
    pub(crate) fn mean(&self) -> Vec<f32> {
        self.sum.iter().map(|s| (s / self.count.max(1) as f64) as f32).collect()
    }
}

/// What the runs showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observations {
    /// Smallest and largest value.
    pub(crate) bounds: HashMap<Spot, (f32, f32)>,
    /// Per channel, where the channels are one dimension of the ONNX value.
    pub(crate) channels: HashMap<Spot, Channels>,
    pub(crate) histograms: HashMap<Spot, Histogram>,
}

/// Everything worth observing in `graph`.
pub(crate) fn watches(graph: &Graph) -> Vec<Watch> {
    let mut out = vec![];
    for n in &graph.nodes {
        let channels = graph.channels(n.output);
        let before = match &n.kind {
            Kind::Conv(c) => c.before.as_ref(),
            Kind::Binary { before, .. } => before.as_ref(),
            _ => None,
        };
        let own = graph.values[n.output].observed.as_ref();
        for (spot, o) in [(Spot::Value(n.output), own), (Spot::Before(n.output), before)] {
            if let Some(o) = o {
                out.push(Watch { spot, name: o.name.clone(), behind: o.behind, channels });
            }
        }
    }
    out
}

/// The f32 network with its observed values, at the size of the samples.
pub(crate) struct Observer<'s> {
    source: &'s Source,
    samples: &'s [Sample],
    watches: Vec<Watch>,
    session: Session,
}

impl<'s> Observer<'s> {
    /// Prepares to observe `watches` on `samples`, which all have one size; there is at least one.
    pub(crate) fn new(
        source: &'s Source,
        samples: &'s [Sample],
        watches: Vec<Watch>,
    ) -> Result<Self, CompileError> {
        let names: Vec<&str> = watches.iter().map(|w| w.name.as_str()).collect();
        let (height, width) = samples.first().map_or((1, 1), |s| (s.height, s.width));
        let session = source.session(height, width, &names)?;
        Ok(Self { source, samples, watches, session })
    }

    /// Runs all samples, and `see`s each observed value: its elements, and how many of them in a row are of one channel,
    /// if the channels are one dimension. Gives the fused images, `[height][width][channels]`.
    fn run(
        &mut self,
        progress: &mut dyn FnMut(usize),
        mut see: impl FnMut(&Watch, Option<usize>, &[f32]),
    ) -> Result<Vec<Vec<f32>>, CompileError> {
        let mut out = vec![];
        for (i, s) in self.samples.iter().enumerate() {
            let watches = &self.watches;
            let planes = self.session.run(
                &s.visible_planes(),
                &s.infrared_planes(self.source),
                |watch, shape, data| see(&watches[watch], watches[watch].run(shape), data),
            )?;
            out.push(interleaved(&planes, s.height * s.width));
            progress(i + 1);
        }
        Ok(out)
    }

    /// The fused images alone.
    pub(crate) fn references(
        &mut self,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<f32>>, CompileError> {
        self.run(progress, |_, _, _| ())
    }

    /// First pass: bounds, and statistics per channel; and the fused images.
    pub(crate) fn moments(
        &mut self,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(Observations, Vec<Vec<f32>>), CompileError> {
        let mut o = Observations::default();
        let mut bad: Option<String> = None;
        let fused = self.run(progress, |w, inner, data| {
            let (lo, hi) =
                data.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
            if data.iter().any(|v| !v.is_finite()) {
                bad.get_or_insert(w.name.clone());
            }
            let b = o.bounds.entry(w.spot).or_insert((lo, hi));
            *b = (b.0.min(lo), b.1.max(hi));
            let Some(inner) = inner else { return };
            let c = o.channels.entry(w.spot).or_insert_with(|| Channels {
                min: vec![f32::INFINITY; w.channels],
                max: vec![f32::NEG_INFINITY; w.channels],
                sum: vec![0.0; w.channels],
                count: 0,
            });
            for (k, run) in data.chunks_exact(inner).enumerate() {
                let k = k % w.channels;
                let (mut lo, mut hi, mut sum) = (c.min[k], c.max[k], 0.0f64);
                for v in run {
                    (lo, hi) = (lo.min(*v), hi.max(*v));
                    sum += f64::from(*v);
                }
                (c.min[k], c.max[k]) = (lo, hi);
                c.sum[k] += sum;
            }
            c.count += (data.len() / w.channels) as u64;
        })?;
        match bad {
            Some(value) => Err(CompileError::Range {
                value,
                problem: "becomes NaN or infinite on a calibration pair".into(),
                remedy: "check the network's training and its input scaling (0..1)".into(),
            }),
            None => Ok((o, fused)),
        }
    }

    /// Second pass: histograms. `factors` are per-channel factors by which equalisation has changed a value.
    pub(crate) fn histograms(
        &mut self,
        o: &mut Observations,
        factors: &HashMap<Spot, Vec<f32>>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), CompileError> {
        for (spot, f) in factors {
            if let Some(c) = o.channels.get_mut(spot) {
                for (k, f) in f.iter().enumerate() {
                    (c.min[k], c.max[k]) = (c.min[k] * f, c.max[k] * f);
                    c.sum[k] *= f64::from(*f);
                }
                let lo = c.min.iter().copied().fold(f32::INFINITY, f32::min);
                let hi = c.max.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                o.bounds.insert(*spot, (lo, hi));
            }
        }
        let mut hists: HashMap<Spot, Histogram> =
            o.bounds.iter().map(|(spot, (lo, hi))| (*spot, Histogram::new(*lo, *hi))).collect();
        self.run(progress, |w, inner, data| {
            let Some(h) = hists.get_mut(&w.spot) else { return };
            match (factors.get(&w.spot), inner) {
                (Some(f), Some(inner)) => {
                    for (k, run) in data.chunks_exact(inner).enumerate() {
                        let f = f[k % w.channels];
                        h.add(run.iter().map(|v| v * f));
                    }
                }
                _ => h.add(data.iter().copied()),
            }
        })?;
        o.histograms = hists;
        Ok(())
    }
}

/// `[C][H][W]` planes as `[H][W][C]`.
fn interleaved(planes: &[f32], px: usize) -> Vec<f32> {
    let channels = planes.len() / px;
    (0..px).flat_map(|p| (0..channels).map(move |c| planes[c * px + p])).collect()
}
