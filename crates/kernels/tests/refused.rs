//! Calls that are refused, because kernels that work through raw pointers could not run them.

mod support;

use core::cell::Cell;

use fusionproxy_format::{
    Activation, Binary, BinaryOp, Blend, DType, Finish, FixedPoint, Norm, NormKind, Op, Quant, Slice,
};
use fusionproxy_kernels::{
    AnyDst, AnySrc, Call, CallError, Dst, Layout, Operand, Shape, Src, check_geometry,
};
use support::Tensor;

const UNIT: Quant = Quant { scale: 1.0, zero_point: 0 };

/// A call on views of `memory`: inputs and output as first element and layout.
fn call(
    op: Op<'_>,
    memory: &[Cell<u8>],
    inputs: &[(usize, Layout)],
    output: (usize, Layout),
) -> Result<(), CallError> {
    let view = |(at, layout): (usize, Layout)| Dst::new(&memory[at..], layout).expect("a view");
    let inputs: Vec<_> =
        inputs.iter().map(|i| Operand { data: AnySrc::U8(view(*i).as_src()), quant: UNIT }).collect();
    Call::new(op, &inputs, AnyDst::U8(view(output)), UNIT).map(|_| ())
}

#[test]
fn more_or_fewer_gains_than_channels() {
    let x = Tensor::new(DType::U8, Layout::dense(Shape::new(2, 3, 4)), UNIT, 0);
    let values = [1.0; 5];
    for kind in NormKind::ALL {
        for (gains, offsets) in [(3, 4), (4, 3), (4, 5), (5, 4), (5, 5), (4, 4)] {
            let norm = Norm { kind: *kind, epsilon: 1e-3, gamma: &values[..gains], beta: &values[..offsets] };
            let output = Tensor::new(DType::U8, x.layout, UNIT, 0);
            let result = Call::new(Op::Norm(norm), &[x.operand()], output.dst(), UNIT).map(|_| ());
            let fits = gains == 4 && offsets == 4;
            assert_eq!(result.is_ok(), fits, "{kind:?} {gains} {offsets}: {result:?}");
        }
    }
}

#[test]
fn an_output_that_overlaps_an_input_in_part() {
    let memory = vec![Cell::new(0); 400];
    let row = Layout::dense(Shape::new(1, 1, 32));
    let slice = Op::Slice(Slice { start: [0; 3] });
    assert_eq!(call(slice, &memory, &[(0, row)], (1, row)), Err(CallError::Overlap));
    assert_eq!(call(slice, &memory, &[(0, row)], (0, row)), Err(CallError::Overlap));
    assert_eq!(call(slice, &memory, &[(0, row)], (32, row)), Ok(()));
    let table = [0; 256];
    let activation = Op::Activation { function: Activation::None, table: Some(&table) };
    let image = Layout::dense(Shape::new(4, 5, 3));
    assert_eq!(call(activation, &memory, &[(7, image)], (7, image)), Ok(()), "in place");
    for other in [6, 8, 20] {
        assert_eq!(call(activation, &memory, &[(7, image)], (other, image)), Err(CallError::Overlap));
    }
    let ring = Layout { ring: 2, ..image };
    assert_eq!(call(activation, &memory, &[(7, image)], (7, ring)), Err(CallError::Overlap));
    let add = Op::Binary(Binary {
        op: BinaryOp::Add,
        fixed: FixedPoint { a: 1, b: 1, offset: 0, shift: 1 },
        scale: 1.0,
        activation: Activation::None,
        finish: Finish { lo: 0, hi: 255, table: None },
    });
    let pixel = Layout::dense(Shape::new(1, 1, 3));
    assert_eq!(call(add, &memory, &[(7, image), (7, image)], (7, image)), Ok(()), "both in place");
    assert_eq!(call(add, &memory, &[(7, image), (70, pixel)], (7, image)), Ok(()));
    // What is read for every pixel would be written with the first.
    assert_eq!(call(add, &memory, &[(7, image), (7, pixel)], (7, image)), Err(CallError::Overlap));
}

