//! tract as the oracle: shapes and constants of every value, and f32 runs that are observed value by value.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use super::Source;
use crate::CompileError;

/// A constant of the graph, converted to f32 (exact for the integers that shapes hold).
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

/// What tract's analysis knows about the graph at one frame size.
pub(crate) struct Facts {
    /// Shape of every value that has one, by ONNX name.
    pub(crate) shapes: HashMap<String, Vec<usize>>,
    /// Values that do not depend on the frames.
    pub(crate) constants: HashMap<String, Constant>,
    /// Why the analysis stopped early, if it did.
    pub(crate) problem: Option<String>,
}

/// Elements of a tensor of any number type as f32.
pub(super) fn floats(t: &Tensor) -> TractResult<Vec<f32>> {
    let cast = t.cast_to::<f32>()?;
    Ok(cast.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
}

/// tract panics on some malformed models; a compiler must not.
fn guarded<T>(f: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(TractError::msg("the importer gave up on a malformed node")))
}

/// The outermost message and its root cause, in one line.
fn explain(e: &TractError) -> String {
    let (top, root) = (e.to_string(), e.root_cause().to_string());
    let text = if top == root { top } else { format!("{top}: {root}") };
    text.lines().collect::<Vec<_>>().join(" ").chars().take(400).collect()
}

type Parsed = (InferenceModel, HashMap<String, OutletId>);

impl Source {
    /// The graph with both inputs at `height` x `width` px.
    fn parse(&self, height: usize, width: usize) -> TractResult<Parsed> {
        let parsed = onnx().with_ignore_value_info(true).parse(&self.proto, self.folder())?;
        let (mut model, outlets) = (parsed.model, parsed.outlets_by_name);
        for image in [&self.interface.visible, &self.interface.infrared] {
            let shape = [1, image.channels, height, width];
            model.set_outlet_fact(outlets[&image.name], f32::fact(shape).into())?;
        }
        let order = if self.interface.visible_first {
            [&self.interface.visible, &self.interface.infrared]
        } else {
            [&self.interface.infrared, &self.interface.visible]
        };
        model.set_input_outlets(&order.map(|i| outlets[&i.name]))?;
        model.select_output_outlets(&[outlets[&self.interface.fused]])?;
        Ok((model, outlets))
    }

    fn failed(&self, height: usize, width: usize, e: &TractError) -> CompileError {
        CompileError::Analysis { height, width, reason: explain(e) }
    }

    /// Shapes and constants at `height` x `width` px. An analysis that stops early still tells what it found.
    pub(crate) fn facts(&self, height: usize, width: usize) -> Result<Facts, CompileError> {
        let fail = |e| self.failed(height, width, &e);
        let (mut model, outlets) = guarded(|| self.parse(height, width)).map_err(fail)?;
        let problem = guarded(|| model.analyse(false)).err().map(|e| explain(&e));
        if problem.is_some() {
            // Collect what the other branches give; the first problem is the one to report.
            let _ = guarded(|| model.analyse(true));
        }
        let (mut shapes, mut constants) = (HashMap::new(), HashMap::new());
        for (name, outlet) in outlets {
            let fact = &model.nodes()[outlet.node].outputs[outlet.slot].fact;
            let shape = fact
                .shape
                .concretize()
                .and_then(|s| s.iter().map(|d| d.to_usize().ok()).collect::<Option<Vec<_>>>());
            if let Some(value) = fact.value.concretize()
                && let Ok(data) = floats(&value)
            {
                constants.insert(name.clone(), Constant { shape: value.shape().to_vec(), data });
            }
            if let Some(shape) = shape {
                shapes.insert(name, shape);
            }
        }
        Ok(Facts { shapes, constants, problem })
    }

    /// The f32 network at `height` x `width` px, with the named values kept for observation.
    pub(crate) fn session(
        &self,
        height: usize,
        width: usize,
        observed: &[&str],
    ) -> Result<Session, CompileError> {
        guarded(|| {
            let (mut model, outlets) = self.parse(height, width)?;
            let mut keep = vec![outlets[&self.interface.fused]];
            keep.extend(observed.iter().filter_map(|name| outlets.get(*name)));
            model.select_output_outlets(&keep)?;
            let typed = model.into_typed()?;
            let present: Vec<usize> =
                (0..observed.len()).filter(|i| outlets.contains_key(observed[*i])).collect();
            let fast = Plan::new(typed.clone().into_optimized()?, &present)?;
            let plain = Some(Plan::new(typed, &present)?);
            Ok(Session { fast, plain, visible_first: self.interface.visible_first, size: [height, width] })
        })
        .map_err(|e| self.failed(height, width, &e))
    }
}

/// Sees the index of an observed value, its shape and its elements.
type Observe<'o> = dyn FnMut(usize, &[usize], &[f32]) + 'o;

