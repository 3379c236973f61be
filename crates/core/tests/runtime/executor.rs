//! What the executor promises.

use fusionproxy_core::executor::{Executor, ExecutorError, RunError};
use fusionproxy_core::frame::{FrameError, Plane, RgbImage};
use fusionproxy_core::plan::{PlanOptions, Schedule};
use fusionproxy_format::DType;
use fusionproxy_kernels::{Inline, Pool, Scalar};

use crate::net::{Bytes, Net, student, student_of};
use crate::plan::Tables;
use crate::reference::{Images, interpret};

const TYPES: [DType; 3] = [DType::F32, DType::F16, DType::U8];

fn planes(images: &Images) -> (Plane<'_>, Plane<'_>) {
    let Images { height, width, .. } = *images;
    let plane = |data| Plane::new(width, height, width, data).unwrap();
    (plane(&images.visible), plane(&images.infrared))
}

#[test]
fn fused_frames_are_the_interpreters_cropped_and_rounded() {
    // A network of one frame size gets smaller frames enlarged to it.
    for (dtype, fixed) in TYPES.into_iter().flat_map(|t| [(t, None), (t, Some((20, 44)))]) {
        let bytes = student_of(dtype, fixed);
        let artifact = bytes.artifact();
        for (height, width) in [(16, 24), (13, 21), (1, 1), (2, 40), (20, 44)] {
            let mut tables = Tables::new(&artifact);
            let plan = tables.plan(&artifact, height, width, 2).unwrap();
            let images = Images::new(height, width, 7);
            let (visible, infrared) = planes(&images);
            let padded = plan.padded_size();
            let enlarged =
                fixed.unwrap_or((height.next_multiple_of(4) as u32, width.next_multiple_of(4) as u32));
            assert_eq!(padded, (enlarged.0 as usize, enlarged.1 as usize));
            let expected = interpret(&artifact, padded, &images).pop().unwrap();
            let mut arena = Bytes::zeroed(plan.arena_bytes());
            let pool = Pool::new(2).unwrap();
            let mut executor = Executor::new(&plan, arena.get_mut(), Scalar::ALL, &pool).unwrap();
            let stride = width + 3;
            let mut fused = vec![77; stride * height];
            executor.run(visible, infrared, &mut fused, stride).unwrap();
            let mut real = vec![0.0; width * height];
            executor.read_fused_f32(&mut real).unwrap();
            for y in 0..height {
                for x in 0..width {
                    let value = expected[y * padded.1 + x];
                    assert_eq!(real[y * width + x], value);
                    assert_eq!(fused[y * stride + x], (value * 255.0).round_ties_even() as u8);
                }
                // Bytes between the rows belong to the caller.
                assert!(fused[y * stride + width..(y + 1) * stride].iter().all(|b| *b == 77));
            }
        }
    }
}

#[test]
fn one_and_several_workers_give_the_same_bytes() {
    for dtype in TYPES {
        let bytes = student(dtype);
        let artifact = bytes.artifact();
        let mut tables = Tables::new(&artifact);
        let options = PlanOptions { workers: 3, schedule: Schedule::Strips { cache: 4 << 10 } };
        let plan = tables.plan_for(&Scalar::ALL, &artifact, (50, 70), options).unwrap();
        let images = Images::new(50, 70, 3);
        let (visible, infrared) = planes(&images);
        let results = [1, 2, 3].map(|workers| {
            let pool = Pool::new(workers).unwrap();
            let mut arena = Bytes::zeroed(plan.arena_bytes());
            let mut executor = Executor::new(&plan, arena.get_mut(), Scalar::ALL, &pool).unwrap();
            let mut fused = vec![0; 50 * 70];
            executor.run(visible, infrared, &mut fused, 70).unwrap();
            let mut real = vec![0.0; 50 * 70];
            assert_eq!(executor.read_fused_f32(&mut real), Err(RunError::NotKept));
            fused
        });
        assert!(results.iter().all(|r| *r == results[0]));
        assert!(results[0].iter().any(|v| *v != results[0][0]));
    }
}

