//! Random calls of every operator, which the tests of all backends share.
//!
//! [`cases`] is the proptest strategy; [`Case::run`] runs one on any backend and gives the bits of the output.

// Each test binary compiles this module and uses its own part of it.
#![allow(dead_code, unreachable_pub)]

mod case;
mod generate;
pub mod owned;
mod rng;
pub mod tensor;

use fusionproxy_format::{DType, OpKind};
use fusionproxy_kernels::Backend;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

pub use case::Case;
pub use owned::{OwnedFinish, OwnedOp, OwnedWeights};
pub use rng::Rng;
pub use tensor::Tensor;

/// The backends of this architecture that this CPU supports (on x86-64 their detection needs the feature `std`), and those
/// for Cortex-M, whose instructions have a twin for every architecture.
pub fn backends() -> Vec<&'static dyn Backend> {
    let mut backends: Vec<_> = fusionproxy_kernels::arm::backends().collect();
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    backends.extend(fusionproxy_kernels::x86::backends());
    #[cfg(target_arch = "aarch64")]
    backends.extend(fusionproxy_kernels::aarch64::backends());
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    backends.extend(fusionproxy_kernels::wasm::backends());
    backends
}

/// Random cases of `kind` whose inputs and output have the element type `dtype` ([`OpKind::Convert`]: the output).
///
/// Shrinks towards small tensors.
pub fn cases(kind: OpKind, dtype: DType) -> impl Strategy<Value = Case> {
    let size = if cfg!(miri) { 1..=2usize } else { 1..=16usize };
    (size, any::<u64>()).prop_map(move |(size, seed)| Case::random(kind, dtype, size, seed))
}

/// Runs `test` on `count` random cases of each operator with each element type; far fewer under Miri.
pub fn for_all(count: u32, test: impl Fn(&Case) -> TestCaseResult) {
    for dtype in [DType::U8, DType::F16, DType::F32] {
        for kind in OpKind::ALL {
            // The views are generic: under Miri, which takes a second a case, three operators stand for the float forms.
            let chosen = matches!(kind, OpKind::Conv | OpKind::Binary | OpKind::Convert);
            if cfg!(miri) && dtype != DType::U8 && !chosen {
                continue;
            }
            for_cases(*kind, dtype, count, &test);
        }
    }
}

/// Runs `test` on `count` random cases of one operator and element type; far fewer under Miri.
pub fn for_cases(kind: OpKind, dtype: DType, count: u32, test: impl Fn(&Case) -> TestCaseResult) {
    let config = ProptestConfig {
        cases: if cfg!(miri) { (count / 64).max(1) } else { count },
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    if let Err(e) = runner.run(&cases(kind, dtype), |case| test(&case)) {
        panic!("{} of {}: {e}", kind.name(), dtype.name());
    }
}
