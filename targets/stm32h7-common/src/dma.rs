//! Memory that DMA writes and the processor reads through its data cache (STM32H7 reference manual RM0433, 2.1; Arm
//! ARMv7-M, B2.2.7).
//!
//! The DMA controllers write past the cache. The processor never writes this memory, so none of its lines is ever dirty,
//! and to clean and invalidate them only throws away what is stale. Each buffer has whole cache lines to itself.

use core::cell::RefCell;

use cortex_m::peripheral::{CPUID, SCB};
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embedded_hal::spi::{ErrorType, Operation};
use embedded_hal_async::spi::SpiDevice;
use zerocopy::IntoBytes;

/// `N` words, a multiple of 8: whole cache lines of 32 bytes.
#[repr(C, align(32))]
pub struct DmaMemory<const N: usize>([u32; N]);

impl<const N: usize> DmaMemory<N> {
    /// Zeros.
    #[must_use]
    pub const fn new() -> Self {
        assert!(N.is_multiple_of(8), "DMA memory must be whole cache lines");
        Self([0; N])
    }

    /// The words, for a transfer.
    pub const fn words(&mut self) -> &mut [u32; N] {
        &mut self.0
    }

    /// The first `len` bytes, for a transfer.
    pub fn bytes(&mut self, len: usize) -> &mut [u8] {
        &mut self.0.as_mut_bytes()[..len]
    }
}

impl<const N: usize> Default for DmaMemory<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The processor's caches, switched on.
pub struct Cache(CriticalSectionMutex<RefCell<SCB>>);

impl Cache {
    /// Switches both caches on.
    pub fn on(mut scb: SCB, cpuid: &mut CPUID) -> Self {
        scb.enable_icache();
        scb.enable_dcache(cpuid);
        Self(CriticalSectionMutex::new(RefCell::new(scb)))
    }

    /// What a transfer has just written to the first `len` bytes of `memory`.
    pub fn written<'m, const N: usize>(&self, memory: &'m DmaMemory<N>, len: usize) -> &'m [u8] {
        let (start, lines) = (memory.0.as_ptr().addr(), len.next_multiple_of(32));
        self.0.lock(|scb| scb.borrow_mut().clean_invalidate_dcache_by_address(start, lines));
        &memory.0.as_bytes()[..len]
    }
}

/// An SPI device that is only read, through DMA memory.
pub struct DmaReader<'m, S, const N: usize> {
    device: S,
    memory: &'m mut DmaMemory<N>,
    cache: &'m Cache,
}

impl<'m, S, const N: usize> DmaReader<'m, S, N> {
    /// Reads of `device` go through `memory`.
    pub const fn new(device: S, memory: &'m mut DmaMemory<N>, cache: &'m Cache) -> Self {
        Self { device, memory, cache }
    }
}

impl<S: ErrorType, const N: usize> ErrorType for DmaReader<'_, S, N> {
    type Error = S::Error;
}

impl<S: SpiDevice, const N: usize> SpiDevice for DmaReader<'_, S, N> {
    /// Reads that fit the memory are served from it; whatever else there is goes to the device as it is.
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), S::Error> {
        if let [Operation::Read(out)] = operations
            && out.len() <= 4 * N
        {
            self.device.read(self.memory.bytes(out.len())).await?;
            out.copy_from_slice(self.cache.written(self.memory, out.len()));
            return Ok(());
        }
        self.device.transaction(operations).await
    }
}
