//! Sums, products, tables and reductions of runs.

use crate::arm::ops::{pack_high, pack_low, put, smlad, uxtb16, uxtb16_odd, word};
use crate::rows::elementwise::{Product, Sum};

/// Bytes that are read before they are written: a word.
const STEP: usize = 4;

/// Writes `f` of each four pairs of bytes.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::sum`].
#[inline(always)]
unsafe fn each4(a: *const u8, b: *const u8, to: *mut u8, n: usize, f: impl Fn(u32, u32) -> [u8; STEP]) {
    let mut at = 0;
    // SAFETY: bytes at..at + 4, and at last the rest, of each run.
    unsafe {
        while at + STEP <= n {
            put(to.add(at), f(word(a.add(at)), word(b.add(at))), STEP);
            at += STEP;
        }
        if at < n {
            let rest = |from: *const u8| {
                (at..n).rev().fold(0, |bytes, i| bytes << 8 | u32::from(from.add(i).read()))
            };
            put(to.add(at), f(rest(a), rest(b)), n - at);
        }
    }
}

/// The body of [`crate::rows::isa::Isa::sum`].
///
/// # Safety
/// As there.
#[inline(never)]
pub(super) unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum) {
    let f = op.fixed;
    // The artifact's reader bounds both by 2^15 - 1.
    let factors = pack_low(f.a.cast_unsigned(), f.b.cast_unsigned());
    let [low, high] = op.bounds.map(i32::from);
    let result = |pair: u32| ((smlad(pair, factors, f.offset) >> f.shift).min(high).max(low)) as u8;
    // SAFETY: passed on.
    unsafe {
        each4(a, b, to, n, |a, b| {
            let (a_even, b_even, a_odd, b_odd) = (uxtb16(a), uxtb16(b), uxtb16_odd(a), uxtb16_odd(b));
            [
                result(pack_low(a_even, b_even)),
                result(pack_low(a_odd, b_odd)),
                result(pack_high(a_even, b_even)),
                result(pack_high(a_odd, b_odd)),
            ]
        });
    }
}

/// The body of [`crate::rows::isa::Isa::product`].
///
/// # Safety
/// As there.
#[inline(never)]
pub(super) unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product) {
    // SAFETY: passed on.
    unsafe {
        each4(a, b, to, n, |a, b| {
            let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
            core::array::from_fn(|i| op.value(a[i], b[i]))
        });
    }
}

/// The body of [`crate::rows::isa::Isa::look_up`].
///
/// # Safety
/// As there.
#[inline(never)]
pub(super) unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]) {
    // SAFETY: passed on; the second operand is not looked at.
    unsafe { each4(at, at, at, n, |a, _| a.to_le_bytes().map(|q| table[usize::from(q)])) }
}

/// The body of [`crate::rows::isa::Isa::add_up`]: four channels at a time, as two pairs of 16-bit sums of up to 256 pixels.
///
/// # Safety
/// As there.
#[inline(never)]
pub(super) unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32) {
    let add = |c: usize, v: u32| {
        // SAFETY: one of the sums.
        unsafe { sums.add(c).write(sums.add(c).read() + v.cast_signed()) }
    };
    for first in (0..channels / STEP * STEP).step_by(STEP) {
        let mut at = first;
        while at < n {
            let (mut even, mut odd) = (0u32, 0u32);
            let end = n.min(at + 256 * channels);
            while at < end {
                // SAFETY: four channels of a pixel.
                let x = unsafe { word(from.add(at)) };
                (even, odd) = (even + uxtb16(x), odd + uxtb16_odd(x));
                at += channels;
            }
            for (c, v) in [even & 0xffff, odd & 0xffff, even >> 16, odd >> 16].into_iter().enumerate() {
                add(first + c, v);
            }
        }
    }
    for c in channels / STEP * STEP..channels {
        for at in (c..n).step_by(channels) {
            // SAFETY: one channel of a pixel.
            add(c, u32::from(unsafe { from.add(at).read() }));
        }
    }
}
