//! Rows of pixels with one byte a head, apart and together.

use super::interleave::Bytes;

/// Bytes that one step of 8 heads moves.
const STEP: usize = 16;

/// Copies byte h of `n` pixels to row h, `pitch` bytes after row h - 1.
///
/// # Safety
/// `heads` bytes of `n` pixels, `pixel` bytes apart, can be read; `n` bytes of each row can be written; they do not overlap.
pub(super) unsafe fn split(from: *const u8, pixel: usize, heads: usize, n: usize, to: *mut u8, pitch: usize) {
    let mut done = 0;
    // SAFETY: the caller's promise; a step takes 16 pixels that are there.
    unsafe {
        if heads == 8 && pixel == 8 {
            while done + STEP <= n {
                let block = from.add(done * 8).cast::<[u8; 128]>().read();
                let eight =
                    |k: usize| Bytes::planes([0, 1, 2, 3].map(|j| Bytes::of(&block[k * 64 + j * 16..])));
                let (low, high) = (eight(0), eight(1));
                for head in 0..8 {
                    let row = core::slice::from_raw_parts_mut(to.add(head * pitch + done), STEP);
                    Bytes::joined(low[head / 2], high[head / 2], head % 2).store(row);
                }
                done += STEP;
            }
        }
        for head in 0..heads {
            for i in done..n {
                to.add(head * pitch + i).write(from.add(i * pixel + head).read());
            }
        }
    }
}

/// The reverse of [`split`].
///
/// # Safety
/// As there, reading and writing exchanged.
pub(super) unsafe fn join(from: *const u8, pitch: usize, heads: usize, n: usize, to: *mut u8, pixel: usize) {
    let mut done = 0;
    // SAFETY: as in `split`.
    unsafe {
        if heads == 8 && pixel == 8 {
            while done + STEP <= n {
                let row = |h: usize| Bytes::of(core::slice::from_raw_parts(from.add(h * pitch + done), STEP));
                let four = |first: usize| Bytes::interleave([0, 1, 2, 3].map(|i| row(first + i)));
                let mixed = Bytes::interleave_fours(four(0), four(4));
                let target = core::slice::from_raw_parts_mut(to.add(done * 8), 128);
                for (to, v) in target.chunks_exact_mut(16).zip(mixed) {
                    v.store(to);
                }
                done += STEP;
            }
        }
        for head in 0..heads {
            for i in done..n {
                to.add(i * pixel + head).write(from.add(head * pitch + i).read());
            }
        }
    }
}
