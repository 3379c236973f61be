//! 8-bit matrix products of token tensors.
//!
//! Each head multiplies a few rows of unsigned bytes (queries, or shares of the keys) by a matrix that does not change from
//! row to row (keys, or values). That matrix is packed like a convolution's weights, less 128 so that it is signed, and the
//! leaf kernel of the convolutions does the rest. With a and b the elements, za and zb their zero points:
//!
//! Σ (a - za) (b - zb) = Σ a (b - 128) + (128 - zb) Σ a - za Σ (b - 128) - n za (128 - zb)
//!
//! The second term belongs to a row, the last two to a column. Every sum is taken modulo 2³², and the result fits.

use core::ops::Range;

use fusionproxy_format::{Finish, Matmul};

use super::gemm::GemmRow;
use super::heads;
use super::interleave::Bytes;
use super::isa::Isa;
use super::requant::Requant;
use super::stage::{Arena, copy_pixels};
use crate::{Call, Dst, Element, Shape, Src};

/// Rows of the left operand that are worked on together: whole tiles of every leaf kernel.
const ROWS: usize = 48;

/// Sizes of a product, and the parts of its scratch.
#[derive(Clone, Copy)]
struct Sizes {
    heads: usize,
    /// Terms of a sum, and their number rounded up to whole groups of 4.
    terms: usize,
    padded_terms: usize,
    /// Columns of a head's matrix, and their number rounded up to whole blocks of 16.
    columns: usize,
    padded_columns: usize,
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
            padded_columns: columns.next_multiple_of(16),
        }
    }

    /// Bytes of the packed matrices, of their bias, of the scale, of the rows, of the rows' bias and of results that wait.
    fn parts(&self) -> [usize; 6] {
        let Self { heads, padded_terms, padded_columns, .. } = *self;
        [
            heads * padded_columns * padded_terms,
            heads * padded_columns * 4,
            padded_columns * 4,
            heads * ROWS * padded_terms,
            heads * ROWS * 4,
            heads * ROWS * padded_columns,
        ]
    }
}

