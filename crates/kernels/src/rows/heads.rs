//! Rows of pixels with one byte a head, apart and together.

/// The number of heads that has loops of its own.
const EIGHT: usize = 8;

/// Copies byte h of `n` pixels to row h, `pitch` bytes after row h - 1.
///
/// # Safety
/// `heads` bytes of `n` pixels, `pixel` bytes apart, can be read; `n` bytes of each row can be written; they do not overlap.
pub(super) unsafe fn split(from: *const u8, pixel: usize, heads: usize, n: usize, to: *mut u8, pitch: usize) {
    // SAFETY: passed on, or bytes of the pixels and rows that the caller promises.
    unsafe {
        if heads == EIGHT {
            for i in 0..n {
                let bytes = from.add(i * pixel).cast::<[u8; EIGHT]>().read();
                for (head, byte) in bytes.into_iter().enumerate() {
                    to.add(head * pitch + i).write(byte);
                }
            }
            return;
        }
        for head in 0..heads {
            for i in 0..n {
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
    // SAFETY: as in `split`.
    unsafe {
        if heads == EIGHT {
            for i in 0..n {
                let bytes: [u8; EIGHT] = core::array::from_fn(|head| from.add(head * pitch + i).read());
                to.add(i * pixel).cast::<[u8; EIGHT]>().write(bytes);
            }
            return;
        }
        for head in 0..heads {
            for i in 0..n {
                to.add(i * pixel + head).write(from.add(head * pitch + i).read());
            }
        }
    }
}
