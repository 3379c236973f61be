//! Float matrix products of token tensors: each head a product with a packed matrix, by the leaf kernel of the convolutions
//! (see `matmul`).

use core::ops::Range;

use fusionproxy_format::{Activation, Matmul};

use super::element::Float;
use super::float::FloatRow;
use super::isa::Isa;
use super::stage::{Arena, copy_numbers};
use super::transpose::transpose;
use crate::{Call, Shape, Src};

/// Rows of the left operand that are worked on together.
const ROWS: usize = 24;

/// Sizes of a product.
#[derive(Clone, Copy)]
struct Sizes {
    heads: usize,
    /// Terms of a sum.
    terms: usize,
    /// Columns of a head's matrix, and their number rounded up to whole blocks of 16.
    columns: usize,
    padded: usize,
}

impl Sizes {
    fn new(op: &Matmul, input: Shape, output: Shape) -> Self {
        let (terms, columns) = if op.transpose_b {
            (input.channels / op.heads, output.width)
        } else {
            (input.width, output.channels / op.heads)
        };
        Self { heads: op.heads, terms, columns, padded: columns.next_multiple_of(16) }
    }

    /// Whether the leaf kernel is [`Isa::gemm_half`].
    fn half_sums<I: Isa, T: Float>(&self) -> bool {
        I::HALF_SUMS && !T::SAME && self.terms.is_multiple_of(2)
    }

