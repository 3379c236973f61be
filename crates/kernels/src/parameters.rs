//! Which parameters a kernel can run with.
//!
//! An artifact's reader proves all of this for the operators that it hands out. Operators can also be put together by hand,
//! and kernels read weights through raw pointers, so the constructor of a call asks again for what memory safety and
//! defined arithmetic need. None of the checks loops over elements.

use fusionproxy_format::{Axis, Conv, ConvWeights, DType, Op, Window, packed_weights_len};

/// The first thing wrong with the parameters of `op` for elements of type `dtype`, where the input has `channels`.
pub(crate) fn check_parameters(op: &Op<'_>, dtype: DType, channels: usize) -> Result<(), &'static str> {
    let require = |ok: bool, what: &'static str| if ok { Ok(()) } else { Err(what) };
    let u8 = dtype == DType::U8;
    match op {
        Op::Conv(c) | Op::ConvTranspose(c) => conv(c),
        Op::Binary(b) => require(b.fixed.shift < 32, "fixed-point shift is too large"),
        Op::Activation { table, .. } => require(!u8 || table.is_some(), "an 8-bit activation needs a table"),
        Op::PRelu { slope, tables } => {
            let enough = if u8 { tables.len() / 256 } else { slope.len() } >= channels;
            require(enough, "fewer slopes than channels")
        }
        Op::Pool(p) => require(slides(&p.window), "kernel, stride and dilation must be at least 1"),
        Op::PixelShuffle { block, .. } => require(*block > 0, "block must be at least 1"),
        Op::Norm(n) => {
            // As many: kernels take their number for that of the channels.
            let each = n.gamma.len() == channels && n.beta.len() == channels;
            require(each, "gains or offsets are not as many as the channels")
        }
        Op::Softmax(s) => {
            require(s.axis != Axis::Space, "softmax runs over channels or width")?;
            require(!u8 || s.exp.is_some(), "an 8-bit softmax needs a table")
        }
        Op::Matmul(m) => require(m.heads > 0, "heads must be at least 1"),
        Op::Transpose(t) => {
            require((0..3).all(|d| t.order.contains(&d)), "order must be a permutation of 0, 1, 2")
        }
        Op::Blend(b) => {
            require(b.block > 0, "block must be at least 1")?;
            require(
                !u8 || b.weight.is_some() && (b.gain == 0.0 || b.residual.is_some()),
                "an 8-bit blend needs its tables",
            )
        }
        Op::Reduce(r) => require(r.axis != Axis::Width, "reductions run over space or channels"),
        Op::Resize(_) | Op::Concat | Op::Slice(_) | Op::Pad(_) | Op::Reshape | Op::Convert(_) => Ok(()),
    }
}

fn slides(w: &Window) -> bool {
    w.kernel.iter().chain(&w.stride).chain(&w.dilation).all(|v| *v > 0)
}

fn conv(c: &Conv<'_>) -> Result<(), &'static str> {
    let g = &c.geometry;
    if !slides(&g.window) {
        return Err("kernel, stride and dilation must be at least 1");
    }
    if g.groups == 0
        || !g.input_channels.is_multiple_of(g.groups)
        || !g.output_channels.is_multiple_of(g.groups)
    {
        return Err("groups must divide input and output channels");
    }
    let slots = g.channel_slots();
    let (len, enough) = match c.weights {
        ConvWeights::Int8 { weights, bias, scale } => (weights.len(), bias.len().min(scale.len()) >= slots),
        ConvWeights::F16 { weights, bias } => (weights.len(), bias.len() >= slots),
        ConvWeights::F32 { weights, bias } => (weights.len(), bias.len() >= slots),
    };
    let eight_bit = matches!(c.weights, ConvWeights::Int8 { .. });
    if !enough || len < packed_weights_len(g, eight_bit) {
        return Err("weights, bias or scale are shorter than the geometry asks for");
    }
    Ok(())
}
