//! What a run shows of itself.

use core::ops::Range;

use fusionproxy_format::{DType, OpEntry, Quant};
use fusionproxy_kernels::{AnySrc, Element, Operand, Shape, Src};

use super::RunError;
use super::memory::{self, Memory};
use crate::plan::{Plan, Step};

/// When an observer is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The operator is about to run; its output holds anything.
    Before,
    /// The operator has run.
    After,
}

/// One operator at one moment of a run.
#[derive(Clone)]
pub struct Observation<'o> {
    /// Number of the operator.
    pub op: usize,
    /// The operator.
    pub entry: &'o OpEntry<'o>,
    /// Whether it takes no work, its output lying in its place already.
    pub elided: bool,
    /// Before or after.
    pub moment: Moment,
    /// Rows of the output that it computes now: all of them unless it runs in a chain.
    pub rows: Range<usize>,
    /// Its output. In a chain it holds those rows and a few before them; anything may stand in the others.
    pub output: TensorReader<'o>,
}

/// A tensor, to be read as real values.
#[derive(Clone, Copy)]
pub struct TensorReader<'o>(Operand<'o>);

impl<'o> TensorReader<'o> {
    /// Height, width, channels.
    pub fn shape(&self) -> Shape {
        self.0.data.layout().shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.0.data.dtype()
    }

    /// The view itself with its quantisation.
    pub fn operand(&self) -> Operand<'o> {
        self.0
    }

    /// Reads all elements as real values (dequantised where 8-bit) in NHWC order.
    ///
    /// # Errors
    /// [`RunError::Length`] if `out` does not have [`Shape::elements`].
    pub fn read_f32(&self, out: &mut [f32]) -> Result<(), RunError> {
        let shape = self.shape();
        let (found, needed) = (out.len(), shape.elements());
        if found != needed {
            return Err(RunError::Length { found, needed });
        }
        read(&self.0, (shape.height, shape.width), out);
        Ok(())
    }
}

/// Calls an observer.
pub(super) fn tell<'m>(
    plan: &Plan<'m, '_>,
    step: &Step<'m>,
    memory: impl Memory<'m>,
    rows: &Range<usize>,
    moment: Moment,
    observe: &mut dyn FnMut(Observation<'_>),
) {
    let Some(entry) = step.entry() else { return };
    if let Some(output) = step.target().and_then(|id| memory::tensor(plan, id, memory)) {
        let (elided, rows) = (step.is_elided(), rows.clone());
        observe(Observation { op: step.op(), entry, elided, moment, rows, output: TensorReader(output) });
    }
}

/// Reads the top left `height` x `width` pixels as real values, without gaps.
pub(super) fn read(tensor: &Operand<'_>, size: (usize, usize), out: &mut [f32]) {
    let Quant { scale, zero_point } = tensor.quant;
    match &tensor.data {
        AnySrc::U8(v) => read_as(v, size, out, |q| (f32::from(q) - f32::from(zero_point)) * scale),
        AnySrc::F16(v) => read_as(v, size, out, half::f16::to_f32),
        AnySrc::F32(v) => read_as(v, size, out, |x| x),
    }
}

fn read_as<T: Element>(
    v: &Src<'_, T>,
    (height, width): (usize, usize),
    out: &mut [f32],
    f: impl Fn(T) -> f32,
) {
    let shape = v.shape();
    let (height, width) = (height.min(shape.height), width.min(shape.width));
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    for (out, (y, x)) in out.chunks_exact_mut(shape.channels).zip(pixels) {
        for (o, v) in out.iter_mut().zip(v.pixel(y, x).iter()) {
            *o = f(v);
        }
    }
}
