//! The choice of kernels.

use core::ops::Range;

use fusionproxy_format::{DType, Op};

use crate::{Call, Shape, Src, scalar};

/// A set of kernels, chosen once per executor.
///
/// Every CPU backend gives the bytes of [`Scalar`] for 8-bit calls. Float calls agree within rounding: a backend may use
/// fused multiply-adds and another order of summation, and short sums in half precision ([`Backend::half_sums`]).
///
/// Methods panic, and touch nothing, if what they are asked for is not part of the call.
///
/// # Safety
/// Workers compute disjoint units of one call at the same time ([`crate::run`]), or disjoint rows of one response
/// normalisation: [`Backend::run`], [`Backend::square_sums`] and [`Backend::respond`] must then not race. Kernels do not
/// because they write what they are asked for alone, which [`Call::new`] has proven apart from what others read.
pub unsafe trait Backend: Sync {
    /// Name as `{architecture}-{extension}`.
    fn name(&self) -> &'static str;

    /// Computes the units `units` of `call` (see [`Call::units`]), at least one. `scratch` is aligned to 64 bytes and holds at least
    /// [`Backend::scratch_bytes`] for this operator; its contents are arbitrary before and after.
    ///
    /// # Panics
    /// If the units are not the call's, or its views do not admit them, or the scratch is not as it should be.
    fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]);

    /// Scratch that one worker needs to run `op`. Depends on nothing but its arguments, so that a host can plan for
    /// another target.
    fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize;

    /// Adds the rows `rows` of an image to `sums`, one a channel: the share of some rows in a mean or sum over all. `scratch`
    /// is that of the reduction.
    fn sum_rows(&self, image: &Src<'_, u8>, rows: Range<usize>, sums: &mut [i32], _scratch: &mut [u8]) {
        scalar::sum_rows(image, rows, sums);
    }

    /// First half of a global response normalisation of bytes that workers share: the sum of the squares of each channel of
    /// `call`'s input over `rows`, zero point taken off, written to `sums`, one a channel. `scratch` as for [`Backend::run`],
    /// less the sums.
    fn square_sums(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &mut [u64], _scratch: &mut [u8]) {
        call.expect_sums(sums);
        scalar::square_sums(call, rows, sums);
    }

    /// Second half: `rows` of the output, from the sums of all rows.
    fn respond(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &[u64], _scratch: &mut [u8]) {
        call.expect_sums(sums);
        scalar::respond(call, rows, sums);
    }

    /// Whether runs of up to 32 products of half-precision numbers are added up in half precision, and only their sums in f32
    /// (`docs/numerics.md`).
    fn half_sums(&self) -> bool {
        false
    }

    /// Name of the kernel that runs `op`, as `{architecture}-{extension}-{kernel}`, for reports.
    fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str;
}

// SAFETY: what it refers to does not race either.
unsafe impl<B: Backend + ?Sized> Backend for &B {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
        (**self).run(call, units, scratch);
    }
    fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
        (**self).scratch_bytes(op, dtype, input, output)
    }
    fn sum_rows(&self, image: &Src<'_, u8>, rows: Range<usize>, sums: &mut [i32], scratch: &mut [u8]) {
        (**self).sum_rows(image, rows, sums, scratch);
    }
    fn square_sums(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &mut [u64], scratch: &mut [u8]) {
        (**self).square_sums(call, rows, sums, scratch);
    }
    fn respond(&self, call: &Call<'_, '_>, rows: Range<usize>, sums: &[u64], scratch: &mut [u8]) {
        (**self).respond(call, rows, sums, scratch);
    }
    fn half_sums(&self) -> bool {
        (**self).half_sums()
    }
    fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str {
        (**self).kernel(op, dtype)
    }
}

/// The scalar kernels: the specification. `SET` names those that are linked ([`scalar::kernel_set`]): firmware the few that
/// its artifact uses; everyone else takes [`Scalar::ALL`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar<const SET: u32 = { u32::MAX }>;

impl Scalar {
    /// Every operator for every element type.
    pub const ALL: Self = Self;
}

// SAFETY: each kernel writes the elements of its units, or rows, alone.
unsafe impl<const SET: u32> Backend for Scalar<SET> {
    fn name(&self) -> &'static str {
        "scalar"
    }

    fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
        scalar::run::<SET>(call, units, scratch);
    }

    fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
        scalar::scratch_bytes(op, dtype, input, output)
    }

    fn kernel(&self, _: &Op<'_>, _: DType) -> &'static str {
        "scalar"
    }
}
