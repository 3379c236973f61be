//! One operator, ready to run.

use core::fmt;
use core::ops::Range;

use fusionproxy_format::{Axis, DType, NormKind, Op, Quant};
use half::f16;

use crate::geometry::{GeometryError, Shape, check_geometry, pointwise};
use crate::parameters::check_parameters;
use crate::view::{Dst, Element, Layout, Src};

/// A read-only view of any element type.
#[derive(Clone, Copy)]
pub enum AnySrc<'m> {
    /// 8-bit.
    U8(Src<'m, u8>),
    /// Half precision.
    F16(Src<'m, f16>),
    /// Single precision.
    F32(Src<'m, f32>),
}

/// A writable view of any element type.
#[derive(Clone, Copy)]
pub enum AnyDst<'m> {
    /// 8-bit.
    U8(Dst<'m, u8>),
    /// Half precision.
    F16(Dst<'m, f16>),
    /// Single precision.
    F32(Dst<'m, f32>),
}

impl<'m> AnySrc<'m> {
    /// Shape and strides.
    pub fn layout(&self) -> &Layout {
        match self {
            Self::U8(v) => v.layout(),
            Self::F16(v) => v.layout(),
            Self::F32(v) => v.layout(),
        }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::U8(_) => DType::U8,
            Self::F16(_) => DType::F16,
            Self::F32(_) => DType::F32,
        }
    }

    /// The same view, of which nothing but `rows` may be touched.
    #[must_use]
    pub fn window(self, rows: Range<usize>) -> Self {
        match self {
            Self::U8(v) => Self::U8(v.window(rows)),
            Self::F16(v) => Self::F16(v.window(rows)),
            Self::F32(v) => Self::F32(v.window(rows)),
        }
    }

    /// First and one-past-last byte address, for overlap tests.
    pub(crate) fn span(&self) -> (usize, usize) {
        let start = match self {
            Self::U8(v) => v.ptr(0, 0).addr(),
            Self::F16(v) => v.ptr(0, 0).addr(),
            Self::F32(v) => v.ptr(0, 0).addr(),
        };
        // A view's layout has a span: its constructor asked for it.
        (start, start + self.layout().span().unwrap_or(0) * self.dtype().bytes())
    }
}

impl<'m> AnyDst<'m> {
    /// Element type.
    pub fn dtype(&self) -> DType {
        self.as_src().dtype()
    }

    /// The same memory, for reading.
    pub fn as_src(&self) -> AnySrc<'m> {
        match self {
            Self::U8(v) => AnySrc::U8(v.as_src()),
            Self::F16(v) => AnySrc::F16(v.as_src()),
            Self::F32(v) => AnySrc::F32(v.as_src()),
        }
    }

    /// Shape and strides.
    pub fn layout(&self) -> &Layout {
        match self {
            Self::U8(v) => v.layout(),
            Self::F16(v) => v.layout(),
            Self::F32(v) => v.layout(),
        }
    }
}

/// An input: a view and its quantisation (which float views ignore).
#[derive(Clone, Copy)]
pub struct Operand<'m> {
    /// Elements.
    pub data: AnySrc<'m>,
    /// Quantisation of 8-bit elements.
    pub quant: Quant,
}

/// Why a [`Call`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The shapes do not fit the operator.
    Geometry(GeometryError),
    /// The operator's parameters contradict one another or are not all there.
    Parameters(&'static str),
    /// The views' element types do not fit the operator or its weights.
    ElementType,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geometry(e) => e.fmt(f),
            Self::Parameters(what) => f.write_str(what),
            Self::ElementType => f.write_str("element types do not fit the operator"),
        }
    }
}

impl core::error::Error for CallError {}

/// One operator with its inputs and its output.
///
/// Invariant, established by [`Call::new`]: shapes fit ([`check_geometry`]), element types fit the operator and its
/// weights, and weights and tables are there in full length. That numbers are finite and sums fit their accumulators
/// is proven by the artifact's reader and comes with the [`Op`].
#[derive(Clone, Copy)]
pub struct Call<'a, 'm> {
    op: Op<'a>,
    inputs: &'m [Operand<'m>],
    output: AnyDst<'m>,
    output_quant: Quant,
}

