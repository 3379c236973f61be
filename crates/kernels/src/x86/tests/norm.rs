//! Normalisation.

use std::format;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::vec;
use std::vec::Vec;

use fusionproxy_format::{DType, Norm, NormKind, Op};

use super::support::{Random, Tensor, compare};
use crate::{Call, Operand, Shape};

#[test]
fn layer_and_response() {
    let mut r = Random(21);
    for i in 0..600 {
        let c = if r.one_in(2) { r.range(1, 200) } else { r.pick(&[16, 40, 64, 80, 160, 320]) };
        let s = Shape::new(r.range(1, 5), r.range(1, 20), c);
        let gamma: Vec<f32> = (0..c).map(|_| r.unit() * 3.0).collect();
        let beta: Vec<f32> = (0..c).map(|_| r.unit()).collect();
        let kind = r.pick(NormKind::ALL);
        let epsilon = r.pick(&[0.0, 1e-6, 1e-3]);
        let op = Op::Norm(Norm { kind, epsilon, gamma: &gamma, beta: &beta });
        let dtype = r.pick(&[DType::U8, DType::U8, DType::F16, DType::F32]);
        let x = [Tensor::new(&mut r, dtype, s)];
        if i % 7 == 0 && dtype == DType::U8 {
            // No variance: with an epsilon of 0 the quotient is not a number.
            x[0].bytes().iter().for_each(|b| b.set(x[0].quant.zero_point));
        }
        let mut out = Tensor::new(&mut r, dtype, s);
        out.quant.scale *= 3.0;
        let tolerance = match dtype {
            DType::U8 => 0.0,
            DType::F16 => 4e-3,
            DType::F32 => 1e-4,
        };
        compare(&mut r, &op, &x, &out, tolerance, &format!("{kind:?} {dtype:?} {s:?} {epsilon}"));
    }
}

/// Sums for more or fewer channels than there are would be written, or read, past the channels' end.
#[test]
fn sums_are_as_many_as_channels() {
    let (mut r, s) = (Random(22), Shape::new(3, 5, 20));
    let values = [1.0; 20];
    for kind in [NormKind::Grn, NormKind::Layer] {
        let op = Op::Norm(Norm { kind, epsilon: 1e-3, gamma: &values, beta: &values });
        let (x, y) = (Tensor::new(&mut r, DType::U8, s), Tensor::new(&mut r, DType::U8, s));
        let operand = [Operand { data: x.source(), quant: x.quant }];
        let call = Call::new(op, &operand, y.target(), y.quant).unwrap();
        for backend in crate::x86::backends() {
            for n in [0, 19, 20, 21, 64] {
                let mut sums = vec![0; n];
                let mut scratch = vec![0; 1 << 16];
                let start = scratch.as_ptr().align_offset(64);
                let scratch = &mut scratch[start..];
                let squares = || backend.square_sums(&call, 0..3, &mut sums, scratch);
                let squared = catch_unwind(AssertUnwindSafe(squares)).is_ok();
                let respond = || backend.respond(&call, 0..3, &sums, scratch);
                let responded = catch_unwind(AssertUnwindSafe(respond)).is_ok();
                let fits = n == 20 && kind == NormKind::Grn;
                assert_eq!([squared, responded], [fits; 2], "{} {kind:?} {n}", backend.name());
            }
        }
    }
}
