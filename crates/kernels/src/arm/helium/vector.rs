//! The loops in Helium's instructions. Loads that widen and stores that narrow take their address from r0 to r7.

use core::arch::asm;

use super::{OUTPUTS, VECTOR, vectors};
use crate::rows::depthwise::DepthwiseRow;
use crate::rows::elementwise::{Product, Sum};
use crate::rows::gemm::GemmRow;
use crate::rows::requant::Requant;

/// A block of instructions that uses all vector registers and the loop counter.
macro_rules! block {
    ([$($line:literal),+ $(,)?], $($operand:tt)+) => {
        asm!(
            $($line),+,
            $($operand)+,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _, out("d14") _,
            out("d15") _, out("lr") _,
            options(nostack)
        )
    };
}

/// Bounds and zero point, as 32-bit numbers.
fn bounds(requant: Requant) -> ([u32; 2], u32) {
    (requant.bounds.map(u32::from), u32::from(requant.zero))
}

/// sums\[x\]\[o\] = the sum of the weights times the activations of pixel x, less 128.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`], `weights` being the first of four outputs.
pub(super) unsafe fn multiply(row: &GemmRow<'_>, weights: *const u8) {
    let run = row.quads * 4;
    // SAFETY: passed on.
    unsafe {
        match row.taps {
            [tap] if vectors(row.quads) == 1 => multiply_short(row, *tap, weights, run),
            _ => multiply_long(row, weights, run),
        }
    }
}

/// One tap of at most a vector: the weights stay in registers.
///
/// # Safety
/// As for [`multiply`].
unsafe fn multiply_short(row: &GemmRow<'_>, tap: *const u8, weights: *const u8, run: usize) {
    // SAFETY: loads of activations are predicated by the length of the run; four vectors of weights; four sums a pixel.
    unsafe {
        block!(
            [
                "vctp.8 {run}",
                "vldrb.u8 q0, [{w}]",
                "vldrb.u8 q1, [{w}, #16]",
                "vldrb.u8 q2, [{w}, #32]",
                "vldrb.u8 q3, [{w}, #48]",
                "vmov.i8 q5, #0x80",
                "dls lr, {n}",
                "2:",
                "vpst",
                "vldrbt.u8 q4, [{x}]",
                "add {x}, {step}",
                "veor q4, q4, q5",
                "vmladav.s8 r0, q0, q4",
                "vmladav.s8 r2, q1, q4",
                "vmladav.s8 r4, q2, q4",
                "vmladav.s8 r12, q3, q4",
                "strd r0, r2, [{sums}], #16",
                "strd r4, r12, [{sums}, #-8]",
                "le lr, 2b",
            ],
            run = in(reg) run, w = in(reg) weights, n = in(reg) row.pixels, step = in(reg) row.step,
            x = inout(reg) tap => _, sums = inout(reg) row.sums => _,
            out("r0") _, out("r2") _, out("r4") _, out("r12") _
        );
    }
}

/// Any taps.
///
/// # Safety
/// As for [`multiply`].
unsafe fn multiply_long(row: &GemmRow<'_>, weights: *const u8, run: usize) {
    for x in 0..row.pixels {
        // SAFETY: the inner loop is predicated by the length of the run; the weights have a vector for every one of its
        // steps; four sums a pixel.
        unsafe {
            let (s0, s1, s2, s3): (i32, i32, i32, i32);
            block!(
                [
                    "vmov.i8 q5, #0x80",
                    "2:",
                    "ldr {p}, [{taps}], #4",
                    "add {p}, {at}",
                    "dlstp.8 lr, {run}",
                    "3:",
                    "vldrb.u8 q4, [{p}], #16",
                    "vldrb.u8 q0, [{w}], #16",
                    "vldrb.u8 q1, [{w}], #16",
                    "vldrb.u8 q2, [{w}], #16",
                    "vldrb.u8 q3, [{w}], #16",
                    "veor q4, q4, q5",
                    "vmladava.s8 r0, q0, q4",
                    "vmladava.s8 r2, q1, q4",
                    "vmladava.s8 r4, q2, q4",
                    "vmladava.s8 r12, q3, q4",
                    "letp lr, 3b",
                    "subs {count}, #1",
                    "bne 2b",
                ],
                taps = inout(reg) row.taps.as_ptr() => _, count = inout(reg) row.taps.len() => _,
                w = inout(reg) weights => _, p = out(reg) _, at = in(reg) x * row.step, run = in(reg) run,
                inout("r0") 0 => s0, inout("r2") 0 => s1, inout("r4") 0 => s2, inout("r12") 0 => s3
            );
            row.sums.add(x * OUTPUTS).cast::<[i32; OUTPUTS]>().write([s0, s1, s2, s3]);
        }
    }
}

