//! Products of bytes, summed by fours: by multiplication and pairwise addition, by `sdot` and by `usdot`.
//!
//! The intrinsics of the two dot products are unstable in Rust 1.95, so that they are written as one instruction each.
//! Their assembly is inlined into functions whose target features include them.

use core::arch::aarch64::{
    int8x16_t, int32x4_t, uint8x16_t, vaddq_s32, vdupq_laneq_s32, vdupq_n_s32, vdupq_n_u8, vdupq_n_u64,
    veorq_u8, vget_low_s8, vmull_high_s8, vmull_s8, vpadalq_s16, vpaddq_s32, vreinterpretq_s8_s32,
    vreinterpretq_s8_u8, vreinterpretq_s32_u8, vreinterpretq_s32_u64, vreinterpretq_u8_s8,
};
use core::arch::asm;

/// One way to sum products of bytes. Every function needs the instructions.
pub(super) trait Dot: 'static {
    /// [`crate::rows::isa::Isa::OFFSET`]
    const OFFSET: i32;

    /// Pixels of a tile of four and of two vectors of outputs, as the registers allow.
    const PIXELS: [usize; 2];

    /// Sums in the making of four outputs.
    type Sums: Copy;

    /// Activations as the products take them.
    fn activations(x: uint8x16_t) -> uint8x16_t;

    /// Sums that all begin with `v`.
    fn start(v: i32) -> Self::Sums;

    /// sums\[o\] += the products of `w`\[4 o..\] with the four activations `x`\[4 `LANE`..\]
    fn by_lane<const LANE: i32>(sums: Self::Sums, w: int8x16_t, x: uint8x16_t) -> Self::Sums;

    /// sums\[o\] += the products of `w`\[4 o..\] with `x`\[4 o..\]
    fn by_element(sums: Self::Sums, w: int8x16_t, x: uint8x16_t) -> Self::Sums;

    /// The four sums and their bias.
    fn end(sums: Self::Sums, bias: int32x4_t) -> int32x4_t;
}

/// The bytes less 128, as signed bytes.
#[inline(always)]
fn flip(x: uint8x16_t) -> uint8x16_t {
    // SAFETY: instructions of every AArch64.
    unsafe { veorq_u8(x, vdupq_n_u8(128)) }
}

/// What every AArch64 has.
pub(super) struct Multiply;

impl Dot for Multiply {
    const OFFSET: i32 = 128;
    const PIXELS: [usize; 2] = [2, 4];
    /// Products of inputs 0 and 1, and of 2 and 3, of two outputs each.
    type Sums = [int32x4_t; 2];

    #[inline(always)]
    fn activations(x: uint8x16_t) -> uint8x16_t {
        flip(x)
    }

    #[inline(always)]
    fn start(v: i32) -> Self::Sums {
        // Of the two that are added up at the end, one begins with it.
        // SAFETY: an instruction of every AArch64.
        [unsafe { vreinterpretq_s32_u64(vdupq_n_u64(u64::from(v.cast_unsigned()))) }; 2]
    }

    #[inline(always)]
    fn by_lane<const LANE: i32>(sums: Self::Sums, w: int8x16_t, x: uint8x16_t) -> Self::Sums {
        // SAFETY: an instruction of every AArch64.
        let x = unsafe {
            vreinterpretq_u8_s8(vreinterpretq_s8_s32(vdupq_laneq_s32::<LANE>(vreinterpretq_s32_u8(x))))
        };
        Self::by_element(sums, w, x)
    }

    #[inline(always)]
    fn by_element(sums: Self::Sums, w: int8x16_t, x: uint8x16_t) -> Self::Sums {
        // SAFETY: instructions of every AArch64. A product of two bytes is at most 2^14.
        unsafe {
            let x = vreinterpretq_s8_u8(x);
            [
                vpadalq_s16(sums[0], vmull_s8(vget_low_s8(w), vget_low_s8(x))),
                vpadalq_s16(sums[1], vmull_high_s8(w, x)),
            ]
        }
    }

    #[inline(always)]
    fn end(sums: Self::Sums, bias: int32x4_t) -> int32x4_t {
        // SAFETY: instructions of every AArch64.
        unsafe { vaddq_s32(vpaddq_s32(sums[0], sums[1]), bias) }
    }
}

/// `sdot`, of the feature `dotprod` (Armv8.2).
pub(super) struct Signed;

/// `usdot` and `sudot`, of the feature `i8mm` (Armv8.6).
pub(super) struct Mixed;

macro_rules! dot {
    ($name:ident, $offset:literal, $activations:ident, $lane:literal, $element:literal) => {
        impl Dot for $name {
            const OFFSET: i32 = $offset;
            const PIXELS: [usize; 2] = [4, 8];
            type Sums = int32x4_t;

            #[inline(always)]
            fn activations(x: uint8x16_t) -> uint8x16_t {
                $activations(x)
            }

            #[inline(always)]
            fn start(v: i32) -> int32x4_t {
                // SAFETY: an instruction of every AArch64.
                unsafe { vdupq_n_s32(v) }
            }

            #[inline(always)]
            fn by_lane<const LANE: i32>(mut sums: int32x4_t, w: int8x16_t, x: uint8x16_t) -> int32x4_t {
                // SAFETY: registers alone; the caller has the instruction.
                unsafe {
                    asm!(
                        concat!($lane, " {s:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]"),
                        s = inout(vreg) sums, w = in(vreg) w, x = in(vreg) x, lane = const LANE,
                        options(pure, nomem, nostack, preserves_flags)
                    );
                }
                sums
            }

            #[inline(always)]
            fn by_element(mut sums: int32x4_t, w: int8x16_t, x: uint8x16_t) -> int32x4_t {
                // SAFETY: registers alone; the caller has the instruction.
                unsafe {
                    asm!(
                        concat!($element, " {s:v}.4s, {x:v}.16b, {w:v}.16b"),
                        s = inout(vreg) sums, w = in(vreg) w, x = in(vreg) x,
                        options(pure, nomem, nostack, preserves_flags)
                    );
                }
                sums
            }

            #[inline(always)]
            fn end(sums: int32x4_t, bias: int32x4_t) -> int32x4_t {
                // SAFETY: an instruction of every AArch64.
                unsafe { vaddq_s32(sums, bias) }
            }
        }
    };
}

dot!(Signed, 128, flip, "sdot", "sdot");
dot!(Mixed, 0, identity, "sudot", "usdot");

#[inline(always)]
fn identity(x: uint8x16_t) -> uint8x16_t {
    x
}
