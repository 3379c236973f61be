//! Leaf kernels for the DSP extension.
//!
//! `SMLAD` takes two pairs of 16 bits. Of four bytes, `UXTB16` gives 0 and 2, and, rotated, 1 and 3; the weights are laid out
//! once a call in the same order, so that no activation is moved into place.

mod depthwise;
mod elementwise;
mod gemm;

use crate::rows::depthwise::DepthwiseRow;
use crate::rows::elementwise::{Product, Sum};
use crate::rows::gemm::GemmRow;
use crate::rows::isa::Isa;

/// The leaf kernels of [`super::Dsp`].
pub(super) struct DspIsa;

impl Isa for DspIsa {
    const OFFSET: i32 = 0;
    const VECTOR: usize = 4;
    const TAPS: usize = 1;
    const TAP_BYTES: usize = 2;
    const SUMS: usize = 0;

    fn packed_bytes(taps: usize, quads: usize) -> usize {
        gemm::packed_bytes(taps, quads)
    }

    fn pack(weights: &[i8], taps: usize, quads: usize, to: &mut [u8]) {
        gemm::pack(weights, taps * quads, to);
    }

    unsafe fn gemm(row: &GemmRow<'_>) {
        // SAFETY: passed on.
        unsafe { gemm::gemm(row) }
    }

    fn depthwise_place(tap: usize, element: usize) -> usize {
        depthwise::place(tap, element)
    }

    unsafe fn depthwise(row: &DepthwiseRow<'_>) {
        // SAFETY: passed on.
        unsafe { depthwise::depthwise(row) }
    }

    unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum) {
        // SAFETY: passed on.
        unsafe { elementwise::sum(a, b, to, n, op) }
    }

    unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product) {
        // SAFETY: passed on.
        unsafe { elementwise::product(a, b, to, n, op) }
    }

    unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]) {
        // SAFETY: passed on.
        unsafe { elementwise::look_up(at, n, table) }
    }

    unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32) {
        // SAFETY: passed on.
        unsafe { elementwise::add_up(from, n, channels, sums) }
    }
}
