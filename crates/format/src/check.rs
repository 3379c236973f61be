//! Everything that [`Artifact::new`] proves about operators, and the decoding of their parameters.
//!
//! After these checks the planner and the executor rely on: arity, element types, channel counts, the sizes of weights
//! and tables, finite factors, and definition before use. Heights and widths depend on the frame and are theirs.

use zerocopy::{FromBytes, Immutable, KnownLayout, little_endian as le};

use crate::op::Finish;
use crate::{
    Activation, Artifact, Axis, Binary, BinaryOp, Blend, CHANNEL_BLOCK, Conv, ConvGeometry, ConvWeights,
    Convert, DType, FixedPoint, LoadError, Matmul, Norm, NormKind, Op, OpKind, OpRecord, Pad, PadMode, Pool,
    PoolKind, Precision, Reduce, ReduceKind, Resize, ResizeMode, Slice, Softmax, Tensor, TensorId, Transpose,
    Window, packed_weights_len,
};

type Field = &'static str;

/// Parameter word that holds the data offset of the 256-entry table, or [`NONE`].
pub(crate) const WORD_TABLE: usize = 9;
/// Parameter word with the quantised clamp: lo | hi << 8.
pub(crate) const WORD_CLAMP: usize = 10;
/// First activation parameter (f32).
pub(crate) const WORD_ALPHA: usize = 11;
/// Second activation parameter (f32).
pub(crate) const WORD_BETA: usize = 12;
/// "No data" in an offset word.
pub(crate) const NONE: u32 = u32::MAX;

/// Checks header fields, every tensor, every operator, and the order of definition and use.
pub(crate) fn artifact(a: &Artifact<'_>) -> Result<(), LoadError> {
    let h = a.header();
    if Precision::from_u8(h.precision).is_none() {
        return Err(LoadError::Header("precision is unknown"));
    }
    if h.stride.get() == 0 {
        return Err(LoadError::Header("stride must be at least 1"));
    }
    if (h.fixed_height.get() == 0) != (h.fixed_width.get() == 0) {
        return Err(LoadError::Header("fixed_height and fixed_width must both be set or both be 0"));
    }
    if let Some((fh, fw)) = a.fixed_size()
        && (fh % a.stride() != 0 || fw % a.stride() != 0 || fh > 1 << 16 || fw > 1 << 16)
    {
        return Err(LoadError::Header(
            "fixed_height and fixed_width must be multiples of stride up to 65536",
        ));
    }
    if a.tensor_count() == 0 || a.tensor_count() > usize::from(u16::MAX) {
        return Err(LoadError::Header("tensor_count must be 1..=65535"));
    }
    if a.op_count() == 0 || a.op_count() > usize::from(u16::MAX) {
        return Err(LoadError::Header("op_count must be 1..=65535"));
    }
    for id in 0..a.tensor_count() {
        a.tensor(id as TensorId)?;
    }
    let (visible, infrared) = (a.visible(), a.infrared());
    if visible == infrared {
        return Err(LoadError::Header("visible and infrared must be two tensors"));
    }
    for (id, channels, field) in [
        (visible, &[1usize, 3][..], "visible must be an arena tensor of 1 or 3 channels"),
        (infrared, &[1], "infrared must be an arena tensor of 1 channel"),
        (a.fused(), &[1, 3], "fused must be an arena tensor of 1 or 3 channels"),
    ] {
        match a.tensor(id) {
            Ok(t) if t.data.is_none() && channels.contains(&t.channels) => {}
            _ => return Err(LoadError::Header(field)),
        }
    }
    definition_before_use(a)
}

