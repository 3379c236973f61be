//! The loops in Helium's instructions. Loads that widen and stores that narrow take their address from r0 to r7.

use core::arch::asm;

use super::{OUTPUTS, PIXEL_SUMS, VECTOR, vectors};
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

/// Copies `n` bytes.
///
/// # Safety
/// They can be read and written, and do not overlap.
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, n: usize) {
    if n == 0 {
        return;
    }
    // SAFETY: the loop is predicated by the length.
    unsafe {
        block!(
            ["dlstp.8 lr, {n}", "2:", "vldrb.u8 q0, [{from}], #16", "vstrb.8 q0, [{to}], #16", "letp lr, 2b"],
            n = in(reg) n, from = inout(reg) from => _, to = inout(reg) to => _
        );
    }
}

/// Copies the runs of every pixel behind one another, a vector for each.
///
/// # Safety
/// The row is as [`GemmRow`] says, its runs fit a vector, and a vector can be written for every pixel.
#[inline(never)]
pub(super) unsafe fn gather(row: &GemmRow<'_>, to: *mut u8) {
    // SAFETY: a word of each tap's run of every pixel, and their places in its vector.
    unsafe {
        if let (&[a, b, c], 1) = (row.taps, row.quads) {
            block!(
                [
                    "dls lr, {n}",
                    "2:",
                    "ldr r0, [{a}, {at}]",
                    "ldr r2, [{b}, {at}]",
                    "ldr r4, [{c}, {at}]",
                    "add {at}, {step}",
                    "strd r0, r2, [{to}], #16",
                    "str r4, [{to}, #-8]",
                    "le lr, 2b",
                ],
                n = in(reg) row.pixels, a = in(reg) a, b = in(reg) b, c = in(reg) c, at = inout(reg) 0 => _,
                step = in(reg) row.step, to = inout(reg) to => _, out("r0") _, out("r2") _, out("r4") _
            );
            return;
        }
        let (step, quads) = (row.step, row.quads);
        for q in 0..row.taps.len() * quads {
            let (mut from, mut to) = (row.taps[q / quads].add(q % quads * 4), to.add(q * 4));
            for _ in 0..row.pixels {
                to.cast::<[u8; 4]>().write(from.cast::<[u8; 4]>().read());
                (from, to) = (from.wrapping_add(step), to.wrapping_add(VECTOR));
            }
        }
    }
}

/// sums\[x\]\[o\] = the sum of the weights times the activations of pixel x, less 128.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`], `weights` being the first of four outputs.
#[inline(never)]
pub(super) unsafe fn multiply(row: &GemmRow<'_>, weights: *const u8, sums: *mut i32) {
    let run = row.quads * 4;
    // SAFETY: passed on.
    unsafe {
        match row.taps {
            [tap] if vectors(row.quads) == 1 => multiply_short(row, *tap, weights, run, sums),
            _ => multiply_long(row, weights, run, sums),
        }
    }
}

/// One tap of at most a vector: the weights stay in registers.
///
/// # Safety
/// As for [`multiply`].
unsafe fn multiply_short(row: &GemmRow<'_>, tap: *const u8, weights: *const u8, run: usize, sums: *mut i32) {
    macro_rules! rows {
        ([$($load:literal),+]) => {
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
                    $($load),+,
                    "add {x}, {step}",
                    "veor q4, q4, q5",
                    "vmladav.s8 r0, q0, q4",
                    "vmladav.s8 r2, q1, q4",
                    "vmladav.s8 r4, q2, q4",
                    "vmladav.s8 r12, q3, q4",
                    "strd r0, r2, [{sums}], #32",
                    "strd r4, r12, [{sums}, #-24]",
                    "le lr, 2b",
                ],
                run = in(reg) run, w = in(reg) weights, n = in(reg) row.pixels, step = in(reg) row.step,
                x = inout(reg) tap => _, sums = inout(reg) sums => _,
                out("r0") _, out("r2") _, out("r4") _, out("r12") _
            )
        };
    }
    // SAFETY: loads of activations are a whole run, or predicated by its length; four vectors of weights; four sums a pixel.
    unsafe {
        if run == VECTOR {
            rows!(["vldrb.u8 q4, [{x}]"]);
        } else {
            rows!(["vpst", "vldrbt.u8 q4, [{x}]"]);
        }
    }
}

