//! A fixed pool of threads that shares one task at a time, without allocating.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::vec::Vec;

use crate::Workers;

/// Turns that a thread waits for work before it sleeps: about 20 µs, the length of a small operator. An idle pool sleeps.
const SPINS: u32 = 2_000;

/// A task lent by `scatter`, with the lifetime taken off.
#[derive(Clone, Copy)]
struct Task(*const (dyn Fn(usize) + Sync));

// SAFETY: the pointee is Sync, and `scatter` keeps it alive until every worker is done with it.
unsafe impl Send for Task {}

struct State {
    task: Option<Task>,
    /// Counts the tasks; a worker runs each once.
    turn: usize,
    stop: bool,
}

struct Shared {
    state: Mutex<State>,
    start: Condvar,
    done: Condvar,
    /// Copy of `State::turn` to spin on.
    turn: AtomicUsize,
    /// Workers that have not finished the current task.
    running: AtomicUsize,
    panicked: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock, so a poisoned one is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, worker: usize) {
        let mut seen = 0;
        loop {
            for _ in 0..SPINS {
                if self.turn.load(Ordering::Acquire) != seen {
                    break;
                }
                core::hint::spin_loop();
            }
            let task = {
                let mut state = self.lock();
                while state.turn == seen && !state.stop {
                    state = self.start.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.stop {
                    return;
                }
                seen = state.turn;
                state.task
            };
            if let Some(Task(task)) = task {
                // SAFETY: `scatter` does not return before `running` is 0, so the task is alive.
                let result = catch_unwind(AssertUnwindSafe(|| unsafe { (*task)(worker) }));
                if result.is_err() {
                    self.panicked.store(true, Ordering::Relaxed);
                }
            }
            if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
                // The lock orders this wake-up after the caller's check of `running`.
                drop(self.lock());
                self.done.notify_one();
            }
        }
    }

    /// Waits until every worker has finished the current task.
    fn join(&self) {
        for _ in 0..SPINS {
            if self.running.load(Ordering::Acquire) == 0 {
                return;
            }
            core::hint::spin_loop();
        }
        let mut state = self.lock();
        while self.running.load(Ordering::Acquire) != 0 {
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A fixed number of threads, made once. The calling thread is worker 0 and works too.
///
/// Several executors may share one pool: they take turns.
pub struct Pool {
    shared: Arc<Shared>,
    turn: Mutex<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `workers` (at least 1) including the calling thread.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn new(workers: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { task: None, turn: 0, stop: false }),
            start: Condvar::new(),
            done: Condvar::new(),
            turn: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
        });
        let mut pool = Self { shared, turn: Mutex::new(()), threads: Vec::new() };
        for worker in 1..workers.max(1) {
            let shared = Arc::clone(&pool.shared);
            let builder = std::thread::Builder::new().name(std::format!("fusionproxy-{worker}"));
            pool.threads.push(builder.spawn(move || shared.work(worker))?);
        }
        Ok(pool)
    }
}

// SAFETY: the number of threads is fixed; each worker number belongs to one thread, which runs a task once; `scatter`
// holds `turn` throughout, and waits for all workers even when its own part panics.
unsafe impl Workers for Pool {
    fn count(&self) -> usize {
        self.threads.len() + 1
    }

    fn scatter(&self, task: &(dyn Fn(usize) + Sync)) {
        if self.threads.is_empty() {
            task(0);
            return;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. The reference is used by workers until `running` is 0, which `join` waits
        // for before this function returns or unwinds.
        let task_static =
            unsafe { core::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        shared.running.store(self.threads.len(), Ordering::Release);
        {
            let mut state = shared.lock();
            state.task = Some(Task(task_static));
            state.turn = state.turn.wrapping_add(1);
            shared.turn.store(state.turn, Ordering::Release);
        }
        shared.start.notify_all();
        let own = catch_unwind(AssertUnwindSafe(|| task(0)));
        shared.join();
        shared.lock().task = None;
        let theirs = shared.panicked.swap(false, Ordering::Relaxed);
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!theirs, "a worker of the pool panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.turn.fetch_add(1, Ordering::Release);
        self.shared.start.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches panics of its tasks; there is nothing to report here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_runs_each_task_once() {
        let pool = Pool::new(3).unwrap();
        let counts = [const { AtomicUsize::new(0) }; 3];
        for _ in 0..500 {
            pool.scatter(&|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
        }
        assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 500));
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_survives() {
        let pool = Pool::new(2).unwrap();
        for bad in 0..2 {
            let run = catch_unwind(AssertUnwindSafe(|| pool.scatter(&|i| assert!(i != bad))));
            assert!(run.is_err());
        }
        let sum = AtomicUsize::new(0);
        pool.scatter(&|i| {
            sum.fetch_add(i + 1, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 3);
    }
}