/// Whether [`run`] takes this product of an input and an output of these shapes.
pub(super) fn supports(op: &Matmul, input: Shape) -> bool {
    !op.transpose_b || (input.channels / op.heads).is_multiple_of(4)
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes(op: &Matmul, input: Shape, output: Shape) -> usize {
    Sizes::new(op, input, output).parts().iter().map(|b| Arena::size(*b)).sum::<usize>() + 64
}

/// Token `i` in raster order.
fn token<T: Element>(v: &Src<'_, T>, i: usize) -> *const T {
    v.ptr(i / v.shape().width, i % v.shape().width)
}

/// Runs `units` of a product that [`supports`] accepts; `false` if the views are not 8-bit or the scale is too large.
pub(super) fn run<I: Isa>(call: &Call<'_, '_>, op: &Matmul, units: Range<usize>, scratch: &mut [u8]) -> bool {
    let (Some(a), Some(b), Some(out)) = (call.source::<u8>(0), call.source::<u8>(1), call.target::<u8>())
    else {
        return false;
    };
    let sizes = Sizes::new(op, a.shape(), out.shape());
    if !super::requant::fits(2 * sizes.terms, &[], &[op.scale]) {
        return false;
    }
    let zeros = [0, 1].map(|i| i32::from(call.inputs()[i].quant.zero_point));
    let mut arena = Arena::new(scratch);
    let [packed, bias, scale, rows, row_bias, waiting] = sizes.parts().map(|n| &mut arena.take(n)[..n]);
    scale.as_chunks_mut::<4>().0.fill(op.scale.to_ne_bytes());
    bias.as_chunks_mut::<4>().0.fill((-(sizes.terms as i32) * zeros[0] * (128 - zeros[1])).to_ne_bytes());
    if op.transpose_b {
        pack_keys(&b, &sizes, zeros[0], packed, bias);
    } else {
        pack_values(&b, &sizes, zeros[0], packed, bias);
    }
    let requant = Requant {
        zero_point: call.output_quant().zero_point,
        finish: Finish { lo: 0, hi: 255, table: None },
    };
    // Multiplies the first `count` rows of a head.
    let multiply = |head: usize, count: usize, rows: &[u8], row_bias: &[u8], to: *mut u8, pitch: usize| {
        let blocks = sizes.padded_columns / 16;
        let tiles = blocks.div_ceil(I::BLOCKS);
        for tile in 0..tiles {
            let (first, end) = (blocks * tile / tiles, blocks * (tile + 1) / tiles);
            let slot = head * sizes.padded_columns + first * 16;
            let row = GemmRow {
                taps: &[rows[head * ROWS * sizes.padded_terms..].as_ptr()],
                quads: sizes.padded_terms / 4,
                step: sizes.padded_terms,
                pixels: count,
                weights: packed[slot * sizes.padded_terms..].as_ptr().cast(),
                bias: bias[slot * 4..].as_ptr().cast(),
                row_bias: row_bias[head * ROWS * 4..].as_ptr().cast(),
                scale: scale.as_ptr().cast(),
                pairs: false,
                out: to.wrapping_add(first * 16),
                out_pixel: pitch,
                channels: (sizes.columns - first * 16).min((end - first) * 16),
                requant,
            };
            // SAFETY: the token's existence proves the instructions. The scratch holds the rows, their bias, and for each
            // block weights, bias and scale; `count` rows of `columns` bytes may be written at `to`.
            unsafe { I::gemm(&row, end - first) };
        }
    };
    let width = if op.transpose_b { 1 } else { out.shape().width };
    let pitch = pitch(&out, op.transpose_b);
    let mut at = units.start * width;
    while at < units.end * width {
        // Rows at a constant distance in the output.
        let left = units.end * width - at;
        let count = if pitch.is_some() { left } else { width - at % width }.min(ROWS);
        if op.transpose_b {
            copy_queries(&a, &sizes, at..at + count, rows);
        } else {
            copy_shares(&a, &sizes, at..at + count, rows);
        }
        add_rows(&sizes, count, 128 - zeros[1], rows, row_bias);
        for head in 0..sizes.heads {
            if op.transpose_b {
                let to = waiting[head * ROWS * sizes.padded_columns..].as_mut_ptr();
                multiply(head, count, rows, row_bias, to, sizes.padded_columns);
            } else {
                let to = out.ptr(at / width, at % width).wrapping_add(head * sizes.columns);
                multiply(head, count, rows, row_bias, to, pitch.unwrap_or(out.layout().pixel));
            }
        }
        if op.transpose_b {
            for i in 0..count {
                let from = waiting[i * sizes.padded_columns..].as_ptr();
                let (pitch, to) = (ROWS * sizes.padded_columns, out.ptr(at + i, 0));
                // SAFETY: `columns` results of each head were written; a row of the output has as many pixels.
                unsafe { heads::join(from, pitch, sizes.heads, sizes.columns, to, out.layout().pixel) };
            }
        }
        at += count;
    }
    true
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

/// Packs keys as `[head][block][group of 4 terms][16 keys][4 terms]` and adds their share to the bias.
fn pack_keys(b: &Src<'_, u8>, sizes: &Sizes, zero: i32, packed: &mut [u8], bias: &mut [u8]) {
    let Sizes { heads, terms, columns, padded_columns, .. } = *sizes;
    packed.fill(0);
    for key in 0..columns {
        let from = token(b, key);
        for head in 0..heads {
            let block = &mut packed[(head * padded_columns + key / 16 * 16) * terms..][..16 * terms];
            let mut sum = 0;
            for (quad, to) in block.chunks_exact_mut(64).enumerate() {
                // SAFETY: a token has heads * terms channels.
                let four =
                    unsafe { from.add(head * terms + quad * 4).cast::<[u8; 4]>().read() }.map(|v| v ^ 0x80);
                to[key % 16 * 4..][..4].copy_from_slice(&four);
                sum += four.map(|v| i32::from(v.cast_signed())).iter().sum::<i32>();
            }
            add(bias, head * padded_columns + key, -zero * sum);
        }
    }
}

/// Packs values as `[head][block][group of 4 keys][16 channels][4 keys]` and adds their share to the bias.
fn pack_values(b: &Src<'_, u8>, sizes: &Sizes, zero: i32, packed: &mut [u8], bias: &mut [u8]) {
    let Sizes { heads, terms, padded_terms, columns, padded_columns } = *sizes;
    let blocks = padded_columns / 16;
    for quad in 0..padded_terms / 4 {
        for (head, block) in (0..heads).flat_map(|h| (0..blocks).map(move |b| (h, b))) {
            let len = (columns - block * 16).min(16);
            let four = [0, 1, 2, 3].map(|i| {
                // The neutral element of signed bytes, where there are no more keys or channels.
                let mut values = [0x80; 16];
                if quad * 4 + i < terms {
                    let from = token(b, quad * 4 + i).wrapping_add(head * columns + block * 16);
                    // SAFETY: channels of a token; a copy of constant length where it can be one.
                    unsafe {
                        if len == 16 {
                            values = from.cast::<[u8; 16]>().read();
                        } else {
                            core::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), len);
                        }
                    }
                }
                values
            });
            let at = head * padded_columns + block * 16;
            let to = &mut packed[at * padded_terms + quad * 64..][..64];
            let mixed = Bytes::interleave(four.map(|v| Bytes::of(&v).flip_signs()));
            for (to, v) in to.chunks_exact_mut(16).zip(mixed) {
                v.store(to);
            }
            if zero != 0 {
                for c in 0..len {
                    let sum: i32 = four.iter().map(|v| i32::from(v[c]) - 128).sum();
                    add(bias, at + c, -zero * sum);
                }
            }
        }
    }
}

/// Adds `v` to number `i` of a table.
fn add(table: &mut [u8], i: usize, v: i32) {
    let slot = &mut table.as_chunks_mut::<4>().0[i];
    *slot = i32::from_ne_bytes(*slot).wrapping_add(v).to_ne_bytes();
}

/// Copies queries as `[head][query][terms]`.
fn copy_queries(a: &Src<'_, u8>, sizes: &Sizes, queries: Range<usize>, rows: &mut [u8]) {
    let terms = sizes.terms;
    for (i, query) in queries.enumerate() {
        let from = token(a, query);
        for head in 0..sizes.heads {
            let to = &mut rows[(head * ROWS + i) * terms..][..terms];
            // SAFETY: the query's channels of one head.
            unsafe { copy_pixels(from.add(head * terms), terms, to.as_mut_ptr(), terms, 1, terms) };
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

/// The rows' bias: `factor` times their sums.
fn add_rows(sizes: &Sizes, count: usize, factor: i32, rows: &[u8], row_bias: &mut [u8]) {
    let bias = row_bias.as_chunks_mut::<4>().0;
    for head in 0..sizes.heads {
        for i in head * ROWS..head * ROWS + count {
            let row = &rows[i * sizes.padded_terms..][..sizes.padded_terms];
            // The padding is 0.
            let (sixteens, rest) = row.as_chunks::<16>();
            let sum = sixteens.iter().map(|v| Bytes::of(v).sum()).sum::<u32>()
                + rest.iter().map(|v| u32::from(*v)).sum::<u32>();
            bias[i] = (factor * sum.cast_signed()).to_ne_bytes();
        }
    }
}