/// Every tensor is written at most once, before it is read; nothing writes an input or a constant.
///
/// Without an allocator there is no set of seen tensors, so each use looks for its definition: quadratic in the number
/// of operators, which is a few hundred. A bound on the product keeps hostile tables from costing time.
fn definition_before_use(a: &Artifact<'_>) -> Result<(), LoadError> {
    if (a.op_count() as u64) * (u64::from(a.header().edge_count.get()) + a.op_count() as u64) > 1 << 26 {
        return Err(LoadError::Header("op_count * edge_count is too large"));
    }
    let mut fused_written = false;
    for i in 0..a.op_count() {
        let entry = a.op(i)?;
        let err = |field| LoadError::Op { index: i, field };
        let target = a.tensor(entry.output).map_err(|_| err("output is no tensor"))?;
        if target.data.is_some() || entry.output == a.visible() || entry.output == a.infrared() {
            return Err(err("output must not be a constant or a network input"));
        }
        fused_written |= entry.output == a.fused();
        for earlier in 0..i {
            if a.output_of(earlier) == Some(entry.output) {
                return Err(err("output is already written by an earlier operator"));
            }
        }
        for id in entry.inputs.iter().map(|id| id.get()) {
            let t = a.tensor(id).map_err(|_| err("an input is no tensor"))?;
            if t.data.is_some() || id == a.visible() || id == a.infrared() {
                continue;
            }
            let mut defined = false;
            for earlier in 0..i {
                defined |= a.output_of(earlier) == Some(id);
            }
            if !defined {
                return Err(err("an input is read before it is written"));
            }
        }
    }
    if fused_written { Ok(()) } else { Err(LoadError::Header("fused is written by no operator")) }
}

/// Parameter words of one operator with its tensors.
struct Reader<'r, 'a> {
    artifact: &'r Artifact<'a>,
    record: &'a OpRecord,
    input: Tensor<'a>,
    output: Tensor<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn word(&self, i: usize) -> u32 {
        self.record.params[i].get()
    }

    fn bytes(&self, i: usize) -> [u8; 4] {
        self.word(i).to_le_bytes()
    }

    fn finite(&self, i: usize, field: Field) -> Result<f32, Field> {
        let v = f32::from_bits(self.word(i));
        if v.is_finite() { Ok(v) } else { Err(field) }
    }

    /// `len` elements at the data offset in word `i`.
    fn slice<T: FromBytes + Immutable + KnownLayout>(
        &self,
        i: usize,
        len: usize,
        field: Field,
    ) -> Result<&'a [T], Field> {
        let bytes = len.checked_mul(size_of::<T>()).ok_or(field)?;
        let block = self.artifact.block(self.record.params[i], bytes).ok_or(field)?;
        <[T]>::ref_from_bytes(block).map_err(|_| field)
    }

    /// As [`Self::slice`], every element finite.
    fn floats(&self, i: usize, len: usize, field: Field) -> Result<&'a [f32], Field> {
        let v = self.slice::<f32>(i, len, field)?;
        if v.iter().all(|x| x.is_finite()) { Ok(v) } else { Err(field) }
    }

    fn table<T: FromBytes + Immutable + KnownLayout>(
        &self,
        i: usize,
        field: Field,
    ) -> Result<Option<&'a [T; 256]>, Field> {
        if self.word(i) == NONE {
            return Ok(None);
        }
        let s: &'a [T] = self.slice(i, 256, field)?;
        s.try_into().map(Some).map_err(|_| field)
    }

    fn activation(&self) -> Result<Activation, Field> {
        let (a, b) = (f32::from_bits(self.word(WORD_ALPHA)), f32::from_bits(self.word(WORD_BETA)));
        if a.is_nan() || b.is_nan() {
            return Err("activation parameters must be numbers");
        }
        let act = Activation::decode(self.record.activation, a, b).ok_or("activation is unknown")?;
        match act {
            Activation::Clamp { lo, hi } if lo > hi => Err("activation clamp is empty"),
            _ => Ok(act),
        }
    }

    fn finish(&self) -> Result<Finish<'a>, Field> {
        let [lo, hi, ..] = self.bytes(WORD_CLAMP);
        if self.output.dtype == DType::U8 && lo > hi {
            return Err("quantised clamp is empty");
        }
        Ok(Finish { lo, hi, table: self.table(WORD_TABLE, "table lies outside the data section")? })
    }

    fn window(&self) -> Result<Window, Field> {
        let [kh, kw, sh, sw] = self.bytes(0);
        let [dh, dw, _, _] = self.bytes(1);
        let pad = self.bytes(2);
        if kh == 0 || kw == 0 || sh == 0 || sw == 0 || dh == 0 || dw == 0 {
            return Err("kernel, stride and dilation must be at least 1");
        }
        Ok(Window { kernel: [kh, kw], stride: [sh, sw], dilation: [dh, dw], pad })
    }

    /// Input and output share element type and, where 8-bit, quantisation.
    fn same_type(&self) -> Result<(), Field> {
        let (i, o) = (&self.input, &self.output);
        if i.dtype != o.dtype {
            return Err("input and output must have the same dtype");
        }
        if i.dtype == DType::U8 && i.quant != o.quant {
            return Err("input and output must share scale and zero point");
        }
        Ok(())
    }

    fn same_dtype(&self) -> Result<(), Field> {
        if self.input.dtype == self.output.dtype {
            Ok(())
        } else {
            Err("input and output must have the same dtype")
        }
    }

    fn same_channels(&self) -> Result<(), Field> {
        if self.input.channels == self.output.channels {
            Ok(())
        } else {
            Err("input and output must have the same channels")
        }
    }
}

