//! Every backend that this machine can run against the scalar kernels: the same bytes for 8-bit calls, floats within
//! rounding.

mod support;

use fusionproxy_format::DType;
use fusionproxy_kernels::{Backend, Scalar};
use half::f16;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use support::{Case, Rng, for_all};

/// The backends of this architecture that this CPU supports (on x86-64 their detection needs the feature `std`), and those
/// for Cortex-M, whose instructions have a twin for every architecture.
fn backends() -> Vec<&'static dyn Backend> {
    let mut backends: Vec<_> = fusionproxy_kernels::arm::backends().collect();
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    backends.extend(fusionproxy_kernels::x86::backends());
    #[cfg(target_arch = "aarch64")]
    backends.extend(fusionproxy_kernels::aarch64::backends());
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    backends.extend(fusionproxy_kernels::wasm::backends());
    backends
}

#[test]
fn every_backend_agrees_with_the_scalar_kernels() {
    for backend in backends() {
        for_all(96, |case| {
            let want = case.run(&Scalar::ALL);
            agree(case, &case.run(backend), &want)?;
            let mut rng = Rng::new(want.len() as u64);
            let cuts = [(); 3].map(|()| rng.next() as usize);
            agree(case, &case.run_parts(backend, &cuts), &want)?;
            if let Some(got) = case.run_line_buffered(backend) {
                agree(case, &got, &want)?;
            }
            Ok(())
        });
    }
}

fn agree(case: &Case, got: &[u32], want: &[u32]) -> TestCaseResult {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        prop_assert!(
            close(case, *got, *want),
            "element {i}: {got:#x}, the scalar kernel gives {want:#x}: {case:?}"
        );
    }
    Ok(())
}

/// Sums of up to some thousand terms near 1, in another order or with fused multiply-adds, differ by less than 2^-14 of the
/// larger of the result and 1; the last place of f16 is 2^-11.
fn close(case: &Case, got: u32, want: u32) -> bool {
    let (got, want, unit) = match case.output_dtype {
        DType::U8 => return got == want,
        DType::F16 => {
            let value = |bits: u32| f16::from_bits(bits as u16).to_f64();
            (value(got), value(want), 1.0 / 1024.0)
        }
        DType::F32 => {
            let value = |bits: u32| f64::from(f32::from_bits(bits));
            (value(got), value(want), 0.0)
        }
    };
    got == want
        || got.is_nan() && want.is_nan()
        || (got - want).abs() <= (unit + 1.0 / 16_384.0) * want.abs().max(1.0)
}
