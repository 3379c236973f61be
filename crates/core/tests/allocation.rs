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
use fusionproxy_kernels::{CountingAllocator, Pool, Scalar, Workers};
use net::{Bytes, student};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    for dtype in [DType::F32, DType::F16, DType::U8] {
        let bytes = student(dtype);
        for workers in [1, 2] {
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
            let plan = Plan::new(&artifact, 48, 64, PlanOptions { workers }, &Scalar::ALL, storage).unwrap();
            assert_eq!(CountingAllocator::allocations() - before, 0, "loading and planning");

            let mut arena = Bytes::zeroed(plan.arena_bytes());
            let before = CountingAllocator::allocations();
            let mut executor = Executor::new(&plan, arena.get_mut(), Scalar::ALL, &pool).unwrap();
            for _ in 0..20 {
                executor.run(plane, plane, &mut fused, 64).unwrap();
            }
            assert_eq!(CountingAllocator::allocations() - before, 0, "{dtype:?}, {workers} workers");
        }
    }
}
