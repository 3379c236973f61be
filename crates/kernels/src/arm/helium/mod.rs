//! Leaf kernels for Helium.
//!
//! `VMLADAV` sums sixteen products of signed bytes into one register, so the weights are laid out once a call as one run for
//! each output, and activations have their sign bit flipped; the bias makes up for that. The sums of a row go to memory,
//! from where they are requantised eight at a time.
//!
//! Stable Rust has no Helium intrinsics, and `asm!` no operands in vector registers, so that a whole loop is one block:
//! [`vector`] holds those, [`plain`] their twins for every other machine.

#[cfg(not(all(target_arch = "arm", helium)))]
mod plain;
#[cfg(all(target_arch = "arm", helium))]
mod vector;

use fusionproxy_format::CHANNEL_BLOCK;
#[cfg(not(all(target_arch = "arm", helium)))]
use plain as leaf;
#[cfg(all(target_arch = "arm", helium))]
use vector as leaf;

use crate::rows::depthwise::DepthwiseRow;
use crate::rows::elementwise::{Product, Sum};
use crate::rows::gemm::GemmRow;
use crate::rows::isa::Isa;

/// Copies `n` bytes.
///
/// # Safety
/// They can be read and written, and do not overlap.
#[cfg(all(target_arch = "arm", helium))]
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, n: usize) {
    // SAFETY: passed on.
    unsafe { leaf::copy(from, to, n) }
}

/// Outputs computed at once.
const OUTPUTS: usize = 4;

/// Sums of a pixel that are requantised together: two groups of outputs.
const PIXEL_SUMS: usize = 2 * OUTPUTS;

/// Bytes of a vector.
const VECTOR: usize = 16;

/// The leaf kernels of [`super::Helium`].
pub(super) struct HeliumIsa;

/// Taps and groups of four of a window that fits one vector as one run: its pixels are gathered.
fn flatten(taps: usize, quads: usize) -> (usize, usize) {
    if taps * quads * 4 <= VECTOR { (1, taps * quads) } else { (taps, quads) }
}

/// Vectors of a run.
fn vectors(quads: usize) -> usize {
    (quads * 4).div_ceil(VECTOR)
}

/// Adds each pixel's number to its sums.
///
/// # Safety
/// There are `pixels` numbers, and [`PIXEL_SUMS`] sums for each.
unsafe fn add_row_bias(bias: *const i32, pixels: usize, sums: *mut i32) {
    for x in 0..pixels {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = bias.add(x).read();
            for sum in core::slice::from_raw_parts_mut(sums.add(x * PIXEL_SUMS), PIXEL_SUMS) {
                // Those of outputs that there are none of may be anything.
                *sum = sum.wrapping_add(bias);
            }
        }
    }
}

impl Isa for HeliumIsa {
    const OFFSET: i32 = 128;
    /// Here bytes are widened as they are loaded.
    const DEPTHWISE_OFFSET: i32 = 0;
    const VECTOR: usize = VECTOR;
    const TAPS: usize = 1;
    const TAP_BYTES: usize = 1;
    const SUMS: usize = PIXEL_SUMS + VECTOR / 4;

    fn packed_bytes(taps: usize, quads: usize) -> usize {
        let (taps, quads) = flatten(taps, quads);
        CHANNEL_BLOCK * taps * vectors(quads) * VECTOR
    }

