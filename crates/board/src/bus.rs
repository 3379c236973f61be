//! The seam between the drivers' state machines and a bus: one transfer at a time, blocking or asynchronous.

use embedded_hal::i2c::I2c;

/// One I²C transaction that a state machine asks for: a write, then a read after a repeated start. Either part may be
/// empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// 7-bit address of the device.
    pub address: u8,
    /// Bytes to send.
    pub write: &'a [u8],
    /// Where the bytes received go.
    pub read: &'a mut [u8],
}

/// What a state machine on an I²C bus wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum Want<'a> {
    /// This transfer; the machine is then told how it ended.
    Transfer(Transfer<'a>),
    /// Nothing before this time, µs.
    Wait(u64),
}

/// Performs a transfer on a blocking bus.
///
/// # Errors
/// The error of the bus.
pub fn run<B: I2c>(bus: &mut B, transfer: Transfer<'_>) -> Result<(), B::Error> {
    let Transfer { address, write, read } = transfer;
    match (write.is_empty(), read.is_empty()) {
        (_, true) => bus.write(address, write),
        (true, false) => bus.read(address, read),
        (false, false) => bus.write_read(address, write, read),
    }
}

/// Performs a transfer on an asynchronous bus.
///
/// # Errors
/// The error of the bus.
#[cfg(feature = "async")]
pub async fn run_async<B: embedded_hal_async::i2c::I2c>(
    bus: &mut B,
    transfer: Transfer<'_>,
) -> Result<(), B::Error> {
    let Transfer { address, write, read } = transfer;
    match (write.is_empty(), read.is_empty()) {
        (_, true) => bus.write(address, write).await,
        (true, false) => bus.read(address, read).await,
        (false, false) => bus.write_read(address, write, read).await,
    }
}
