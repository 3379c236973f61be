//! Which rows of an input an operator reads for given rows of its output.

use core::ops::Range;

use fusionproxy_format::{Axis, NormKind, Op, ResizeMode, Window};

use crate::Shape;

/// Row `y` of an output reads the rows `y * mul / div - before ..= y * mul / div + after` of an input, quotients rounded
/// down, as far as there are such rows. An upper bound: a row in between may go unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Input rows per `div` output rows.
    pub mul: usize,
    /// Output rows per `mul` input rows, at least 1.
    pub div: usize,
    /// Rows further up; negative where the first row read lies below.
    pub before: isize,
    /// Rows further down; negative where the last row read lies above.
    pub after: isize,
}

impl Reach {
    const SAME: Self = Self { mul: 1, div: 1, before: 0, after: 0 };

    const fn scaled(mul: usize, div: usize, before: isize, after: isize) -> Self {
        Self { mul, div, before, after }
    }

    /// A window that slides over the input.
    fn window(w: &Window) -> Self {
        let pad = isize::from(w.pad[0]);
        Self::scaled(usize::from(w.stride[0]), 1, pad, last_tap(w) - pad)
    }

    /// A window that slides over the output.
    fn transposed(w: &Window) -> Self {
        let (pad, stride) = (isize::from(w.pad[0]), isize::from(w.stride[0]));
        // Tap k of input row i goes to row i * stride + k * dilation - pad.
        let before = -(pad - last_tap(w)).div_euclid(stride);
        Self::scaled(1, usize::from(w.stride[0]), before, (pad + stride - 1).div_euclid(stride))
    }

    /// Position of output row `y` in the input.
    fn at(&self, y: isize) -> isize {
        (y * self.mul as isize).div_euclid(self.div as isize)
    }

    /// The first row that row `y` reads; negative above the image.
    pub fn first(&self, y: isize) -> isize {
        self.at(y) - self.before
    }

    /// One past the last row that the rows before `end` read.
    pub fn end(&self, end: isize) -> isize {
        self.at(end - 1) + self.after + 1
    }

    /// The rows of an input of `height` that output rows `rows` read.
    pub fn rows(&self, rows: &Range<usize>, height: usize) -> Range<usize> {
        let inside = |y: isize| usize::try_from(y).unwrap_or(0).min(height);
        inside(self.first(rows.start as isize))..inside(self.end(rows.end as isize))
    }
}

/// Distance from the first tap of a window to the last, rows.
fn last_tap(w: &Window) -> isize {
    (isize::from(w.kernel[0]) - 1) * isize::from(w.dilation[0])
}

/// Whether the rows of the output can be computed one by one: the units of a [`crate::Call`] are rows.
pub fn by_rows(op: &Op<'_>) -> bool {
    match op {
        Op::Reduce(r) => r.axis != Axis::Space,
        Op::Norm(n) => n.kind == NormKind::Layer,
        _ => true,
    }
}

/// What rows of input number `index` the operator reads; `None` if each row of the output may take any of them, or the
/// relation is not that of [`Reach`].
pub fn reads(op: &Op<'_>, index: usize, input: Shape, output: Shape) -> Option<Reach> {
    match op {
        Op::Conv(c) => Some(Reach::window(&c.geometry.window)),
        Op::ConvTranspose(c) => Some(Reach::transposed(&c.geometry.window)),
        Op::Pool(p) => Some(Reach::window(&p.window)),
        // A broadcast row is needed as a whole before the first.
        Op::Binary(_) => (input.height == output.height).then_some(Reach::SAME),
        Op::Activation { .. } | Op::PRelu { .. } | Op::Softmax(_) | Op::Concat | Op::Convert(_) => {
            Some(Reach::SAME)
        }
        Op::Norm(n) => (n.kind == NormKind::Layer).then_some(Reach::SAME),
        Op::Reduce(r) => (r.axis != Axis::Space).then_some(Reach::SAME),
        Op::Slice(s) => (s.start[0] == 0 && input.height == output.height).then_some(Reach::SAME),
        Op::PixelShuffle { block, .. } => Some(Reach::scaled(1, *block, 0, 0)),
        Op::Blend(b) => Some(if index == 2 { Reach::scaled(1, b.block, 0, 0) } else { Reach::SAME }),
        Op::Resize(r) => resize(r.mode, input.height, output.height),
        Op::Matmul(m) => match (index, m.transpose_b) {
            // Row q of the scores is pixel q of the queries; row y of the result takes one row of scores a pixel.
            (0, true) => Some(Reach::scaled(1, input.width, 0, 0)),
            (0, false) => Some(Reach::scaled(output.width, 1, 0, output.width as isize - 1)),
            _ => None,
        },
        Op::Pad(_) | Op::Transpose(_) | Op::Reshape => None,
    }
}

fn resize(mode: ResizeMode, input: usize, output: usize) -> Option<Reach> {
    if output.is_multiple_of(input) {
        let factor = output / input;
        let (before, after) = match mode {
            ResizeMode::NearestFloor | ResizeMode::NearestHalfPixel => (0, 0),
            ResizeMode::BilinearHalfPixel => (1, 1),
            ResizeMode::BilinearAsymmetric => (0, 1),
            ResizeMode::BilinearAlignCorners if factor == 1 => (0, 1),
            ResizeMode::BilinearAlignCorners => return None,
        };
        return Some(Reach::scaled(1, factor, before, after));
    }
    let factor = input / output;
    let whole = input.is_multiple_of(output) && mode != ResizeMode::BilinearAlignCorners;
    // The centre of a block of `factor` rows and its neighbour lie within the block.
    whole.then(|| Reach::scaled(factor, 1, 0, factor as isize - 1))
}
