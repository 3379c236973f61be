//! What the loops of `vector` compute, in plain arithmetic.

use super::{OUTPUTS, VECTOR, vectors};
use crate::rows::depthwise::DepthwiseRow;
use crate::rows::elementwise::{Product, Sum};
use crate::rows::gemm::GemmRow;

/// sums\[x\]\[o\] = the sum of the weights times the activations of pixel x, less 128.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`], `weights` being the first of four outputs.
pub(super) unsafe fn multiply(row: &GemmRow<'_>, weights: *const u8) {
    let vectors = vectors(row.quads);
    for x in 0..row.pixels {
        for o in 0..OUTPUTS {
            let mut sum = 0;
            for (t, tap) in row.taps.iter().enumerate() {
                for i in 0..row.quads * 4 {
                    // SAFETY: byte i of the run of the tap, and its weight.
                    unsafe {
                        let vector = (t * vectors + i / VECTOR) * OUTPUTS + o;
                        let w = weights.add(vector * VECTOR + i % VECTOR).cast::<i8>().read();
                        sum += (i32::from(tap.add(x * row.step + i).read()) - 128) * i32::from(w);
                    }
                }
            }
            // SAFETY: four sums a pixel.
            unsafe { row.sums.add(x * OUTPUTS + o).write(sum) };
        }
    }
}

/// Requantises the sums of [`multiply`] and writes the first `channels` of each pixel's four.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`]; four biases and scales.
pub(super) unsafe fn requantise_pixels(
    row: &GemmRow<'_>,
    (bias, scale): (*const i32, *const f32),
    out: *mut u8,
    channels: usize,
) {
    for x in 0..row.pixels {
        for o in 0..channels {
            // SAFETY: the caller's promise.
            unsafe {
                let sum = row.sums.add(x * OUTPUTS + o).read() + bias.add(o).read();
                out.add(x * row.out_pixel + o).write(row.requant.value(sum, scale.add(o).read()));
            }
        }
    }
}

/// Sums of the taps of the 16 elements at `at`.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::depthwise`]; 16 sums can be written.
pub(super) unsafe fn filter(row: &DepthwiseRow<'_>, at: usize, weights: *const u8, sums: *mut i32) {
    for e in 0..VECTOR {
        let mut sum = 0;
        for (t, tap) in row.taps.iter().enumerate() {
            // SAFETY: a vector of the tap's run, and its weights.
            unsafe {
                let w = weights.add(t * VECTOR + e).cast::<i8>().read();
                sum += i32::from(tap.add(at + e).read()) * i32::from(w);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { sums.add(e).write(sum) };
    }
}

/// Requantises `len` sums, at most a period.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::depthwise`].
pub(super) unsafe fn requantise_run(row: &DepthwiseRow<'_>, sums: *const i32, out: *mut u8, len: usize) {
    for e in 0..len {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = sums.add(e).read() + row.bias.add(e).read();
            out.add(e).write(row.requant.value(sum, row.scale.add(e).read()));
        }
    }
}

/// The body of [`crate::rows::isa::Isa::sum`].
///
/// # Safety
/// As there.
pub(super) unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(op.value(a.add(i).read(), b.add(i).read())) };
    }
}

/// The body of [`crate::rows::isa::Isa::product`].
///
/// # Safety
/// As there.
pub(super) unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(op.value(a.add(i).read(), b.add(i).read())) };
    }
}

/// The body of [`crate::rows::isa::Isa::look_up`].
///
/// # Safety
/// As there.
pub(super) unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { at.add(i).write(table[usize::from(at.add(i).read())]) };
    }
}

/// The body of [`crate::rows::isa::Isa::add_up`].
///
/// # Safety
/// As there.
pub(super) unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = sums.add(i % channels);
            sum.write(sum.read() + i32::from(from.add(i).read()));
        }
    }
}
