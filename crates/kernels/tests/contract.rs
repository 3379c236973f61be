//! What SIMD backends refuse to run, because they work through raw pointers: they panic before they write anything.
#![cfg(panic = "unwind")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use fusionproxy_format::{Activation, Conv, ConvGeometry, ConvWeights, DType, Finish, Op, Quant, Window};
use fusionproxy_kernels::{
    Access, AnyDst, AnySrc, Backend, Bands, Call, Layout, Lent, Operand, Phase, Place, Shape,
};
use proptest::prelude::*;
use support::{Tensor, backends, for_all};

const UNIT: Quant = Quant { scale: 1.0, zero_point: 0 };

/// Whether `f` panics, without a message on the way.
fn panics(f: impl FnOnce()) -> bool {
    static HOOK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = HOOK.lock().expect("the hook is not held over a panic");
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(f));
    set_hook(hook);
    result.is_err()
}

#[test]
fn units_and_scratch_that_are_not_the_calls() {
    for backend in backends() {
        for_all(4, |case| {
            let output = case.output_tensor(case.output);
            let untouched = output.all_bits();
            case.with_call(&output, |call| {
                let n = call.units();
                case.with_scratch(backend, call, 1, |scratch| {
                    #[expect(clippy::reversed_empty_ranges, reason = "that is refused")]
                    for units in [0..n + 1, n..n + 1, 0..usize::MAX, n..n, 1..0] {
                        let ran = !panics(|| backend.run(call, units.clone(), scratch));
                        prop_assert!(!ran, "{} ran {units:?} of {n}: {case:?}", backend.name());
                    }
                    Ok(())
                })?;
                case.with_scratch(backend, call, 2, |scratch| {
                    if let Some(unaligned) = scratch.get_mut(4..) {
                        let ran = !panics(|| backend.run(call, 0..n, unaligned));
                        prop_assert!(!ran, "{} ran in unaligned scratch: {case:?}", backend.name());
                    }
                    Ok(())
                })
            })?;
            prop_assert!(output.gaps_intact() && output.all_bits() == untouched, "{:?}", case);
            Ok(())
        });
    }
}

/// Runs `op` on an image of 4 x 4 x 8 of which `read` may be touched, into `output` of which `written` may be; whether that
/// panics.
fn refused(
    backend: &dyn Backend,
    op: Op<'_>,
    dtype: DType,
    output: Shape,
    [read, written]: [core::ops::Range<usize>; 2],
) -> bool {
    let input = Tensor::new(dtype, Layout::dense(Shape::new(4, 4, 8)), UNIT, 0);
    let bands = Bands { strips: 1, workers: 1, written: &[], output_strip: 0 };
    let mut memory = vec![0u64; 128];
    // SAFETY: the bytes of numbers.
    let (_, shared, _) = unsafe { memory.align_to_mut::<u8>() };
    let mut lent = Lent { shared, private: &mut [], per_worker: 0, rings: 0, output: &mut [] };
    let band = bands.band(0, Phase::All, &mut lent).expect("a band");
    let tensor = Access { dtype, place: Place::Shared(0), layout: Layout::dense(output), quant: UNIT };
    let target: AnyDst<'_> = band.granted.target(&tensor, written).expect("rows of the memory");
    let data: AnySrc<'_> = input.src().window(read);
    let inputs = [Operand { data, quant: UNIT }];
    let call = Call::new(op, &inputs, target, UNIT).expect("a call");
    let need = backend.scratch_bytes(&op, dtype, input.shape(), output);
    let mut scratch = vec![0u8; need + 64];
    let start = scratch.as_ptr().align_offset(64);
    panics(|| backend.run(&call, 0..call.units(), &mut scratch[start..start + need]))
}

/// Kernels that take several rows for one long one touch no row that the views do not admit.
#[test]
fn rows_outside_of_a_views_window() {
    let window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad: [0; 4] };
    let geometry = ConvGeometry { window, groups: 1, input_channels: 8, output_channels: 8 };
    let (bytes, floats, bias, scale) = ([1i8; 128], [0.5f32; 128], [0.0; 16], [0.1; 16]);
    let conv = |weights| {
        let finish = Finish { lo: 0, hi: 255, table: None };
        Op::Conv(Conv { geometry, weights, activation: Activation::None, finish })
    };
    let same = Shape::new(4, 4, 8);
    let calls = [
        (conv(ConvWeights::Int8 { weights: &bytes, bias: &[0; 16], scale: &scale }), DType::U8, same),
        (conv(ConvWeights::F32 { weights: &floats, bias: &bias }), DType::F32, same),
        (Op::Reshape, DType::U8, Shape::new(4, 8, 4)),
        (Op::Reshape, DType::F32, Shape::new(8, 2, 8)),
    ];
    for backend in backends() {
        for (op, dtype, output) in calls {
            let refused = |read, written| refused(backend, op, dtype, output, [read, written]);
            let all = 0..output.height;
            let what = format!("{} {op:?} {dtype:?}", backend.name());
            assert!(!refused(0..4, all.clone()), "{what}");
            assert!(refused(0..3, all.clone()) && refused(1..4, all.clone()), "{what}: rows of the input");
            assert!(refused(0..4, 0..all.end - 1) && refused(0..4, 1..all.end), "{what}: rows of the output");
        }
    }
}