    /// `[16 / 4 groups of outputs][taps][vectors of the run][4 outputs][16]`, runs padded with zeros.
    fn pack(weights: &[i8], taps: usize, quads: usize, to: &mut [u8]) {
        let (taps, quads) = flatten(taps, quads);
        let (n, vectors) = (taps * vectors(quads), vectors(quads));
        to.fill(0);
        let words = to.as_chunks_mut::<4>().0;
        for (i, quad) in weights.as_chunks::<{ 4 * CHANNEL_BLOCK }>().0.iter().take(taps * quads).enumerate()
        {
            let (tap, q) = (i / quads, i % quads);
            let first = (tap * vectors + q / 4) * OUTPUTS * (VECTOR / 4) + q % 4;
            for (group, outputs) in quad.as_chunks::<{ 4 * OUTPUTS }>().0.iter().enumerate() {
                let words = &mut words[group * n * OUTPUTS * (VECTOR / 4) + first..];
                for (word, w) in words.iter_mut().step_by(VECTOR / 4).zip(outputs.as_chunks::<4>().0) {
                    *word = w.map(i8::cast_unsigned);
                }
            }
        }
    }

    unsafe fn gemm(row: &GemmRow<'_>) {
        let (taps, quads) = flatten(row.taps.len(), row.quads);
        let group_bytes = taps * vectors(quads) * OUTPUTS * VECTOR;
        // The gathered pixels lie behind the sums.
        let gathered = row.sums.wrapping_add(row.pixels * PIXEL_SUMS).cast::<u8>();
        let (mut flat, tap) = (*row, [gathered.cast_const()]);
        if taps < row.taps.len() {
            // SAFETY: `SUMS` has a vector for every pixel, which its window fits.
            unsafe { leaf::gather(row, gathered) };
            // A whole vector: what follows the window is multiplied by weights of zero.
            (flat.taps, flat.quads, flat.step) = (&tap, VECTOR / 4, VECTOR);
        }
        let groups = row.channels.div_ceil(OUTPUTS);
        for pair in (0..groups).step_by(2) {
            let first = pair * OUTPUTS;
            // SAFETY: the instructions are those of the CPU that `helium` names. The weights of a group were laid out by `pack`;
            // bias and scale cover 16 outputs; the sums have eight for every pixel; the rest is the caller's promise.
            unsafe {
                leaf::multiply(&flat, row.weights.add(pair * group_bytes), row.sums);
                if pair + 1 < groups {
                    let weights = row.weights.add((pair + 1) * group_bytes);
                    leaf::multiply(&flat, weights, row.sums.add(OUTPUTS));
                }
                if let Some(bias) = row.row_bias {
                    add_row_bias(bias, row.pixels, row.sums);
                }
                let channels = (row.channels - first).min(PIXEL_SUMS);
                let (bias, scale) = (row.bias.add(first), row.scale.add(first));
                leaf::requantise(&flat, (bias, scale), row.out.add(first), channels);
            }
        }
    }

    fn depthwise_lay_out(tap: usize, element: usize, weights: &[i8], to: &mut [u8]) {
        let places = &mut to[Self::depthwise_place(tap, element)..][..weights.len()];
        for (to, weight) in places.iter_mut().zip(weights) {
            *to = weight.cast_unsigned();
        }
    }

    fn depthwise_place(tap: usize, element: usize) -> usize {
        tap * VECTOR + element
    }

    unsafe fn depthwise(row: &DepthwiseRow<'_>) {
        // SAFETY: passed on; the instructions are those of the CPU that `helium` names.
        unsafe { leaf::depthwise(row) }
    }

    unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum) {
        // SAFETY: passed on.
        unsafe { Self::sum_pixels((a, 0), (b, 0), (to, 0), (1, n), op) }
    }

    unsafe fn sum_pixels(
        a: (*const u8, usize),
        b: (*const u8, usize),
        to: (*mut u8, usize),
        size: (usize, usize),
        op: &Sum,
    ) {
        // SAFETY: passed on.
        unsafe { leaf::sum_pixels(a, b, to, size, op) }
    }

    unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product) {
        // SAFETY: passed on.
        unsafe { leaf::product(a, b, to, n, op) }
    }

    unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]) {
        // SAFETY: passed on.
        unsafe { leaf::look_up(at, n, table) }
    }

    unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32) {
        // SAFETY: passed on.
        unsafe { leaf::add_up(from, n, channels, sums) }
    }
}
