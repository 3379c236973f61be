//! Tells the instructions of simulators from those of drivers.

use core::cell::Cell;

use embedded_hal::i2c::{self, I2c};
use embedded_hal::spi::{self, SpiDevice};

/// A simulated bus that adds up what its transfers cost.
pub(crate) struct Metered<'c, B> {
    bus: B,
    count: fn() -> u64,
    spent: &'c Cell<u64>,
}

impl<'c, B> Metered<'c, B> {
    pub(crate) fn new(bus: B, count: fn() -> u64, spent: &'c Cell<u64>) -> Self {
        Self { bus, count, spent }
    }

    fn measure<R>(&mut self, transfer: impl FnOnce(&mut B) -> R) -> R {
        let start = (self.count)();
        let result = transfer(&mut self.bus);
        self.spent.set(self.spent.get() + (self.count)() - start);
        result
    }
}

impl<B: spi::ErrorType> spi::ErrorType for Metered<'_, B> {
    type Error = B::Error;
}

impl<B: SpiDevice> SpiDevice for Metered<'_, B> {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), Self::Error> {
        self.measure(|bus| bus.transaction(operations))
    }
}

impl<B: i2c::ErrorType> i2c::ErrorType for Metered<'_, B> {
    type Error = B::Error;
}

impl<B: I2c> I2c for Metered<'_, B> {
    fn transaction(&mut self, address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), Self::Error> {
        self.measure(|bus| bus.transaction(address, operations))
    }
}