/// Executors that share artifact, plan and pool, run by several threads at once.
#[test]
fn executors_share_a_plan_and_a_pool() {
    let bytes = student(DType::U8);
    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    let options = PlanOptions { workers: 2, schedule: Schedule::Strips { cache: 4 << 10 } };
    let plan = tables.plan_for(&Scalar::ALL, &artifact, (32, 32), options).unwrap();
    assert!(plan.steps().iter().filter_map(|s| s.chain()).any(|c| c.divisible && c.strips > 2));
    let pool = Pool::new(2).unwrap();
    let fuse = |seed: u64| {
        let images = Images::new(32, 32, seed);
        let (visible, infrared) = planes(&images);
        let mut arena = Bytes::zeroed(plan.arena_bytes());
        let mut executor = Executor::new(&plan, arena.get_mut(), Scalar::ALL, &pool).unwrap();
        let mut fused = vec![0; 32 * 32];
        for _ in 0..10 {
            executor.run(visible, infrared, &mut fused, 32).unwrap();
        }
        fused
    };
    let alone: Vec<_> = (0..3).map(fuse).collect();
    let fuse = &fuse;
    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|seed| scope.spawn(move || fuse(seed))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
}

#[test]
fn element_types_can_change_within_a_network() {
    let mut net = Net::new(DType::F32);
    let v = net.visible;
    let a = net.conv(v, 4, 3, false);
    let b = net.convert(a, DType::F16);
    let c = net.conv(b, 4, 3, false);
    let d = net.convert(c, DType::F32);
    let logits = net.conv(d, 2, 1, false);
    let fused = net.blend(logits, 1);
    let bytes = net.finish(fused, 1, None);
    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    let plan = tables.plan(&artifact, 9, 7, 1).unwrap();
    let images = Images::new(9, 7, 1);
    let (visible, infrared) = planes(&images);
    let expected = interpret(&artifact, (9, 7), &images).pop().unwrap();
    let mut arena = Bytes::zeroed(plan.arena_bytes());
    let mut executor = Executor::new(&plan, arena.get_mut(), Scalar::ALL, &Inline).unwrap();
    let mut fused = vec![0; 63];
    executor.run(visible, infrared, &mut fused, 7).unwrap();
    let mut real = vec![0.0; 63];
    executor.read_fused_f32(&mut real).unwrap();
    assert_eq!(real, expected);
}

#[test]
fn wrong_arenas_and_workers_are_refused() {
    let bytes = student(DType::F32);
    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    let plan = tables.plan(&artifact, 16, 16, 1).unwrap();
    let needed = plan.arena_bytes();
    let refusal = |arena: &mut [u8], workers: usize| {
        let pool = Pool::new(workers).unwrap();
        Executor::new(&plan, arena, Scalar::ALL, &pool).err()
    };
    let mut arena = Bytes::zeroed(needed + 64);
    let arena = arena.get_mut();
    assert_eq!(
        refusal(&mut arena[..needed - 1], 1),
        Some(ExecutorError::ArenaTooSmall { found: needed - 1, needed })
    );
    assert_eq!(refusal(&mut arena[1..], 1), Some(ExecutorError::ArenaMisaligned { past: 1 }));
    assert_eq!(refusal(&mut arena[..], 2), Some(ExecutorError::Workers { found: 2, planned: 1 }));
    assert_eq!(refusal(arena, 1), None);
}

#[test]
fn wrong_images_are_refused_before_anything_is_written() {
    let bytes = student(DType::U8);
    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    let plan = tables.plan(&artifact, 16, 20, 1).unwrap();
    let mut arena = Bytes::zeroed(plan.arena_bytes());
    let mut executor = Executor::new(&plan, arena.get_mut(), Scalar::ALL, &Inline).unwrap();
    let data = vec![9; 20 * 20 * 3];
    let right = Plane::new(20, 16, 20, &data).unwrap();
    let wrong = Plane::new(16, 20, 16, &data).unwrap();
    let mut fused = vec![5; 16 * 20];
    let size = |e: Result<(), RunError>| {
        matches!(e, Err(RunError::Frame(FrameError::Size { needed: (20, 16), found: (16, 20), .. })))
    };
    assert!(size(executor.run(wrong, right, &mut fused, 20)));
    assert!(size(executor.run(right, wrong, &mut fused, 20)));
    let colour = RgbImage::new(20, 16, 60, &data).unwrap();
    let channels = Err(RunError::Channels { found: 3, needed: 1 });
    assert_eq!(executor.run(colour, right, &mut fused, 20), channels);
    let short = executor.run(right, right, &mut fused[1..], 20);
    assert!(matches!(short, Err(RunError::Frame(FrameError::Buffer { .. }))));
    assert!(fused.iter().all(|b| *b == 5));
    assert_eq!(executor.read_fused_f32(&mut [0.0; 3]), Err(RunError::Length { found: 3, needed: 320 }));
}
