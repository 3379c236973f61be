//! Parameters: numbers of the network in the order in which shaders read them, in vectors of four words.

use alloc::vec;
use alloc::vec::Vec;

use fusionproxy_format::{
    CHANNEL_BLOCK, ConvGeometry, ConvWeights, Finish, Quant, packed_row, packed_weights_len, padded_channels,
};
use half::f16;

use super::Writer;
use crate::graph::LANES;

/// How an 8-bit result is finished.
#[derive(Clone, Copy)]
pub(super) struct Finishing {
    /// Number of the vector with zero point and bounds.
    pub at: usize,
    /// Whether a table follows it.
    pub table: bool,
}

impl Writer<'_, '_> {
    /// Zero point, bounds and table.
    pub(super) fn push_finish(&mut self, output: Quant, finish: &Finish<'_>) -> Finishing {
        let zero = i32::from(output.zero_point);
        let bound = |v: u8| ((i32::from(v) - zero) as f32).to_bits();
        let at = self.push([[zero.cast_unsigned(), bound(finish.lo), bound(finish.hi), 0]]);
        if let Some(table) = finish.table {
            self.push_bytes(table);
        }
        Finishing { at, table: finish.table.is_some() }
    }

    /// Bytes, four to a word; the last vector is filled with zeros.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) -> usize {
        self.push(bytes.chunks(16).map(|chunk| {
            let mut padded = [0; 16];
            padded[..chunk.len()].copy_from_slice(chunk);
            vector(&padded)
        }))
    }

    /// Floats, four to a vector; the last vector is filled with zeros.
    pub(super) fn push_floats(&mut self, floats: &[f32]) -> usize {
        self.push(
            floats
                .chunks(LANES)
                .map(|c| core::array::from_fn(|i| c.get(i).copied().unwrap_or(0.0).to_bits())),
        )
    }

    /// 32-bit integers.
    pub(super) fn push_ints(&mut self, ints: &[i32]) -> usize {
        self.push(
            ints.chunks(LANES)
                .map(|c| core::array::from_fn(|i| c.get(i).copied().unwrap_or(0).cast_unsigned())),
        )
    }
}

fn vector(bytes: &[u8; 16]) -> [u32; 4] {
    let words = bytes.as_chunks::<4>().0;
    core::array::from_fn(|i| u32::from_le_bytes(words[i]))
}

/// A convolution's numbers by output channel, tap and input channel, wherever the packing put them.
pub(super) struct Numbers<'a> {
    geometry: ConvGeometry,
    weights: ConvWeights<'a>,
}

impl<'a> Numbers<'a> {
    pub(super) fn new(geometry: ConvGeometry, weights: ConvWeights<'a>) -> Self {
        Self { geometry, weights }
    }

    /// Taps of the window.
    pub(super) fn taps(&self) -> usize {
        self.geometry.window.kernel.iter().map(|k| usize::from(*k)).product()
    }

    /// Place of an output channel in the per-channel arrays.
    fn slot(&self, output: usize) -> usize {
        let g = &self.geometry;
        if g.depthwise() {
            return output;
        }
        let per_group = g.output_channels / g.groups;
        output / per_group * padded_channels(per_group) + output % per_group
    }

    /// Place of a weight in the packed weights; `None` where the group has none.
    fn place(&self, output: usize, tap: usize, input: usize) -> Option<usize> {
        let g = &self.geometry;
        if output >= g.output_channels || input >= g.input_channels {
            return None;
        }
        if g.depthwise() {
            return (input == output).then(|| tap * padded_channels(g.output_channels) + output);
        }
        let (inputs, outputs) = (g.input_channels / g.groups, g.output_channels / g.groups);
        if input / inputs != output / outputs {
            return None;
        }
        let input = input % inputs;
        let (kh, kw) = (usize::from(g.window.kernel[0]), usize::from(g.window.kernel[1]));
        let (block, lane) = (self.slot(output) / CHANNEL_BLOCK, self.slot(output) % CHANNEL_BLOCK);
        Some(if let ConvWeights::Int8 { .. } = self.weights {
            let row = packed_row(kw, inputs);
            let i = tap % kw * inputs + input;
            ((block * kh + tap / kw) * row / 4 + i / 4) * 4 * CHANNEL_BLOCK + lane * 4 + i % 4
        } else {
            ((block * kh * kw + tap) * inputs + input) * CHANNEL_BLOCK + lane
        })
        .filter(|p| *p < packed_weights_len(g, matches!(self.weights, ConvWeights::Int8 { .. })))
    }

    /// An 8-bit weight.
    fn byte(&self, output: usize, tap: usize, input: usize) -> i8 {
        let ConvWeights::Int8 { weights, .. } = self.weights else { return 0 };
        self.place(output, tap, input).map_or(0, |i| weights[i])
    }

