//! Runs of bytes: sums, products, tables, sums over pixels, composition.

use core::arch::x86_64::*;

use super::finish::{Finish, Table};
use crate::x86::blend::BlendRow;
use crate::x86::elementwise::{Product, Sum};
use crate::x86::requant::Requant;
use crate::x86::upsample::{self, UpsampleRow};

/// Loads 64 bytes, or the `n` that are there.
///
/// # Safety
/// `min(n, 64)` bytes can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn load(from: *const u8, n: usize) -> __m512i {
    // SAFETY: the mask covers the bytes that are there.
    unsafe {
        if n >= 64 {
            _mm512_loadu_si512(from.cast())
        } else {
            _mm512_maskz_loadu_epi8(u64::MAX >> (64 - n), from.cast())
        }
    }
}

/// Stores 64 bytes, or the first `n`.
///
/// # Safety
/// `min(n, 64)` bytes can be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn store(to: *mut u8, n: usize, v: __m512i) {
    // SAFETY: the mask covers the bytes that are there.
    unsafe {
        if n >= 64 {
            _mm512_storeu_si512(to.cast(), v);
        } else {
            _mm512_mask_storeu_epi8(to.cast(), u64::MAX >> (64 - n), v);
        }
    }
}

/// See [`crate::x86::isa::Isa::sum`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")]
pub(super) unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum<'_>) {
    let finish = Finish::new(&Requant { zero_point: 0, finish: op.finish });
    let factors = _mm512_set1_epi32((op.fixed.a & 0xffff) | op.fixed.b << 16);
    let offset = _mm512_set1_epi32(op.fixed.offset);
    // One shift a lane is one instruction, one shift for all is two.
    let shift = _mm512_set1_epi32(op.fixed.shift.cast_signed());
    let zero = _mm512_setzero_si512();
    let mut at = 0;
    while at < n {
        // SAFETY: bytes at..min(at + 64, n) of each run.
        unsafe {
            let (a, b) = (load(a.add(at), n - at), load(b.add(at), n - at));
            // Pairs (a, b) of 16-bit numbers times the pair of factors.
            let (low, high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
            let weigh = |p| _mm512_srav_epi32(_mm512_dpwssd_epi32(offset, p, factors), shift);
            let v = [
                weigh(_mm512_unpacklo_epi8(low, zero)),
                weigh(_mm512_unpackhi_epi8(low, zero)),
                weigh(_mm512_unpacklo_epi8(high, zero)),
                weigh(_mm512_unpackhi_epi8(high, zero)),
            ];
            store(to.add(at), n - at, finish.pack(v));
        }
        at += 64;
    }
}

/// See [`crate::x86::isa::Isa::product`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product<'_>) {
    let finish = Finish::new(&op.requant);
    let scale = _mm512_set1_ps(op.scale);
    let zeros = [_mm512_set1_epi16(i16::from(op.zeros[0])), _mm512_set1_epi16(i16::from(op.zeros[1]))];
    let (low_byte, low_word) = (_mm512_set1_epi16(0xff), _mm512_set1_epi32(0xffff));
    // Sum i of a lane holds bytes 4 e + (0, 2, 1, 3)[i]: packed, they stand at 4 i + e.
    let order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15));
    let mut at = 0;
    while at < n {
        // SAFETY: bytes at..min(at + 64, n) of each run.
        unsafe {
            let (a, b) = (load(a.add(at), n - at), load(b.add(at), n - at));
            // Even and odd bytes as 16-bit numbers; a product with every other number of one of them set to zero.
            let even = |v, zero| _mm512_sub_epi16(_mm512_and_si512(v, low_byte), zero);
            let odd = |v, zero| _mm512_sub_epi16(_mm512_srli_epi16::<8>(v), zero);
            let (a0, a1) = (even(a, zeros[0]), odd(a, zeros[0]));
            let (b0, b1) = (even(b, zeros[1]), odd(b, zeros[1]));
            let scaled =
                |a, b| _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_madd_epi16(a, b)), scale));
            let v = [
                scaled(_mm512_and_si512(a0, low_word), b0),
                scaled(_mm512_andnot_si512(low_word, a0), b0),
                scaled(_mm512_and_si512(a1, low_word), b1),
                scaled(_mm512_andnot_si512(low_word, a1), b1),
            ];
            store(to.add(at), n - at, _mm512_shuffle_epi8(finish.pack(v), order));
        }
        at += 64;
    }
}

