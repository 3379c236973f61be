//! 8-bit softmax over channels or along rows. What is summed is brought together first: each channel of a row becomes a run.
//!
//! Loops over arrays of sixteen, which the compiler turns into vectors.

use core::ops::Range;

use fusionproxy_format::{Axis, Softmax};

use super::heads;
use super::stage::Parts;
use crate::{Call, Shape};

/// Shares that are computed at once.
const STEP: usize = 16;

/// Most elements of a run: four times the sum of as many exponentials fits 32 bits with a sign.
const MAX_LEN: usize = 1 << 13;

/// 1.5 * 2^23. Added to a float of magnitude below 2^22 it leaves the float, rounded half to even, in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// Elements of a run, and runs of a row.
fn runs(axis: Axis, shape: Shape) -> (usize, usize) {
    if axis == Axis::Channel { (shape.channels, 1) } else { (shape.width, shape.channels) }
}

/// Scratch of [`run`].
pub(crate) fn scratch_bytes(op: &Softmax<'_>, output: Shape) -> usize {
    let (len, count) = runs(op.axis, output);
    let padded = len.next_multiple_of(STEP);
    Parts::size(padded * size_of::<u16>()) + Parts::size(padded * count)
}

/// Runs `units` of a softmax; `false` if the views are not 8-bit or the runs are too long.
pub(crate) fn run(call: &Call<'_, '_>, op: &Softmax<'_>, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let (Some(source), Some(out), Some(exp)) = (call.source::<u8>(0), call.target::<u8>(), op.exp) else {
        return false;
    };
    let (len, count) = runs(op.axis, out.shape());
    if len > MAX_LEN {
        return false;
    }
    let padded = len.next_multiple_of(STEP);
    let mut parts = Parts::new(scratch);
    // SAFETY: any bytes are numbers; parts are aligned to 64 bytes.
    let (_, shares, _) = unsafe { parts.take(padded * size_of::<u16>()).align_to_mut::<u16>() };
    let rows = &mut parts.take(padded * count)[..padded * count];
    let (from_pixel, to_pixel) = (source.layout().pixel, out.layout().pixel);
    for y in units {
        if op.axis == Axis::Channel {
            for x in 0..out.shape().width {
                // SAFETY: the channels of a pixel, which are as many as the run's elements; the scratch overlaps no view.
                unsafe {
                    core::ptr::copy_nonoverlapping(source.ptr(y, x), rows.as_mut_ptr(), len);
                    share(rows, len, exp, shares);
                    core::ptr::copy_nonoverlapping(rows.as_ptr(), out.ptr(y, x), len);
                }
            }
            continue;
        }
        // SAFETY: the pixels of a row, with as many channels as there are runs.
        unsafe { heads::split(source.ptr(y, 0), from_pixel, count, len, rows.as_mut_ptr(), padded) };
        for row in rows.chunks_exact_mut(padded) {
            share(row, len, exp, shares);
        }
        // SAFETY: as above.
        unsafe { heads::join(rows.as_ptr(), padded, count, len, out.ptr(y, 0), to_pixel) };
    }
    true
}

/// Turns the first `len` elements of a run of whole steps into their shares, (510 e + sum) / (2 sum) rounded down. A product in
/// f32 is off by less than one; the remainder, which is exact, tells by how much.
#[inline(never)]
fn share(row: &mut [u8], len: usize, exp: &[u16; 256], shares: &mut [u16]) {
    let max = row[..len].iter().fold(0, |max, q| *q.max(&max));
    let mut sum = 0;
    for (e, q) in shares.iter_mut().zip(&row[..len]) {
        *e = exp[usize::from(max - q)];
        sum += i32::from(*e);
    }
    // Where all exponentials are 0, which the artifact's reader refuses, so are the shares.
    let factor = 255.0 / sum.max(1) as f32;
    let whole = (2 * sum).max(1);
    for (to, e) in row.as_chunks_mut::<STEP>().0.iter_mut().zip(shares.as_chunks::<STEP>().0) {
        *to = e.map(|e| {
            let guess = (f32::from(e) * factor + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed();
            // What follows the last element may be anything.
            let rest = (510 * i32::from(e) + sum).wrapping_sub(guess.wrapping_mul(whole));
            (guess + i32::from(rest >= whole) - i32::from(rest < 0)) as u8
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: &[u8], exp: &[u16; 256]) {
        let mut got = [0; 1024];
        got[..row.len()].copy_from_slice(row);
        share(&mut got, row.len(), exp, &mut [0xffff; 1024]);
        let e = |q: &u8| u32::from(exp[usize::from(200 - q)]);
        let sum: u32 = row.iter().map(e).sum();
        for (i, (q, got)) in row.iter().zip(got).enumerate() {
            assert_eq!(u32::from(got), (510 * e(q) + sum) / (2 * sum), "{i} of {}", row.len());
        }
    }

    /// Ties, which f32 rounds to even and the specification up.
    #[test]
    fn shares_are_those_of_the_specification() {
        let exp = core::array::from_fn(|i| [65_535, 40_000, 257, 1, 0][i.min(4)]);
        for len in 1..=1024 {
            for kinds in 1..=5 {
                let row: [u8; 1024] = core::array::from_fn(|i| 200 - (i * i % kinds) as u8);
                check(&row[..len], &exp);
            }
        }
    }

    /// So many of the largest element and one other, whose shares are less below a tie than f32 can tell.
    #[test]
    fn just_below_a_tie_is_below_it() {
        for (count, other) in [(72, 56_173), (46, 23_831), (8, 42_209)] {
            let exp = core::array::from_fn(|i| [65_535, other][i.min(1)]);
            let row: [u8; 73] = core::array::from_fn(|i| if i < count { 200 } else { 199 });
            check(&row[..=count], &exp);
        }
    }
}
