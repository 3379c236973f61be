//! 8-bit sums and products of runs, and sums over space.

use core::arch::wasm32::{
    f32x4_splat, i8x16_max, i8x16_min, i8x16_narrow_i16x8, i8x16_shuffle, i8x16_splat, i16x8_add,
    i16x8_narrow_i32x4, i16x8_shr, i16x8_shuffle, i16x8_splat, i16x8_sub, i16x8_sub_sat, i32x4_add,
    i32x4_dot_i16x8, i32x4_extmul_high_i16x8, i32x4_extmul_low_i16x8, i32x4_shr, i32x4_splat, u8x16_splat,
    u16x8_extend_high_u8x16, u16x8_extend_low_u8x16, u32x4_extend_high_u16x8, u32x4_extend_low_u16x8, v128,
    v128_load, v128_load64_zero, v128_store, v128_store64_lane, v128_xor,
};
use core::hint::black_box;

use super::finish::Finish;
use crate::rows::elementwise::{Product, Sum};

const VECTOR: usize = 16;

/// Sums of runs of `n` bytes, `runs` of them, each so far behind the one before it.
///
/// # Safety
/// `n` bytes of each run can be read from `a` and `b` and written to `to`, which may be one of them.
pub(super) unsafe fn sum(
    a: (*const u8, usize),
    b: (*const u8, usize),
    to: (*mut u8, usize),
    (runs, n): (usize, usize),
    op: &Sum,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match op.fixed.shift {
            0..8 => shifted::<0>(a, b, to, (runs, n), op),
            8..16 => shifted::<8>(a, b, to, (runs, n), op),
            _ => shifted::<16>(a, b, to, (runs, n), op),
        }
    }
}

/// Sums whose shift is `FIRST` or up to 7 more, or if `FIRST` is 16, any more. A shift by a constant is one instruction, by a
/// variable four. So the constant one comes first, on 32 bits; then the sum is narrowed to 16, of which there are half as
/// many vectors. What saturates there is beyond a byte after 7 more bits, too.
///
/// # Safety
/// As for [`sum`].
#[inline(always)]
unsafe fn shifted<const FIRST: u32>(
    (a, a_step): (*const u8, usize),
    (b, b_step): (*const u8, usize),
    (to, to_step): (*mut u8, usize),
    (runs, n): (usize, usize),
    op: &Sum,
) {
    let f = op.fixed;
    let rest = f.shift - FIRST;
    // Both multipliers fit 16 bits: the pair that meets the bytes of `a` and `b` by turns.
    let factors = i32x4_splat((f.a & 0xffff) | f.b << 16);
    let offset = i32x4_splat(f.offset);
    // Signed bytes, 128 less, because the compiler finds no unsigned narrowing here (see `Finish::pack`). As constants, V8
    // would build these anew at every use.
    let [low, high] = op.bounds.map(|bound| i8x16_splat((bound ^ 128).cast_signed()));
    let (middle, sign) = (black_box(i16x8_splat(128)), black_box(u8x16_splat(128)));
    let body = |a: v128, b: v128| {
        let first = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b);
        let last = i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(a, b);
        let one = |pairs| i32x4_shr(i32x4_add(i32x4_dot_i16x8(pairs, factors), offset), FIRST);
        let half = |eight| {
            let (x, y) = (one(u16x8_extend_low_u8x16(eight)), one(u16x8_extend_high_u8x16(eight)));
            i16x8_sub_sat(i16x8_shr(i16x8_narrow_i32x4(x, y), rest), middle)
        };
        // Narrowing saturates, so that the bounds may come last.
        let sums = i8x16_narrow_i16x8(half(first), half(last));
        v128_xor(i8x16_min(i8x16_max(sums, low), high), sign)
    };
    for i in 0..runs {
        // SAFETY: the caller's promise.
        unsafe {
            let (a, b, to) = (a.add(i * a_step), b.add(i * b_step), to.add(i * to_step));
            each(a, b, to, n, body, |a, b| op.value(a, b));
        }
    }
}

