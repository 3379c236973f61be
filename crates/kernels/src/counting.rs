//! An allocator that counts, to prove that the hot path does not allocate.

use core::sync::atomic::{AtomicU64, Ordering};
use std::alloc::{GlobalAlloc, Layout, System};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counting every allocation and reallocation of every thread.
///
/// A program or test that wants the figure makes it its global allocator:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: fusionproxy_kernels::CountingAllocator = fusionproxy_kernels::CountingAllocator;
///
/// let before = fusionproxy_kernels::CountingAllocator::allocations();
/// drop(std::hint::black_box(vec![1u8]));
/// assert_eq!(fusionproxy_kernels::CountingAllocator::allocations() - before, 1);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

impl CountingAllocator {
    /// Allocations and reallocations since the program started; 0 throughout unless this is the global allocator.
    pub fn allocations() -> u64 {
        ALLOCATIONS.load(Ordering::Relaxed)
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory that it manages.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; the block came from the system's allocator.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `alloc`; the block came from the system's allocator.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
