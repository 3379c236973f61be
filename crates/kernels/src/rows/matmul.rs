//! 8-bit matrix products of token tensors.
//!
//! Each head multiplies rows of bytes (queries, or shares of the keys) by a matrix that does not change from row to row (keys,
//! or values). That matrix is packed like a convolution's weights, less 128 so that it is signed, and the leaf kernel of the
//! convolutions does the rest. With a and b the elements, za and zb their zero points, n the number of terms, and o what the
//! leaf kernel takes off each a ([`Isa::OFFSET`]):
//!
//! Σ (a - za) (b - zb) = Σ (a - o) (b - 128) + (128 - zb) Σ (a - o) + (o - za) (Σ (b - 128) + n (128 - zb))
//!
//! The second term belongs to a row, the third to a column. No sum leaves 32 bits: n is at most 2¹⁴.

use core::ops::Range;

use fusionproxy_format::{CHANNEL_BLOCK, Finish, Matmul};

use super::gemm::GemmRow;
use super::heads;
use super::isa::Isa;
use super::reduce::sum_rows;
use super::requant::Requant;
use super::stage::{Parts, copy_pixels};
use crate::{Call, Dst, Shape, Src};

/// Rows of the left operand that are worked on together: whole tiles of every leaf kernel.
const ROWS: usize = 48;

/// Sizes of a product.
#[derive(Clone, Copy)]
struct Sizes {
    heads: usize,
    /// Terms of a sum, and their number rounded up to whole groups of 4.
    terms: usize,
    padded_terms: usize,
    /// Columns of a head's matrix, and their number rounded up to whole blocks.
    columns: usize,
    padded_columns: usize,
}

/// The parts of the scratch.
struct Scratch<'s> {
    /// The matrices as `[head][block][group of 4 terms][16 columns][4 terms]`, and as [`Isa::pack`] laid them out.
    matrices: &'s mut [u8],
    packed: &'s mut [u8],
    /// The columns' terms.
    bias: &'s mut [u8],
    /// The scale, for each column of a block.
    scale: &'s mut [u8],
    /// Rows as `[head][ROWS][padded terms]`, and their terms.
    rows: &'s mut [u8],
    row_bias: &'s mut [u8],
    /// Results that wait to be brought together.
    waiting: &'s mut [u8],
    /// [`GemmRow::sums`]
    sums: &'s mut [u8],
}

impl Sizes {
    fn new(op: &Matmul, input: Shape, output: Shape) -> Self {
        let (terms, columns) = if op.transpose_b {
            (input.channels / op.heads, output.width)
        } else {
            (input.width, output.channels / op.heads)
        };
        Self {
            heads: op.heads,
            terms,
            padded_terms: terms.next_multiple_of(4),
            columns,
            padded_columns: columns.next_multiple_of(CHANNEL_BLOCK),
        }
    }

    /// Bytes of a block's matrix.
    fn block(&self) -> usize {
        self.padded_terms * CHANNEL_BLOCK
    }

    fn blocks(&self) -> usize {
        self.padded_columns / CHANNEL_BLOCK
    }

    /// Bytes of a packed block, 0 if the leaf kernel takes it as it is.
    fn packed_block<I: Isa>(&self) -> usize {
        I::packed_bytes(1, self.padded_terms / 4)
    }

    /// Bytes of the parts of [`Scratch`].
    fn parts<I: Isa>(&self) -> [usize; 8] {
        let Self { heads, padded_terms, padded_columns, .. } = *self;
        [
            heads * self.blocks() * self.block(),
            heads * self.blocks() * self.packed_block::<I>(),
            heads * padded_columns * size_of::<i32>(),
            CHANNEL_BLOCK * size_of::<f32>(),
            heads * ROWS * padded_terms,
            heads * ROWS * size_of::<i32>(),
            heads * ROWS * padded_columns,
            ROWS * I::SUMS * size_of::<i32>(),
        ]
    }
}

