//! One operator, ready to run.

use core::fmt;
use core::ops::Range;

use fusionproxy_format::{Axis, DType, NormKind, Op, Quant};
use half::f16;

use crate::geometry::{GeometryError, Shape, check_geometry, pointwise};
use crate::parameters::check_parameters;
use crate::reach::by_rows;
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

    /// See [`Src::expect_rows`].
    fn expect_rows(&self, rows: &Range<usize>) {
        match self {
            Self::U8(v) => v.expect_rows(rows),
            Self::F16(v) => v.expect_rows(rows),
            Self::F32(v) => v.expect_rows(rows),
        }
    }

    /// First and one-past-last byte address, for overlap tests.
    fn span(&self) -> (usize, usize) {
        let start = match self {
            Self::U8(v) => v.start(),
            Self::F16(v) => v.start(),
            Self::F32(v) => v.start(),
        };
        // A view's layout has a span: its constructor asked for it.
        (start, start + self.layout().span().unwrap_or(0) * self.dtype().bytes())
    }

    /// Whether the views certainly have no byte in common.
    fn apart(&self, other: &Self) -> bool {
        let ((a, a_end), (b, b_end)) = (self.span(), other.span());
        if a_end <= b || b_end <= a {
            return true;
        }
        let (low, high) = if a < b { (self, other) } else { (other, self) };
        let (l, h) = (low.layout(), high.layout());
        // Channel slices of one buffer: where rows are whole pixels, every element lies at its channel from a multiple of the
        // pixel on, whatever its row and column.
        let pixels = self.dtype() == other.dtype()
            && l.pixel == h.pixel
            && l.row.is_multiple_of(l.pixel)
            && h.row.is_multiple_of(l.pixel);
        let between = a.abs_diff(b) / self.dtype().bytes() % l.pixel;
        pixels && l.shape.channels <= between && h.shape.channels <= l.pixel - between
    }

    /// Whether the views are the same elements in the same order.
    fn same(&self, other: &Self) -> bool {
        self.span() == other.span() && self.layout() == other.layout() && self.dtype() == other.dtype()
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
    /// The output overlaps an input, and is not the same elements as the input of an operator that allows that
    /// ([`pointwise`]).
    Overlap,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geometry(e) => e.fmt(f),
            Self::Parameters(what) => f.write_str(what),
            Self::ElementType => f.write_str("element types do not fit the operator"),
            Self::Overlap => f.write_str("output and input overlap"),
        }
    }
}

impl core::error::Error for CallError {}

/// One operator with its inputs and its output.
///
/// Invariant, established by [`Call::new`]: shapes fit ([`check_geometry`]), element types fit the operator and its
/// weights, weights and tables are there in full length, and the output is apart from each input or, where the operator is
/// [`pointwise`], the same elements. That numbers are finite and sums fit their accumulators is proven by the artifact's
/// reader and comes with the [`Op`].
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
    /// [`CallError`] if parameters, shapes or element types do not fit, or views overlap that may not.
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
        let written = output.as_src();
        let allowed = |i: &Operand<'_>| i.data.apart(&written) || pointwise(&op) && i.data.same(&written);
        if !inputs.iter().all(allowed) {
            return Err(CallError::Overlap);
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

    /// What kernels rely on that work through raw pointers, checked once for all units that a backend is asked for: that they
    /// are the call's, that the output admits their rows, and that the scratch is aligned. Its size is checked where it is
    /// handed out, and each row of an input where its address is asked for.
    pub(crate) fn expect_units(&self, units: &Range<usize>, scratch: &[u8]) {
        assert!(units.start < units.end && units.end <= self.units(), "no units of the call");
        assert!(scratch.is_empty() || scratch.as_ptr().addr().is_multiple_of(64), "scratch is not aligned");
        if by_rows(&self.op) {
            self.output.as_src().expect_rows(units);
        }
    }

    /// The same of sums that workers share: there is one for each channel of a global response normalisation of bytes.
    pub(crate) fn expect_sums(&self, sums: &[u64]) {
        assert!(self.response_channels() == Some(sums.len()), "no sums of the call");
    }

    /// Channels of a global response normalisation of bytes: one unit, whose rows workers can share all the same.
    pub(crate) fn response_channels(&self) -> Option<usize> {
        let Op::Norm(n) = &self.op else { return None };
        let (source, target) = (self.source::<u8>(0)?, self.target::<u8>()?);
        (n.kind == NormKind::Grn && source.shape() == target.shape()).then(|| source.shape().channels)
    }

    /// Whether different units may run at the same time: no unit reads what another writes, because an input is apart from the
    /// output or each unit reads just the elements of it that it writes. But a line buffer's rows alias one another.
    pub(crate) fn race_free(&self) -> bool {
        let out = self.output.as_src();
        out.layout().ring >= out.layout().shape.height
    }

    /// Shape of the output.
    pub fn output_shape(&self) -> Shape {
        self.output.layout().shape
    }
}