/// Requantises the sums of [`multiply`] and writes the first `channels` of each pixel's four. The specification clamps before
/// it rounds; as its bounds are integers and every step saturates, clamping last gives the same.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`]; four biases and scales.
pub(super) unsafe fn requantise_pixels(
    row: &GemmRow<'_>,
    (bias, scale): (*const i32, *const f32),
    out: *mut u8,
    channels: usize,
) {
    let ([low, high], zero) = bounds(row.requant);
    // SAFETY: four sums, biases and scales; stores are predicated by the channels.
    unsafe {
        block!(
            [
                "vctp.32 {channels}",
                "vldrw.u32 q1, [{bias}]",
                "vldrw.u32 q2, [{scale}]",
                "vdup.32 q3, {low}",
                "vdup.32 q4, {high}",
                "dls lr, {n}",
                "2:",
                "vldrw.u32 q0, [{sums}], #16",
                "vadd.i32 q0, q0, q1",
                "vcvt.f32.s32 q0, q0",
                "vmul.f32 q0, q0, q2",
                "vcvtn.s32.f32 q0, q0",
                "vqadd.s32 q0, q0, {zero}",
                "vmax.s32 q0, q0, q3",
                "vmin.s32 q0, q0, q4",
                "vpst",
                "vstrbt.32 q0, [r0]",
                "add r0, {pitch}",
                "le lr, 2b",
            ],
            channels = in(reg) channels, bias = in(reg) bias, scale = in(reg) scale, low = in(reg) low,
            high = in(reg) high, n = in(reg) row.pixels, zero = in(reg) zero, pitch = in(reg) row.out_pixel,
            sums = inout(reg) row.sums => _, inout("r0") out => _
        );
    }
}

/// Sums of the taps of the 16 elements at `at`.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::depthwise`]; 16 sums can be written.
pub(super) unsafe fn filter(row: &DepthwiseRow<'_>, at: usize, weights: *const u8, sums: *mut i32) {
    // SAFETY: a vector of every tap's run and of its weights. Products of the even elements go to q0 and q2, of the odd ones
    // to q1 and q3; the stores interleave them.
    unsafe {
        block!(
            [
                "vmov.i32 q0, #0",
                "vmov.i32 q1, #0",
                "vmov.i32 q2, #0",
                "vmov.i32 q3, #0",
                "dls lr, {n}",
                "2:",
                "ldr r0, [{taps}], #4",
                "add r0, {at}",
                "vldrb.u16 q4, [r0]",
                "vldrb.s16 q5, [r1], #8",
                "vmullb.s16 q6, q4, q5",
                "vmullt.s16 q7, q4, q5",
                "vadd.i32 q0, q0, q6",
                "vadd.i32 q1, q1, q7",
                "vldrb.u16 q4, [r0, #8]",
                "vldrb.s16 q5, [r1], #8",
                "vmullb.s16 q6, q4, q5",
                "vmullt.s16 q7, q4, q5",
                "vadd.i32 q2, q2, q6",
                "vadd.i32 q3, q3, q7",
                "le lr, 2b",
                "vst20.32 {{q0, q1}}, [{sums}]",
                "vst21.32 {{q0, q1}}, [{sums}]!",
                "vst20.32 {{q2, q3}}, [{sums}]",
                "vst21.32 {{q2, q3}}, [{sums}]",
            ],
            n = in(reg) row.taps.len(), taps = inout(reg) row.taps.as_ptr() => _, at = in(reg) at,
            sums = inout(reg) sums => _, out("r0") _, inout("r1") weights => _
        );
    }
}

/// Requantises `len` sums, at most a period.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::depthwise`].
pub(super) unsafe fn requantise_run(row: &DepthwiseRow<'_>, sums: *const i32, out: *mut u8, len: usize) {
    let ([low, high], zero) = bounds(row.requant);
    // SAFETY: the loop is predicated by the length.
    unsafe {
        block!(
            [
                "vdup.32 q3, {low}",
                "vdup.32 q4, {high}",
                "dlstp.32 lr, {len}",
                "2:",
                "vldrw.u32 q0, [{sums}], #16",
                "vldrw.u32 q1, [{bias}], #16",
                "vadd.i32 q0, q0, q1",
                "vcvt.f32.s32 q0, q0",
                "vldrw.u32 q2, [{scale}], #16",
                "vmul.f32 q0, q0, q2",
                "vcvtn.s32.f32 q0, q0",
                "vqadd.s32 q0, q0, {zero}",
                "vmax.s32 q0, q0, q3",
                "vmin.s32 q0, q0, q4",
                "vstrb.32 q0, [r0], #4",
                "letp lr, 2b",
            ],
            low = in(reg) low, high = in(reg) high, len = in(reg) len, zero = in(reg) zero,
            sums = inout(reg) sums => _, bias = inout(reg) row.bias => _, scale = inout(reg) row.scale => _,
            inout("r0") out => _
        );
    }
}

