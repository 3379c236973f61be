//! Transposition of numbers, with the instructions that every x86-64 CPU has.

use core::arch::x86_64::*;

/// Lines and numbers of a tile in registers.
const TILE: usize = 8;

/// Writes number `j` of each of `n` lines of `len` numbers as line `j`; lines are `from_pitch` and `to_pitch` numbers apart.
///
/// # Safety
/// The lines can be read and written, and do not overlap.
pub(super) unsafe fn transpose<T: Copy>(
    from: *const T,
    from_pitch: usize,
    n: usize,
    len: usize,
    to: *mut T,
    to_pitch: usize,
) {
    // What is left beside whole tiles.
    let (whole_n, whole_len) =
        if size_of::<T>() == 2 { (n / TILE * TILE, len / TILE * TILE) } else { (0, 0) };
    // SAFETY: the caller's promise; all indices are below n and len.
    unsafe {
        for i in (0..whole_n).step_by(TILE) {
            for j in (0..whole_len).step_by(TILE) {
                let (from, to) = (from.add(i * from_pitch + j), to.add(j * to_pitch + i));
                tile(from.cast(), from_pitch * 2, to.cast(), to_pitch * 2);
            }
        }
        for i in 0..n {
            for j in if i < whole_n { whole_len } else { 0 }..len {
                to.add(j * to_pitch + i).write(from.add(i * from_pitch + j).read());
            }
        }
    }
}

/// Transposes 8 lines of 8 words; pitches in bytes.
///
/// # Safety
/// As for [`transpose`].
#[inline(always)]
unsafe fn tile(from: *const u8, from_pitch: usize, to: *mut u8, to_pitch: usize) {
    // SAFETY: SSE2 belongs to the architecture; the caller's promise.
    unsafe {
        let v: [__m128i; TILE] =
            core::array::from_fn(|i| _mm_loadu_si128(from.wrapping_add(i * from_pitch).cast()));
        // Pairs of lines, then fours, then all eight.
        let [a, b, c, d] = [(0, 1), (2, 3), (4, 5), (6, 7)]
            .map(|(i, j)| [_mm_unpacklo_epi16(v[i], v[j]), _mm_unpackhi_epi16(v[i], v[j])]);
        let fours = |a: [__m128i; 2], b: [__m128i; 2]| {
            [
                _mm_unpacklo_epi32(a[0], b[0]),
                _mm_unpackhi_epi32(a[0], b[0]),
                _mm_unpacklo_epi32(a[1], b[1]),
                _mm_unpackhi_epi32(a[1], b[1]),
            ]
        };
        let (low, high) = (fours(a, b), fours(c, d));
        for (i, (low, high)) in low.into_iter().zip(high).enumerate() {
            let pair = [_mm_unpacklo_epi64(low, high), _mm_unpackhi_epi64(low, high)];
            for (j, v) in pair.into_iter().enumerate() {
                _mm_storeu_si128(to.wrapping_add((2 * i + j) * to_pitch).cast(), v);
            }
        }
    }
}
