//! Convolutions of the students at 480x640, beside the peak of the multiply units. Names: `dtype/kernel stride inputs>outputs
//! height x width of the output`. Criterion's throughput is in multiply-accumulates.
#![allow(missing_docs)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fusionproxy_format::DType;
use fusionproxy_kernels::{Shape, macs};
use support::cpu_time::CpuTime;
use support::{ConvCase, Tensor, backends, repeat};

/// kernel, stride, inputs, outputs, groups, output height, output width
type Case = (u8, u8, usize, usize, usize, usize, usize);

/// The ultra-light student.
const SMALL: &[Case] = &[
    (3, 1, 16, 16, 16, 60, 320),
    (1, 1, 16, 16, 1, 60, 320),
    (3, 2, 1, 16, 1, 60, 320),
    (3, 1, 32, 32, 32, 30, 320),
    (3, 1, 16, 8, 1, 60, 320),
    (3, 2, 1, 16, 1, 240, 320),
    (3, 1, 16, 16, 16, 240, 320),
    (1, 1, 16, 16, 1, 240, 320),
    (3, 2, 16, 16, 16, 120, 160),
    (1, 1, 16, 24, 1, 120, 160),
    (3, 1, 24, 24, 24, 120, 160),
    (1, 1, 24, 24, 1, 120, 160),
    (3, 2, 24, 24, 24, 60, 80),
    (1, 1, 24, 40, 1, 60, 80),
    (3, 1, 40, 40, 40, 60, 80),
    (1, 1, 80, 40, 1, 60, 80),
    (3, 1, 48, 48, 48, 120, 160),
    (1, 1, 48, 24, 1, 120, 160),
    (1, 1, 32, 16, 1, 240, 320),
    (3, 1, 32, 32, 32, 240, 320),
    (3, 1, 16, 8, 1, 240, 320),
];

/// The large students.
const LARGE: &[Case] = &[
    (3, 2, 32, 128, 1, 120, 160),
    (1, 1, 128, 48, 1, 120, 160),
    (1, 1, 80, 480, 1, 60, 80),
    (5, 1, 480, 480, 480, 30, 40),
    (1, 1, 160, 640, 1, 30, 40),
    (1, 1, 640, 160, 1, 30, 40),
    (1, 1, 256, 1024, 1, 15, 20),
    (1, 1, 1024, 256, 1, 15, 20),
    (7, 1, 64, 64, 64, 120, 160),
    (7, 1, 512, 512, 512, 15, 20),
    (1, 1, 512, 2048, 1, 15, 20),
    (1, 1, 64, 256, 1, 120, 160),
    (3, 1, 32, 8, 1, 240, 320),
];

fn convolutions(c: &mut Criterion<CpuTime>) {
    for (dtype, cases) in [(DType::U8, SMALL), (DType::U8, LARGE), (DType::F16, SMALL), (DType::F32, SMALL)] {
        for &(kernel, stride, inputs, outputs, groups, height, width) in cases {
            let case = ConvCase::new(dtype, kernel, stride, inputs, outputs, groups);
            let shape = Shape::new(height, width, outputs);
            let kind = if groups > 1 { "dw" } else { "" };
            let name =
                format!("{}/{kind}{kernel} s{stride} {inputs}>{outputs} {height}x{width}", dtype.name());
            let x = [Tensor::new(dtype, case.input(height, width))];
            let y = Tensor::new(dtype, shape);
            let mut group = c.benchmark_group(name);
            group.throughput(Throughput::Elements(macs(&case.op(), case.input(height, width), shape)));
            for backend in backends() {
                group.bench_function(BenchmarkId::from_parameter(backend.name()), |b| {
                    repeat(backend, &case.op(), &x, &y, |run| b.iter(&mut *run));
                });
            }
        }
    }
}

/// The most that one core can multiply: independent dot products on registers.
#[cfg(target_arch = "x86_64")]
fn peak(c: &mut Criterion<CpuTime>) {
    use std::arch::x86_64::*;

    const ROUNDS: usize = 1_000_000;
    const SUMS: usize = 16;

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn vnni(rounds: usize) -> i32 {
        let mut acc = [_mm512_set1_epi32(1); SUMS];
        let (mut a, b) = (_mm512_set1_epi8(3), _mm512_set1_epi8(5));
        for _ in 0..rounds {
            for acc in &mut acc {
                *acc = _mm512_dpbusd_epi32(*acc, a, b);
            }
            a = std::hint::black_box(a);
        }
        acc.into_iter().map(|v| _mm512_reduce_add_epi32(v)).fold(0, i32::wrapping_add)
    }

    #[target_feature(enable = "avx512f")]
    fn fma(rounds: usize) -> f32 {
        let mut acc = [_mm512_set1_ps(1.0); SUMS];
        let (mut a, b) = (_mm512_set1_ps(0.5), _mm512_set1_ps(0.25));
        for _ in 0..rounds {
            for acc in &mut acc {
                *acc = _mm512_fmadd_ps(*acc, a, b);
            }
            a = std::hint::black_box(a);
        }
        acc.into_iter().map(|v| _mm512_reduce_add_ps(v)).sum()
    }

    if !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")) {
        return;
    }
    let mut group = c.benchmark_group("peak");
    group.throughput(Throughput::Elements((ROUNDS * SUMS * 64) as u64));
    // SAFETY: the features are there.
    group.bench_function("int8", |b| b.iter(|| unsafe { vnni(ROUNDS) }));
    group.throughput(Throughput::Elements((ROUNDS * SUMS * 16) as u64));
    // SAFETY: the features are there.
    group.bench_function("f32", |b| b.iter(|| unsafe { fma(ROUNDS) }));
    group.finish();
}

#[cfg(not(target_arch = "x86_64"))]
fn peak(_: &mut Criterion<CpuTime>) {}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::new());
    targets = peak, convolutions
}
criterion_main!(benches);