fn arity(inputs: &[le::U16], n: usize) -> Result<(), Field> {
    if inputs.len() == n { Ok(()) } else { Err("wrong number of inputs") }
}

/// Decodes and checks one operator; errors name the field.
pub(crate) fn decode<'a>(
    a: &Artifact<'a>,
    record: &'a OpRecord,
    inputs: &'a [le::U16],
    output: TensorId,
) -> Result<Op<'a>, Field> {
    let kind = OpKind::from_u8(record.kind).ok_or("kind is unknown")?;
    let first = inputs.first().ok_or("an operator needs an input")?;
    let input = a.tensor(first.get()).map_err(|_| "input 0 is no tensor")?;
    let output = a.tensor(output).map_err(|_| "output is no tensor")?;
    let r = Reader { artifact: a, record, input, output };
    match kind {
        OpKind::Concat => {}
        OpKind::Binary | OpKind::Matmul => arity(inputs, 2)?,
        OpKind::Blend => arity(inputs, 3)?,
        _ => arity(inputs, 1)?,
    }
    let other = |i: usize| {
        let id = inputs.get(i).ok_or("wrong number of inputs")?;
        a.tensor(id.get()).map_err(|_| "an input is no tensor")
    };
    Ok(match kind {
        OpKind::Conv => Op::Conv(conv(&r)?),
        OpKind::ConvTranspose => Op::ConvTranspose(conv(&r)?),
        OpKind::Binary => Op::Binary(binary(&r, &other(1)?)?),
        OpKind::Activation => {
            r.same_dtype()?;
            r.same_channels()?;
            let table = r.table(WORD_TABLE, "table lies outside the data section")?;
            if r.input.dtype == DType::U8 && table.is_none() {
                return Err("an 8-bit activation needs a table");
            }
            Op::Activation { function: r.activation()?, table }
        }
        OpKind::PRelu => {
            r.same_dtype()?;
            r.same_channels()?;
            let c = r.input.channels;
            if r.input.dtype == DType::U8 {
                Op::PRelu { slope: &[], tables: r.slice(1, c * 256, "tables lie outside the data section")? }
            } else {
                Op::PRelu {
                    slope: r.floats(0, c, "slopes must be finite and inside the data section")?,
                    tables: &[],
                }
            }
        }
        OpKind::Pool => {
            r.same_type()?;
            r.same_channels()?;
            let window = r.window()?;
            let kind = PoolKind::from_u8(r.bytes(3)[0]).ok_or("pool kind is unknown")?;
            if kind == PoolKind::Average && window.dilation != [1, 1] {
                return Err("average pooling takes no dilation");
            }
            for axis in 0..2 {
                let reach = (u32::from(window.kernel[axis]) - 1) * u32::from(window.dilation[axis]) + 1;
                if u32::from(window.pad[axis]) >= reach || u32::from(window.pad[axis + 2]) >= reach {
                    return Err("pooling padding must be smaller than the kernel");
                }
            }
            Op::Pool(Pool { kind, window, count_include_pad: r.bytes(3)[1] != 0 })
        }
        OpKind::Reduce => {
            r.same_dtype()?;
            let [k, ax, ..] = r.bytes(0);
            let kind = ReduceKind::from_u8(k).ok_or("reduction is unknown")?;
            let axis = Axis::from_u8(ax).filter(|a| *a != Axis::Width).ok_or("reduction axis is unknown")?;
            let channels = if axis == Axis::Space { r.input.channels } else { 1 };
            if r.output.channels != channels {
                return Err("output channels do not fit the reduction");
            }
            if kind == ReduceKind::Max {
                r.same_type()?;
            }
            Op::Reduce(Reduce { kind, axis, scale: r.finite(1, "scale must be finite")? })
        }
        OpKind::Resize => {
            r.same_type()?;
            r.same_channels()?;
            Op::Resize(Resize { mode: ResizeMode::from_u8(r.bytes(0)[0]).ok_or("resize mode is unknown")? })
        }
        OpKind::Concat => {
            let mut channels = 0usize;
            for i in 0..inputs.len() {
                let t = other(i)?;
                if t.dtype != r.output.dtype || (t.dtype == DType::U8 && t.quant != r.output.quant) {
                    return Err("concatenated tensors must share dtype, scale and zero point");
                }
                channels = channels.saturating_add(t.channels);
            }
            if channels != r.output.channels {
                return Err("output channels must be the sum of the inputs'");
            }
            Op::Concat
        }
        OpKind::Slice => {
            r.same_type()?;
            let start = [r.word(0) as usize, r.word(1) as usize, r.word(2) as usize];
            if start[2].checked_add(r.output.channels).is_none_or(|end| end > r.input.channels) {
                return Err("channel slice ends outside the input");
            }
            if start[0] > 1 << 16 || start[1] > 1 << 16 {
                return Err("slice start is too large");
            }
            Op::Slice(Slice { start })
        }
        OpKind::Pad => {
            r.same_type()?;
            r.same_channels()?;
            let [mode, quantised, ..] = r.bytes(0);
            let before = [r.word(1) as usize, r.word(2) as usize];
            if before[0] > 1 << 16 || before[1] > 1 << 16 {
                return Err("padding is too large");
            }
            Op::Pad(Pad {
                mode: PadMode::from_u8(mode).ok_or("pad mode is unknown")?,
                before,
                value: r.finite(3, "pad value must be finite")?,
                quantised,
            })
        }
        OpKind::PixelShuffle => {
            r.same_type()?;
            let block = r.word(0) as usize;
            if !(1..=64).contains(&block)
                || r.input.channels != r.output.channels.saturating_mul(block * block)
            {
                return Err("input channels must be output channels * block^2");
            }
            Op::PixelShuffle { block, channel_major: r.word(1) != 0 }
        }
        OpKind::Norm => {
            r.same_dtype()?;
            r.same_channels()?;
            let epsilon = r.finite(1, "epsilon must be finite")?;
            if epsilon < 0.0 {
                return Err("epsilon must not be negative");
            }
            let c = r.input.channels;
            Op::Norm(Norm {
                kind: NormKind::from_u8(r.bytes(0)[0]).ok_or("normalisation is unknown")?,
                epsilon,
                gamma: r.floats(2, c, "gamma must be finite and inside the data section")?,
                beta: r.floats(3, c, "beta must be finite and inside the data section")?,
            })
        }
        OpKind::Softmax => {
            r.same_dtype()?;
            r.same_channels()?;
            let axis = Axis::from_u8(r.bytes(0)[0])
                .filter(|a| *a != Axis::Space)
                .ok_or("softmax axis is unknown")?;
            let exp: Option<&[u16; 256]> = r.table(1, "exp table lies outside the data section")?;
            if r.input.dtype == DType::U8 && exp.is_none_or(|t| t[0] == 0) {
                return Err("an 8-bit softmax needs an exp table that starts above 0");
            }
            Op::Softmax(Softmax { axis, exp })
        }
        OpKind::Matmul => {
            let b = other(1)?;
            r.same_dtype()?;
            if b.dtype != r.input.dtype {
                return Err("both inputs must have the same dtype");
            }
            let heads = r.word(0) as usize;
            let transpose_b = r.word(1) != 0;
            if heads == 0 || b.channels % heads != 0 {
                return Err("heads must divide the channels");
            }
            let fits = if transpose_b {
                r.input.channels == b.channels && r.output.channels == heads
            } else {
                r.input.channels == heads && r.output.channels == b.channels
            };
            if !fits {
                return Err("channels do not fit heads");
            }
            Op::Matmul(Matmul { transpose_b, heads, scale: r.finite(2, "scale must be finite")? })
        }
        OpKind::Transpose => {
            r.same_type()?;
            let [x, y, z, _] = r.bytes(0);
            let order = [x, y, z];
            if (0..3).any(|d| !order.contains(&d)) {
                return Err("order must be a permutation of 0, 1, 2");
            }
            Op::Transpose(Transpose { order })
        }
        OpKind::Reshape => {
            r.same_type()?;
            Op::Reshape
        }
        OpKind::Convert => {
            r.same_channels()?;
            Op::Convert(Convert)
        }
        OpKind::Blend => Op::Blend(blend(&r, &other(1)?, &other(2)?)?),
    })
}

