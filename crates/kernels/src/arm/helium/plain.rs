//! What the loops of `vector` compute, in plain arithmetic.

use super::{OUTPUTS, PIXEL_SUMS, VECTOR, vectors};
use crate::rows::depthwise::DepthwiseRow;
use crate::rows::elementwise::{Product, Sum};
use crate::rows::gemm::GemmRow;

/// Copies the runs of every pixel behind one another, a vector for each.
///
/// # Safety
/// The row is as [`GemmRow`] says, its runs fit a vector, and a vector can be written for every pixel.
pub(super) unsafe fn gather(row: &GemmRow<'_>, to: *mut u8) {
    let run = row.quads * 4;
    for x in 0..row.pixels {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(x * VECTOR);
            to.write_bytes(0, VECTOR);
            for (t, tap) in row.taps.iter().enumerate() {
                core::ptr::copy_nonoverlapping(tap.add(x * row.step), to.add(t * run), run);
            }
        }
    }
}

/// sums\[x\]\[o\] = the sum of the weights times the activations of pixel x, less 128.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`], `weights` being the first of four outputs.
pub(super) unsafe fn multiply(row: &GemmRow<'_>, weights: *const u8, sums: *mut i32) {
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
            // SAFETY: four of the sums of a pixel.
            unsafe { sums.add(x * PIXEL_SUMS + o).write(sum) };
        }
    }
}

/// Requantises the sums of [`multiply`] and writes the first `channels` of each pixel's eight.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`]; eight biases and scales.
pub(super) unsafe fn requantise(
    row: &GemmRow<'_>,
    (bias, scale): (*const i32, *const f32),
    out: *mut u8,
    channels: usize,
) {
    for x in 0..row.pixels {
        for o in 0..channels {
            // SAFETY: the caller's promise.
            unsafe {
                let sum = row.sums.add(x * PIXEL_SUMS + o).read() + bias.add(o).read();
                out.add(x * row.out_pixel + o).write(row.requant.value(sum, scale.add(o).read()));
            }
        }
    }
}

/// Filters a row.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::depthwise`].
pub(super) unsafe fn depthwise(row: &DepthwiseRow<'_>) {
    for at in 0..row.len {
        let (phase, e) = (at / VECTOR % row.period, at % VECTOR);
        // SAFETY: one element of the tables and of every tap's run.
        unsafe {
            let mut sum = row.bias.add(phase * VECTOR + e).read();
            for (t, tap) in row.taps.iter().enumerate() {
                let w = row.weights.add((phase * row.taps.len() + t) * VECTOR + e).cast::<i8>().read();
                sum += i32::from(tap.add(at).read()) * i32::from(w);
            }
            row.out.add(at).write(row.requant.value(sum, row.scale.add(phase * VECTOR + e).read()));
        }
    }
}

/// The body of [`crate::rows::isa::Isa::sum_pixels`].
///
/// # Safety
/// As there.
pub(super) unsafe fn sum_pixels(
    (a, a_pitch): (*const u8, usize),
    (b, b_pitch): (*const u8, usize),
    (to, to_pitch): (*mut u8, usize),
    (pixels, channels): (usize, usize),
    op: &Sum,
) {
    for x in 0..pixels {
        for c in 0..channels {
            // SAFETY: the caller's promise.
            unsafe {
                let sum = op.value(a.add(x * a_pitch + c).read(), b.add(x * b_pitch + c).read());
                to.add(x * to_pitch + c).write(sum);
            }
        }
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
