//! Float operators that are no convolutions: element-wise ones, means, enlargement, composition, changes of type.

use core::ops::Range;

use fusionproxy_format::{Activation, Axis, Binary, Blend, Finish, Reduce, ReduceKind};
use half::f16;

use super::element::Float;
use super::isa::Isa;
use super::requant::Requant;
use super::runs::{self, Input, Output};
use super::stage::Arena;
use crate::{Call, Shape};

/// Scratch of [`binary`] and [`activation`].
pub(super) fn scratch_bytes(output: Shape) -> usize {
    3 * Arena::size(runs::bytes::<f32>(output)) + 64
}

/// Runs a binary operation; `false` if the views are of another type.
pub(super) fn binary<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    op: &Binary<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(a), Some(b), Some(out)) = (call.source::<T>(0), call.source::<T>(1), call.target::<T>()) else {
        return false;
    };
    let shape = out.shape();
    let mut arena = Arena::new(scratch);
    let mut part = || arena.take(runs::bytes::<T>(shape));
    let mut a = Input::new::<I>(a, shape, part());
    let mut b = Input::new::<I>(b, shape, part());
    let mut target = Output::new::<I>(out, part());
    runs::each::<T>(units, shape, |y, x, n| {
        let len = n * shape.channels;
        let (a, b, to) = (a.run(y, x, n).cast(), b.run(y, x, n).cast(), target.run(y, x).cast());
        // SAFETY: the token's existence proves the instructions; each run has n * channels numbers.
        unsafe {
            I::binary(op.op, a, b, to, len);
            I::activate(to, len, op.activation);
        }
        target.finish(y, x, n);
    });
    true
}

/// Runs an activation; `false` if the views are of another type.
pub(super) fn activation<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    function: Activation,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(a), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    let shape = out.shape();
    let mut arena = Arena::new(scratch);
    let mut part = || arena.take(runs::bytes::<T>(shape));
    let (mut a, mut target) = (Input::new::<I>(a, shape, part()), Output::new::<I>(out, part()));
    runs::each::<T>(units, shape, |y, x, n| {
        let len = n * shape.channels;
        let (from, to) = (a.run(y, x, n).cast::<f32>(), target.run(y, x).cast::<f32>());
        // SAFETY: the token's existence proves the instructions; both runs have n * channels numbers, and are the same or
        // do not overlap.
        unsafe {
            core::ptr::copy(from, to, len);
            I::activate(to, len, function);
        }
        target.finish(y, x, n);
    });
    true
}

/// Whether [`reduce`] takes this reduction.
pub(super) fn supports_reduce(op: &Reduce) -> bool {
    op.axis == Axis::Space
}

/// Scratch of [`reduce`].
pub(super) fn reduce_scratch(input: Shape) -> usize {
    let row = Shape { width: input.width, ..input };
    2 * Arena::size(input.channels * 4) + Arena::size(runs::bytes::<f32>(row)) + 64
}

/// Runs channels `units` of a reduction that [`supports_reduce`] accepts; `false` if the views are of another type.
pub(super) fn reduce<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    op: &Reduce,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    let shape = source.shape();
    let mut arena = Arena::new(scratch);
    let [total, sums] = [(); 2].map(|()| arena.take(shape.channels * 4).as_mut_ptr().cast::<f32>());
    let mut input = Input::new::<I>(source, shape, arena.take(runs::bytes::<T>(shape)));
    let max = op.kind == ReduceKind::Max;
    let start = if max { f32::NEG_INFINITY } else { 0.0 };
    let channels = shape.channels;
    // SAFETY: `channels` numbers each; the token's existence proves the instructions; a run has n pixels.
    unsafe {
        (0..channels).for_each(|c| total.add(c).write(start));
        runs::each::<T>(0..shape.height, shape, |y, x, n| {
            // Short sums keep the rounding error of large images small.
            (0..channels).for_each(|c| sums.add(c).write(start));
            I::fold_pixels(input.run(y, x, n).cast(), n, channels, max, sums);
            I::fold_pixels(sums, 1, channels, max, total);
        });
        let count = (shape.height * shape.width) as f32;
        for c in units {
            let v = total.add(c);
            if op.kind == ReduceKind::Mean {
                v.write(v.read() / count);
            }
            T::store::<I>()(v.cast(), 4, out.ptr(0, 0).add(c).cast(), size_of::<T>(), 1, 1);
        }
    }
    true
}

/// Numbers of one row of the composition.
pub(super) struct FloatBlend {
    /// Logits of the mixing weight; overwritten.
    pub(super) a: *mut f32,
    /// Logits of the residual; overwritten.
    pub(super) b: *mut f32,
    /// Visible pixels; overwritten with the result.
    pub(super) visible: *mut f32,
    /// Infrared pixels.
    pub(super) infrared: *const f32,
    /// Pixels.
    pub(super) len: usize,
    /// Gain of the residual.
    pub(super) gain: f32,
}

/// Scratch of [`blend`].
pub(super) fn blend_scratch(output: Shape) -> usize {
    4 * Arena::size(output.width * 4) + 64
}

