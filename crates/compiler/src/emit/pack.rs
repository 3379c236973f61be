//! Weights in the artifact's order.

use fusionproxy_format::{CHANNEL_BLOCK, ConvGeometry, packed_row, packed_weights_len, padded_channels};

use crate::ir::Conv;

/// Geometry of a convolution.
pub(super) fn geometry(c: &Conv) -> ConvGeometry {
    ConvGeometry { window: c.window, groups: c.groups, input_channels: c.inputs, output_channels: c.outputs }
}

/// Packs `[outputs][kernel_h][kernel_w][inputs / groups]` as [`packed_weights_len`] describes.
pub(super) fn weights<T: Copy + Default>(g: &ConvGeometry, w: &[T], eight_bit: bool) -> Vec<T> {
    let [kh, kw] = g.window.kernel.map(usize::from);
    let mut out = vec![T::default(); packed_weights_len(g, eight_bit)];
    if g.depthwise() {
        let padded = padded_channels(g.output_channels);
        for (i, v) in w.iter().enumerate() {
            out[i % (kh * kw) * padded + i / (kh * kw)] = *v;
        }
        return out;
    }
    let inputs = g.input_channels / g.groups;
    let row = if eight_bit { packed_row(kw, inputs) } else { kw * inputs };
    for (o, filter) in w.chunks_exact(kh * kw * inputs).enumerate() {
        let slot = slot(g, o);
        let (block, lane) = (slot / CHANNEL_BLOCK, slot % CHANNEL_BLOCK);
        for (ky, line) in filter.chunks_exact(kw * inputs).enumerate() {
            let base = (block * kh + ky) * row * CHANNEL_BLOCK;
            for (k, v) in line.iter().enumerate() {
                let at = if eight_bit {
                    k / 4 * 4 * CHANNEL_BLOCK + lane * 4 + k % 4
                } else {
                    k * CHANNEL_BLOCK + lane
                };
                out[base + at] = *v;
            }
        }
    }
    out
}

/// Packs one entry per output channel.
pub(super) fn per_channel<T: Copy + Default>(g: &ConvGeometry, v: &[T]) -> Vec<T> {
    let mut out = vec![T::default(); g.channel_slots()];
    for (o, v) in v.iter().enumerate() {
        out[slot(g, o)] = *v;
    }
    out
}

/// Entry of output channel `o` in the per-channel arrays.
fn slot(g: &ConvGeometry, o: usize) -> usize {
    if g.depthwise() {
        return o;
    }
    let per = g.output_channels / g.groups;
    o / per * padded_channels(per) + o % per
}

#[cfg(test)]
mod tests {
    use fusionproxy_format::Window;

    use super::*;

    fn geometry(kernel: [u8; 2], groups: usize, inputs: usize, outputs: usize) -> ConvGeometry {
        let window = Window { kernel, stride: [1; 2], dilation: [1; 2], pad: [0; 4] };
        ConvGeometry { window, groups, input_channels: inputs, output_channels: outputs }
    }

    #[test]
    fn eight_bit_quads() {
        // 2 outputs, kernel 1x1, 5 inputs: the row is padded to 8.
        let g = geometry([1, 1], 1, 5, 2);
        let w: Vec<i8> = (1..=10).collect();
        let p = weights(&g, &w, true);
        assert_eq!(p.len(), 16 * 8);
        assert_eq!(p[..8], [1, 2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(p[64..72], [5, 0, 0, 0, 10, 0, 0, 0]);
    }

    #[test]
    fn float_rows_of_outputs() {
        let g = geometry([1, 2], 1, 1, 3);
        let p = weights(&g, &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], false);
        assert_eq!(p[..3], [1.0, 3.0, 5.0]);
        assert_eq!(p[16..19], [2.0, 4.0, 6.0]);
    }

    #[test]
    fn groups_begin_a_block_each() {
        let g = geometry([1, 1], 2, 2, 4);
        assert_eq!(per_channel(&g, &[1, 2, 3, 4]).iter().position(|v| *v == 3), Some(16));
        let p = weights(&g, &[1.0f32, 2.0, 3.0, 4.0], false);
        assert_eq!((p[1], p[16]), (2.0, 3.0));
    }

    #[test]
    fn depthwise_taps_outermost() {
        let g = geometry([1, 2], 3, 3, 3);
        let p = weights(&g, &[1i8, 2, 3, 4, 5, 6], true);
        assert_eq!(p[..3], [1, 3, 5]);
        assert_eq!(p[16..19], [2, 4, 6]);
    }
}
