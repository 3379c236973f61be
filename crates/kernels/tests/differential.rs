//! Every backend that this machine can run against the scalar kernels: the same bytes for 8-bit calls, floats within
//! rounding.

mod support;

use fusionproxy_format::{Activation, Axis, DType, Op, OpKind, Quant, ReduceKind};
use fusionproxy_kernels::scalar::finish_sums;
use fusionproxy_kernels::{Backend, Layout, Scalar, Shape};
use half::f16;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use support::{Case, OwnedOp, Rng, Tensor, backends, for_all, for_cases};

/// Step 1, zero at 0.
const UNIT: Quant = Quant { scale: 1.0, zero_point: 0 };

#[test]
fn every_backend_agrees_with_the_scalar_kernels() {
    for backend in backends() {
        for_all(96, |case| {
            let want = case.run(&Scalar::ALL);
            let more = half_sums(case, backend);
            let agree = |got: &[u32]| agree(case, got, &want, &more);
            agree(&case.run(backend))?;
            let mut rng = Rng::new(want.len() as u64);
            let cuts = [(); 3].map(|()| rng.next() as usize);
            agree(&case.run_parts(backend, &cuts))?;
            if let Some(got) = case.run_line_buffered(backend) {
                agree(&got)?;
            }
            Ok(())
        });
        // Most kernels are for convolutions, each for some windows and numbers of channels.
        for_cases(OpKind::Conv, DType::U8, 768, |case| {
            agree(case, &case.run(backend), &case.run(&Scalar::ALL), &[])
        });
    }
}

/// Where a backend computes in half precision, there are kernels for many shapes, too.
#[test]
fn half_precision_arithmetic() {
    for backend in backends().into_iter().filter(Backend::half_sums) {
        for kind in [OpKind::Conv, OpKind::Matmul, OpKind::Binary] {
            for_cases(kind, DType::F16, 512, |case| {
                agree(case, &case.run(backend), &case.run(&Scalar::ALL), &half_sums(case, backend))
            });
        }
    }
}

/// Infinities, which quotients have, and what is none.
#[test]
fn activations_of_no_finite_number() {
    let ends = [f64::NEG_INFINITY, f64::INFINITY, f64::NAN, -1e38, 1e38, -7.0, 7.0, -0.0];
    let shape = Shape::new(1, 4, 2);
    let functions =
        [Activation::Gelu, Activation::Silu, Activation::Sigmoid, Activation::Tanh, Activation::Exp];
    for function in functions {
        for backend in backends() {
            let case = Case {
                op: OwnedOp::Activation { function, table: None },
                inputs: vec![Tensor::of(DType::F32, shape, UNIT, &ends)],
                output_dtype: DType::F32,
                output: Layout::dense(shape),
                output_quant: UNIT,
                output_offset: 0,
            };
            let (got, want) = (case.run(backend), case.run(&Scalar::ALL));
            agree(&case, &got, &want, &[]).unwrap_or_else(|e| panic!("{function:?} {}: {e}", backend.name()));
        }
    }
}

// WASI has no threads. The workers of a browser are compared by the tests of `wasm/`.
#[cfg(all(feature = "std", not(target_family = "wasm")))]
#[test]
fn workers_give_the_same_bits() {
    let pool = fusionproxy_kernels::Pool::new(3).expect("threads");
    for backend in backends().into_iter().chain([&Scalar::ALL as &dyn Backend]) {
        let same = |case: &Case| {
            let (got, want) = (case.run_shared(backend, &pool), case.run(backend));
            prop_assert_eq!(got, want, "{} {:?}", backend.name(), case);
            Ok(())
        };
        for_all(16, same);
        // Workers also share what is one unit: the sums of a global response normalisation.
        for_cases(OpKind::Norm, DType::U8, 192, same);
    }
}

/// A mean or sum over the image from the sums of its parts.
#[test]
fn sums_of_parts_are_the_sum_of_the_whole() {
    for backend in backends().into_iter().chain([&Scalar::ALL as &dyn Backend]) {
        for_cases(OpKind::Reduce, DType::U8, 256, |case| {
            let output = case.output_tensor(case.output);
            let taken = case.with_call(&output, |call| {
                let Op::Reduce(op) = call.op() else { return false };
                let sums = op.axis == Axis::Space && op.kind != ReduceKind::Max;
                let Some(image) = call.source::<u8>(0).filter(|_| sums) else { return false };
                let shape = image.shape();
                let mut sums = vec![0; shape.channels];
                let cut = shape.height / 3;
                case.with_scratch(backend, call, 1, |scratch| {
                    for rows in [cut..shape.height, 0..cut] {
                        backend.sum_rows(&image, rows, &mut sums, scratch);
                    }
                });
                finish_sums(call, &sums);
                true
            });
            prop_assert!(!taken || output.all_bits() == case.run(&Scalar::ALL), "{:?}", case);
            Ok(())
        });
    }
}

/// What sums in half precision may be off by, for each element, beyond [`close`]: four units in the last place of the sum of
/// the magnitudes of the products, for activations that double a difference. Rounding errors of either sign keep them far
/// below the 32 units that a run of 32 products could add up. Empty if the backend has no such sums.
fn half_sums(case: &Case, backend: &dyn Backend) -> Vec<f64> {
    let half = case.output_dtype == DType::F16 && backend.half_sums();
    let magnitudes = if half { case.magnitudes() } else { None };
    magnitudes.unwrap_or_default().into_iter().map(|m| 4.0 / 2048.0 * m).collect()
}

/// `more` is what each element may be off by in addition; nothing if it is empty.
fn agree(case: &Case, got: &[u32], want: &[u32], more: &[f64]) -> TestCaseResult {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        prop_assert!(
            close(case, *got, *want, more.get(i).copied().unwrap_or(0.0)),
            "element {i}: {got:#x}, the scalar kernel gives {want:#x}: {case:?}"
        );
    }
    Ok(())
}

/// Sums of up to some thousand terms near 1, in another order or with fused multiply-adds, differ by less than 2^-14 of the
/// larger of the result and 1; the last place of f16 is 2^-11.
fn close(case: &Case, got: u32, want: u32, more: f64) -> bool {
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
        || (got - want).abs() <= (unit + 1.0 / 16_384.0) * want.abs().max(1.0) + more
}
