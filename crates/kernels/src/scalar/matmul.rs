//! Matrix products of token tensors, as attention needs them.

use core::ops::Range;

use super::float::Float;
use super::quantise::Quantiser;
use super::row::{channel_blocks, gather};
use crate::{Call, Element, Lane, Src};
use fusionproxy_format::{CHANNEL_BLOCK, Matmul};

/// Runs `rows` of a product, in 8 bits.
pub(super) fn run_u8(op: &Matmul, call: &Call<'_, '_>, rows: Range<usize>) {
    let [za, zb] = [0, 1].map(|i| i32::from(call.inputs()[i].quant.zero_point));
    let quantiser = Quantiser::plain(call.output_quant());
    // At most 2^14 terms (`check_geometry`) of 255^2.
    let step = |acc: i32, a: u8, b: u8| acc + (i32::from(a) - za) * (i32::from(b) - zb);
    product(op, call, rows, 0, step, |acc| quantiser.sum(acc, op.scale));
}

/// Runs `rows` of a product, in floats.
pub(super) fn run_float<T: Float>(op: &Matmul, call: &Call<'_, '_>, rows: Range<usize>) {
    let step = |acc: f32, a: T, b: T| acc + a.load() * b.load();
    product(op, call, rows, 0.0, step, |acc| T::store(acc * op.scale));
}

#[inline(always)]
fn product<T: Element, A: Copy>(
    op: &Matmul,
    call: &Call<'_, '_>,
    rows: Range<usize>,
    zero: A,
    step: impl Fn(A, T, T) -> A,
    finish: impl Fn(A) -> T,
) {
    let (Some(a), Some(b), Some(dst)) = (call.source::<T>(0), call.source::<T>(1), call.target::<T>()) else {
        return;
    };
    let depth = b.shape().channels / op.heads;
    for y in rows {
        for x in 0..dst.shape().width {
            let out = dst.pixel(y, x);
            if op.transpose_b {
                let (query, key) = (token(&a, y), token(&b, x));
                for head in 0..op.heads {
                    let [query, key] = [query, key].map(|lane| lane.slice(head * depth, depth));
                    let acc = query.iter().zip(key.iter()).fold(zero, |acc, (a, b)| step(acc, a, b));
                    out.set(head, finish(acc));
                }
                continue;
            }
            let query = y * dst.shape().width + x;
            for head in 0..op.heads {
                for (first, len) in channel_blocks(head * depth..(head + 1) * depth) {
                    let mut acc = [zero; CHANNEL_BLOCK];
                    for key in 0..a.shape().width {
                        let weight = a.get(query, key, head);
                        gather(&mut acc, token(&b, key).slice(first, len), |_, acc, b| step(acc, weight, b));
                    }
                    out.slice(first, len).fill_array(acc.map(&finish));
                }
            }
        }
    }
}

/// Token `i` in raster order.
#[inline(always)]
fn token<'m, T: Element>(v: &Src<'m, T>, i: usize) -> Lane<'m, T> {
    v.pixel(i / v.shape().width, i % v.shape().width)
}
