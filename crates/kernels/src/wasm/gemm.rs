//! A row of outputs of an 8-bit convolution. A tile of four pixels times eight outputs has eight accumulators, which leaves
//! the other half of x86-64's and the greater part of AArch64's registers to operands.

use core::arch::wasm32::{i32x4_add, i32x4_splat, v128, v128_load, v128_load32_splat, v128_store64_lane};

use super::dot::{activations, mac, weights as split};
use super::finish::{Finish, store_first};
use crate::rows::gemm::GemmRow;

/// Pixels of a tile.
const PIXELS: usize = 4;

/// Multiplies a row.
///
/// # Safety
/// The row is as [`GemmRow`] says.
pub(super) unsafe fn run(row: &GemmRow<'_>) {
    let finish = Finish::new(row.requant);
    for half in 0..row.channels.div_ceil(8) {
        let n = row.pixels;
        // SAFETY: every tile covers pixels inside 0..n, and half a block inside the block.
        unsafe {
            let mut x = 0;
            while x + PIXELS <= n {
                tile::<PIXELS>(row, finish, x, half);
                x += PIXELS;
            }
            if x < n && n >= PIXELS {
                // Some pixels twice is less than the rest one by one.
                tile::<PIXELS>(row, finish, n - PIXELS, half);
            } else {
                while x < n {
                    tile::<1>(row, finish, x, half);
                    x += 1;
                }
            }
        }
    }
}

/// Computes channels `8 * half..` of pixels `x..x + P`.
///
/// # Safety
/// As [`run`]; the pixels and the channels are the row's.
#[inline(always)]
unsafe fn tile<const P: usize>(row: &GemmRow<'_>, finish: Finish, x: usize, half: usize) {
    // SAFETY: bias, scale and weights cover 16 channels, of which these are 8; the pixels have `quads` * 4 bytes at each
    // tap and `channels` bytes of output.
    unsafe {
        let bias = row.bias.add(8 * half).cast::<v128>();
        let mut acc = [[v128_load(bias), v128_load(bias.add(1))]; P];
        if let Some(row_bias) = row.row_bias {
            for (p, acc) in acc.iter_mut().enumerate() {
                let row_bias = v128_load32_splat(row_bias.add(x + p).cast());
                *acc = acc.map(|v| i32x4_add(v, row_bias));
            }
        }
        let mut weights = row.weights.add(32 * half).cast::<v128>();
        for tap in row.taps {
            let mut from: [*const u8; P] = core::array::from_fn(|p| tap.add((x + p) * row.step));
            for _ in 0..row.quads {
                let w = [split(v128_load(weights)), split(v128_load(weights.add(1)))];
                for (acc, from) in acc.iter_mut().zip(&mut from) {
                    let v = activations(v128_load32_splat(from.cast()));
                    *acc = [mac(acc[0], v, w[0]), mac(acc[1], v, w[1])];
                    *from = from.add(4);
                }
                weights = weights.add(4);
            }
        }
        let scale = row.scale.add(8 * half).cast::<v128>();
        let scale = [v128_load(scale), v128_load(scale.add(1))];
        let channels = row.channels - 8 * half;
        let out = row.out.add(x * row.out_pixel + 8 * half);
        for p in (0..P).step_by(2) {
            let results = |p: usize| {
                let [a, b] = if p < P { acc[p] } else { [i32x4_splat(0); 2] };
                [finish.apply(a, scale[0]), finish.apply(b, scale[1])]
            };
            let ([a, b], [c, d]) = (results(p), results(p + 1));
            let v = finish.pack([a, b, c, d]);
            let to = out.add(p * row.out_pixel);
            if channels >= 8 {
                v128_store64_lane::<0>(v, to.cast());
                if p + 1 < P {
                    v128_store64_lane::<1>(v, to.add(row.out_pixel).cast());
                }
            } else {
                store_first(to, v, channels);
                if p + 1 < P {
                    let high = core::arch::wasm32::i64x2_shuffle::<1, 1>(v, v);
                    store_first(to.add(row.out_pixel), high, channels);
                }
            }
        }
    }
}