impl<'a, 'm> Call<'a, 'm> {
    /// Checks and assembles.
    ///
    /// # Errors
    /// [`CallError`] if parameters, shapes or element types do not fit.
    pub fn new(
        op: Op<'a>,
        inputs: &'m [Operand<'m>],
        output: AnyDst<'m>,
        output_quant: Quant,
    ) -> Result<Self, CallError> {
        let dtype = output.dtype();
        let channels = inputs.first().map_or(0, |i| i.data.layout().shape.channels);
        check_parameters(&op, dtype, channels).map_err(CallError::Parameters)?;
        check_geometry(&op, inputs.iter().map(|i| i.data.layout().shape), output.layout().shape)
            .map_err(CallError::Geometry)?;
        let same = inputs.iter().all(|i| i.data.dtype() == dtype);
        let weights = match &op {
            Op::Conv(c) | Op::ConvTranspose(c) => {
                dtype
                    == match c.weights {
                        fusionproxy_format::ConvWeights::Int8 { .. } => DType::U8,
                        fusionproxy_format::ConvWeights::F16 { .. } => DType::F16,
                        fusionproxy_format::ConvWeights::F32 { .. } => DType::F32,
                    }
            }
            _ => true,
        };
        if !weights || !(same || matches!(op, Op::Convert(_))) {
            return Err(CallError::ElementType);
        }
        Ok(Self { op, inputs, output, output_quant })
    }

    /// The operator.
    #[inline]
    pub fn op(&self) -> &Op<'a> {
        &self.op
    }

    /// The inputs.
    #[inline]
    pub fn inputs(&self) -> &'m [Operand<'m>] {
        self.inputs
    }

    /// The output.
    #[inline]
    pub fn output(&self) -> AnyDst<'m> {
        self.output
    }

    /// Input `i` as a view of `T`; `None` if there is no such input or it holds another type.
    #[inline]
    pub fn source<T: Element>(&self, i: usize) -> Option<Src<'m, T>> {
        T::of(&self.inputs.get(i)?.data)
    }

    /// The output as a view of `T`; `None` if it holds another type.
    #[inline]
    pub fn target<T: Element>(&self) -> Option<Dst<'m, T>> {
        T::of(&self.output.as_src()).map(Dst)
    }

    /// Quantisation of an 8-bit output.
    #[inline]
    pub fn output_quant(&self) -> Quant {
        self.output_quant
    }

    /// Into how many independent parts the work can be split. Rows of the output, but
    /// for reductions over space and instance norm, which split into single channels, and for GRN, which does not split.
    pub fn units(&self) -> usize {
        let shape = self.output.layout().shape;
        match &self.op {
            Op::Reduce(r) if r.axis == Axis::Space => shape.channels,
            Op::Norm(n) if n.kind == NormKind::Instance => shape.channels,
            Op::Norm(n) if n.kind == NormKind::Grn => 1,
            _ => shape.height,
        }
    }

    /// Channels of a global response normalisation of bytes: one unit, whose rows workers can share all the same.
    pub(crate) fn response_channels(&self) -> Option<usize> {
        let Op::Norm(n) = &self.op else { return None };
        let (source, target) = (self.source::<u8>(0)?, self.target::<u8>()?);
        (n.kind == NormKind::Grn && source.shape() == target.shape()).then(|| source.shape().channels)
    }

    /// Whether different units may run at the same time: no unit reads what another writes.
    pub(crate) fn race_free(&self) -> bool {
        let output = self.output.as_src();
        let out = output.layout();
        // A line buffer's rows alias one another.
        if out.ring < out.shape.height {
            return false;
        }
        let (start, end) = output.span();
        self.inputs.iter().all(|i| {
            let layout = i.data.layout();
            let (s, e) = i.data.span();
            if e <= start || end <= s {
                return true;
            }
            // Channel slices of one buffer: same strides, and the channels do not overlap.
            if layout.pixel == out.pixel && layout.row == out.row && layout.ring >= layout.shape.height {
                let bytes = self.output.dtype().bytes();
                let (low, low_c, high) = if s < start {
                    (s, layout.shape.channels, start)
                } else {
                    (start, out.shape.channels, s)
                };
                let apart = (high - low) / bytes;
                if i.data.dtype() == output.dtype() && apart >= low_c && apart < out.pixel {
                    let high_c = if s < start { out.shape.channels } else { layout.shape.channels };
                    return apart + high_c <= out.pixel;
                }
                // In place: each unit reads exactly the pixels that it writes.
                return s == start && layout.shape == out.shape && pointwise(&self.op);
            }
            false
        })
    }

    /// Shape of the output.
    pub fn output_shape(&self) -> Shape {
        self.output.layout().shape
    }
}
