//! Float matrix products of token tensors: each head a product with a packed matrix, by the leaf kernel of the convolutions
//! (see `matmul`).

use core::ops::Range;

use fusionproxy_format::{Activation, Matmul};

use super::element::Float;
use super::float::FloatRow;
use super::isa::Isa;
use super::stage::Arena;
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

    /// Bytes of the packed matrices, of a bias of zeros, of the rows, of the results and of one row or result.
    fn parts(&self, element: usize) -> [usize; 5] {
        let Self { heads, terms, padded, .. } = *self;
        [
            heads * padded * terms * element,
            padded * 4,
            ROWS * heads * terms * 4,
            ROWS * heads * padded * 4,
            heads * terms.max(padded) * 4,
        ]
    }
}

/// Scratch of [`run`].
pub(super) fn scratch_bytes<T: Float>(op: &Matmul, input: Shape, output: Shape) -> usize {
    let parts = Sizes::new(op, input, output).parts(size_of::<T>());
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
    let mut arena = Arena::new(scratch);
    let [packed, bias, rows, results, line] = sizes.parts(size_of::<T>()).map(|n| &mut arena.take(n)[..n]);
    bias.fill(0);
    packed.fill(0);
    let packed = packed.as_mut_ptr().cast::<T>();
    pack(&b, &sizes, op.transpose_b, packed);
    let [rows, results, line] = [rows, results, line].map(|s| s.as_mut_ptr().cast::<f32>());
    let (blocks, size) = (padded / 16, size_of::<T>());
    let tiles = blocks.div_ceil(I::FLOAT_BLOCKS);
    // Numbers between the results of two rows, and between those of two heads.
    let (row_pitch, head_pitch) =
        if op.transpose_b { (heads * padded, padded) } else { (heads * columns, columns) };
    let width = if op.transpose_b { 1 } else { out.shape().width };
    let all = units.start * width..units.end * width;
    for at in all.clone().step_by(ROWS) {
        let count = (all.end - at).min(ROWS);
        // SAFETY: the token's existence proves the instructions. The scratch holds `ROWS` rows of heads * terms numbers,
        // as many rows of results, and one of either; the packed matrices have `terms` times 16 elements a block, all of
        // them written. Tokens and shares lie in their views.
        unsafe {
            for i in 0..count {
                let to = rows.add(i * heads * terms);
                if op.transpose_b {
                    T::load::<I>()(token(&a, at + i).cast(), 0, to.cast(), 0, 1, heads * terms);
                } else {
                    let pixel = a.layout().pixel * size;
                    T::load::<I>()(a.ptr(at + i, 0).cast(), pixel, line.cast(), heads * 4, terms, heads);
                    turn(line, terms, heads, to, terms);
                }
            }
            for (head, tile) in (0..heads).flat_map(|h| (0..tiles).map(move |t| (h, t))) {
                let (first, end) = (blocks * tile / tiles, blocks * (tile + 1) / tiles);
                let row = FloatRow {
                    taps: &[rows.add(head * terms).cast_const().cast()],
                    depth: terms,
                    step: heads * terms,
                    pixels: count,
                    weights: packed.add((head * padded + first * 16) * terms).cast(),
                    tap_stride: 0,
                    pairs: false,
                    width: 1,
                    stride: 1,
                    half: !T::SAME,
                    wide_out: true,
                    bias: bias.as_ptr().cast(),
                    out: results.add(head * head_pitch + first * 16).cast(),
                    out_pixel: row_pitch,
                    channels: (columns - first * 16).min((end - first) * 16),
                    gelu: false,
                    limits: [f32::NEG_INFINITY, f32::INFINITY],
                };
                I::gemm_float(&row, end - first);
            }
            I::activate(results, count * row_pitch, Activation::Affine { alpha: op.scale, beta: 0.0 });
            for i in 0..count {
                let from = results.add(i * row_pitch);
                if op.transpose_b {
                    turn(from, heads, padded, line, heads);
                    let (to, pitch) = (out.ptr(at + i, 0).cast(), out.layout().pixel * size);
                    T::store::<I>()(line.cast(), heads * 4, to, pitch, columns, heads);
                } else {
                    let to = out.ptr((at + i) / width, (at + i) % width).cast();
                    T::store::<I>()(from.cast(), 0, to, 0, 1, heads * columns);
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

/// Writes number `j` of each of `n` lines of `len` numbers as line `j`, `pitch` numbers after the one before.
///
/// # Safety
/// `n * len` numbers can be read, and `n` of each line written.
unsafe fn turn(from: *const f32, n: usize, len: usize, to: *mut f32, pitch: usize) {
    for i in 0..n {
        for j in 0..len {
            // SAFETY: the caller's promise.
            unsafe { to.add(j * pitch + i).write(from.add(i * len + j).read()) };
        }
    }
}

/// Packs keys (`transposed`) or values as `[head][block][term][16 columns]`, where there were zeros.
fn pack<T: Float>(b: &Src<'_, T>, sizes: &Sizes, transposed: bool, packed: *mut T) {
    let Sizes { heads, terms, columns, padded } = *sizes;
    for head in 0..heads {
        if transposed {
            for key in 0..columns {
                let from = token(b, key).wrapping_add(head * terms);
                let first = (head * padded + key / 16 * 16) * terms + key % 16;
                for t in 0..terms {
                    // SAFETY: a token has heads * terms channels; the scratch holds a block for each 16 keys.
                    unsafe { packed.add(first + t * 16).write(from.add(t).read()) };
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