fn conv<'a>(r: &Reader<'_, 'a>) -> Result<Conv<'a>, Field> {
    r.same_dtype()?;
    let groups = r.word(3) as usize;
    let (ci, co) = (r.input.channels, r.output.channels);
    if groups == 0 || ci % groups != 0 || co % groups != 0 {
        return Err("groups must divide input and output channels");
    }
    let geometry = ConvGeometry { window: r.window()?, groups, input_channels: ci, output_channels: co };
    // Accumulators hold 255 * 127 * terms + bias: 2^16 terms leave a factor of two for the bias.
    let [kh, kw] = geometry.window.kernel.map(usize::from);
    let terms = (kh * kw).saturating_mul(ci / groups);
    if terms > 1 << 15 {
        return Err("kernel height * width * inputs must be at most 32768");
    }
    let slots = geometry.channel_slots();
    let len = packed_weights_len(&geometry, r.input.dtype == DType::U8);
    const WEIGHTS: Field = "weights lie outside the data section";
    const BIAS: Field = "bias must be finite and inside the data section";
    const SCALE: Field = "scale must be finite and inside the data section";
    let weights = match r.input.dtype {
        DType::U8 => {
            let bias: &[i32] = r.slice(5, slots, BIAS)?;
            if bias.iter().any(|b| b.unsigned_abs() > 1 << 30) {
                return Err("bias must be at most 2^30");
            }
            let weights = r.slice(4, len, WEIGHTS)?;
            if !padded_with_zeros(&geometry, weights) {
                return Err("weights must be padded with zeros");
            }
            ConvWeights::Int8 { weights, bias, scale: r.floats(6, slots, SCALE)? }
        }
        DType::F16 => {
            ConvWeights::F16 { weights: r.slice(4, len, WEIGHTS)?, bias: r.floats(5, slots, BIAS)? }
        }
        DType::F32 => {
            ConvWeights::F32 { weights: r.slice(4, len, WEIGHTS)?, bias: r.floats(5, slots, BIAS)? }
        }
    };
    Ok(Conv { geometry, weights, activation: r.activation()?, finish: r.finish()? })
}

