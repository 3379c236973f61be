//! What this machine's kernels reach when nothing holds them up, for comparison.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fusionproxy_format::{
    Activation, Conv, ConvGeometry, ConvWeights, DType, Finish, Op, Quant, Window, packed_weights_len,
};
use fusionproxy_kernels::{AnyDst, Backend, Call, Dst, Element, Layout, Operand, Shape, cells_of, macs};
use half::f16;

/// Channels in and out: wide enough for every kernel's tiles.
const CHANNELS: usize = 256;
/// Pixels of a square; with both images in 8 bits, half of a small second-level cache.
const SIDE: usize = 16;
/// How long to measure.
const TIME: Duration = Duration::from_millis(30);

/// The most multiply-accumulates a second, in units of 10^9, that one thread reaches in a 1x1 convolution of 256 to 256
/// channels out of the cache.
///
/// # Errors
/// None, unless the kernels refuse the convolution.
pub(crate) fn gmac_per_s(backend: &dyn Backend, dtype: DType) -> Result<f64> {
    let window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 4] };
    let geometry = ConvGeometry { window, groups: 1, input_channels: CHANNELS, output_channels: CHANNELS };
    let len = packed_weights_len(&geometry, dtype == DType::U8);
    let (bytes, ints) = (vec![1i8; len], vec![0i32; CHANNELS]);
    let (halves, floats) = (vec![f16::from_f32(0.01); len], vec![0.01f32; len]);
    let scale = vec![1e-3f32; CHANNELS];
    let weights = match dtype {
        DType::U8 => ConvWeights::Int8 { weights: &bytes, bias: &ints, scale: &scale },
        DType::F16 => ConvWeights::F16 { weights: &halves, bias: &scale },
        DType::F32 => ConvWeights::F32 { weights: &floats, bias: &scale },
    };
    let finish = Finish { lo: 0, hi: 255, table: None };
    let op = Op::Conv(Conv { geometry, weights, activation: Activation::None, finish });
    let shape = Shape::new(SIDE, SIDE, CHANNELS);
    let quant = Quant { scale: 1.0, zero_point: 0 };
    let mut memory = vec![0u64; 2 * shape.elements()];
    let cells = memory_cells(&mut memory);
    let (input, output) = cells.split_at(cells.len() / 2);
    let view = |bytes| view(dtype, bytes, Layout::dense(shape)).context("the convolution has no memory");
    let inputs = [Operand { data: view(input)?.as_src(), quant }];
    let call = Call::new(op, &inputs, view(output)?, quant).map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut scratch = vec![0u64; backend.scratch_bytes(&op, dtype, shape, shape).div_ceil(8) + 16];
    let scratch = zerocopy::IntoBytes::as_mut_bytes(scratch.as_mut_slice());
    let start = scratch.as_ptr().align_offset(64);
    let mut best = Duration::MAX;
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let run = Instant::now();
        backend.run(&call, 0..call.units(), &mut scratch[start..]);
        best = best.min(run.elapsed());
    }
    Ok(macs(&op, shape, shape) as f64 / best.as_secs_f64() / 1e9)
}

fn memory_cells(memory: &mut [u64]) -> &[Cell<u8>] {
    Cell::from_mut(zerocopy::IntoBytes::as_mut_bytes(memory)).as_slice_of_cells()
}

fn view(dtype: DType, bytes: &[Cell<u8>], layout: Layout) -> Option<AnyDst<'_>> {
    fn typed<T: Element>(bytes: &[Cell<u8>], layout: Layout) -> Option<Dst<'_, T>> {
        Dst::new(cells_of(bytes)?, layout)
    }
    Some(match dtype {
        DType::U8 => AnyDst::U8(typed(bytes, layout)?),
        DType::F16 => AnyDst::F16(typed(bytes, layout)?),
        DType::F32 => AnyDst::F32(typed(bytes, layout)?),
    })
}