/// Scratch of [`run`].
pub(crate) fn scratch_bytes<I: Isa>(op: &Matmul, input: Shape, output: Shape) -> usize {
    Sizes::new(op, input, output).parts::<I>().map(Parts::size).iter().sum()
}

/// Token `i` in raster order.
fn token(v: &Src<'_, u8>, i: usize) -> *const u8 {
    v.ptr(i / v.shape().width, i % v.shape().width)
}

/// Runs `units` of a product; `false` if the views are not 8-bit.
pub(crate) fn run<I: Isa>(call: &Call<'_, '_>, op: &Matmul, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let (Some(a), Some(b), Some(out)) = (call.source::<u8>(0), call.source::<u8>(1), call.target::<u8>())
    else {
        return false;
    };
    let sizes = Sizes::new(op, a.shape(), out.shape());
    let [za, zb] = [0, 1].map(|i| i32::from(call.inputs()[i].quant.zero_point));
    let mut parts = Parts::new(scratch);
    let [matrices, packed, bias, scale, rows, row_bias, waiting, sums] =
        sizes.parts::<I>().map(|bytes| &mut parts.take(bytes)[..bytes]);
    let mut s = Scratch { matrices, packed, bias, scale, rows, row_bias, waiting, sums };
    s.scale.as_chunks_mut::<4>().0.fill(op.scale.to_ne_bytes());
    if op.transpose_b {
        pack_keys(&b, &sizes, s.matrices, s.bias);
    } else {
        pack_values::<I>(&b, &sizes, s.matrices, s.bias);
    }
    let bytes = sizes.packed_block::<I>();
    if bytes > 0 {
        for (from, to) in s.matrices.chunks_exact(sizes.block()).zip(s.packed.chunks_exact_mut(bytes)) {
            // SAFETY: any byte is a signed one.
            let from = unsafe { core::slice::from_raw_parts(from.as_ptr().cast(), from.len()) };
            I::pack(from, 1, sizes.padded_terms / 4, to);
        }
    }
    // From Σ b to the columns' terms.
    for bias in s.bias.as_chunks_mut::<4>().0 {
        let sum = i32::from_ne_bytes(*bias) - sizes.terms as i32 * zb;
        *bias = ((I::OFFSET - za) * sum).to_ne_bytes();
    }
    let requant = Requant::new(call.output_quant(), &Finish { lo: 0, hi: 255, table: None });

    let width = if op.transpose_b { 1 } else { out.shape().width };
    let pitch = pitch(&out, op.transpose_b);
    let mut at = units.start * width;
    while at < units.end * width {
        // Rows at a constant distance in the output.
        let left = units.end * width - at;
        let count = if pitch.is_some() { left } else { width - at % width }.min(ROWS);
        if op.transpose_b {
            copy_queries(&a, &sizes, at..at + count, s.rows);
        } else {
            copy_shares(&a, &sizes, at..at + count, s.rows);
        }
        add_rows(&sizes, count, 128 - zb, I::OFFSET, s.rows, s.row_bias);
        let (row_bias, slot) = (zb != 128, ROWS * sizes.padded_columns);
        if op.transpose_b {
            for head in 0..sizes.heads {
                let to = s.waiting[head * slot..][..slot].as_mut_ptr();
                multiply::<I>(&sizes, &mut s, head, count, row_bias, requant, (to, sizes.padded_columns));
            }
            for i in 0..count {
                let from = s.waiting[i * sizes.padded_columns..].as_ptr();
                // SAFETY: `columns` results of each head were written; a row of the output has as many pixels.
                unsafe {
                    let to = (out.ptr(at + i, 0), out.layout().pixel);
                    heads::join(from, slot, sizes.heads, sizes.columns, to.0, to.1);
                }
            }
        } else {
            let to = out.ptr(at / width, at % width);
            for head in 0..sizes.heads {
                let to = (to.wrapping_add(head * sizes.columns), pitch.unwrap_or(out.layout().pixel));
                multiply::<I>(&sizes, &mut s, head, count, row_bias, requant, to);
            }
        }
        at += count;
    }
    true
}