/// Whether nothing but zeros follows the inputs of each row of packed 8-bit weights. Kernels that multiply whole groups of four
/// inputs multiply what stands there by whatever follows the window.
fn padded_with_zeros(g: &ConvGeometry, weights: &[i8]) -> bool {
    let len = usize::from(g.window.kernel[1]) * (g.input_channels / g.groups);
    let rest = len % 4;
    let rows = weights.as_chunks::<{ 4 * CHANNEL_BLOCK }>().0.chunks(len.div_ceil(4));
    let mut quads = rows.filter_map(|row| row.last()).flat_map(|last| last.as_chunks::<4>().0);
    rest == 0 || g.depthwise() || quads.all(|quad| quad.iter().skip(rest).all(|w| *w == 0))
}

fn binary<'a>(r: &Reader<'_, 'a>, b: &Tensor<'a>) -> Result<Binary<'a>, Field> {
    r.same_dtype()?;
    if b.dtype != r.input.dtype {
        return Err("both inputs must have the same dtype");
    }
    for c in [r.input.channels, b.channels] {
        if c != 1 && c != r.output.channels {
            return Err("channels must be 1 or the output's");
        }
    }
    let op = BinaryOp::from_u8(r.bytes(0)[0]).ok_or("operation is unknown")?;
    let fixed = FixedPoint {
        a: r.word(1).cast_signed(),
        b: r.word(2).cast_signed(),
        offset: r.word(3).cast_signed(),
        shift: r.word(4),
    };
    if fixed.a.unsigned_abs() > 0x7fff || fixed.b.unsigned_abs() > 0x7fff || fixed.shift > 24 {
        return Err("fixed-point multipliers must fit 16 bits and the shift 24");
    }
    let worst = 255 * (i64::from(fixed.a).abs() + i64::from(fixed.b).abs()) + i64::from(fixed.offset).abs();
    if worst > i64::from(i32::MAX) {
        return Err("fixed-point sum may leave 32 bits");
    }
    Ok(Binary {
        op,
        fixed,
        scale: r.finite(5, "scale must be finite")?,
        activation: r.activation()?,
        finish: r.finish()?,
    })
}

