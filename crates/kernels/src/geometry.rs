//! Which shapes fit an operator.

use core::fmt;

use fusionproxy_format::{Axis, NormKind, Op, PadMode, Window};

/// Height, width and channels of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl Shape {
    /// A shape.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels }
    }

    /// Number of elements, saturating.
    pub const fn elements(&self) -> usize {
        self.height.saturating_mul(self.width).saturating_mul(self.channels)
    }
}

/// How the shapes of an operator's inputs and output contradict it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeometryError(pub(crate) &'static str);

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for GeometryError {}

/// Most 8-bit elements that are summed: 255 times as many fit 31 bits.
const TERMS: usize = 1 << 23;

/// Checks that `inputs` and `output` fit `op`.
///
/// # Errors
/// [`GeometryError`] says which relation is broken.
pub fn check_geometry(
    op: &Op<'_>,
    inputs: impl IntoIterator<Item = Shape>,
    output: Shape,
) -> Result<(), GeometryError> {
    let mut inputs = inputs.into_iter();
    let require = |ok: bool, what: &'static str| if ok { Ok(()) } else { Err(GeometryError(what)) };
    // No product of dimensions overflows then, nor a sum of a dimension and a window.
    let sized = |s: Shape| {
        let fits = (1..=isize::MAX.unsigned_abs()).contains(&s.elements());
        require(fits, "a tensor is empty or too large").map(|()| s)
    };
    let mut next = || sized(inputs.next().ok_or(GeometryError("an input is missing"))?);
    let (x, output) = (next()?, sized(output)?);
    let same_size = x.height == output.height && x.width == output.width;
    let same_channels = x.channels == output.channels;
    // Whether `n` times `block` makes `product`.
    let times = |n: usize, block: usize, product: usize| n.checked_mul(block) == Some(product);
    let slides = |w: &Window| {
        w.output(x.height, 0) == Some(output.height) && w.output(x.width, 1) == Some(output.width)
    };
    match op {
        Op::Conv(c) => {
            let g = &c.geometry;
            require(
                g.input_channels == x.channels && g.output_channels == output.channels,
                "channels differ from the weights'",
            )?;
            require(slides(&g.window), "output size does not follow from the window")
        }
        Op::ConvTranspose(c) => {
            let g = &c.geometry;
            require(
                g.input_channels == x.channels && g.output_channels == output.channels,
                "channels differ from the weights'",
            )?;
            // The forward window over the output must reach the input's size.
            require(
                g.window.output(output.height, 0) == Some(x.height)
                    && g.window.output(output.width, 1) == Some(x.width),
                "output size does not follow from the window",
            )
        }
        Op::Binary(_) => {
            for s in [x, next()?] {
                require(
                    (s.height == 1 || s.height == output.height)
                        && (s.width == 1 || s.width == output.width)
                        && (s.channels == 1 || s.channels == output.channels),
                    "an input's dimension is neither 1 nor the output's",
                )?;
            }
            Ok(())
        }
        Op::Activation { .. } | Op::PRelu { .. } | Op::Convert(_) => {
            require(same_size && same_channels, "input and output differ in shape")
        }
        Op::Norm(n) => {
            require(same_size && same_channels, "input and output differ in shape")?;
            let count = if n.kind == NormKind::Layer { x.channels } else { x.height * x.width };
            require(count <= TERMS, "a normalisation over more than 2^23 elements")
        }
        Op::Softmax(s) => {
            require(same_size && same_channels, "input and output differ in shape")?;
            // Sums of 16-bit table entries, doubled, must fit 32 bits.
            let count = if s.axis == Axis::Channel { x.channels } else { x.width };
            require(count <= 1 << 15, "a softmax over more than 2^15 elements")
        }
        Op::Pool(p) => {
            require(same_channels, "input and output differ in channels")?;
            require(slides(&p.window), "output size does not follow from the window")?;
            // Every window must hold at least one element of the image.
            for (axis, (i, o)) in [(x.height, output.height), (x.width, output.width)].into_iter().enumerate()
            {
                let last = (o - 1) * usize::from(p.window.stride[axis]);
                require(
                    last < i + usize::from(p.window.pad[axis]),
                    "a pooling window lies outside the image",
                )?;
            }
            Ok(())
        }
        Op::Reduce(r) => match r.axis {
            Axis::Space => {
                require(
                    output.height == 1 && output.width == 1 && same_channels,
                    "output must be [1, 1, channels]",
                )?;
                require(x.height * x.width <= TERMS, "a reduction over more than 2^23 pixels")
            }
            Axis::Channel | Axis::Width => {
                require(same_size && output.channels == 1, "output must be [height, width, 1]")?;
                require(x.channels <= TERMS, "a reduction over more than 2^23 channels")
            }
        },
        Op::Resize(_) => {
            require(same_channels, "input and output differ in channels")?;
            require(
                [x.height, x.width, output.height, output.width].iter().all(|d| *d <= 1 << 15),
                "resize takes at most 32768 px",
            )
        }
        Op::Concat => {
            let mut channels = x.channels;
            require(same_size, "inputs and output differ in size")?;
            for s in inputs {
                require(
                    s.height == output.height && s.width == output.width,
                    "inputs and output differ in size",
                )?;
                channels = channels.saturating_add(s.channels);
            }
            require(channels == output.channels, "channels do not add up")
        }
        Op::Slice(s) => {
            let inside =
                |start: usize, n: usize, all: usize| start.checked_add(n).is_some_and(|end| end <= all);
            require(
                inside(s.start[0], output.height, x.height)
                    && inside(s.start[1], output.width, x.width)
                    && inside(s.start[2], output.channels, x.channels),
                "slice ends outside the input",
            )
        }
        Op::Pad(p) => {
            require(same_channels, "input and output differ in channels")?;
            for (axis, (i, o)) in [(x.height, output.height), (x.width, output.width)].into_iter().enumerate()
            {
                let before = p.before[axis];
                let after = o
                    .checked_sub(i)
                    .and_then(|rest| rest.checked_sub(before))
                    .ok_or(GeometryError("output is smaller than the padded input"))?;
                if p.mode == PadMode::Reflect {
                    require(before < i && after < i, "reflect padding must be smaller than the input")?;
                }
            }
            Ok(())
        }
        Op::PixelShuffle { block, .. } => {
            let squared = block.checked_mul(*block);
            require(
                times(x.height, *block, output.height)
                    && times(x.width, *block, output.width)
                    && squared.is_some_and(|n| times(output.channels, n, x.channels)),
                "output must be block times larger",
            )
        }
        Op::Matmul(m) => {
            let b = next()?;
            let (rows, keys) = (x.height * x.width, b.height * b.width);
            if m.transpose_b {
                require(
                    output.height == rows
                        && output.width == keys
                        && output.channels == m.heads
                        && x.channels == b.channels,
                    "output must be [queries, keys, heads]",
                )?;
                require(x.channels.is_multiple_of(m.heads), "heads must divide channels")?;
                require(x.channels <= 1 << 14, "a product over more than 2^14 terms")
            } else {
                require(
                    x.width == keys
                        && x.channels == m.heads
                        && output.height * output.width == x.height
                        && output.channels == b.channels,
                    "inputs must be [queries, keys, heads] and keys x channels",
                )?;
                require(b.channels.is_multiple_of(m.heads), "heads must divide channels")?;
                require(keys <= 1 << 14, "a product over more than 2^14 terms")
            }
        }
        Op::Transpose(t) => {
            let dims = [x.height, x.width, x.channels];
            let moved = t.order.map(|d| dims.get(usize::from(d)).copied().unwrap_or(0));
            require(
                moved == [output.height, output.width, output.channels],
                "output is not the permuted input",
            )
        }
        Op::Reshape => require(x.elements() == output.elements(), "input and output differ in elements"),
        Op::Blend(b) => {
            let (ir, logits) = (next()?, next()?);
            require(same_size && same_channels, "visible and output differ in shape")?;
            require(
                ir.height == x.height && ir.width == x.width && ir.channels == 1,
                "infrared must be [height, width, 1]",
            )?;
            let planes = if b.gain == 0.0 { 1 } else { 2 };
            let squared = b.block.checked_mul(b.block);
            require(
                times(logits.height, b.block, x.height)
                    && times(logits.width, b.block, x.width)
                    && squared.is_some_and(|n| times(planes, n, logits.channels)),
                "logits must be [height / block, width / block, planes * block^2]",
            )
        }
    }
}