/// The body of [`crate::rows::isa::Isa::sum`].
///
/// # Safety
/// As there.
pub(super) unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum) {
    let (f, [low, high]) = (op.fixed, op.bounds.map(u32::from));
    if n == 0 {
        return;
    }
    // SAFETY: the loop is predicated by the length; four bytes are read before they are written.
    unsafe {
        block!(
            [
                "vdup.32 q3, {low}",
                "vdup.32 q4, {high}",
                "vdup.32 q5, {offset}",
                "dlstp.32 lr, {n}",
                "2:",
                "vldrb.u32 q0, [r0], #4",
                "vldrb.u32 q1, [r1], #4",
                "vmul.i32 q0, q0, {fa}",
                "vmul.i32 q1, q1, {fb}",
                "vadd.i32 q0, q0, q5",
                "vadd.i32 q0, q0, q1",
                "vshl.s32 q0, {shift}",
                "vmax.s32 q0, q0, q3",
                "vmin.s32 q0, q0, q4",
                "vstrb.32 q0, [r2], #4",
                "letp lr, 2b",
            ],
            low = in(reg) low, high = in(reg) high, offset = inout(reg) f.offset => _, n = in(reg) n,
            fa = in(reg) f.a, fb = in(reg) f.b, shift = in(reg) -f.shift.cast_signed(),
            inout("r0") a => _, inout("r1") b => _, inout("r2") to => _
        );
    }
}

/// The body of [`crate::rows::isa::Isa::product`].
///
/// # Safety
/// As there.
pub(super) unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product) {
    let ([low, high], zero) = bounds(op.requant);
    let [za, zb] = op.zeros.map(u32::from);
    if n == 0 {
        return;
    }
    // Constants that need no register of their own come from here: bounds, and the zero point of the second operand.
    let constants = [low, high, zb];
    // SAFETY: as in `sum`.
    unsafe {
        block!(
            [
                "ldr {t}, [{constants}]",
                "vdup.32 q3, {t}",
                "ldr {t}, [{constants}, #4]",
                "vdup.32 q4, {t}",
                "ldr {t}, [{constants}, #8]",
                "dlstp.32 lr, {n}",
                "2:",
                "vldrb.u32 q0, [r0], #4",
                "vldrb.u32 q1, [r1], #4",
                "vsub.i32 q0, q0, {za}",
                "vsub.i32 q1, q1, {t}",
                "vmul.i32 q0, q0, q1",
                "vcvt.f32.s32 q0, q0",
                "vmul.f32 q0, q0, {scale}",
                "vcvtn.s32.f32 q0, q0",
                "vqadd.s32 q0, q0, {zero}",
                "vmax.s32 q0, q0, q3",
                "vmin.s32 q0, q0, q4",
                "vstrb.32 q0, [r2], #4",
                "letp lr, 2b",
            ],
            constants = in(reg) constants.as_ptr(), t = out(reg) _, n = in(reg) n, za = in(reg) za,
            scale = in(reg) op.scale.to_bits(), zero = in(reg) zero,
            inout("r0") a => _, inout("r1") b => _, inout("r2") to => _
        );
    }
}

/// The body of [`crate::rows::isa::Isa::look_up`]: a gather with the bytes themselves as offsets.
///
/// # Safety
/// As there.
pub(super) unsafe fn look_up(at: *mut u8, n: usize, table: &[u8; 256]) {
    if n == 0 {
        return;
    }
    // SAFETY: the loop is predicated by the length; a byte is an offset inside the table.
    unsafe {
        block!(
            [
                "dlstp.8 lr, {n}",
                "2:",
                "vldrb.u8 q0, [{at}]",
                "vldrb.u8 q1, [{table}, q0]",
                "vstrb.8 q1, [{at}], #16",
                "letp lr, 2b",
            ],
            n = in(reg) n, table = in(reg) table.as_ptr(), at = inout(reg) at => _
        );
    }
}

/// The body of [`crate::rows::isa::Isa::add_up`]: eight channels at a time, as 16-bit sums of up to 256 pixels.
///
/// # Safety
/// As there.
pub(super) unsafe fn add_up(from: *const u8, n: usize, channels: usize, sums: *mut i32) {
    const LANES: usize = VECTOR / 2;
    for first in (0..channels).step_by(LANES) {
        let lanes = (channels - first).min(LANES);
        let mut at = first;
        while at < n {
            let pixels = (n - at).div_ceil(channels).min(256);
            let mut part = [0u16; LANES];
            // SAFETY: loads are predicated by the channels; the store is the array's. Then `lanes` of the sums.
            unsafe {
                block!(
                    [
                        "vctp.16 {lanes}",
                        "vmov.i32 q0, #0",
                        "dls lr, {pixels}",
                        "2:",
                        "vpst",
                        "vldrbt.u16 q1, [r0]",
                        "add r0, {step}",
                        "vadd.i16 q0, q0, q1",
                        "le lr, 2b",
                        "vstrh.16 q0, [{part}]",
                    ],
                    lanes = in(reg) lanes, pixels = in(reg) pixels, step = in(reg) channels,
                    part = in(reg) part.as_mut_ptr(), inout("r0") from.add(at) => _
                );
                for (c, v) in part.into_iter().enumerate().take(lanes) {
                    let sum = sums.add(first + c);
                    sum.write(sum.read() + i32::from(v));
                }
            }
            at += pixels * channels;
        }
    }
}
