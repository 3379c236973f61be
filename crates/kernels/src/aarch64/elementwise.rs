//! Sums and products of runs in plain arithmetic, which the compiler turns into NEON, and tables by `tbl`.

use core::arch::aarch64::{
    uint8x16x4_t, vdupq_n_u8, vld1q_u8, vld1q_u8_x4, vqtbl4q_u8, vqtbx4q_u8, vst1q_u8, vst4q_u8, vsubq_u8,
};

use crate::rows::elementwise::{Product, Sum};

/// Bytes that are worked on at once. They pass through an array, which is known not to overlap anything.
const BLOCK: usize = 16;

/// Writes `f` of each pair of bytes.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::sum`].
#[inline(always)]
unsafe fn each2(a: *const u8, b: *const u8, to: *mut u8, n: usize, f: impl Fn(u8, u8) -> u8) {
    let mut at = 0;
    // SAFETY: bytes at..at + BLOCK, and at last the rest, of each run.
    unsafe {
        while at + BLOCK <= n {
            let (a, b) = (a.add(at).cast::<[u8; BLOCK]>().read(), b.add(at).cast::<[u8; BLOCK]>().read());
            to.add(at).cast::<[u8; BLOCK]>().write(core::array::from_fn(|i| f(a[i], b[i])));
            at += BLOCK;
        }
        while at < n {
            to.add(at).write(f(a.add(at).read(), b.add(at).read()));
            at += 1;
        }
    }
}

/// The body of [`crate::rows::isa::Isa::sum`].
///
/// # Safety
/// As there.
pub(super) unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum) {
    // SAFETY: passed on.
    unsafe { each2(a, b, to, n, |a, b| op.value(a, b)) }
}

/// The body of [`crate::rows::isa::Isa::product`].
///
/// # Safety
/// As there.
pub(super) unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product) {
    // SAFETY: passed on.
    unsafe { each2(a, b, to, n, |a, b| op.value(a, b)) }
}

/// The body of [`crate::rows::isa::Isa::interleave`].
pub(super) fn interleave(four: [[u8; 16]; 4], to: &mut [u8; 64]) {
    // SAFETY: four vectors are read, and as much is written.
    unsafe {
        let [a, b, c, d] = four.each_ref().map(|v| vld1q_u8(v.as_ptr()));
        vst4q_u8(to.as_mut_ptr(), uint8x16x4_t(a, b, c, d));
    }
}

/// The body of [`crate::rows::isa::Isa::look_up`]: a quarter of the table at a time, each keeping what lies outside of it.
///
/// # Safety
/// As there.
pub(super) unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]) {
    // SAFETY: 64 bytes of the table each; 16 bytes of the run, and at last the rest.
    unsafe {
        let quarters: [uint8x16x4_t; 4] = core::array::from_fn(|i| vld1q_u8_x4(table.as_ptr().add(64 * i)));
        let quarter = vdupq_n_u8(64);
        let mut i = 0;
        while i + BLOCK <= n {
            let q = vld1q_u8(at.add(i));
            let mut out = vqtbl4q_u8(quarters[0], q);
            let mut rest = q;
            for quarter_table in &quarters[1..] {
                rest = vsubq_u8(rest, quarter);
                out = vqtbx4q_u8(out, *quarter_table, rest);
            }
            vst1q_u8(at.add(i), out);
            i += BLOCK;
        }
        while i < n {
            at.add(i).write(table[usize::from(at.add(i).read())]);
            i += 1;
        }
    }
}

/// The body of [`crate::rows::isa::Isa::add_up`].
///
/// # Safety
/// As there.
pub(super) unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32) {
    // SAFETY: n bytes, and `channels` sums, which may lie in memory but not in the bytes.
    unsafe {
        let sums = core::slice::from_raw_parts_mut(sums, channels);
        for pixel in core::slice::from_raw_parts(from, n).chunks_exact(channels) {
            for (sum, v) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*v);
            }
        }
    }
}
