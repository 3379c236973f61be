//! 8-bit sums, products and tables of runs: whole rows where pixels have no gaps, else pixel by pixel.

use core::ops::Range;

use fusionproxy_format::{Binary, BinaryOp, FixedPoint};

use super::isa::{Isa, look_up_pixels};
use super::requant::Requant;
use super::stage::{Parts, copy_pixels, copy_run};
use crate::{Call, Shape, Src};

/// clamp((a * qa + b * qb + offset) >> shift)
pub(crate) struct Sum {
    /// Multipliers, each of which fits 16 bits, offset and shift.
    pub(crate) fixed: FixedPoint,
    /// Bounds of the result.
    pub(crate) bounds: [u8; 2],
}

#[cfg(not(all(target_arch = "arm", helium)))]
impl Sum {
    /// One sum, in plain arithmetic.
    #[inline(always)]
    pub(crate) fn value(&self, a: u8, b: u8) -> u8 {
        let f = &self.fixed;
        let v = (f.a * i32::from(a) + f.b * i32::from(b) + f.offset) >> f.shift;
        v.min(i32::from(self.bounds[1])).max(i32::from(self.bounds[0])) as u8
    }
}

/// (qa - zero a) * (qb - zero b) * scale
pub(crate) struct Product {
    /// Zero points of the inputs.
    pub(crate) zeros: [u8; 2],
    /// Scale.
    pub(crate) scale: f32,
    /// Finishing.
    pub(crate) requant: Requant,
}

impl Product {
    /// One product, in plain arithmetic.
    #[inline(always)]
    pub(crate) fn value(&self, a: u8, b: u8) -> u8 {
        let [za, zb] = self.zeros.map(i32::from);
        self.requant.value((i32::from(a) - za) * (i32::from(b) - zb), self.scale)
    }
}

/// Whether [`binary`] takes this operation on 8-bit elements.
pub(crate) fn supports(op: &Binary<'_>) -> bool {
    matches!(op.op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul)
}

/// Scratch of [`binary`]: one pixel repeated over a row.
pub(crate) fn scratch_bytes(output: Shape) -> usize {
    Parts::size(output.width * output.channels)
}

/// How an operand is read.
enum Operand<'m> {
    /// Its own pixel for each output pixel.
    View(Src<'m, u8>),
    /// One pixel, repeated over a row without gaps in the scratch.
    Constant(*const u8),
}

impl Operand<'_> {
    /// The first pixel of row `y`, and the bytes to the next one; a constant has none.
    fn row(&self, y: usize) -> (*const u8, Option<usize>) {
        match self {
            Self::View(v) => (v.ptr(y, 0), Some(v.layout().pixel)),
            Self::Constant(row) => (*row, None),
        }
    }
}

/// Runs an operation that [`supports`] accepts; `false` if the views are not 8-bit or are broadcast otherwise than one
/// operand from a single pixel.
pub(crate) fn binary<I: Isa>(
    call: &Call<'_, '_>,
    op: &Binary<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(a), Some(b), Some(out)) = (call.source::<u8>(0), call.source::<u8>(1), call.target::<u8>())
    else {
        return false;
    };
    let shape = out.shape();
    let Shape { width, channels, .. } = shape;
    let mut memory = Some(Parts::new(scratch).take(scratch_bytes(shape)));
    let mut of = |v| operand_of(v, shape, &mut memory);
    let (Some(a), Some(b)) = (of(a), of(b)) else { return false };
    let sum = Sum { fixed: op.fixed, bounds: [op.finish.lo, op.finish.hi] };
    let product = Product {
        zeros: [call.inputs()[0].quant.zero_point, call.inputs()[1].quant.zero_point],
        scale: op.scale,
        requant: Requant::new(call.output_quant(), &op.finish),
    };
    let out_pixel = out.layout().pixel;
    for y in units {
        let ((a, a_pixel), (b, b_pixel)) = (a.row(y), b.row(y));
        let to = out.ptr(y, 0);
        let whole = [a_pixel, b_pixel].into_iter().flatten().all(|p| p == channels) && out_pixel == channels;
        let (pixels, channels) = if whole { (1, width * channels) } else { (width, channels) };
        let (a, b) = ((a, a_pixel.unwrap_or(0)), (b, b_pixel.unwrap_or(0)));
        // SAFETY: the token's existence proves the instructions; each run has as many bytes, a constant one in the scratch; the
        // output may be an input's own elements.
        unsafe {
            if op.op == BinaryOp::Mul {
                for x in 0..pixels {
                    I::product(a.0.add(x * a.1), b.0.add(x * b.1), to.add(x * out_pixel), channels, &product);
                }
            } else {
                I::sum_pixels(a, b, (to, out_pixel), (pixels, channels), &sum);
            }
        }
        if let Some(table) = op.finish.table {
            // SAFETY: the row that was just written.
            unsafe { look_up_pixels::<I>(to, out_pixel, width, shape.channels, table) };
        }
    }
    true
}

/// `view` as an operand of an output of `shape`; a single pixel is written out in `memory`, which only one operand can have.
fn operand_of<'m>(view: Src<'m, u8>, shape: Shape, memory: &mut Option<&mut [u8]>) -> Option<Operand<'m>> {
    let Shape { height, width, channels } = view.shape();
    if view.shape() == shape {
        return Some(Operand::View(view));
    }
    if (height, width, channels) != (1, 1, shape.channels) {
        return None;
    }
    let row = memory.take()?.get_mut(..shape.width * channels)?;
    for (c, v) in row.iter_mut().enumerate().take(channels) {
        *v = view.get(0, 0, c);
    }
    // What is there is copied behind itself, twice as much each time.
    let mut filled = channels;
    while filled < row.len() {
        let (from, to) = row.split_at_mut(filled);
        let n = from.len().min(to.len());
        // SAFETY: as many bytes of both parts, which are apart.
        unsafe { copy_run(from.as_ptr(), to.as_mut_ptr(), n) };
        filled += n;
    }
    Some(Operand::Constant(row.as_ptr()))
}

/// Runs a table; `false` if the views are not 8-bit.
pub(crate) fn table<I: Isa>(call: &Call<'_, '_>, table: &[u8; 256], units: Range<usize>) -> bool {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return false };
    let Shape { width, channels, .. } = out.shape();
    let (from_pixel, to_pixel) = (source.layout().pixel, out.layout().pixel);
    for y in units {
        let (from, to) = (source.ptr(y, 0), out.ptr(y, 0));
        // SAFETY: the channels of a row's pixels; the output is apart from the input or is its own elements.
        unsafe {
            if from != to.cast_const() {
                copy_pixels((from, from_pixel), (to, to_pixel), width, channels);
            }
            look_up_pixels::<I>(to, to_pixel, width, channels, table);
        }
    }
    true
}
