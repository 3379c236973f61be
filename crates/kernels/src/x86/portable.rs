//! 8-bit kernels as plain arithmetic, to be compiled, and vectorised, for an instruction set without byte permutations and
//! masks.

use super::blend::BlendRow;
use super::elementwise::{Product, Sum};
use super::norm::{NormRow, factor};
use super::requant::Requant;

/// Bytes that are worked on at once. They pass through an array, which is known not to overlap anything.
const BLOCK: usize = 64;

/// Writes `f` of each pair of bytes, then looks them up.
///
/// # Safety
/// As for [`super::isa::Isa::sum`].
#[inline(always)]
unsafe fn each2(
    a: *const u8,
    b: *const u8,
    to: *mut u8,
    n: usize,
    table: Option<&[u8; 256]>,
    f: impl Fn(u8, u8) -> u8,
) {
    let mut at = 0;
    while at < n {
        let len = (n - at).min(BLOCK);
        let (mut x, mut y) = ([0; BLOCK], [0; BLOCK]);
        // SAFETY: bytes at..at + len of each run.
        unsafe {
            core::ptr::copy_nonoverlapping(a.add(at), x.as_mut_ptr(), len);
            core::ptr::copy_nonoverlapping(b.add(at), y.as_mut_ptr(), len);
            for (x, y) in x.iter_mut().zip(y) {
                *x = f(*x, y);
            }
            if let Some(table) = table {
                x.iter_mut().for_each(|x| *x = table[usize::from(*x)]);
            }
            core::ptr::copy_nonoverlapping(x.as_ptr(), to.add(at), len);
        }
        at += len;
    }
}

/// The body of [`super::isa::Isa::sum`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum<'_>) {
    let (f, finish) = (op.fixed, op.finish);
    let (lo, hi) = (i32::from(finish.lo), i32::from(finish.hi));
    // SAFETY: passed on.
    unsafe {
        each2(a, b, to, n, finish.table, |a, b| {
            let v = (f.a * i32::from(a) + f.b * i32::from(b) + f.offset) >> f.shift;
            v.min(hi).max(lo) as u8
        });
    }
}

/// The body of [`super::isa::Isa::product`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product<'_>) {
    let [za, zb] = op.zeros.map(i32::from);
    let (table, plain) = split(&op.requant);
    // SAFETY: passed on.
    unsafe {
        each2(a, b, to, n, table, |a, b| {
            plain.value(((i32::from(a) - za) * (i32::from(b) - zb)) as f32 * op.scale)
        });
    }
}

/// The table, and what comes before it.
#[inline(always)]
fn split<'a>(requant: &Requant<'a>) -> (Option<&'a [u8; 256]>, Requant<'a>) {
    let mut plain = *requant;
    plain.finish.table = None;
    (requant.finish.table, plain)
}

/// The body of [`super::isa::Isa::table`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn table(from: *const u8, to: *mut u8, n: usize, table: &[u8; 256]) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(table[usize::from(from.add(i).read())]) };
    }
}

/// The body of [`super::isa::Isa::add_up`] for vectors of `V` bytes.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn add_up<const V: usize>(row: *const u8, n: usize, period: usize, sums: *mut i32) {
    for phase in 0..period {
        let mut at = phase * V;
        while at < n {
            let mut words = [0u16; V];
            // 256 bytes fit 16 bits.
            for _ in 0..256 {
                if at >= n {
                    break;
                }
                // SAFETY: bytes at..min(at + V, n) of the row.
                unsafe {
                    if at + V <= n {
                        for (i, w) in words.iter_mut().enumerate() {
                            *w += u16::from(row.add(at + i).read());
                        }
                    } else {
                        for (i, w) in words.iter_mut().enumerate().take(n - at) {
                            *w += u16::from(row.add(at + i).read());
                        }
                    }
                }
                at += period * V;
            }
            for (i, w) in words.into_iter().enumerate() {
                // SAFETY: V of the sums belong to the phase.
                unsafe {
                    let sum = sums.add(phase * V + i);
                    sum.write_unaligned(sum.read_unaligned() + i32::from(w));
                }
            }
        }
    }
}

