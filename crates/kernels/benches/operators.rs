//! Operators that are no convolutions, in shapes of the students at 480x640. Criterion's throughput is in elements of the
//! output, of products in multiply-accumulates.
#![allow(missing_docs)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fusionproxy_format::{
    Activation, Axis, Binary, BinaryOp, Blend, DType, Finish, FixedPoint, Matmul, Norm, NormKind, Op, Reduce,
    ReduceKind, Resize, ResizeMode, Softmax,
};
use fusionproxy_kernels::{Shape, macs};
use support::cpu_time::CpuTime;
use support::{Tensor, backends, repeat};

/// Name, element types, operator, shapes of the inputs and of the output.
type Case<'a> = (&'a str, &'a [DType], Op<'a>, &'a [Shape], Shape);

fn operators(c: &mut Criterion<CpuTime>) {
    let gain = vec![1.0; 2048];
    let table = core::array::from_fn(|i| i as u8);
    let exp = core::array::from_fn(|d| (65535.0 * (-(d as f32) * 0.02).exp()) as u16);
    let weight = core::array::from_fn(|i| i as i32 * 128);
    let residual = core::array::from_fn(|i| (i as i32 - 128) * 10_000);
    let binary = |op| {
        Op::Binary(Binary {
            op,
            fixed: FixedPoint { a: 9_000, b: 7_000, offset: -100_000, shift: 14 },
            scale: 0.01,
            activation: Activation::None,
            finish: Finish { lo: 0, hi: 255, table: None },
        })
    };
    let norm = |kind, channels| {
        Op::Norm(Norm { kind, epsilon: 1e-6, gamma: &gain[..channels], beta: &gain[..channels] })
    };
    let matmul = |transpose_b| Op::Matmul(Matmul { transpose_b, heads: 8, scale: 0.0001 });
    let mean = Op::Reduce(Reduce { kind: ReduceKind::Mean, axis: Axis::Space, scale: 1.0 });
    let resize = |mode| Op::Resize(Resize { mode });
    let activation = |function| Op::Activation { function, table: Some(&table) };
    let blend = Op::Blend(Blend { block: 2, gain: 0.25, weight: Some(&weight), residual: Some(&residual) });
    let softmax = Op::Softmax(Softmax { axis: Axis::Width, exp: Some(&exp) });

    let s = Shape::new;
    let (small, half, vector) = (s(120, 160, 24), s(240, 320, 16), s(1, 1, 16));
    let (grey, logits) = (s(480, 640, 1), s(240, 320, 8));
    let (tokens, values, scores) = (s(15, 20, 256), s(15, 20, 1024), s(300, 300, 8));
    let both = [DType::U8, DType::F16];
    let u8 = [DType::U8];
    let cases: [Case<'_>; 14] = [
        ("add", &both, binary(BinaryOp::Add), &[half, half], half),
        ("mul by a channel vector", &both, binary(BinaryOp::Mul), &[half, vector], half),
        ("table or sigmoid", &both, activation(Activation::Sigmoid), &[half], half),
        ("mean over space", &both, mean, &[s(240, 320, 32)], s(1, 1, 32)),
        ("nearest", &both, resize(ResizeMode::NearestFloor), &[s(120, 160, 16)], half),
        ("bilinear", &both, resize(ResizeMode::BilinearHalfPixel), &[s(120, 160, 32)], s(240, 320, 32)),
        ("concat", &both, Op::Concat, &[small, small], s(120, 160, 48)),
        ("blend", &both, blend, &[grey, grey, logits], grey),
        ("layer norm", &u8, norm(NormKind::Layer, 64), &[s(120, 160, 64)], s(120, 160, 64)),
        ("layer norm deep", &u8, norm(NormKind::Layer, 512), &[s(15, 20, 512)], s(15, 20, 512)),
        ("response norm", &u8, norm(NormKind::Grn, 256), &[s(120, 160, 256)], s(120, 160, 256)),
        ("scores", &u8, matmul(true), &[tokens, tokens], scores),
        ("softmax", &u8, softmax, &[scores], scores),
        ("attend", &u8, matmul(false), &[scores, values], values),
    ];
    for (name, types, op, inputs, output) in cases {
        for dtype in types {
            let x: Vec<_> = inputs.iter().map(|s| Tensor::new(*dtype, *s)).collect();
            let y = Tensor::new(*dtype, output);
            let mut group = c.benchmark_group(format!("{}/{name}", dtype.name()));
            let work = macs(&op, inputs[0], output).max(output.elements() as u64);
            group.throughput(Throughput::Elements(work));
            for backend in backends() {
                group.bench_function(BenchmarkId::from_parameter(backend.name()), |b| {
                    repeat(backend, &op, &x, &y, |run| b.iter(&mut *run));
                });
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::new());
    targets = operators
}
criterion_main!(benches);