/// A concatenation in place: an operator reads some channels of a buffer and writes others.
#[test]
fn channel_slices_of_one_buffer() {
    let memory = vec![Cell::new(0); 400];
    let table = [0; 256];
    let op = Op::Activation { function: Activation::None, table: Some(&table) };
    let three = Layout { pixel: 8, row: 40, ..Layout::dense(Shape::new(4, 5, 3)) };
    let lined = |row: usize| Layout { row, ..three };
    for (from, to) in [(0, 3), (3, 0), (2, 5), (5, 1), (0, 3 + 40 + 8), (40 + 8 + 5, 2), (0, 45)] {
        assert_eq!(call(op, &memory, &[(from, three)], (to, three)), Ok(()), "{from} {to}");
    }
    // Two of three channels apart; past the end of the pixel, into the next one; a row or pixel further on.
    for (from, to) in [(0, 2), (2, 0), (0, 6), (6, 0), (0, 8), (40, 0)] {
        assert_eq!(call(op, &memory, &[(from, three)], (to, three)), Err(CallError::Overlap), "{from} {to}");
    }
    // Of rows that are no whole pixels, or of other pixels, channels say nothing.
    let overlap = Err(CallError::Overlap);
    assert_eq!(call(op, &memory, &[(0, lined(43))], (3, lined(43))), overlap);
    assert_eq!(call(op, &memory, &[(0, lined(43))], (3, three)), overlap);
    assert_eq!(call(op, &memory, &[(0, Layout { pixel: 7, row: 42, ..three })], (3, three)), overlap);
    // One row of pixels may be shorter than they are.
    let narrow = Layout { pixel: 8, row: 7, ..Layout::dense(Shape::new(4, 1, 3)) };
    assert_eq!(call(op, &memory, &[(0, narrow)], (3, narrow)), overlap, "channel 4 of row 0 is 0 of row 1");
}

/// Dimensions whose products and sums would be small numbers again.
#[test]
fn shapes_that_overflow() {
    let half = 1usize << (usize::BITS / 2);
    let refused = |op: &Op<'_>, inputs: &[Shape], output: Shape| {
        assert!(check_geometry(op, inputs.iter().copied(), output).is_err(), "{op:?} {inputs:?} {output:?}");
    };
    let one = Shape::new(1, 1, 1);
    for axis in 0..3 {
        let mut start = [0; 3];
        start[axis] = usize::MAX;
        refused(&Op::Slice(Slice { start }), &[one], one);
    }
    let shuffle = |block| Op::PixelShuffle { block, channel_major: false };
    // block^2 wraps to 0 or 1; height * block to 2.
    refused(&shuffle(half), &[one], Shape::new(half, half, 1));
    refused(&shuffle(usize::MAX), &[Shape::new(1, 1, 1)], one);
    refused(&shuffle(usize::MAX / 2 + 2), &[Shape::new(2, 2, 4)], Shape::new(2, 2, 1));
    let blend = |block| Op::Blend(Blend { block, gain: 0.0, weight: None, residual: None });
    refused(
        &blend(usize::MAX / 2 + 2),
        &[Shape::new(2, 2, 1), Shape::new(2, 2, 1), Shape::new(2, 2, 4)],
        Shape::new(2, 2, 1),
    );
    refused(&Op::Reshape, &[Shape::new(half, half, 1)], Shape::new(half, half, 2));
    // As a line buffer, so tall an image needs no more memory than a row.
    let tall = Layout { ring: 1, ..Layout::dense(Shape::new(usize::MAX / 2 + 1, 2, 1)) };
    let memory = [0u8; 2];
    let data = AnySrc::U8(Src::new(&memory, tall).expect("a view"));
    let output = Tensor::new(DType::U8, Layout::dense(one), UNIT, 0);
    let mean = fusionproxy_format::Reduce {
        kind: fusionproxy_format::ReduceKind::Mean,
        axis: fusionproxy_format::Axis::Space,
        scale: 1.0,
    };
    let inputs = [Operand { data, quant: UNIT }];
    assert!(Call::new(Op::Reduce(mean), &inputs, output.dst(), UNIT).is_err());
}
