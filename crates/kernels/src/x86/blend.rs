//! 8-bit composition of the fused image.

use core::ops::Range;

use fusionproxy_format::Blend;

use super::isa::Isa;
use crate::{Call, Shape};

/// One row of a grey image in which every logit pixel holds a block of 2 x 2.
pub(super) struct BlendRow<'a> {
    /// Visible pixels.
    pub(super) visible: *const u8,
    /// Infrared pixels.
    pub(super) infrared: *const u8,
    /// The logits' pixels: 2 bytes of plane a at `first`, 2 of plane b at 4 + `first`, in 8.
    pub(super) logits: *const u8,
    /// 0 for the upper row of the block, 2 for the lower.
    pub(super) first: usize,
    /// Output pixels, even.
    pub(super) pixels: usize,
    /// Output.
    pub(super) out: *mut u8,
    /// Weight of infrared, in units of 2^-15.
    pub(super) weight: &'a [i32; 256],
    /// Addend, in units of 2^-15.
    pub(super) residual: &'a [i32; 256],
}

/// Whether [`run`] takes this composition, if the image is grey and its views have no gaps.
pub(super) fn supports(op: &Blend<'_>) -> bool {
    op.block == 2 && op.gain != 0.0 && op.weight.is_some() && op.residual.is_some()
}

/// Runs `units` of a composition that [`supports`] accepts; `false` if the views do not fit.
pub(super) fn run<I: Isa>(call: &Call<'_, '_>, op: &Blend<'_>, units: Range<usize>) -> bool {
    let (Some(visible), Some(infrared), Some(logits), Some(out)) =
        (call.source::<u8>(0), call.source::<u8>(1), call.source::<u8>(2), call.target::<u8>())
    else {
        return false;
    };
    let (Some(weight), Some(residual)) = (op.weight, op.residual) else { return false };
    let Shape { width, channels, .. } = out.shape();
    let packed = [visible, infrared, logits, out.as_src()].iter().all(crate::Src::packed_pixels);
    if channels != 1 || !packed {
        return false;
    }
    for y in units {
        let row = BlendRow {
            visible: visible.ptr(y, 0),
            infrared: infrared.ptr(y, 0),
            logits: logits.ptr(y / 2, 0),
            first: y % 2 * 2,
            pixels: width,
            out: out.ptr(y, 0),
            weight,
            residual,
        };
        // SAFETY: the token's existence proves the instructions; the rows have `width` pixels, the logits half as many of
        // 8 bytes.
        unsafe { I::blend(&row) };
    }
    true
}
