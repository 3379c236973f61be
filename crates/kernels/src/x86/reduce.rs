//! 8-bit mean and sum over space.

use core::ops::Range;

use fusionproxy_format::{Axis, Finish, Reduce, ReduceKind};

use super::isa::Isa;
use super::requant::Requant;
use super::stage::{Arena, copy_pixels};
use crate::{Call, Shape, Src, scalar};

/// Most vectors until the channels' pattern repeats.
const MAX_PERIOD: usize = 64;

/// Whether [`run`] takes this reduction of 8-bit elements.
pub(super) fn supports(op: &Reduce) -> bool {
    op.axis == Axis::Space && op.kind != ReduceKind::Max
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes<I: Isa>(input: Shape) -> usize {
    // Sums for the longest period, and a packed row.
    let sums = MAX_PERIOD * I::VECTOR * 4;
    Arena::size(sums) + Arena::size(input.width * input.channels) + 64
}

/// Runs channels `units` of a reduction that [`supports`] accepts; `false` if the views are not 8-bit or the channels'
/// pattern is too long.
pub(super) fn run<I: Isa>(call: &Call<'_, '_>, op: &Reduce, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let (Some(source), Some(out)) = (call.source::<u8>(0), call.target::<u8>()) else { return false };
    let Shape { height, width, .. } = source.shape();
    let Some(totals) = totals::<I>(&source, units.clone(), 0..height, scratch) else { return false };
    let count = height * width;
    let scale = if op.kind == ReduceKind::Mean { op.scale / count as f32 } else { op.scale };
    // At most 255 * 2^23 in magnitude: `check_geometry` bounds the count.
    let zeros = i32::from(call.inputs()[0].quant.zero_point) * count as i32;
    let finish = Finish { lo: 0, hi: 255, table: None };
    let requant = Requant { zero_point: call.output_quant().zero_point, finish };
    for (c, sum) in units.zip(totals) {
        out.set(0, 0, c, requant.value((sum - zeros) as f32 * scale));
    }
    true
}

/// Adds `rows` to `sums`, one a channel.
pub(super) fn sum_rows<I: Isa>(
    image: &Src<'_, u8>,
    rows: Range<usize>,
    sums: &mut [i32],
    scratch: &mut [u8],
) {
    match totals::<I>(image, 0..image.shape().channels, rows.clone(), scratch) {
        Some(totals) => sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum += total),
        None => scalar::sum_rows(image, rows, sums),
    }
}

/// The sum of each of the channels `units` over `rows`; `None` if the channels' pattern is too long.
fn totals<'s, I: Isa>(
    image: &Src<'_, u8>,
    units: Range<usize>,
    rows: Range<usize>,
    scratch: &'s mut [u8],
) -> Option<impl Iterator<Item = i32> + use<'s, I>> {
    let (width, pixel) = (image.shape().width, image.layout().pixel);
    let (channels, period) = (units.len(), super::period(units.len(), I::VECTOR));
    if period > MAX_PERIOD {
        return None;
    }
    let mut arena = Arena::new(scratch);
    let elements = period * I::VECTOR;
    let sums = &mut arena.take(elements * 4)[..elements * 4];
    sums.fill(0);
    let packed = arena.take(width * channels);
    for y in rows {
        let from = image.ptr(y, 0).wrapping_add(units.start);
        let row = if pixel == channels {
            from
        } else {
            // SAFETY: the channels `units` of the row's pixels; the scratch holds as many.
            unsafe { copy_pixels(from, pixel, packed.as_mut_ptr(), channels, width, channels) };
            packed.as_ptr()
        };
        // SAFETY: the token's existence proves the instructions; the row has width * channels bytes, the sums `period`
        // vectors of 32-bit numbers.
        unsafe { I::add_up(row, width * channels, period, sums.as_mut_ptr().cast()) };
    }
    let values = sums.as_chunks::<4>().0;
    let sum =
        move |i| (i..values.len()).step_by(channels).map(|e| i32::from_ne_bytes(values[I::sum_at(e)])).sum();
    Some((0..channels).map(sum))
}