/// Runs `units` of a composition; `false` if the views are of another type or the image is not grey.
pub(super) fn blend<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    op: &Blend<'_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(visible), Some(infrared), Some(logits), Some(out)) =
        (call.source::<T>(0), call.source::<T>(1), call.source::<T>(2), call.target::<T>())
    else {
        return false;
    };
    let Shape { width, channels, .. } = out.shape();
    if channels != 1 {
        return false;
    }
    let mut arena = Arena::new(scratch);
    let [a, b, v, i] = [(); 4].map(|()| arena.take(width * 4).as_mut_ptr().cast::<f32>());
    let (load, size, block) = (T::load::<I>(), size_of::<T>(), op.block);
    let wide = logits.shape().width;
    for y in units {
        // SAFETY: the token's existence proves the instructions. Rows have `width` pixels; a plane's logits of a row of
        // the block, `block` a logit pixel, fill a row of `width` numbers.
        unsafe {
            let plane = |channel: usize, to: *mut f32| {
                let from = logits.ptr(y / block, 0).add(channel + y % block * block);
                let pitch = logits.layout().pixel * size;
                load(from.cast(), pitch, to.cast(), block * 4, wide, block);
            };
            plane(0, a);
            if op.gain != 0.0 {
                plane(block * block, b);
            }
            load(visible.ptr(y, 0).cast(), visible.layout().pixel * size, v.cast(), 4, width, 1);
            load(infrared.ptr(y, 0).cast(), infrared.layout().pixel * size, i.cast(), 4, width, 1);
            I::blend_float(&FloatBlend { a, b, visible: v, infrared: i, len: width, gain: op.gain });
            T::store::<I>()(
                v.cast_const().cast(),
                4,
                out.ptr(y, 0).cast(),
                out.layout().pixel * size,
                width,
                1,
            );
        }
    }
    true
}

/// Scratch of [`upsample`].
pub(super) fn upsample_scratch(input: Shape) -> usize {
    let row = input.width * input.channels * 4;
    4 * Arena::size(row) + Arena::size(row + 8 * input.channels) + 64
}

/// Numbers of one row of an enlargement by 2 with half-pixel centres.
pub(super) struct FloatUpsample {
    /// The nearer source row.
    pub(super) near: *const f32,
    /// The farther one.
    pub(super) far: *const f32,
    /// Numbers of a pixel.
    pub(super) channels: usize,
    /// Numbers of a source row.
    pub(super) len: usize,
    /// Room for `len + 2 * channels` numbers.
    pub(super) mixed: *mut f32,
    /// Pixels of even columns.
    pub(super) even: *mut f32,
    /// Pixels of odd columns.
    pub(super) odd: *mut f32,
}

/// Runs `units` of a resize that [`super::upsample::supports`] accepts; `false` if the views are of another type.
pub(super) fn upsample<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(source), Some(out)) = (call.source::<T>(0), call.target::<T>()) else { return false };
    let Shape { height, width, channels } = source.shape();
    let len = width * channels;
    let mut arena = Arena::new(scratch);
    let [near, far, even, odd] = [(); 4].map(|()| arena.take(len * 4).as_mut_ptr().cast::<f32>());
    let mixed = arena.take((len + 2 * channels) * 4).as_mut_ptr().cast();
    let size = size_of::<T>();
    for y in units {
        let other = if y % 2 == 0 { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(height - 1) };
        let pitch = 2 * out.layout().pixel * size;
        // SAFETY: the token's existence proves the instructions; rows of `len` numbers in the scratch; even and odd
        // columns of the output row are `width` pixels each.
        unsafe {
            for (row, to) in [(y / 2, near), (other, far)] {
                let from = source.ptr(row, 0).cast();
                T::load::<I>()(from, source.layout().pixel * size, to.cast(), channels * 4, width, channels);
            }
            I::upsample_float(&FloatUpsample { near, far, channels, len, mixed, even, odd });
            for (x, from) in [(0, even), (1, odd)] {
                let to = out.ptr(y, x).cast();
                T::store::<I>()(from.cast_const().cast(), channels * 4, to, pitch, width, channels);
            }
        }
    }
    true
}

/// Scratch of [`convert`].
pub(super) fn convert_scratch(output: Shape) -> usize {
    2 * Arena::size(runs::bytes::<u8>(output) * 4) + 64
}

/// Runs a change of type between 8-bit and float elements; `false` for others.
pub(super) fn convert<I: Isa>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    quantise::<I, f16>(call, units.clone(), scratch)
        || quantise::<I, f32>(call, units.clone(), scratch)
        || dequantise::<I, f16>(call, units.clone(), scratch)
        || dequantise::<I, f32>(call, units, scratch)
}

fn quantise<I: Isa, T: Float>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let (Some(a), Some(out)) = (call.source::<T>(0), call.target::<u8>()) else { return false };
    let shape = out.shape();
    let mut arena = Arena::new(scratch);
    let mut a = Input::new::<I>(a, shape, arena.take(runs::bytes::<T>(shape)));
    let mut target = Output::new::<I>(out, arena.take(runs::bytes::<u8>(shape)));
    let quant = call.output_quant();
    let finish = Finish { lo: 0, hi: 255, table: None };
    let requant = Requant { zero_point: quant.zero_point, finish };
    runs::each::<T>(units, shape, |y, x, n| {
        let from = a.run(y, x, n).cast();
        // SAFETY: the token's existence proves the instructions; both runs have n * channels elements.
        unsafe { I::quantise(from, target.run(y, x), n * shape.channels, 1.0 / quant.scale, &requant) };
        target.finish(y, x, n);
    });
    true
}

fn dequantise<I: Isa, T: Float>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let (Some(a), Some(out)) = (call.source::<u8>(0), call.target::<T>()) else { return false };
    let shape = out.shape();
    let mut arena = Arena::new(scratch);
    let mut a = Input::new::<I>(a, shape, arena.take(runs::bytes::<u8>(shape)));
    let mut target = Output::new::<I>(out, arena.take(runs::bytes::<T>(shape)));
    let quant = call.inputs()[0].quant;
    runs::each::<T>(units, shape, |y, x, n| {
        let from = a.run(y, x, n);
        // SAFETY: as in `quantise`.
        unsafe { I::dequantise(from, target.run(y, x).cast(), n * shape.channels, quant) };
        target.finish(y, x, n);
    });
    true
}
