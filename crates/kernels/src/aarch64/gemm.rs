//! The leaf kernel of dense convolutions: tiles of pixels times 16 or 8 outputs, from the artifact's own packing.
//!
//! 16 inputs of a pixel are one load; each group of four of them is multiplied with a vector of four outputs' weights by
//! one dot product, which takes the group from its lane. A tile's sums stay in registers.

use core::arch::aarch64::{
    int32x4_t, uint8x16_t, vdupq_n_f32, vdupq_n_s32, vget_low_u8, vld1q_dup_u32, vld1q_f32, vld1q_s8,
    vld1q_s32, vld1q_u8, vreinterpretq_u8_u32, vst1_u8, vst1q_u8,
};

use super::dot::Dot;
use super::finish::Finish;
use crate::rows::gemm::GemmRow;

/// Multiplies a row.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`].
#[inline(always)]
pub(super) unsafe fn gemm<D: Dot>(row: &GemmRow<'_>) {
    // SAFETY: passed on; D::PIXELS names pixels for which there is an arm.
    unsafe {
        match (row.channels > 8, D::PIXELS[usize::from(row.channels <= 8)]) {
            (true, 4) => all::<D, 4, 4>(row),
            (true, _) => all::<D, 2, 4>(row),
            (false, 8) => all::<D, 8, 2>(row),
            (false, _) => all::<D, 4, 2>(row),
        }
    }
}

/// Multiplies a row in tiles of `P` pixels times `V` vectors of four outputs.
///
/// # Safety
/// As for [`gemm`].
#[inline(always)]
unsafe fn all<D: Dot, const P: usize, const V: usize>(row: &GemmRow<'_>) {
    let n = row.pixels;
    // SAFETY: every tile covers pixels inside 0..n.
    unsafe {
        let mut x = 0;
        while x + P <= n {
            tile::<D, P, V>(row, x);
            x += P;
        }
        if x < n && n >= P {
            // Some pixels twice is less than the rest one by one.
            tile::<D, P, V>(row, n - P);
        } else {
            while x < n {
                tile::<D, 1, V>(row, x);
                x += 1;
            }
        }
    }
}

/// Computes pixels `x..x + P`.
///
/// # Safety
/// As for [`gemm`]; the pixels are the row's.
#[inline(always)]
unsafe fn tile<D: Dot, const P: usize, const V: usize>(row: &GemmRow<'_>, x: usize) {
    let finish = Finish::new(row.requant);
    // SAFETY: weights, bias and scale cover 16 outputs of which the first 4 * V are computed; the pixels have `quads` * 4
    // bytes at each tap and `channels` bytes of output.
    unsafe {
        let mut sums = match row.row_bias {
            None => [[D::start(0); V]; P],
            Some(bias) => core::array::from_fn(|p| [D::start(bias.add(x + p).read()); V]),
        };
        let mut weights = row.weights.cast::<i8>();
        for tap in row.taps {
            let mut from = tap.add(x * row.step);
            let mut step = |sums: &mut [[D::Sums; V]; P], x: &[uint8x16_t; P], lane: usize| {
                for v in 0..V {
                    let w = vld1q_s8(weights.add(16 * v));
                    for (sums, x) in sums.iter_mut().zip(x) {
                        sums[v] = match lane {
                            0 => D::by_lane::<0>(sums[v], w, *x),
                            1 => D::by_lane::<1>(sums[v], w, *x),
                            2 => D::by_lane::<2>(sums[v], w, *x),
                            _ => D::by_lane::<3>(sums[v], w, *x),
                        };
                    }
                }
                weights = weights.add(64);
            };
            for _ in 0..row.quads / 4 {
                let x = core::array::from_fn(|p| D::activations(vld1q_u8(from.add(p * row.step))));
                step(&mut sums, &x, 0);
                step(&mut sums, &x, 1);
                step(&mut sums, &x, 2);
                step(&mut sums, &x, 3);
                from = from.add(16);
            }
            for _ in 0..row.quads % 4 {
                let quad = |p: usize| vreinterpretq_u8_u32(vld1q_dup_u32(from.add(p * row.step).cast()));
                step(&mut sums, &core::array::from_fn(|p| D::activations(quad(p))), 0);
                from = from.add(4);
            }
        }
        let none = vdupq_n_s32(0);
        let (mut bias, mut scale) = ([none; 4], [vdupq_n_f32(0.0); 4]);
        for v in 0..V {
            bias[v] = vld1q_s32(row.bias.add(4 * v));
            scale[v] = vld1q_f32(row.scale.add(4 * v));
        }
        for (p, sums) in sums.iter().enumerate() {
            let mut whole: [int32x4_t; 4] = [none; 4];
            for v in 0..V {
                whole[v] = D::end(sums[v], bias[v]);
            }
            let q = finish.apply(whole, scale);
            let to = row.out.add((x + p) * row.out_pixel);
            match row.channels {
                16 => vst1q_u8(to, q),
                8 => vst1_u8(to, vget_low_u8(q)),
                n => store(to, q, n),
            }
        }
    }
}

/// Writes the first `n` bytes.
///
/// # Safety
/// `n` bytes, at most 16, can be written.
#[inline(always)]
pub(super) unsafe fn store(to: *mut u8, q: uint8x16_t, n: usize) {
    let mut bytes = [0u8; 16];
    // SAFETY: 16 bytes of the array; the caller's promise.
    unsafe {
        vst1q_u8(bytes.as_mut_ptr(), q);
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, n);
    }
}