/// The body of [`super::isa::Isa::add_squares`] for vectors of `V` bytes, sums in the order of bytes.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn add_squares<const V: usize>(
    row: *const u8,
    n: usize,
    period: usize,
    zero: u8,
    sums: *mut u64,
) {
    let zero = i32::from(zero);
    for phase in 0..period {
        let mut at = phase * V;
        while at < n {
            let mut squares = [0u32; V];
            // 2^16 squares of at most 255^2 fit 32 bits.
            for _ in 0..1 << 16 {
                if at >= n {
                    break;
                }
                for (i, s) in squares.iter_mut().enumerate().take(n - at) {
                    // SAFETY: bytes at..min(at + V, n) of the row.
                    let v = i32::from(unsafe { row.add(at + i).read() }) - zero;
                    *s += (v * v).cast_unsigned();
                }
                at += period * V;
            }
            for (i, s) in squares.into_iter().enumerate() {
                // SAFETY: V of the sums belong to the phase.
                unsafe {
                    let sum = sums.add(phase * V + i);
                    sum.write_unaligned(sum.read_unaligned() + u64::from(s));
                }
            }
        }
    }
}

/// The body of [`super::isa::Isa::layer_norm`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn layer_norm(row: &NormRow<'_>) {
    let channels = row.gain.len();
    for x in 0..row.pixels {
        let (from, to) = (row.from.0.wrapping_add(x * row.from.1), row.to.0.wrapping_add(x * row.to.1));
        let (mut sum, mut squares) = (0u32, 0u32);
        // 2^14 squares of at most 255^2 fit 32 bits.
        for c in 0..channels {
            // SAFETY: the channels of pixel x.
            let q = u32::from(unsafe { from.add(c).read() });
            sum += q;
            squares += q * q;
        }
        let factor = factor(channels, (sum, u64::from(squares)), row.scale, row.epsilon);
        let (count, sum) = (channels as i32, sum.cast_signed());
        for (c, (gamma, beta)) in row.gain.iter().zip(row.beta).enumerate() {
            // SAFETY: the channels of pixel x of both rows.
            unsafe {
                let v = (count * i32::from(from.add(c).read()) - sum) as f32 * factor * gamma + beta;
                to.add(c).write(number(v * row.per_step, &row.requant));
            }
        }
    }
}

/// The body of [`super::isa::Isa::response_norm`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn response_norm(row: &NormRow<'_>) {
    let zero = i32::from(row.zero_point);
    for x in 0..row.pixels {
        let (from, to) = (row.from.0.wrapping_add(x * row.from.1), row.to.0.wrapping_add(x * row.to.1));
        for (c, (response, beta)) in row.gain.iter().zip(row.beta).enumerate() {
            // SAFETY: the channels of pixel x of both rows.
            unsafe {
                let v = (i32::from(from.add(c).read()) - zero) as f32 * row.scale;
                to.add(c).write(number((v * response + beta + v) * row.per_step, &row.requant));
            }
        }
    }
}

/// The 8-bit result, the zero point for NaN.
#[inline(always)]
fn number(r: f32, requant: &Requant<'_>) -> u8 {
    requant.value(if r.is_nan() { 0.0 } else { r })
}

/// The body of [`super::isa::Isa::blend`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn blend(row: &BlendRow<'_>) {
    for x in 0..row.pixels {
        // SAFETY: pixel x of each row, and its logits.
        unsafe {
            let logits = row.logits.add(x / 2 * 8 + row.first + x % 2);
            let weight = row.weight[usize::from(logits.read())];
            let residual = row.residual[usize::from(logits.add(4).read())];
            let (v, i) = (i32::from(row.visible.add(x).read()), i32::from(row.infrared.add(x).read()));
            let q = (v * 32_768 + (i - v) * weight + residual + 16_384) >> 15;
            row.out.add(x).write(q.clamp(0, 255) as u8);
        }
    }
}