/// Multiplies the first `count` rows of a head; `to` is where the first result of row 0 goes, and the bytes to the next row's,
/// of which `columns` may be written.
fn multiply<I: Isa>(
    sizes: &Sizes,
    s: &mut Scratch<'_>,
    head: usize,
    count: usize,
    row_bias: bool,
    requant: Requant,
    (to, pitch): (*mut u8, usize),
) {
    let first_row = head * ROWS;
    let bytes = sizes.packed_block::<I>();
    for block in 0..sizes.blocks() {
        let index = head * sizes.blocks() + block;
        let (slot, first) = (index * CHANNEL_BLOCK, block * CHANNEL_BLOCK);
        let row = GemmRow {
            taps: &[s.rows[first_row * sizes.padded_terms..].as_ptr()],
            quads: sizes.padded_terms / 4,
            step: sizes.padded_terms,
            pixels: count,
            weights: if bytes > 0 {
                s.packed[index * bytes..].as_ptr()
            } else {
                s.matrices[index * sizes.block()..].as_ptr()
            },
            bias: s.bias[slot * size_of::<i32>()..].as_ptr().cast(),
            row_bias: row_bias.then(|| s.row_bias[first_row * size_of::<i32>()..].as_ptr().cast()),
            scale: s.scale.as_ptr().cast(),
            out: to.wrapping_add(first),
            out_pixel: pitch,
            channels: (sizes.columns - first).min(CHANNEL_BLOCK),
            requant,
            sums: s.sums.as_mut_ptr().cast(),
        };
        // SAFETY: the token's existence proves the instructions. The scratch holds the rows and their terms, and for each block
        // its matrix, the columns' terms and the scale; `columns` bytes of `count` rows may be written at `to`.
        unsafe { I::gemm(&row) };
    }
}

/// The distance between the rows of a product in the output, if it is the same everywhere or does not matter.
fn pitch(out: &Dst<'_, u8>, transposed: bool) -> Option<usize> {
    let l = out.layout();
    if transposed {
        return Some(0);
    }
    let whole = l.ring >= l.shape.height;
    match l.shape.width {
        1 if whole => Some(l.row),
        width if whole && l.row == l.pixel * width => Some(l.pixel),
        _ => None,
    }
}

/// Packs keys, and writes Σ b of each.
fn pack_keys(b: &Src<'_, u8>, sizes: &Sizes, matrices: &mut [u8], sums: &mut [u8]) {
    let Sizes { heads, terms, padded_columns, .. } = *sizes;
    matrices.fill(0);
    sums.fill(0);
    for key in 0..sizes.columns {
        for head in 0..heads {
            // SAFETY: a token has heads * terms channels, which nobody writes meanwhile.
            let from = unsafe { core::slice::from_raw_parts(token(b, key).add(head * terms), terms) };
            let block = &mut matrices[(head * sizes.blocks() + key / CHANNEL_BLOCK) * sizes.block()..];
            let places = block
                .chunks_exact_mut(4 * CHANNEL_BLOCK)
                .map(|quad| &mut quad[key % CHANNEL_BLOCK * 4..][..4]);
            let (fours, rest) = from.as_chunks::<4>();
            for (to, four) in places.zip(fours) {
                to.copy_from_slice(&four.map(|v| v ^ 0x80));
            }
            for (i, v) in rest.iter().enumerate() {
                block[(fours.len() * CHANNEL_BLOCK + key % CHANNEL_BLOCK) * 4 + i] = v ^ 0x80;
            }
            let sum: u32 = from.iter().map(|v| u32::from(*v)).sum();
            sums.as_chunks_mut::<4>().0[head * padded_columns + key] = sum.to_ne_bytes();
        }
    }
}

