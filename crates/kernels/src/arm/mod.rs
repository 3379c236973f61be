//! Cortex-M kernels: the DSP extension of Cortex-M4, M7 and M33, and Helium of Cortex-M55 and M85.
//!
//! The drivers are those of `crate::rows`. The leaf kernels are written over single instructions that have a twin in
//! plain Rust, so that these backends exist on every machine: a host plans with them for a microcontroller, and the
//! differential tests run the drivers and the layouts on the host. The instructions themselves are tested in an emulator.

mod dsp;
mod helium;
mod ops;

use core::ops::Range;

use fusionproxy_format::{DType, Op};

use crate::rows::{self, isa::Isa};
use crate::{Backend, Call, Shape, Src, scalar};
use dsp::DspIsa;
use helium::HeliumIsa;
#[cfg(all(target_arch = "arm", helium))]
pub(crate) use helium::copy;

/// The kernels for Cortex-M4, M7 and M33: two products of 16 bits in one instruction. `SET` names the operators that are
/// linked, as for [`crate::Scalar`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Dsp<const SET: u32 = { u32::MAX }>;

/// The kernels for Cortex-M55 and M85: vectors of 128 bits. `SET` as for [`Dsp`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Helium<const SET: u32 = { u32::MAX }>;

/// Runs `units` with the drivers for the operators in `SET`, and with the scalar kernels for the rest.
fn run<I: Isa, const SET: u32>(call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
    call.expect_units(&units, scratch);
    if !rows::run::<I>(SET, call, units.clone(), scratch) {
        scalar::run::<SET>(call, units, scratch);
    }
}

macro_rules! backend {
    ($token:ident, $isa:ident, $name:literal) => {
        // SAFETY: each kernel, and each scalar one, writes the elements of its units, or rows, alone.
        unsafe impl<const SET: u32> Backend for $token<SET> {
            fn name(&self) -> &'static str {
                $name
            }

            fn run(&self, call: &Call<'_, '_>, units: Range<usize>, scratch: &mut [u8]) {
                run::<$isa, SET>(call, units, scratch);
            }

            fn scratch_bytes(&self, op: &Op<'_>, dtype: DType, input: Shape, output: Shape) -> usize {
                rows::scratch_bytes::<$isa>(op, dtype, input, output)
            }

            fn sum_rows(&self, image: &Src<'_, u8>, rows: Range<usize>, sums: &mut [i32], _: &mut [u8]) {
                rows::reduce::sum_rows::<$isa>(image, rows, sums);
            }

            fn kernel(&self, op: &Op<'_>, dtype: DType) -> &'static str {
                match rows::kernel(op, dtype) {
                    Some(rows::Kernel::Gemm) => concat!($name, "-gemm"),
                    Some(rows::Kernel::Depthwise) => concat!($name, "-depthwise"),
                    Some(rows::Kernel::Binary) => concat!($name, "-binary"),
                    Some(rows::Kernel::Table) => concat!($name, "-table"),
                    Some(rows::Kernel::Reduce) => concat!($name, "-reduce"),
                    Some(rows::Kernel::Matmul) => concat!($name, "-matmul"),
                    Some(rows::Kernel::Softmax) => concat!($name, "-softmax"),
                    Some(rows::Kernel::Blend) => concat!($name, "-blend"),
                    Some(rows::Kernel::Copy) => concat!($name, "-copy"),
                    None => "scalar",
                }
            }
        }
    };
}

/// Both backends; on a CPU without their instructions they run the twins.
pub fn backends() -> impl Iterator<Item = &'static dyn Backend> {
    [&Dsp::<{ u32::MAX }> as &dyn Backend, &Helium::<{ u32::MAX }>].into_iter()
}

backend!(Dsp, DspIsa, "arm-dsp");
backend!(Helium, HeliumIsa, "arm-helium");