/// Products of two runs; `fits(1, &[], &[scale])`.
///
/// # Safety
/// `n` bytes can be read from `a` and `b` and written to `to`, which may be one of them.
pub(super) unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product) {
    let [za, zb] = op.zeros.map(|z| i16x8_splat(i16::from(z)));
    let finish = Finish::new(op.requant);
    let scale = f32x4_splat(op.scale);
    let body = |a: v128, b: v128| {
        let (a0, a1) = (i16x8_sub(u16x8_extend_low_u8x16(a), za), i16x8_sub(u16x8_extend_high_u8x16(a), za));
        let (b0, b1) = (i16x8_sub(u16x8_extend_low_u8x16(b), zb), i16x8_sub(u16x8_extend_high_u8x16(b), zb));
        let products = [
            i32x4_extmul_low_i16x8(a0, b0),
            i32x4_extmul_high_i16x8(a0, b0),
            i32x4_extmul_low_i16x8(a1, b1),
            i32x4_extmul_high_i16x8(a1, b1),
        ];
        finish.pack(products.map(|p| finish.apply(p, scale)))
    };
    // SAFETY: the caller's promise.
    unsafe { each(a, b, to, n, body, |a, b| op.value(a, b)) }
}

/// Byte c of each of four runs, as `[c][4]`.
pub(super) fn interleave(four: [[u8; 16]; 4], to: &mut [u8; 64]) {
    // SAFETY: four vectors are read, and as much is written.
    unsafe {
        let [a, b, c, d] = four.each_ref().map(|v| v128_load(v.as_ptr().cast()));
        let low = |a, b| i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b);
        let high = |a, b| i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(a, b);
        for (i, (ab, cd)) in [(low(a, b), low(c, d)), (high(a, b), high(c, d))].into_iter().enumerate() {
            let to = to.as_mut_ptr().cast::<v128>().add(2 * i);
            v128_store(to, i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(ab, cd));
            v128_store(to.add(1), i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(ab, cd));
        }
    }
}

/// Runs `body` on vectors and `one` on the rest.
///
/// # Safety
/// As for [`product`].
#[inline(always)]
unsafe fn each(
    a: *const u8,
    b: *const u8,
    to: *mut u8,
    n: usize,
    body: impl Fn(v128, v128) -> v128,
    one: impl Fn(u8, u8) -> u8,
) {
    let mut i = 0;
    // SAFETY: elements below n alone; each is read before it is written.
    unsafe {
        while i + VECTOR <= n {
            v128_store(to.add(i).cast(), body(v128_load(a.add(i).cast()), v128_load(b.add(i).cast())));
            i += VECTOR;
        }
        // Pixels of 24 or 40 channels end with half a vector.
        if i + VECTOR / 2 <= n {
            let half = body(v128_load64_zero(a.add(i).cast()), v128_load64_zero(b.add(i).cast()));
            v128_store64_lane::<0>(half, to.add(i).cast());
            i += VECTOR / 2;
        }
        while i < n {
            to.add(i).write(one(a.add(i).read(), b.add(i).read()));
            // A few elements: not worth the code of another vector loop.
            i = black_box(i + 1);
        }
    }
}

/// Entries of a table at the bytes of a run, in place.
///
/// # Safety
/// `n` bytes can be read and written.
pub(super) unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]) {
    for i in 0..n {
        // SAFETY: i < n.
        unsafe { at.add(i).write(table[usize::from(at.add(i).read())]) }
    }
}

/// Pixels whose bytes are added up in 16 bits: 255 * 257 is the largest sum that fits.
const SHORT: usize = 256;

/// Adds byte e of a run to sum e % `channels`.
///
/// # Safety
/// `n` bytes, a multiple of `channels`, can be read, and `channels` sums written.
pub(super) unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32) {
    let pixels = n / channels;
    let mut c = 0;
    // SAFETY: channels c..c + 8 or c of each pixel; sums below `channels`.
    unsafe {
        while c + VECTOR <= channels {
            let mut x = 0;
            while x < pixels {
                let end = pixels.min(x + SHORT);
                let mut short = [i32x4_splat(0); 2];
                while x < end {
                    let v = v128_load(from.add(x * channels + c).cast());
                    short[0] = i16x8_add(short[0], u16x8_extend_low_u8x16(v));
                    short[1] = i16x8_add(short[1], u16x8_extend_high_u8x16(v));
                    x += 1;
                }
                for (i, short) in short.into_iter().enumerate() {
                    let to = sums.add(c + 8 * i).cast::<v128>();
                    v128_store(to, i32x4_add(v128_load(to), u32x4_extend_low_u16x8(short)));
                    let to = to.add(1);
                    v128_store(to, i32x4_add(v128_load(to), u32x4_extend_high_u16x8(short)));
                }
            }
            c += VECTOR;
        }
        while c < channels {
            let mut sum = 0;
            for x in 0..pixels {
                sum += i32::from(from.add(x * channels + c).read());
            }
            *sums.add(c) += sum;
            c += 1;
        }
    }
}