    /// Bytes of the packed matrices, of a bias of zeros, of the rows, of the results and of one row or result.
    fn parts<I: Isa, T: Float>(&self) -> [usize; 5] {
        let Self { heads, terms, padded, .. } = *self;
        let lane = if self.half_sums::<I, T>() { 2 } else { 4 };
        [
            heads * padded * terms * size_of::<T>(),
            padded * 4,
            ROWS * heads * terms * lane,
            ROWS * heads * padded * lane,
            heads * terms.max(padded) * size_of::<T>(),
        ]
    }
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes<I: Isa, T: Float>(op: &Matmul, input: Shape, output: Shape) -> usize {
    let parts = Sizes::new(op, input, output).parts::<I, T>();
    parts.iter().map(|b| Arena::size(*b)).sum::<usize>() + 64
}

/// Runs `units` of a product; `false` if the views are of another type.
pub(super) fn run<I: Isa, T: Float>(
    call: &Call<'_, '_>,
    op: &Matmul,
    units: Range<usize>,
    scratch: &mut [u8],
) -> bool {
    let (Some(a), Some(b), Some(out)) = (call.source::<T>(0), call.source::<T>(1), call.target::<T>()) else {
        return false;
    };
    let sizes @ Sizes { heads, terms, columns, padded } = Sizes::new(op, a.shape(), out.shape());
    let sums = sizes.half_sums::<I, T>();
    let mut arena = Arena::new(scratch);
    let [packed, bias, rows, results, line] = sizes.parts::<I, T>().map(|n| &mut arena.take(n)[..n]);
    bias.fill(0);
    let blocks = padded / 16;
    let lane = if sums { 2 } else { 4 };
    // Values lie as the half-precision kernel can read them, if all columns are there.
    let in_place = sums && !op.transpose_b && columns == padded && even(&b);
    let packed = packed.as_mut_ptr().cast::<T>();
    let weights = |head: usize, block: usize| {
        if in_place {
            (token(&b, 0).wrapping_add(head * columns + block * 16), b.layout().pixel)
        } else {
            (packed.wrapping_add((head * padded + block * 16) * terms).cast_const(), 16)
        }
    };
    if !in_place {
        pack(&b, &sizes, op.transpose_b, packed);
    }
    let [rows, results] = [rows, results].map(<[u8]>::as_mut_ptr);
    let line = line.as_mut_ptr().cast::<T>();
    let load = if sums { copy_numbers::<2> } else { T::load::<I>() };
    let tiles = blocks.div_ceil(I::FLOAT_BLOCKS);
    // Numbers between the results of two rows, and between those of two heads.
    let (row_pitch, head_pitch) =
        if op.transpose_b { (heads * padded, padded) } else { (heads * columns, columns) };
    let width = if op.transpose_b { 1 } else { out.shape().width };
    let all = units.start * width..units.end * width;
    for at in all.clone().step_by(ROWS) {
        let count = (all.end - at).min(ROWS);
        // SAFETY: the token's existence proves the instructions. The scratch holds `ROWS` rows of heads * terms numbers,
        // as many rows of results, and one of either; the matrices have `terms` times 16 elements a block, all of
        // them written. Tokens and shares lie in their views.
        unsafe {
            for i in 0..count {
                let to = rows.add(i * heads * terms * lane);
                let from = if op.transpose_b {
                    token(&a, at + i)
                } else {
                    transpose(a.ptr(at + i, 0), a.layout().pixel, terms, heads, line, terms);
                    line.cast_const()
                };
                load(from.cast(), 0, to, 0, 1, heads * terms);
            }
            for (head, tile) in (0..heads).flat_map(|h| (0..tiles).map(move |t| (h, t))) {
                let (first, end) = (blocks * tile / tiles, blocks * (tile + 1) / tiles);
                let (weights, weight_pitch) = weights(head, first);
                let row = FloatRow {
                    taps: &[rows.add(head * terms * lane).cast_const()],
                    depth: terms,
                    step: heads * terms,
                    pixels: count,
                    weights: weights.cast(),
                    weight_pitch,
                    tap_stride: 0,
                    pairs: false,
                    width: 1,
                    stride: 1,
                    half: !T::SAME,
                    wide_out: !sums,
                    bias: bias.as_ptr().cast(),
                    scale: op.scale,
                    out: results.add((head * head_pitch + first * 16) * lane),
                    out_pixel: row_pitch,
                    channels: (columns - first * 16).min((end - first) * 16),
                    gelu: false,
                    limits: [f32::NEG_INFINITY, f32::INFINITY],
                };
                if sums {
                    I::gemm_half(&row, end - first);
                } else {
                    I::gemm_float(&row, end - first);
                }
            }
            if !sums {
                let scale = Activation::Affine { alpha: op.scale, beta: 0.0 };
                I::activate(results.cast(), count * row_pitch, scale);
            }
            let store = if sums { copy_numbers::<2> } else { T::store::<I>() };
            for i in 0..count {
                let from = results.add(i * row_pitch * lane);
                if op.transpose_b {
                    store(from, 0, line.cast(), 0, 1, heads * padded);
                    transpose(line, padded, heads, columns, out.ptr(at + i, 0), out.layout().pixel);
                } else {
                    let to = out.ptr((at + i) / width, (at + i) % width).cast();
                    store(from, 0, to, 0, 1, heads * columns);
                }
            }
        }
    }
    true
}

/// Token `i` in raster order.
fn token<T: Float>(v: &Src<'_, T>, i: usize) -> *const T {
    v.ptr(i / v.shape().width, i % v.shape().width)
}

/// Whether the distance of tokens is always that of two pixels.
fn even<T: Float>(v: &Src<'_, T>) -> bool {
    let layout = v.layout();
    let rows = layout.row == layout.pixel * layout.shape.width && layout.ring >= layout.shape.height;
    rows || layout.shape.height == 1
}

/// Packs keys (`transposed`) or values as `[head][block][term][16 columns]`.
fn pack<T: Float>(b: &Src<'_, T>, sizes: &Sizes, transposed: bool, packed: *mut T) {
    let Sizes { heads, terms, columns, padded } = *sizes;
    if columns < padded {
        // SAFETY: the scratch holds the matrices of all heads.
        unsafe { core::ptr::write_bytes(packed, 0, heads * padded * terms) };
    }
    for head in 0..heads {
        if transposed {
            for first in (0..columns).step_by(16) {
                let to = packed.wrapping_add((head * padded + first) * terms);
                let end = columns.min(first + 16);
                let together = if even(b) { end - first } else { 1 };
                for key in (first..end).step_by(together) {
                    let from = token(b, key).wrapping_add(head * terms);
                    // SAFETY: a token has heads * terms channels; the scratch holds a block for each 16 keys.
                    unsafe {
                        transpose(from, b.layout().pixel, together, terms, to.wrapping_add(key - first), 16);
                    }
                }
            }
            continue;
        }
        for key in 0..terms {
            let from = token(b, key).wrapping_add(head * columns);
            for c in (0..columns).step_by(16) {
                let to = packed.wrapping_add((head * padded + c) * terms + key * 16);
                // SAFETY: channels of a token; a copy of constant length where it can be one.
                unsafe {
                    if c + 16 <= columns {
                        core::ptr::copy_nonoverlapping(from.add(c), to, 16);
                    } else {
                        core::ptr::copy_nonoverlapping(from.add(c), to, columns - c);
                    }
                }
            }
        }
    }
}
