//! Instructions of the DSP extension, and what they compute.

/// Defines a function of registers: one instruction where the CPU has it, else its twin in plain arithmetic.
macro_rules! instruction {
    ($(#[$doc:meta])* $name:ident($($arg:ident),+) $asm:literal = $twin:expr) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name($($arg: u32),+) -> u32 {
            #[cfg(all(target_arch = "arm", dsp))]
            {
                let result: u32;
                // SAFETY: an instruction on registers alone, which `dsp` says is there.
                unsafe {
                    core::arch::asm!(
                        $asm, r = lateout(reg) result, $($arg = in(reg) $arg),+,
                        options(pure, nomem, nostack, preserves_flags)
                    );
                }
                result
            }
            #[cfg(not(all(target_arch = "arm", dsp)))]
            {
                $twin
            }
        }
    };
}

instruction! {
    /// Bytes 0 and 2 as unsigned halfwords.
    uxtb16(x) "uxtb16 {r}, {x}" = x & 0x00ff_00ff
}

instruction! {
    /// Bytes 1 and 3 as unsigned halfwords.
    uxtb16_odd(x) "uxtb16 {r}, {x}, ror #8" = x >> 8 & 0x00ff_00ff
}

instruction! {
    /// The low halfword of `a`, and that of `b` above it.
    pack_low(a, b) "pkhbt {r}, {a}, {b}, lsl #16" = a & 0xffff | b << 16
}

instruction! {
    /// The high halfword of `a`, below that of `b`.
    pack_high(a, b) "pkhtb {r}, {b}, {a}, asr #16" = a >> 16 | b & 0xffff_0000
}

/// The signed low and high halfwords.
#[cfg(not(all(target_arch = "arm", dsp)))]
fn halves(x: u32) -> [i32; 2] {
    [i32::from(x as i16), i32::from((x >> 16) as i16)]
}

/// a.low * b.low + a.high * b.high + sum of signed halfwords; no sum of the kernels overflows.
#[inline(always)]
pub(super) fn smlad(a: u32, b: u32, sum: i32) -> i32 {
    #[cfg(all(target_arch = "arm", dsp))]
    {
        let result: i32;
        // SAFETY: an instruction on registers alone, which `dsp` says is there. It may set the sticky overflow flag, which
        // nothing reads.
        unsafe {
            core::arch::asm!(
                "smlad {r}, {a}, {b}, {s}", r = lateout(reg) result, a = in(reg) a, b = in(reg) b, s = in(reg) sum,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        result
    }
    #[cfg(not(all(target_arch = "arm", dsp)))]
    {
        let ([a0, a1], [b0, b1]) = (halves(a), halves(b));
        a0 * b0 + a1 * b1 + sum
    }
}

/// The low halfwords' product, and the high ones', each added to its own sum.
#[inline(always)]
pub(super) fn multiply_halves(a: u32, b: u32, sums: [i32; 2]) -> [i32; 2] {
    #[cfg(all(target_arch = "arm", dsp))]
    {
        let [mut low, mut high] = sums;
        // SAFETY: as in `smlad`.
        unsafe {
            core::arch::asm!(
                "smlabb {l}, {a}, {b}, {l}", l = inout(reg) low, a = in(reg) a, b = in(reg) b,
                options(pure, nomem, nostack, preserves_flags)
            );
            core::arch::asm!(
                "smlatt {h}, {a}, {b}, {h}", h = inout(reg) high, a = in(reg) a, b = in(reg) b,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        [low, high]
    }
    #[cfg(not(all(target_arch = "arm", dsp)))]
    {
        let ([a0, a1], [b0, b1]) = (halves(a), halves(b));
        [a0 * b0 + sums[0], a1 * b1 + sums[1]]
    }
}

/// The four bytes at `from`, the first lowest.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(super) unsafe fn word(from: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    u32::from_le_bytes(unsafe { from.cast::<[u8; 4]>().read_unaligned() })
}

/// Writes the first `n` of four bytes.
///
/// # Safety
/// They can be written.
#[inline(always)]
pub(super) unsafe fn put(to: *mut u8, bytes: [u8; 4], n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if n >= 4 {
            to.cast::<[u8; 4]>().write_unaligned(bytes);
        } else {
            for (i, b) in bytes.into_iter().enumerate().take(n) {
                to.add(i).write(b);
            }
        }
    }
}