/// Packs values, and writes Σ b of each channel.
fn pack_values<I: Isa>(b: &Src<'_, u8>, sizes: &Sizes, matrices: &mut [u8], sums: &mut [u8]) {
    let Sizes { heads, terms, columns, padded_columns, .. } = *sizes;
    for quad in 0..sizes.padded_terms / 4 {
        // Keys that there are none of count as zero.
        let keys = [0, 1, 2, 3].map(|i| quad * 4 + i).map(|key| (key < terms).then(|| token(b, key)));
        for (head, block) in (0..heads).flat_map(|h| (0..sizes.blocks()).map(move |b| (h, b))) {
            let first = block * CHANNEL_BLOCK;
            let len = (columns - first).min(CHANNEL_BLOCK);
            let four = keys.map(|key| {
                let mut values = [0x80; CHANNEL_BLOCK];
                if let Some(key) = key {
                    let from = key.wrapping_add(head * columns + first);
                    // SAFETY: channels of a token; a copy of constant length where it can be one.
                    unsafe {
                        if len == CHANNEL_BLOCK {
                            values = from.cast::<[u8; CHANNEL_BLOCK]>().read();
                        } else {
                            core::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), len);
                        }
                    }
                }
                values
            });
            let at = (head * sizes.blocks() + block) * sizes.block() + quad * 4 * CHANNEL_BLOCK;
            if let Some(to) = matrices[at..].first_chunk_mut() {
                I::interleave(four.map(|values| values.map(|v| v ^ 0x80)), to);
            }
        }
    }
    sums.fill(0);
    // SAFETY: any bytes are numbers; the parts of a scratch are aligned to 64 bytes.
    let (_, sums, _) = unsafe { sums.align_to_mut::<i32>() };
    sum_rows::<I>(b, 0..b.shape().height, sums);
    // The sums of the heads, which lie behind one another, each to the beginning of its own columns.
    for head in (1..heads).rev() {
        sums.copy_within(head * columns..(head + 1) * columns, head * padded_columns);
    }
}

/// Copies queries as `[head][query][terms]`.
fn copy_queries(a: &Src<'_, u8>, sizes: &Sizes, queries: Range<usize>, rows: &mut [u8]) {
    let Sizes { heads, terms, padded_terms, .. } = *sizes;
    for (i, query) in queries.enumerate() {
        for head in 0..heads {
            let to = &mut rows[(head * ROWS + i) * padded_terms..][..padded_terms];
            to[terms..].fill(0);
            // SAFETY: the query's channels of one head.
            unsafe {
                let from = token(a, query).add(head * terms);
                copy_pixels((from, terms), (to.as_mut_ptr(), terms), 1, terms);
            }
        }
    }
}

/// Copies shares `[query][key][head]` as `[head][query][key]`.
fn copy_shares(a: &Src<'_, u8>, sizes: &Sizes, queries: Range<usize>, rows: &mut [u8]) {
    let Sizes { heads, terms, padded_terms, .. } = *sizes;
    for (i, query) in queries.enumerate() {
        for head in 0..heads {
            rows[(head * ROWS + i) * padded_terms..][terms..padded_terms].fill(0);
        }
        let to = rows[i * padded_terms..].as_mut_ptr();
        // SAFETY: the shares of all keys; ROWS rows for each head.
        unsafe { heads::split(a.ptr(query, 0), a.layout().pixel, heads, terms, to, ROWS * padded_terms) };
    }
}

/// The terms of the first `count` rows of each head: `factor` times the sum of what the leaf kernel multiplies.
fn add_rows(sizes: &Sizes, count: usize, factor: i32, offset: i32, rows: &[u8], row_bias: &mut [u8]) {
    if factor == 0 {
        return;
    }
    let bias = row_bias.as_chunks_mut::<4>().0;
    for head in 0..sizes.heads {
        for i in head * ROWS..head * ROWS + count {
            let row = &rows[i * sizes.padded_terms..][..sizes.terms];
            let sum: u32 = row.iter().map(|v| u32::from(*v)).sum();
            bias[i] = (factor * (sum.cast_signed() - offset * sizes.terms as i32)).to_ne_bytes();
        }
    }
}
