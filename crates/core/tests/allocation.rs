//! Loading, planning and running a network do not allocate, at any precision, alone or on a pool.
//!
//! A program of its own without the test harness, whose threads would allocate beside it.

#[path = "runtime/net.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod net;

use fusionproxy_core::executor::Executor;
use fusionproxy_core::frame::Plane;
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
use fusionproxy_format::{Artifact, DType};
use fusionproxy_kernels::{Backend, CountingAllocator, Pool, Scalar, Workers};
use net::{Bytes, student};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Every backend of this CPU.
fn backends() -> Vec<&'static dyn Backend> {
    let mut backends: Vec<&'static dyn Backend> = vec![&Scalar::ALL];
    #[cfg(target_arch = "x86_64")]
    backends.extend(fusionproxy_kernels::x86::backends());
    backends
}

fn main() {
    for backend in backends() {
        for dtype in [DType::F32, DType::F16, DType::U8] {
            for workers in [1, 2] {
                check(backend, dtype, workers);
            }
        }
    }
}

fn check(backend: &dyn Backend, dtype: DType, workers: usize) {
    let bytes = student(dtype);
    let pool = Pool::new(workers).unwrap();
    // Every thread has started, with all that it allocates for that, once it has done a task.
    pool.scatter(&|_| ());
    let artifact = Artifact::new(bytes.get()).unwrap();
    let mut tensors = vec![TensorSlot::EMPTY; artifact.tensor_count()];
    let mut steps = vec![Step::EMPTY; artifact.op_count()];
    let image = vec![100u8; 48 * 64];
    let mut fused = vec![0u8; 48 * 64];
    let plane = Plane::new(64, 48, 64, &image).unwrap();

    let before = CountingAllocator::allocations();
    let artifact = Artifact::new(bytes.get()).unwrap();
    let storage = PlanStorage { tensors: &mut tensors, steps: &mut steps };
    let plan =
        Plan::new(&artifact, 48, 64, PlanOptions { workers, ..PlanOptions::default() }, backend, storage)
            .unwrap();
    assert_eq!(CountingAllocator::allocations() - before, 0, "loading and planning");

    let mut arena = Bytes::zeroed(plan.arena_bytes());
    let before = CountingAllocator::allocations();
    let mut executor = Executor::new(&plan, arena.get_mut(), backend, &pool).unwrap();
    for _ in 0..20 {
        executor.run(plane, plane, &mut fused, 64).unwrap();
    }
    let allocations = CountingAllocator::allocations() - before;
    assert_eq!(allocations, 0, "{}, {dtype:?}, {workers} workers", backend.name());
}