/// Any taps.
///
/// # Safety
/// As for [`multiply`].
unsafe fn multiply_long(row: &GemmRow<'_>, weights: *const u8, run: usize, sums: *mut i32) {
    // What the loop over pixels needs, which does not fit the registers: taps, their number, weights, sums, pixels left, and
    // the distance of pixels.
    let mut pixel =
        [row.taps.as_ptr().addr(), row.taps.len(), weights.addr(), sums.addr(), row.pixels, row.step];
    // SAFETY: the inner loop is predicated by the length of the run; the weights have a vector for every one of its steps;
    // four sums a pixel. Addresses of 32 bits are pointers.
    unsafe {
        block!(
            [
                "vmov.i8 q5, #0x80",
                "2:",
                "ldrd {taps}, {count}, [{pixel}]",
                "ldr {w}, [{pixel}, #8]",
                "mov r0, #0",
                "mov r2, #0",
                "mov r4, #0",
                "mov r12, #0",
                "3:",
                "ldr {p}, [{taps}], #4",
                "add {p}, {at}",
                "dlstp.8 lr, {run}",
                "4:",
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
                "letp lr, 4b",
                "subs {count}, #1",
                "bne 3b",
                "ldrd {p}, {count}, [{pixel}, #12]",
                "strd r0, r2, [{p}], #32",
                "strd r4, r12, [{p}, #-24]",
                "ldr {w}, [{pixel}, #20]",
                "add {at}, {w}",
                "subs {count}, #1",
                "strd {p}, {count}, [{pixel}, #12]",
                "bne 2b",
            ],
            pixel = in(reg) pixel.as_mut_ptr(), taps = out(reg) _, count = out(reg) _, w = out(reg) _, p = out(reg) _,
            at = inout(reg) 0 => _, run = in(reg) run, out("r0") _, out("r2") _, out("r4") _, out("r12") _
        );
    }
}

/// Requantises the sums of [`multiply`] and writes the first `channels` of each pixel's eight. The specification clamps
/// before it rounds; as its bounds are integers and every step saturates, clamping last gives the same.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::gemm`]; eight biases and scales.
pub(super) unsafe fn requantise(
    row: &GemmRow<'_>,
    (bias, scale): (*const i32, *const f32),
    out: *mut u8,
    channels: usize,
) {
    // SAFETY: passed on, four channels at a time where there are not eight.
    unsafe {
        if channels == PIXEL_SUMS {
            requantise_eight(row, (bias, scale), out);
            return;
        }
        requantise_some(row, (bias, scale), row.sums, out, channels.min(OUTPUTS));
        if channels > OUTPUTS {
            let parameters = (bias.add(OUTPUTS), scale.add(OUTPUTS));
            requantise_some(row, parameters, row.sums.add(OUTPUTS), out.add(OUTPUTS), channels - OUTPUTS);
        }
    }
}

/// Even outputs in one vector, odd ones in another: narrowing to 16 bits interleaves them again.
///
/// # Safety
/// As for [`requantise`], of eight channels.
#[inline(never)]
unsafe fn requantise_eight(row: &GemmRow<'_>, (bias, scale): (*const i32, *const f32), out: *mut u8) {
    let ([low, high], zero) = bounds(row.requant);
    // SAFETY: eight sums, biases and scales; the channels of every pixel.
    unsafe {
        block!(
            [
                "vld20.32 {{q2, q3}}, [{bias}]",
                "vld21.32 {{q2, q3}}, [{bias}]",
                "vld20.32 {{q4, q5}}, [{scale}]",
                "vld21.32 {{q4, q5}}, [{scale}]",
                "vdup.16 q6, {low}",
                "vdup.16 q7, {high}",
                "dls lr, {n}",
                "2:",
                "vld20.32 {{q0, q1}}, [{sums}]",
                "vld21.32 {{q0, q1}}, [{sums}]!",
                "vadd.i32 q0, q0, q2",
                "vadd.i32 q1, q1, q3",
                "vcvt.f32.s32 q0, q0",
                "vcvt.f32.s32 q1, q1",
                "vmul.f32 q0, q0, q4",
                "vmul.f32 q1, q1, q5",
                "vcvtn.s32.f32 q0, q0",
                "vcvtn.s32.f32 q1, q1",
                "vqmovnb.s32 q0, q0",
                "vqmovnt.s32 q0, q1",
                "vqadd.s16 q0, q0, {zero}",
                "vmax.s16 q0, q0, q6",
                "vmin.s16 q0, q0, q7",
                "vstrb.16 q0, [r0]",
                "add r0, {pitch}",
                "le lr, 2b",
            ],
            bias = in(reg) bias, scale = in(reg) scale, low = in(reg) low, high = in(reg) high,
            n = in(reg) row.pixels, zero = in(reg) zero, pitch = in(reg) row.out_pixel,
            sums = inout(reg) row.sums => _, inout("r0") out => _
        );
    }
}

