//! The luma of a visible frame, and the fused luma under its chroma: the arithmetic of `fusionproxy_core::colour`, for RGBA.

use core::arch::wasm32::{
    f32x4_convert_i32x4, f32x4_div, f32x4_floor, f32x4_pmin, f32x4_splat, i8x16_shuffle, i32x4, i32x4_abs,
    i32x4_add, i32x4_dot_i16x8, i32x4_gt, i32x4_mul, i32x4_shl, i32x4_shr, i32x4_splat, i32x4_sub,
    i32x4_trunc_sat_f32x4, u16x8_extend_low_u8x16, u16x8_shr, u32x4_extend_low_u16x8, u32x4_shr, v128,
    v128_and, v128_any_true, v128_bitselect, v128_load, v128_load32_zero, v128_or, v128_store,
};

/// Writes the luma of each pixel of `visible` (RGBA, alpha ignored) to `out`, as many as both have.
pub fn luma_rgba(visible: &[u8], out: &mut [u8]) {
    let (groups, rest) = out.as_chunks_mut::<16>();
    let done = 64 * groups.len();
    for (visible, out) in visible.as_chunks::<64>().0.iter().zip(groups) {
        // SAFETY: arrays of 64 and 16 bytes; the loads and the store need no alignment.
        unsafe {
            let from = visible.as_ptr().cast::<v128>();
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| weighted(v128_load(from.add(i))));
            // The luma is the third byte of each sum.
            let half =
                |a, b| i8x16_shuffle::<2, 6, 10, 14, 18, 22, 26, 30, 2, 6, 10, 14, 18, 22, 26, 30>(a, b);
            let v = i8x16_shuffle::<0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23>(
                half(a, b),
                half(c, d),
            );
            v128_store(out.as_mut_ptr().cast(), v);
        }
    }
    for ([r, g, b, _], out) in visible.get(done..).unwrap_or_default().as_chunks::<4>().0.iter().zip(rest) {
        let [r, g, b] = [r, g, b].map(|c| u32::from(*c));
        *out = ((19_595 * r + 38_470 * g + 7_471 * b + (1 << 15)) >> 16) as u8;
    }
}

/// The sums of which the upper halves are the lumas of four pixels, rounded.
#[inline(always)]
fn weighted(pixels: v128) -> v128 {
    // 19595 R + 7471 B, and 38470 G as twice 19235 G, which fits 16 bits.
    let red_blue =
        i32x4_dot_i16x8(v128_and(pixels, i32x4_splat(0x00ff_00ff)), i32x4_splat(7_471 << 16 | 19_595));
    let green = i32x4_dot_i16x8(u16x8_shr(pixels, 8), i32x4_splat(19_235));
    i32x4_add(i32x4_add(red_blue, i32x4_shl(green, 1)), i32x4_splat(1 << 15))
}

/// Writes the colour of each pixel of `visible` (RGBA, alpha ignored) at the luma `fused` to `out` (RGBA, alpha 255), for
/// as many whole groups of four pixels as all three have; gives the pixels done. A colour that leaves the RGB cube is drawn
/// towards grey.
pub fn compose_rgba(visible: &[u8], fused: &[u8], out: &mut [u8]) -> usize {
    let groups = visible.as_chunks::<16>().0.iter().zip(fused.as_chunks::<4>().0);
    let mut done = 0;
    for ((visible, fused), out) in groups.zip(out.as_chunks_mut::<16>().0) {
        // SAFETY: arrays of 16, 4 and 16 bytes; the loads and the store need no alignment.
        unsafe {
            let v = four(v128_load(visible.as_ptr().cast()), v128_load32_zero(fused.as_ptr().cast()));
            v128_store(out.as_mut_ptr().cast(), v);
        }
        done += 4;
    }
    done
}

/// One group: pixels, and luma in the four low bytes.
#[inline(always)]
fn four(pixels: v128, fused: v128) -> v128 {
    let byte = i32x4_splat(0xff);
    let fused = u32x4_extend_low_u16x8(u16x8_extend_low_u8x16(fused));
    let luma = u32x4_shr(weighted(pixels), 16);
    let channels =
        [v128_and(pixels, byte), v128_and(u32x4_shr(pixels, 8), byte), v128_and(u32x4_shr(pixels, 16), byte)];
    let offsets = channels.map(|c| i32x4_sub(c, luma));
    let mut v = offsets.map(|d| i32x4_add(fused, d));
    // A value outside 0…255 has a bit above the low eight set, and so has the union.
    let outside = u32x4_shr(v128_or(v128_or(v[0], v[1]), v[2]), 8);
    if v128_any_true(outside) {
        v = into_gamut(fused, offsets);
    }
    let alpha = i32x4_splat(0xff << 24);
    v128_or(v128_or(v[0], i32x4_shl(v[1], 8)), v128_or(i32x4_shl(v[2], 16), alpha))
}

/// Scales the offsets by the largest factor (16-bit fixed point, rounded down, at most 1) that keeps the channels in 0…255.
#[inline(never)]
fn into_gamut(luma: v128, offsets: [v128; 3]) -> [v128; 3] {
    let zero = i32x4(0, 0, 0, 0);
    let up = i32x4_sub(i32x4_splat(255), luma);
    let mut factor = f32x4_splat(65_536.0);
    for d in offsets {
        let room = v128_bitselect(up, luma, i32x4_gt(d, zero));
        // Below 65536 a quotient of these is at least 1/255 below the next integer, or is one, and half a unit in the last
        // place is 1/512 at most: rounding never reaches the next integer. An offset that has room, such as 0, limits
        // nothing. Its quotient may be NaN, which must not reach the minimum: with relaxed SIMD, LLVM makes it
        // `relaxed_min`, and what that gives is the engine's choice.
        let far = i32x4_abs(d);
        let quotient = f32x4_div(f32x4_convert_i32x4(i32x4_shl(room, 16)), f32x4_convert_i32x4(far));
        factor = f32x4_pmin(factor, v128_bitselect(quotient, factor, i32x4_gt(far, room)));
    }
    let factor = i32x4_trunc_sat_f32x4(f32x4_floor(factor));
    offsets.map(|d| {
        let d = i32x4_add(i32x4_mul(d, factor), i32x4_splat(1 << 15));
        i32x4_add(luma, i32x4_shr(d, 16))
    })
}