/// See [`crate::x86::isa::Isa::table`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) unsafe fn table(from: *const u8, to: *mut u8, n: usize, table: &[u8; 256]) {
    let table = Table::new(table);
    let mut at = 0;
    while at < n {
        // SAFETY: bytes at..min(at + 64, n) of each run.
        unsafe { store(to.add(at), n - at, table.get(load(from.add(at), n - at))) };
        at += 64;
    }
}

/// See [`crate::x86::isa::Isa::add_up`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn add_up(row: *const u8, n: usize, period: usize, sums: *mut i32) {
    let low_byte = _mm512_set1_epi16(0xff);
    for phase in 0..period {
        let mut at = phase * 64;
        while at < n {
            // Sums of even and odd bytes, in 16 bits for as long as they hold.
            let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            for _ in 0..256 {
                if at >= n {
                    break;
                }
                // SAFETY: bytes at..min(at + 64, n) of the row.
                let v = unsafe { load(row.add(at), n - at) };
                even = _mm512_add_epi16(even, _mm512_and_si512(v, low_byte));
                odd = _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(v));
                at += period * 64;
            }
            // Bytes 0, 2, 1, 3 of each four.
            let low_word = _mm512_set1_epi32(0xffff);
            let parts = [
                _mm512_and_si512(even, low_word),
                _mm512_srli_epi32::<16>(even),
                _mm512_and_si512(odd, low_word),
                _mm512_srli_epi32::<16>(odd),
            ];
            for (j, part) in parts.into_iter().enumerate() {
                // SAFETY: 16 of the 64 sums of the phase.
                unsafe {
                    let to = sums.add(phase * 64 + j * 16);
                    let sum = _mm512_add_epi32(_mm512_loadu_si512(to.cast()), part);
                    _mm512_storeu_si512(to.cast(), sum);
                }
            }
        }
    }
}

/// See [`crate::x86::isa::Isa::blend`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn blend(row: &BlendRow<'_>) {
    let shift = _mm_cvtsi64_si128((row.first * 8) as i64);
    let half = _mm512_set1_epi32(1 << 14);
    let mut x = 0;
    while x < row.pixels {
        let n = (row.pixels - x).min(16);
        let mask = 0xffff >> (16 - n);
        // SAFETY: pixels x..x + n, and the n / 2 logits of 8 bytes; a table's 256 entries for 8-bit indices.
        unsafe {
            let logits = _mm512_maskz_loadu_epi64(0xff >> (8 - n / 2), row.logits.add(x / 2 * 8).cast());
            let logits = _mm512_srl_epi64(logits, shift);
            let index = |v| _mm512_cvtepu8_epi32(_mm512_cvtepi64_epi16(v));
            let a = index(logits);
            let b = index(_mm512_srli_epi64::<32>(logits));
            let weight = _mm512_i32gather_epi32::<4>(a, row.weight.as_ptr().cast());
            let residual = _mm512_i32gather_epi32::<4>(b, row.residual.as_ptr().cast());
            let v = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, row.visible.add(x).cast()));
            let i = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, row.infrared.add(x).cast()));
            let mixed = _mm512_mullo_epi32(_mm512_sub_epi32(i, v), weight);
            let sum = _mm512_add_epi32(_mm512_slli_epi32::<15>(v), _mm512_add_epi32(mixed, half));
            let q = _mm512_srai_epi32::<15>(_mm512_add_epi32(sum, residual));
            let q = _mm512_max_epi32(q, _mm512_setzero_si512());
            _mm_mask_storeu_epi8(row.out.add(x).cast(), mask, _mm512_cvtusepi32_epi8(q));
        }
        x += 16;
    }
}

/// See [`crate::x86::isa::Isa::upsample`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn upsample(row: &UpsampleRow) {
    // SAFETY: passed on.
    unsafe { upsample::body(row) }
}