/// # Safety
/// As for [`requantise`], of the up to four channels that these sums are of.
#[inline(never)]
unsafe fn requantise_some(
    row: &GemmRow<'_>,
    (bias, scale): (*const i32, *const f32),
    sums: *const i32,
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
                "vldrw.u32 q0, [{sums}], #32",
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
            sums = inout(reg) sums => _, inout("r0") out => _
        );
    }
}

/// Filters a row, 16 elements at a time.
///
/// Products of the even elements of each half go to q0 and q2, of the odd ones to q1 and q3. Bias and scale are loaded so,
/// and narrowing to 16 bits interleaves them again.
///
/// # Safety
/// As for [`crate::rows::isa::Isa::depthwise`].
#[inline(never)]
pub(super) unsafe fn depthwise(row: &DepthwiseRow<'_>) {
    let [low, high] = row.requant.bounds.map(usize::from);
    // What the loop over vectors needs, which does not fit the registers.
    let mut state = [
        row.taps.as_ptr().addr(),
        row.taps.len(),
        low,
        high,
        usize::from(row.requant.zero),
        row.period,
        row.bias.addr(),
        row.scale.addr(),
        row.weights.addr(),
        // Vectors until the tables begin again, and until the end.
        row.period,
        row.len / VECTOR,
    ];
    // SAFETY: whole vectors of the output, of every tap's run and of the tables. Addresses of 32 bits are pointers.
    unsafe {
        if row.len >= VECTOR {
            filter(&mut state, 0, row.out);
        }
        let (at, rest) = (row.len / VECTOR * VECTOR, row.len % VECTOR);
        if rest > 0 {
            let phase = at / VECTOR % row.period;
            let mut last = [0; VECTOR];
            state[6] = row.bias.add(phase * VECTOR).addr();
            state[7] = row.scale.add(phase * VECTOR).addr();
            state[8] = row.weights.add(phase * VECTOR * row.taps.len()).addr();
            state[10] = 1;
            filter(&mut state, at, last.as_mut_ptr());
            core::ptr::copy_nonoverlapping(last.as_ptr(), row.out.add(at), rest);
        }
    }
}