/// Whether each output pixel depends on the same pixel of same-shaped inputs alone, so that the output may be written
/// over such an input.
pub fn pointwise(op: &Op<'_>) -> bool {
    match op {
        Op::Binary(_) | Op::Activation { .. } | Op::PRelu { .. } | Op::Softmax(_) => true,
        Op::Norm(n) => n.kind == NormKind::Layer,
        _ => false,
    }
}

/// Multiply-accumulates of `op`: convolutions and matrix products; every other operator counts as none.
pub fn macs(op: &Op<'_>, input: Shape, output: Shape) -> u64 {
    let n = |v: usize| v as u64;
    match op {
        Op::Conv(c) => {
            let [kh, kw] = c.geometry.window.kernel;
            n(output.elements())
                * u64::from(kh)
                * u64::from(kw)
                * n(c.geometry.input_channels / c.geometry.groups)
        }
        Op::ConvTranspose(c) => {
            let [kh, kw] = c.geometry.window.kernel;
            n(input.elements())
                * u64::from(kh)
                * u64::from(kw)
                * n(c.geometry.output_channels / c.geometry.groups)
        }
        Op::Matmul(m) if m.transpose_b => n(output.height) * n(output.width) * n(input.channels),
        Op::Matmul(_) => n(input.height) * n(input.width) * n(output.channels),
        _ => 0,
    }
}
