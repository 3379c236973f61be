//! 8-bit mean and sum over space.

use core::ops::Range;

use fusionproxy_format::{Axis, Finish, Reduce, ReduceKind};

use super::isa::Isa;
use super::requant::Requant;
use super::stage::Parts;
use crate::{Call, Shape, Src};

/// Whether [`run`] takes this reduction of 8-bit elements.
pub(crate) fn supports(op: &Reduce) -> bool {
    op.axis == Axis::Space && op.kind != ReduceKind::Max
}

/// Scratch of [`run`].
pub(crate) fn scratch_bytes(input: Shape) -> usize {
    Parts::size(input.channels * size_of::<i32>())
}

/// Adds `rows` to `sums`, one a channel.
pub(crate) fn sum_rows<I: Isa>(image: &Src<'_, u8>, rows: Range<usize>, sums: &mut [i32]) {
    let channels = image.shape().channels.min(sums.len());
    // SAFETY: there are as many sums.
    unsafe { add_rows::<I>(image, 0..channels, rows, sums.as_mut_ptr()) };
}

/// Adds `rows` of some channels to a sum each.
///
/// # Safety
/// There are as many sums, from a multiple of 4 bytes on.
unsafe fn add_rows<I: Isa>(image: &Src<'_, u8>, units: Range<usize>, rows: Range<usize>, sums: *mut i32) {
    let Shape { width, channels, .. } = image.shape();
    let (pixel, count) = (image.layout().pixel, units.len());
    for y in rows {
        let from = image.ptr(y, 0).wrapping_add(units.start);
        // SAFETY: the token's existence proves the instructions; `count` channels of each pixel of the row, or the whole
        // row where these are all and pixels have no gaps; the caller's promise.
        unsafe {
            if pixel == channels && count == channels {
                I::add_up(from, width * channels, channels, sums);
            } else {
                for x in 0..width {
                    I::add_up(from.add(x * pixel), count, count, sums);
                }
            }
        }
    }
}

/// Runs channels `units` of a reduction that [`supports`] accepts; `false` if the views are not 8-bit.
pub(crate) fn run<I: Isa>(call: &Call<'_, '_>, op: &Reduce, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return false };
    let Shape { height, width, .. } = source.shape();
    let sums = Parts::new(scratch).take(scratch_bytes(source.shape()));
    sums.fill(0);
    // SAFETY: the scratch holds a sum for every channel, aligned as all parts of it are; `units` are channels.
    unsafe { add_rows::<I>(&source, units.clone(), 0..height, sums.as_mut_ptr().cast()) };
    let n = height * width;
    let scale = if op.kind == ReduceKind::Mean { op.scale / n as f32 } else { op.scale };
    // At most 255 * 2^23 in magnitude: `check_geometry` bounds the count.
    let zeros = i32::from(call.inputs()[0].quant.zero_point) * n as i32;
    let finish = Finish { lo: 0, hi: 255, table: None };
    let requant = Requant::new(call.output_quant(), &finish);
    for (c, sum) in units.zip(sums.as_chunks::<4>().0) {
        out.set(0, 0, c, requant.value(i32::from_ne_bytes(*sum) - zeros, scale));
    }
    true
}
