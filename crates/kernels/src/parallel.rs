//! Splitting a call over workers.

use core::ops::Range;

use crate::{Backend, Call};

/// Something that runs one task on each of a fixed number of workers at the same time.
///
/// # Safety
/// `count` must always give the same number, and `scatter` must never run `task` twice at the same time with the same
/// worker number, nor return while a call of `task` is still running.
pub unsafe trait Workers {
    /// How many, at least 1.
    fn count(&self) -> usize;

    /// Calls `task(i)` once for each `i` in `0..count()`, possibly at the same time, and returns when all have returned.
    /// Must not allocate.
    fn scatter(&self, task: &(dyn Fn(usize) + Sync));
}

/// The calling thread alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

// SAFETY: one call on the calling thread.
unsafe impl Workers for Inline {
    fn count(&self) -> usize {
        1
    }

    fn scatter(&self, task: &(dyn Fn(usize) + Sync)) {
        task(0);
    }
}

/// What the workers share: a call whose units are independent, and scratch of which each takes its own part.
struct Shared<'r, 'a, 'm> {
    call: &'r Call<'a, 'm>,
    scratch: *mut u8,
    per_worker: usize,
}

// SAFETY: `run` shares this between workers only if `Call::race_free` holds, so that no worker reads or writes an element
// that another writes, and each worker makes a slice of its own part of the scratch alone.
unsafe impl Sync for Shared<'_, '_, '_> {}

impl Shared<'_, '_, '_> {
    /// Runs `units`, with the `worker`-th part of the scratch.
    ///
    /// # Safety
    /// No two calls with the same `worker` at the same time; `worker * per_worker + per_worker` within the scratch.
    unsafe fn part<B: Backend + ?Sized>(&self, backend: &B, worker: usize, units: Range<usize>) {
        // SAFETY: in bounds and exclusive by this function's contract.
        let scratch = unsafe {
            core::slice::from_raw_parts_mut(self.scratch.add(worker * self.per_worker), self.per_worker)
        };
        backend.run(self.call, units, scratch);
    }
}

/// Runs a whole call. `scratch` is split into equal parts of a multiple of 64 bytes, one a worker.
///
/// A call whose units are not independent (a line buffer, overlapping memory) runs on the calling thread.
pub fn run<B: Backend + ?Sized, W: Workers + ?Sized>(
    backend: &B,
    workers: &W,
    call: &Call<'_, '_>,
    scratch: &mut [u8],
) {
    let units = call.units();
    let count = workers.count();
    if count <= 1 || units <= 1 || !call.race_free() {
        backend.run(call, 0..units, scratch);
        return;
    }
    let per_worker = scratch.len() / count / 64 * 64;
    let shared = Shared { call, scratch: scratch.as_mut_ptr(), per_worker };
    let shared = &shared;
    workers.scatter(&move |worker| {
        let share = |i: usize| units * i / count;
        if worker < count && share(worker) < share(worker + 1) {
            // SAFETY: `scatter` calls each worker number once at a time, and count parts of per_worker bytes fit.
            unsafe { shared.part(backend, worker, share(worker)..share(worker + 1)) };
        }
    });
}
