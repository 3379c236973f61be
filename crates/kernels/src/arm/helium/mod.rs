//! Leaf kernels for Helium.
//!
//! `VMLADAV` sums sixteen products of signed bytes into one register, so the weights are laid out once a call as one run for
//! each output, and activations have their sign bit flipped; the bias makes up for that. The sums of a row go to memory,
//! from where they are requantised four at a time.
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

/// Outputs computed at once.
const OUTPUTS: usize = 4;

/// Bytes of a vector.
const VECTOR: usize = 16;

/// The leaf kernels of [`super::Helium`].
pub(super) struct HeliumIsa;

/// Vectors of a run.
fn vectors(quads: usize) -> usize {
    (quads * 4).div_ceil(VECTOR)
}

impl Isa for HeliumIsa {
    const OFFSET: i32 = 128;
    /// Here bytes are widened as they are loaded.
    const DEPTHWISE_OFFSET: i32 = 0;
    const VECTOR: usize = VECTOR;
    const TAPS: usize = 1;
    const TAP_BYTES: usize = 1;
    const SUMS: [usize; 2] = [OUTPUTS, 1];

    fn packed_bytes(taps: usize, quads: usize) -> usize {
        CHANNEL_BLOCK * taps * vectors(quads) * VECTOR
    }

    /// `[16 / 4 groups of outputs][taps][vectors of the run][4 outputs][16]`, runs padded with zeros.
    fn pack(weights: &[i8], taps: usize, quads: usize, to: &mut [u8]) {
        let (n, vectors) = (taps * vectors(quads), vectors(quads));
        to.fill(0);
        for (i, quad) in weights.as_chunks::<{ 4 * CHANNEL_BLOCK }>().0.iter().take(taps * quads).enumerate()
        {
            let (tap, q) = (i / quads, i % quads);
            for (o, w) in quad.as_chunks::<4>().0.iter().enumerate() {
                let vector = (o / OUTPUTS * n + tap * vectors + q / 4) * OUTPUTS + o % OUTPUTS;
                to[vector * VECTOR + q % 4 * 4..][..4].copy_from_slice(&w.map(|w| w.cast_unsigned()));
            }
        }
    }

    unsafe fn gemm(row: &GemmRow<'_>) {
        let group_bytes = row.taps.len() * vectors(row.quads) * OUTPUTS * VECTOR;
        for group in 0..row.channels.div_ceil(OUTPUTS) {
            let first = group * OUTPUTS;
            // SAFETY: the instructions are those of the CPU that `helium` names. The weights of a group were laid out by `pack`;
            // bias and scale cover 16 outputs; the sums have four for every pixel; the rest is the caller's promise.
            unsafe {
                let weights = row.weights.add(group * group_bytes);
                leaf::multiply(row, weights);
                let channels = (row.channels - first).min(OUTPUTS);
                leaf::requantise_pixels(
                    row,
                    (row.bias.add(first), row.scale.add(first)),
                    row.out.add(first),
                    channels,
                );
            }
        }
    }

    fn depthwise_place(tap: usize, element: usize) -> usize {
        tap * VECTOR + element
    }

    unsafe fn depthwise(row: &DepthwiseRow<'_>) {
        let table = row.taps.len() * VECTOR;
        // SAFETY: as in `gemm`; the tables have `period` vectors, and the sums a vector more than the row.
        unsafe {
            let mut phase = 0;
            for at in (0..row.len).step_by(VECTOR) {
                leaf::filter(row, at, row.weights.add(phase * table), row.sums.add(at));
                phase = if phase + 1 == row.period { 0 } else { phase + 1 };
            }
            let part = row.period * VECTOR;
            for at in (0..row.len).step_by(part) {
                let len = part.min(row.len - at);
                leaf::requantise_run(row, row.sums.add(at), row.out.add(at), len);
            }
        }
    }

    unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum) {
        // SAFETY: passed on.
        unsafe { leaf::sum(a, b, to, n, op) }
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
