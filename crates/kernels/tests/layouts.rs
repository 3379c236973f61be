//! Splits, line buffers and in-place runs give the same bytes as a whole run, and nothing but the output is written.

mod support;

use fusionproxy_format::{DType, Op, OpKind};
use fusionproxy_kernels::scalar::kernel_set;
use fusionproxy_kernels::{Inline, Layout, Scalar, pointwise, run};
use proptest::prelude::*;
use support::{Rng, Tensor, for_all};

#[test]
fn any_split_gives_the_same_bytes() {
    for_all(48, |case| {
        let whole = case.run(&Scalar::ALL);
        let mut rng = Rng::new(whole.len() as u64);
        let cuts = [(); 3].map(|()| rng.next() as usize);
        prop_assert_eq!(&whole, &case.run_parts(&Scalar::ALL, &cuts), "{:?}", case);
        let single: Vec<usize> = (0..case.output.shape.height.max(case.output.shape.channels)).collect();
        prop_assert_eq!(&whole, &case.run_parts(&Scalar::ALL, &single), "{:?}", case);
        Ok(())
    });
}

/// Without scratch, too: what workers cannot share then, one runs.
#[cfg(feature = "std")]
#[test]
fn workers_give_the_same_bytes() {
    let pool = fusionproxy_kernels::Pool::new(3).expect("threads");
    for_all(16, |case| {
        let output = case.output_tensor(case.output);
        case.with_call(&output, |call| run(&Scalar::ALL, &pool, call, &mut []));
        prop_assert_eq!(output.all_bits(), case.run(&Scalar::ALL), "{:?}", case);
        Ok(())
    });
}

#[test]
fn line_buffers_give_the_same_bytes() {
    for_all(48, |case| {
        if let Some(bits) = case.run_line_buffered(&Scalar::ALL) {
            prop_assert_eq!(bits, case.run(&Scalar::ALL), "{:?}", case);
        }
        Ok(())
    });
}

#[test]
fn pointwise_operators_run_in_place() {
    for_all(48, |case| {
        for (i, input) in case.inputs.iter().enumerate() {
            let fits = input.shape() == case.output.shape && input.dtype == case.output_dtype;
            if pointwise(&case.op.op()) && fits {
                prop_assert_eq!(case.run_in_place(&Scalar::ALL, i), case.run(&Scalar::ALL), "{:?}", case);
            }
        }
        Ok(())
    });
}

#[test]
fn kernels_outside_of_the_linked_set_do_nothing() {
    const SET: u32 = kernel_set(&[OpKind::Conv, OpKind::Pad], &[DType::U8, DType::F32]);
    for_all(4, |case| {
        let bits = case.run(&Scalar::<SET>);
        if matches!(case.op.op(), Op::Conv(_) | Op::Pad(_)) && case.output_dtype != DType::F16 {
            prop_assert_eq!(bits, case.run(&Scalar::ALL));
        } else {
            prop_assert_eq!(bits, case.output_tensor(case.output).all_bits());
        }
        Ok(())
    });
}

/// Two operators that write and read channel slices of one buffer.
#[test]
fn concatenation_in_place() {
    use fusionproxy_format::{Convert, Quant};
    use fusionproxy_kernels::{Call, Shape};
    let quant = Quant { scale: 1.0, zero_point: 0 };
    let both = Tensor::of(DType::U8, Shape::new(2, 3, 4), quant, &[7.0; 24]);
    let right =
        Tensor::of(DType::U8, Shape::new(2, 3, 2), quant, &core::array::from_fn::<_, 12, _>(|i| i as f64));
    // A view of the last two channels of `both`.
    let fusionproxy_kernels::AnyDst::U8(whole) = both.dst() else { panic!("an 8-bit tensor") };
    let layout = Layout { pixel: 4, row: 12, ..Layout::dense(Shape::new(2, 3, 2)) };
    let cells: Vec<_> =
        (0..24).map(|i| core::cell::Cell::new(whole.as_src().get(i / 12, i / 4 % 3, i % 4))).collect();
    let slice = fusionproxy_kernels::Dst::new(&cells[2..], layout).expect("a view");
    let inputs = [right.operand()];
    let call = Call::new(Op::Convert(Convert), &inputs, fusionproxy_kernels::AnyDst::U8(slice), quant)
        .expect("a call");
    run(&Scalar::ALL, &Inline, &call, &mut []);
    let written: Vec<u8> = cells.iter().map(core::cell::Cell::get).collect();
    assert_eq!(written[..12], [7, 7, 0, 1, 7, 7, 2, 3, 7, 7, 4, 5]);
    assert_eq!(written[12..], [7, 7, 6, 7, 7, 7, 8, 9, 7, 7, 10, 11]);
}
