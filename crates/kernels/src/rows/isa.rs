//! What an instruction set gives to the drivers.

use super::depthwise::DepthwiseRow;
use super::elementwise::{Product, Sum};
use super::gemm::GemmRow;

/// The leaf kernels of one instruction set. Each is unsafe to call because it needs the instructions, which the existence
/// of the backend's token proves, and because it works on raw rows.
pub(crate) trait Isa: 'static {
    /// What the convolutions take off every activation before they multiply it: 128 where the dot product is one of
    /// signed bytes, else 0. The drivers add it back through the bias.
    const OFFSET: i32;

    /// The same of depthwise convolutions.
    const DEPTHWISE_OFFSET: i32 = Self::OFFSET;

    /// Elements that [`Self::depthwise`] computes at once.
    const VECTOR: usize;

    /// Taps that [`Self::depthwise`] multiplies at once; their number is padded to a multiple.
    const TAPS: usize;

    /// Bytes of a depthwise weight in the layout of [`Self::depthwise_place`]: 1 or 2 (sign-extended, little-endian).
    const TAP_BYTES: usize;

    /// Sums of a row that [`Self::gemm`] keeps in memory for each output pixel.
    const SUMS: usize;

    /// Bytes that [`Self::pack`] makes of a block of 16 outputs; 0 if [`Self::gemm`] takes the artifact's own layout.
    fn packed_bytes(taps: usize, quads: usize) -> usize;

    /// Lays out the weights of a block for [`Self::gemm`].
    fn pack(weights: &[i8], taps: usize, quads: usize, to: &mut [u8]);

    /// Multiplies a row.
    ///
    /// # Safety
    /// The CPU has the instructions. The row is as [`GemmRow`] says.
    unsafe fn gemm(row: &GemmRow<'_>);

    /// Byte c of each of four runs, as `[c][4]`.
    fn interleave(four: [[u8; 16]; 4], to: &mut [u8; 64]) {
        for (c, to) in to.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *to = four.map(|run| run[c]);
        }
    }

    /// Offset of the weight of a tap for an element of a vector.
    fn depthwise_place(tap: usize, element: usize) -> usize;

    /// Lays out weights of a tap, those of `element` and the following ones of a vector.
    fn depthwise_lay_out(tap: usize, element: usize, weights: &[i8], to: &mut [u8]) {
        for (i, weight) in weights.iter().enumerate() {
            let at = Self::depthwise_place(tap, element + i);
            to[at..at + Self::TAP_BYTES]
                .copy_from_slice(&i16::from(*weight).to_le_bytes()[..Self::TAP_BYTES]);
        }
    }

    /// Filters a row of depthwise outputs.
    ///
    /// # Safety
    /// The CPU has the instructions. The row is as [`DepthwiseRow`] says.
    unsafe fn depthwise(row: &DepthwiseRow<'_>);

    /// Sums of two runs, without the table.
    ///
    /// # Safety
    /// The CPU has the instructions. `n` bytes can be read from `a` and `b` and written to `to`, which may be one of them.
    unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum);

    /// [`Self::sum`] of the channels of each of `pixels` pixels, at these distances from one another.
    ///
    /// # Safety
    /// As for [`Self::sum`], of `channels` bytes of each pixel.
    unsafe fn sum_pixels(
        (a, a_pitch): (*const u8, usize),
        (b, b_pitch): (*const u8, usize),
        (to, to_pitch): (*mut u8, usize),
        (pixels, channels): (usize, usize),
        op: &Sum,
    ) {
        for x in 0..pixels {
            // SAFETY: passed on, pixel by pixel.
            unsafe { Self::sum(a.add(x * a_pitch), b.add(x * b_pitch), to.add(x * to_pitch), channels, op) };
        }
    }

    /// Products of two runs, without the table.
    ///
    /// # Safety
    /// As for [`Self::sum`].
    unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product);

    /// Entries of a table at the bytes of a run, in place.
    ///
    /// # Safety
    /// The CPU has the instructions. `n` bytes can be read and written.
    unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]);

    /// Adds byte e of a run to sum e % `channels`.
    ///
    /// # Safety
    /// The CPU has the instructions. `n` bytes, a multiple of `channels`, can be read, and `channels` sums written.
    unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32);
}

/// Looks up every channel of `pixels` pixels, at distance `pitch`.
///
/// # Safety
/// As for [`Isa::look_up`], of `channels` bytes of each pixel.
pub(crate) unsafe fn look_up_pixels<I: Isa>(
    at: *mut u8,
    pitch: usize,
    pixels: usize,
    channels: usize,
    table: &[u8; 256],
) {
    // SAFETY: the caller's promise.
    unsafe {
        if pitch == channels {
            I::look_up(at, pixels * channels, table);
        } else {
            for x in 0..pixels {
                I::look_up(at.add(x * pitch), channels, table);
            }
        }
    }
}