/// Computes whole vectors from element `at` on.
///
/// # Safety
/// As for [`depthwise`]; the state is as it says, with one vector at least.
unsafe fn filter(state: &mut [usize; 11], at: usize, to: *mut u8) {
    // SAFETY: passed on.
    unsafe {
        block!(
            [
                "ldrd {bias}, {scale}, [{state}, #24]",
                "ldr r1, [{state}, #32]",
                "2:",
                "ldrd {taps}, {t}, [{state}]",
                "vld20.32 {{q0, q1}}, [{bias}]",
                "vld21.32 {{q0, q1}}, [{bias}]!",
                "vld20.32 {{q2, q3}}, [{bias}]",
                "vld21.32 {{q2, q3}}, [{bias}]!",
                "dls lr, {t}",
                "3:",
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
                "le lr, 3b",
                "vld20.32 {{q4, q5}}, [{scale}]",
                "vld21.32 {{q4, q5}}, [{scale}]!",
                "vcvt.f32.s32 q0, q0",
                "vcvt.f32.s32 q1, q1",
                "vcvt.f32.s32 q2, q2",
                "vcvt.f32.s32 q3, q3",
                "vmul.f32 q0, q0, q4",
                "vmul.f32 q1, q1, q5",
                "vld20.32 {{q4, q5}}, [{scale}]",
                "vld21.32 {{q4, q5}}, [{scale}]!",
                "vmul.f32 q2, q2, q4",
                "vmul.f32 q3, q3, q5",
                "vcvtn.s32.f32 q0, q0",
                "vcvtn.s32.f32 q1, q1",
                "vcvtn.s32.f32 q2, q2",
                "vcvtn.s32.f32 q3, q3",
                "vqmovnb.s32 q0, q0",
                "vqmovnt.s32 q0, q1",
                "vqmovnb.s32 q2, q2",
                "vqmovnt.s32 q2, q3",
                "ldrd {taps}, {t}, [{state}, #8]",
                "vdup.16 q4, {taps}",
                "vdup.16 q5, {t}",
                "ldrd {t}, {taps}, [{state}, #16]",
                "vqadd.s16 q0, q0, {t}",
                "vqadd.s16 q2, q2, {t}",
                "vmax.s16 q0, q0, q4",
                "vmax.s16 q2, q2, q4",
                "vmin.s16 q0, q0, q5",
                "vmin.s16 q2, q2, q5",
                "vstrb.16 q0, [r2], #8",
                "vstrb.16 q2, [r2], #8",
                "add {at}, #16",
                "ldr {t}, [{state}, #36]",
                "subs {t}, #1",
                "bne 4f",
                "mov {t}, {taps}",
                "ldrd {bias}, {scale}, [{state}, #24]",
                "ldr r1, [{state}, #32]",
                "4:",
                "ldr {taps}, [{state}, #40]",
                "subs {taps}, #1",
                "strd {t}, {taps}, [{state}, #36]",
                "bne 2b",
            ],
            state = in(reg) state.as_mut_ptr(), taps = out(reg) _, t = out(reg) _, bias = out(reg) _,
            scale = out(reg) _, at = inout(reg) at => _, out("r0") _, out("r1") _, inout("r2") to => _
        );
    }
}

/// The body of [`crate::rows::isa::Isa::sum_pixels`].
///
/// # Safety
/// As there.
#[inline(never)]
pub(super) unsafe fn sum_pixels(
    (a, a_pitch): (*const u8, usize),
    (b, b_pitch): (*const u8, usize),
    (to, to_pitch): (*mut u8, usize),
    (pixels, channels): (usize, usize),
    op: &Sum,
) {
    if pixels == 0 || channels == 0 {
        return;
    }
    let (f, [low, high]) = (op.fixed, op.bounds.map(u32::from));
    // The loop over channels moves the addresses by whole vectors of four.
    let gap = |pitch: usize| (pitch as u32).wrapping_sub(channels.next_multiple_of(4) as u32);
    let constants = [low, high, f.offset.cast_unsigned(), gap(a_pitch), gap(b_pitch), gap(to_pitch)];
    // SAFETY: the inner loop is predicated by the channels; four bytes are read before they are written.
    unsafe {
        block!(
            [
                "ldrd {t}, {n}, [{constants}]",
                "vdup.32 q3, {t}",
                "vdup.32 q4, {n}",
                "ldr {t}, [{constants}, #8]",
                "vdup.32 q5, {t}",
                "mov {n}, {pixels}",
                "2:",
                "dlstp.32 lr, {channels}",
                "3:",
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
                "letp lr, 3b",
                "ldr {t}, [{constants}, #12]",
                "add r0, {t}",
                "ldr {t}, [{constants}, #16]",
                "add r1, {t}",
                "ldr {t}, [{constants}, #20]",
                "add r2, {t}",
                "subs {n}, #1",
                "bne 2b",
            ],
            constants = in(reg) constants.as_ptr(), pixels = in(reg) pixels, channels = in(reg) channels,
            fa = in(reg) f.a, fb = in(reg) f.b, shift = in(reg) -f.shift.cast_signed(), t = out(reg) _,
            n = out(reg) _, inout("r0") a => _, inout("r1") b => _, inout("r2") to => _
        );
    }
}

/// The body of [`crate::rows::isa::Isa::product`].
///
/// # Safety
/// As there.
#[inline(never)]
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
#[inline(never)]
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
#[inline(never)]
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
