//! 8-bit composition of the fused image.
//!
//! The tables are read one entry at a time, which no instruction does faster; the mixing, for luma without gaps between
//! pixels, is a loop over arrays of sixteen that the compiler turns into vectors. (From the scalar kernel's closures it makes
//! 110 KB of code.)

use core::ops::Range;

use fusionproxy_format::Blend;

use crate::Call;

/// Pixels that are mixed at once: a vector of bytes, or, on the small processors that have none, a block.
const STEP: usize = if cfg!(target_arch = "arm") { BLOCK } else { 16 };

/// Pixels of a logit's block in a row, as the students have them.
const BLOCK: usize = 2;

/// Stands for the residuals of a network that has none.
static NONE: [i32; 256] = [0; 256];

/// One row of luma without gaps between pixels.
struct Row<'a> {
    visible: *const u8,
    infrared: *const u8,
    out: *mut u8,
    width: usize,
    /// Logits of the weights of the first block, distance to those of its residuals and to those of the next block.
    logits: *const u8,
    plane: usize,
    pixel: usize,
    weight: &'a [i32; 256],
    residual: &'a [i32; 256],
}

/// Runs rows `rows` of a composition in 8 bits.
pub(crate) fn run(op: &Blend<'_>, call: &Call<'_, '_>, rows: Range<usize>) {
    let (Some(visible), Some(infrared), Some(logits), Some(dst)) =
        (call.source::<u8>(0), call.source::<u8>(1), call.source::<u8>(2), call.target::<u8>())
    else {
        return;
    };
    // The call's constructor asks for the tables.
    let Some(weight) = op.weight else { return };
    let (block, width, channels) = (op.block, dst.shape().width, dst.shape().channels);
    let residual = op.residual.filter(|_| op.gain != 0.0);
    // Without residuals there may be one plane of logits alone.
    let plane = if residual.is_some() { block * block } else { 0 };
    let residual = residual.unwrap_or(&NONE);
    let packed = channels == 1
        && block == BLOCK
        && dst.as_src().packed_pixels()
        && visible.packed_pixels()
        && infrared.packed_pixels();
    for y in rows {
        let first = y % block * block;
        let mut x = 0;
        if packed {
            let row = Row {
                visible: visible.ptr(y, 0),
                infrared: infrared.ptr(y, 0),
                out: dst.ptr(y, 0),
                width,
                logits: logits.ptr(y / block, 0).wrapping_add(first),
                plane,
                pixel: logits.layout().pixel,
                weight,
                residual,
            };
            // SAFETY: the rows are without gaps and `width` long, with a pixel of logits for every block; the output is apart
            // from the inputs, or is one of them.
            x = unsafe { compose(&row) };
        }
        for x in x..width {
            let at = |plane: usize| usize::from(logits.get(y / block, x / block, plane + first + x % block));
            let (w, r, i) = (weight[at(0)], residual[at(plane)], infrared.get(y, x, 0));
            for c in 0..channels {
                dst.set(y, x, c, mix(visible.get(y, x, c), i, w, r));
            }
        }
    }
}

/// Composes whole steps, and gives the pixels that they were.
///
/// # Safety
/// The row is as [`Row`] says.
#[inline(never)]
unsafe fn compose(row: &Row<'_>) -> usize {
    let (mut x, mut logits) = (0, row.logits);
    while x + STEP <= row.width {
        let (mut w, mut r) = ([0; STEP], [0; STEP]);
        // SAFETY: pixels x..x + STEP of the rows, and the logits of their blocks.
        unsafe {
            for (w, r) in w.chunks_exact_mut(BLOCK).zip(r.chunks_exact_mut(BLOCK)) {
                for (k, (w, r)) in w.iter_mut().zip(r).enumerate() {
                    *w = row.weight[usize::from(logits.add(k).read())];
                    *r = row.residual[usize::from(logits.add(row.plane + k).read())];
                }
                logits = logits.wrapping_add(row.pixel);
            }
            let v = row.visible.add(x).cast::<[u8; STEP]>().read();
            let i = row.infrared.add(x).cast::<[u8; STEP]>().read();
            let out = core::array::from_fn(|k| mix(v[k], i[k], w[k], r[k]));
            row.out.add(x).cast::<[u8; STEP]>().write(out);
        }
        x += STEP;
    }
    x
}

/// clamp((visible * 2^15 + (infrared - visible) * weight + residual + 2^14) >> 15)
#[inline(always)]
fn mix(visible: u8, infrared: u8, weight: i32, residual: i32) -> u8 {
    let (v, i) = (i32::from(visible), i32::from(infrared));
    ((v * 32_768 + (i - v) * weight + residual + 16_384) >> 15).clamp(0, 255) as u8
}
