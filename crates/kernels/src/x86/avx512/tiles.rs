//! What the tiles of all element types have in common.

/// Computes tiles: of a row, from a position on, that many.
pub(super) type Tiles<R> = unsafe fn(&R, usize, usize);

/// Covers positions `0..n` of a row with tiles of the first size, what is left with the next ones. The last tile of a size
/// may be moved left and compute some positions twice, if that costs less than smaller tiles.
///
/// # Safety
/// The functions may be called for any tile inside `0..n`; the last size is 1.
pub(super) unsafe fn cover<R>(row: &R, n: usize, sizes: &[(usize, Tiles<R>)]) {
    let mut at = 0;
    for (size, tiles) in sizes {
        let (whole, left) = ((n - at) / size, (n - at) % size);
        // SAFETY: inside 0..n.
        unsafe {
            if whole > 0 {
                tiles(row, at, whole);
                at += whole * size;
            }
            if n >= *size && left > size / 2 {
                tiles(row, n - size, 1);
                return;
            }
        }
    }
}

/// A pointer about which the compiler knows nothing, so that it computes no addresses from other pointers.
#[inline]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "the block is empty")]
pub(super) fn opaque<T>(mut p: *const T) -> *const T {
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("/* {0} */", inout(reg) p, options(pure, nomem, nostack, preserves_flags)) };
    p
}

/// Runs the body with the numbers of lines. Written out: indices that are no constants would keep the sums in memory.
macro_rules! each_line {
    ($N:ident, |$line:ident| $body:block) => {
        const { assert!($N <= 4) };
        each_line!(@ $N, $line, $body, 0);
        each_line!(@ $N, $line, $body, 1);
        each_line!(@ $N, $line, $body, 2);
        each_line!(@ $N, $line, $body, 3);
    };
    (@ $N:ident, $line:ident, $body:block, $value:literal) => {
        if $N > $value {
            const $line: usize = $value;
            $body
        }
    };
}
pub(super) use each_line;
