//! What an instruction set gives to the drivers over vectors.

use super::BYTES;

/// Vectors of sixteen bytes, and of four floats or sums. A value of 16 elements is four of these, in order. The backend's token
/// proves the instructions, so that only what touches memory is unsafe.
pub(crate) trait Lanes: 'static {
    /// 16 bytes.
    type Bytes: Copy;
    /// Four numbers of single precision.
    type Floats: Copy;
    /// Four unsigned integers of 32 bits.
    type Sums: Copy;
    /// What [`Self::quantise`] needs.
    type Finish: Copy;

    /// The first `n` bytes, at most 16, and zeros.
    ///
    /// # Safety
    /// They can be read.
    #[inline(always)]
    unsafe fn load(from: *const u8, n: usize) -> Self::Bytes {
        if n >= BYTES {
            // SAFETY: the caller's promise.
            return unsafe { Self::bytes(from.cast::<[u8; BYTES]>().read()) };
        }
        let mut bytes = [0; BYTES];
        // SAFETY: the caller's promise.
        unsafe { core::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), n) };
        Self::bytes(bytes)
    }

    /// Writes the first `n` bytes, at most 16.
    ///
    /// # Safety
    /// They can be written.
    #[inline(always)]
    unsafe fn store(to: *mut u8, v: Self::Bytes, n: usize) {
        let bytes = Self::array(v);
        // SAFETY: the caller's promise.
        unsafe {
            if n >= BYTES {
                to.cast::<[u8; BYTES]>().write(bytes);
            } else {
                core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, n);
            }
        }
    }

    /// A vector of these bytes.
    fn bytes(v: [u8; BYTES]) -> Self::Bytes;

    /// The bytes of a vector.
    fn array(v: Self::Bytes) -> [u8; BYTES];

    /// These numbers.
    fn floats(v: [f32; 4]) -> Self::Floats;

    /// a + b
    fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// a - b
    fn sub(a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// a * b
    fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// Each byte less `zero`.
    fn less(v: Self::Bytes, zero: u8) -> [Self::Floats; 4];

    /// Each byte times `n`.
    fn times(v: Self::Bytes, n: u16) -> [Self::Floats; 4];

    /// For results with this zero point.
    fn finish(zero: u8) -> Self::Finish;

    /// Real results: rounded, the zero point added, within 0..=255; NaN is the zero point.
    fn quantise(finish: Self::Finish, r: [Self::Floats; 4]) -> Self::Bytes;

    /// Sums of zero.
    fn none() -> Self::Sums;

    /// The four sums.
    fn sums(v: Self::Sums) -> [u32; 4];

    /// Adds each byte, and its square, to one of the four sums each.
    fn add_powers(sums: [Self::Sums; 2], v: Self::Bytes) -> [Self::Sums; 2];

    /// Adds the square of each byte less `zero` to its own sum.
    fn add_squares(sums: [Self::Sums; 4], v: Self::Bytes, zero: u8) -> [Self::Sums; 4];
}
