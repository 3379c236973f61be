//! Splitting a call over workers.

use crate::scalar::sums_bytes;
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

// SAFETY: `run` has this shared between workers only if `Call::race_free` holds. They compute disjoint units or rows of the
// call, which do not race by the contract of `Backend`, and each makes a slice of its own part of the scratch alone.
unsafe impl Sync for Shared<'_, '_, '_> {}

impl Shared<'_, '_, '_> {
    /// The call. A method, so that tasks capture what is shared and not the call itself.
    fn call(&self) -> &Call<'_, '_> {
        self.call
    }

    /// The `worker`-th part of the scratch, less its first `skip` bytes.
    ///
    /// # Safety
    /// `worker` is below the number of parts, `skip` not above their size, and nobody else has these bytes meanwhile.
    #[expect(clippy::mut_from_ref, reason = "exclusive by contract, not by type")]
    unsafe fn scratch(&self, worker: usize, skip: usize) -> &mut [u8] {
        let part = self.scratch.wrapping_add(worker * self.per_worker + skip);
        // SAFETY: in bounds and exclusive by this function's contract.
        unsafe { core::slice::from_raw_parts_mut(part, self.per_worker - skip) }
    }
}

/// Runs a whole call. `scratch`, aligned to 64 bytes, is split into equal parts of a multiple of 64 bytes, one a worker.
///
/// A call whose units are not independent (a line buffer, overlapping memory) runs on the calling thread.
pub fn run<B: Backend + ?Sized, W: Workers + ?Sized>(
    backend: &B,
    workers: &W,
    call: &Call<'_, '_>,
    scratch: &mut [u8],
) {
    if workers.count() <= 1 || !call.race_free() || !share(backend, workers, call, scratch) {
        backend.run(call, 0..call.units(), scratch);
    }
}

/// Runs a call by all workers; `false`, with nothing done, if they have nothing to share.
fn share<B: Backend + ?Sized, W: Workers + ?Sized>(
    backend: &B,
    workers: &W,
    call: &Call<'_, '_>,
    scratch: &mut [u8],
) -> bool {
    let (units, count) = (call.units(), workers.count());
    let per_worker = scratch.len() / count / 64 * 64;
    let shared = &Shared { call, scratch: scratch.as_mut_ptr(), per_worker };
    match call.response_channels() {
        Some(channels) if sums_bytes(channels) <= per_worker => respond(backend, workers, shared, channels),
        _ if units <= 1 => return false,
        _ => workers.scatter(&move |worker| {
            let share = |i: usize| units * i / count;
            if worker < count && share(worker) < share(worker + 1) {
                // SAFETY: `scatter` calls each worker number once at a time, and count parts of per_worker bytes fit.
                let scratch = unsafe { shared.scratch(worker, 0) };
                backend.run(shared.call(), share(worker)..share(worker + 1), scratch);
            }
        }),
    }
    true
}

/// Runs a global response normalisation of bytes, which is one unit: all workers add up the squares of their rows, and apply
/// the responses to the same rows when all sums are there. Sums of integers are the same in any order.
fn respond<B: Backend + ?Sized, W: Workers + ?Sized>(
    backend: &B,
    workers: &W,
    shared: &Shared<'_, '_, '_>,
    channels: usize,
) {
    let (count, height) = (workers.count(), shared.call().output_shape().height);
    let rows = |worker: usize| height * worker / count..height * (worker + 1) / count;
    workers.scatter(&|worker| {
        if worker < count {
            // SAFETY: `scatter` calls each worker number once at a time, and there are `count` parts.
            let (sums, scratch) = take_sums(unsafe { shared.scratch(worker, 0) }, channels);
            backend.square_sums(shared.call(), rows(worker), sums, scratch);
        }
    });
    // SAFETY: no task runs now, and the first part is not among those that are taken below.
    let (sums, _) = take_sums(unsafe { shared.scratch(0, 0) }, channels);
    for worker in 1..count {
        // SAFETY: as above, one part at a time.
        let (more, _) = take_sums(unsafe { shared.scratch(worker, 0) }, channels);
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += *more);
    }
    let sums = &*sums;
    workers.scatter(&|worker| {
        if worker < count {
            // SAFETY: as above; the sums, which all workers read, are left out.
            let scratch = unsafe { shared.scratch(worker, sums_bytes(channels)) };
            backend.respond(shared.call(), rows(worker), sums, scratch);
        }
    });
}

/// Splits the sums of `channels` channels off a scratch, which is aligned to 64 bytes.
///
/// # Panics
/// If it is too small or not aligned, which is a broken contract of the caller.
pub(crate) fn take_sums(scratch: &mut [u8], channels: usize) -> (&mut [u64], &mut [u8]) {
    let (sums, rest) = scratch.split_at_mut(sums_bytes(channels));
    // SAFETY: any bytes are a number.
    let (_, sums, _) = unsafe { sums.align_to_mut::<u64>() };
    (&mut sums[..channels], rest)
}
