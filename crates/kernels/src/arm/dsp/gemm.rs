//! Dense convolution: one pixel times four outputs at a time, which with the operands of one step is what the thirteen
//! registers hold.

use fusionproxy_format::CHANNEL_BLOCK;

use crate::arm::ops::{put, smlad, uxtb16, uxtb16_odd, word};
use crate::rows::gemm::GemmRow;

/// Outputs computed at once.
const OUTPUTS: usize = 4;

/// Words of weights of one group of four inputs: for each output, inputs 0 and 2, and 1 and 3.
const QUAD: usize = 2 * OUTPUTS;

/// Bytes of a block of 16 outputs.
pub(super) fn packed_bytes(taps: usize, quads: usize) -> usize {
    CHANNEL_BLOCK / OUTPUTS * taps * quads * QUAD * 4
}

/// `[16 / 4 groups of outputs][quads][4 outputs][2 words]`
pub(super) fn pack(weights: &[i8], quads: usize, to: &mut [u8]) {
    let words = to.as_chunks_mut::<4>().0;
    let pair = |low: i8, high: i8| {
        let ([a, b], [c, d]) = (i16::from(low).to_le_bytes(), i16::from(high).to_le_bytes());
        [a, b, c, d]
    };
    for (q, quad) in weights.as_chunks::<{ 4 * CHANNEL_BLOCK }>().0.iter().take(quads).enumerate() {
        for (o, w) in quad.as_chunks::<4>().0.iter().enumerate() {
            let at = (o / OUTPUTS * quads + q) * QUAD + o % OUTPUTS * 2;
            words[at] = pair(w[0], w[2]);
            words[at + 1] = pair(w[1], w[3]);
        }
    }
}

/// Multiplies a row.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`].
pub(super) unsafe fn gemm(row: &GemmRow<'_>) {
    // SAFETY: passed on.
    unsafe { if row.row_bias.is_some() { multiply::<true>(row) } else { multiply::<false>(row) } }
}

/// Multiplies a row; `ROWS` says whether pixels have numbers of their own, for which a convolution should not have to ask.
///
/// # Safety
/// As for [`gemm`].
#[inline(never)]
unsafe fn multiply<const ROWS: bool>(row: &GemmRow<'_>) {
    let quads = row.taps.len() * row.quads;
    for group in 0..row.channels.div_ceil(OUTPUTS) {
        let first = group * OUTPUTS;
        // SAFETY: bias, scale and weights cover 16 outputs, of which these are four; `quads` * 4 bytes can be read at each tap
        // of a pixel, and its channels written.
        unsafe {
            let bias = row.bias.add(first).cast::<[i32; OUTPUTS]>().read_unaligned();
            let scale = row.scale.add(first).cast::<[f32; OUTPUTS]>().read_unaligned();
            let packed = row.weights.cast::<u32>().add(group * quads * QUAD);
            let mut out = row.out.add(first);
            let mut at = 0;
            for x in 0..row.pixels {
                let mut sums = bias;
                if let Some(row_bias) = row.row_bias.filter(|_| ROWS) {
                    sums = sums.map(|sum| sum + row_bias.add(x).read());
                }
                let mut w = packed;
                for tap in row.taps {
                    let mut from = tap.add(at);
                    for _ in 0..row.quads {
                        let x = word(from);
                        let (even, odd) = (uxtb16(x), uxtb16_odd(x));
                        for (o, sum) in sums.iter_mut().enumerate() {
                            *sum = smlad(w.add(2 * o).read(), even, *sum);
                            *sum = smlad(w.add(2 * o + 1).read(), odd, *sum);
                        }
                        w = w.add(QUAD);
                        from = from.add(4);
                    }
                }
                let q = core::array::from_fn(|o| row.requant.value(sums[o], scale[o]));
                put(out, q, row.channels - first);
                at += row.step;
                out = out.add(row.out_pixel);
            }
        }
    }
}
