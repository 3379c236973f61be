//! The bodies of [`crate::x86::portable`] and [`crate::x86::functions`], compiled for these instructions.

use crate::x86::blend::BlendRow;
use crate::x86::compiled::{bodies, root};
use crate::x86::elementwise::{Product, Sum};
use crate::x86::norm::NormRow;
use crate::x86::upsample::{self, UpsampleRow};
use crate::x86::{lines, portable};

/// See [`crate::x86::isa::Isa::sum`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum<'_>) {
    // SAFETY: passed on.
    unsafe { portable::sum(a, b, to, n, op) }
}

/// See [`crate::x86::isa::Isa::product`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product<'_>) {
    // SAFETY: passed on.
    unsafe { portable::product(a, b, to, n, op) }
}

/// See [`crate::x86::isa::Isa::table`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn table(from: *const u8, to: *mut u8, n: usize, table: &[u8; 256]) {
    // SAFETY: passed on.
    unsafe { portable::table(from, to, n, table) }
}

/// See [`crate::x86::isa::Isa::add_up`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_up(row: *const u8, n: usize, period: usize, sums: *mut i32) {
    // SAFETY: passed on.
    unsafe { portable::add_up::<32>(row, n, period, sums) }
}

/// See [`crate::x86::isa::Isa::add_squares`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_squares(row: *const u8, n: usize, period: usize, zero: u8, sums: *mut u64) {
    // SAFETY: passed on.
    unsafe { portable::add_squares::<32>(row, n, period, zero, sums) }
}

/// See [`crate::x86::isa::Isa::layer_norm`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn layer_norm(row: &NormRow<'_>) {
    // SAFETY: passed on.
    unsafe {
        portable::layer_norm(row, root);
    }
}

/// See [`crate::x86::isa::Isa::response_norm`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn response_norm(row: &NormRow<'_>) {
    // SAFETY: passed on.
    unsafe { portable::response_norm(row) }
}

/// See [`crate::x86::isa::Isa::blend`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn blend(row: &BlendRow<'_>) {
    // SAFETY: passed on.
    unsafe { portable::blend(row) }
}

/// See [`crate::x86::isa::Isa::upsample`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn upsample(row: &UpsampleRow) {
    // SAFETY: passed on.
    unsafe { upsample::body(row) }
}

/// See [`crate::x86::isa::Isa::softmax`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn softmax(from: *const u8, to: *mut u8, n: usize, exp: &[u16; 256], shares: *mut u32) {
    // SAFETY: passed on.
    unsafe { lines::softmax(from, to, n, exp, shares) }
}

bodies!("avx2,fma,f16c");