fn blend<'a>(r: &Reader<'_, 'a>, infrared: &Tensor<'a>, logits: &Tensor<'a>) -> Result<Blend<'a>, Field> {
    r.same_dtype()?;
    r.same_channels()?;
    if infrared.dtype != r.input.dtype || logits.dtype != r.input.dtype {
        return Err("all inputs must have the same dtype");
    }
    if !matches!(r.input.channels, 1 | 3) || infrared.channels != 1 {
        return Err("visible must have 1 or 3 channels and infrared 1");
    }
    let block = r.word(0) as usize;
    let gain = r.finite(1, "gain must be finite")?;
    let planes = if gain == 0.0 { 1 } else { 2 };
    if !(1..=64).contains(&block) || logits.channels != planes * block * block {
        return Err("logits must have planes * block^2 channels");
    }
    let weight: Option<&[i32; 256]> = r.table(2, "weight table lies outside the data section")?;
    let residual: Option<&[i32; 256]> = r.table(3, "residual table lies outside the data section")?;
    if r.input.dtype == DType::U8 {
        let Some(w) = weight else { return Err("an 8-bit blend needs a weight table") };
        if w.iter().any(|v| !(0..=32768).contains(v)) {
            return Err("weights must be 0..=32768");
        }
        if residual.is_some_and(|t| t.iter().any(|v| v.unsigned_abs() > 1 << 24))
            || (planes == 2 && residual.is_none())
        {
            return Err("residuals must be given and at most 2^24");
        }
    }
    Ok(Blend { block, gain, weight, residual })
}