/// A graph ready to run.
struct Plan {
    state: TypedSimpleState,
    /// Indices into the list of observed values, by where the graph holds them.
    at: HashMap<OutletId, Vec<usize>>,
}

impl Plan {
    /// `typed` has the fused image as output 0 and observed value `present[i]` as output `i + 1`.
    fn new(mut typed: TypedModel, present: &[usize]) -> TractResult<Self> {
        let mut at: HashMap<OutletId, Vec<usize>> = HashMap::new();
        let outputs = typed.output_outlets()?.to_vec();
        for (index, outlet) in present.iter().zip(&outputs[1..]) {
            at.entry(*outlet).or_default().push(*index);
        }
        // Outputs live until the end of a run: keep only those that the fused image is not computed from, which
        // optimisation has moved to branches of their own.
        typed.select_output_outlets(&outputs[..1])?;
        let order: HashSet<usize> = typed.eval_order()?.into_iter().collect();
        let mut keep = outputs[..1].to_vec();
        keep.extend(at.keys().filter(|o| !order.contains(&o.node)));
        typed.select_output_outlets(&keep)?;
        let plan = TypedSimplePlan::new(typed)?;
        Ok(Self { state: TypedSimpleState::new(&plan)?, at })
    }

    fn run(&mut self, inputs: TVec<TValue>, observe: &mut Observe<'_>) -> TractResult<Vec<f32>> {
        let at = &self.at;
        let out = self.state.run_plan_with_eval(inputs, |ctx, state, node, inputs| {
            let outputs = tract_core::plan::eval(ctx, state, node, inputs)?;
            for (slot, value) in outputs.iter().enumerate() {
                for index in at.get(&OutletId::new(node.id, slot)).into_iter().flatten() {
                    observe(*index, value.shape(), value.try_as_plain_ram()?.as_slice::<f32>()?);
                }
            }
            Ok::<_, TractError>(outputs)
        })?;
        floats(&out[0])
    }
}

/// The f32 network, ready to run at one frame size.
pub(crate) struct Session {
    fast: Plan,
    /// The graph without tract's optimisations, until the first run has shown that they change nothing: some of
    /// 0.23.9 do (a constant less a convolution's result).
    plain: Option<Plan>,
    visible_first: bool,
    size: [usize; 2],
}

/// Relative difference above which two runs disagree.
const TOLERANCE: f32 = 1e-3;

impl Session {
    /// Runs one pair (`[C][H][W]` planes, 0..=1) and gives the fused image, `[C][H][W]`. `observe` sees, for each
    /// observed value that the graph computes, its index, its ONNX shape and its elements.
    pub(crate) fn run(
        &mut self,
        visible: &[f32],
        infrared: &[f32],
        mut observe: impl FnMut(usize, &[usize], &[f32]),
    ) -> Result<Vec<f32>, CompileError> {
        let [h, w] = self.size;
        let run = || {
            let image = |data: &[f32]| {
                let shape = [1, data.len() / (h * w), h, w];
                Ok::<_, TractError>(Tensor::from_shape(&shape, data)?.into_tvalue())
            };
            let (v, i) = (image(visible)?, image(infrared)?);
            let inputs = if self.visible_first { tvec!(v, i) } else { tvec!(i, v) };
            if let Some(plain) = self.plain.take() {
                self.check(plain, &inputs)?;
            }
            self.fast.run(inputs, &mut observe)
        };
        guarded(run).map_err(|e| CompileError::Analysis { height: h, width: w, reason: explain(&e) })
    }

    /// Falls back to the plain graph if the optimised one computes something else.
    fn check(&mut self, mut plain: Plan, inputs: &TVec<TValue>) -> TractResult<()> {
        let bounds = |plan: &mut Plan| {
            let mut seen: HashMap<usize, [f32; 2]> = HashMap::new();
            let out = plan.run(inputs.clone(), &mut |index, _, data| {
                let b = seen.entry(index).or_insert([f32::INFINITY, f32::NEG_INFINITY]);
                for v in data {
                    *b = [b[0].min(*v), b[1].max(*v)];
                }
            })?;
            TractResult::Ok((out, seen))
        };
        let (want, all) = bounds(&mut plain)?;
        let same = |a: f32, b: f32, size: f32| (a - b).abs() <= TOLERANCE * size.max(1e-6) || a == b;
        let agree = match bounds(&mut self.fast) {
            Ok((got, seen)) => {
                want.iter().zip(&got).all(|(a, b)| same(*a, *b, 1.0))
                    && all.iter().all(|(index, [lo, hi])| {
                        let size = lo.abs().max(hi.abs());
                        seen.get(index).is_some_and(|b| same(b[0], *lo, size) && same(b[1], *hi, size))
                    })
            }
            Err(_) => false,
        };
        if !agree {
            self.fast = plain;
        }
        Ok(())
    }
}