    /// A float weight.
    fn float(&self, output: usize, tap: usize, input: usize) -> f32 {
        self.place(output, tap, input).map_or(0.0, |i| match self.weights {
            ConvWeights::F16 { weights, .. } => weights[i].to_f32(),
            ConvWeights::F32 { weights, .. } => weights[i],
            ConvWeights::Int8 { .. } => 0.0,
        })
    }

    /// Whether weights are stored in 8 bits.
    pub(super) fn eight_bit(&self) -> bool {
        matches!(self.weights, ConvWeights::Int8 { .. })
    }

    /// Name of the function that multiplies four inputs by a block of float weights, and that block's vectors.
    pub(super) fn product(&self) -> (&'static str, usize) {
        if matches!(self.weights, ConvWeights::F16 { .. }) { ("product16", 2) } else { ("product32", 4) }
    }

    /// For one word of outputs, the vectors that come before its weights: bias, and scale in 8 bits. Dense convolutions
    /// subtract 128 from each input to have it signed, which `offset` makes good.
    pub(super) fn per_output(&self, word: usize, offset: bool) -> Vec<[u32; 4]> {
        let outputs = self.geometry.output_channels;
        let each = |f: &dyn Fn(usize) -> u32| {
            core::array::from_fn(|lane| {
                let o = word * LANES + lane;
                if o < outputs { f(o) } else { 0 }
            })
        };
        match self.weights {
            ConvWeights::Int8 { bias, scale, .. } => {
                let shifted = |o: usize| {
                    let weights = (0..self.taps())
                        .flat_map(|t| (0..self.geometry.input_channels).map(move |i| (t, i)))
                        .map(|(t, i)| i32::from(self.byte(o, t, i)));
                    let share = if offset { weights.sum::<i32>().wrapping_mul(128) } else { 0 };
                    bias[self.slot(o)].wrapping_add(share).cast_unsigned()
                };
                vec![each(&shifted), each(&|o| scale[self.slot(o)].to_bits())]
            }
            ConvWeights::F16 { bias, .. } | ConvWeights::F32 { bias, .. } => {
                vec![each(&|o| bias[self.slot(o)].to_bits())]
            }
        }
    }

    /// Weights of one word of outputs for four (tap, input channel): what one call of `dots` or of a product takes.
    pub(super) fn block(&self, word: usize, inputs: [Option<(usize, usize)>; 4]) -> Vec<[u32; 4]> {
        let output = |lane: usize| word * LANES + lane;
        if self.eight_bit() {
            let byte = |lane: usize, i: usize| {
                inputs[i].map_or(0, |(tap, input)| self.byte(output(lane), tap, input)).cast_unsigned()
            };
            return vec![core::array::from_fn(|lane| {
                u32::from_le_bytes(core::array::from_fn(|i| byte(lane, i)))
            })];
        }
        let column = |i: usize| -> [f32; 4] {
            core::array::from_fn(|lane| {
                inputs[i].map_or(0.0, |(tap, input)| self.float(output(lane), tap, input))
            })
        };
        if let ConvWeights::F16 { .. } = self.weights {
            let pair = |i: usize| -> [u32; 4] {
                let (a, b) = (halves(column(i)), halves(column(i + 1)));
                [a[0], a[1], b[0], b[1]]
            };
            return vec![pair(0), pair(2)];
        }
        (0..4).map(|i| column(i).map(f32::to_bits)).collect()
    }

    /// Weights of one word of a depthwise convolution, tap by tap: four taps to a vector in 8 bits, two in 16, one in 32.
    pub(super) fn depthwise_taps(&self, word: usize) -> Vec<[u32; 4]> {
        let channels: [usize; 4] = core::array::from_fn(|lane| word * LANES + lane);
        let taps: Vec<usize> = (0..self.taps()).collect();
        match self.weights {
            ConvWeights::Int8 { .. } => taps
                .chunks(4)
                .map(|chunk| {
                    core::array::from_fn(|i| {
                        let tap = chunk.get(i);
                        let byte = |c: usize| tap.map_or(0, |t| self.byte(c, *t, c)).cast_unsigned();
                        u32::from_le_bytes(channels.map(byte))
                    })
                })
                .collect(),
            ConvWeights::F16 { .. } => taps
                .chunks(2)
                .map(|chunk| {
                    let [a, b] = [0, 1].map(|i| {
                        let tap = chunk.get(i);
                        halves(channels.map(|c| tap.map_or(0.0, |t| self.float(c, *t, c))))
                    });
                    [a[0], a[1], b[0], b[1]]
                })
                .collect(),
            ConvWeights::F32 { .. } => {
                taps.iter().map(|t| channels.map(|c| self.float(c, *t, c).to_bits())).collect()
            }
        }
    }
}

/// Four numbers as half-precision pairs.
fn halves(v: [f32; 4]) -> [u32; 2] {
    let bits = v.map(|v| u32::from(f16::from_f32(v).to_bits()));
    [bits[0] | bits[1] << 16, bits[2] | bits[3] << 16]
}
