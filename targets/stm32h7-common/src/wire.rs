//! An I²C bus that lets nobody wait long.

use embassy_embedded_hal::SetConfig;
use embassy_time::Duration;
use embedded_hal::i2c::{Error as _, ErrorKind, ErrorType, I2c, Operation};

/// How long a transfer may take, for the HAL's configuration. The longest of these boards takes 3 ms; the Lepton loses step
/// after 38 ms without a read, and while a blocking transfer hangs nothing of its priority or below runs.
pub const TIMEOUT: Duration = Duration::from_millis(10);

/// A blocking bus whose controller starts over after a transfer that broke off. It would otherwise wait for the end of that
/// transfer when the bus is free again. To asynchronous drivers it is a bus whose transfers are done at once.
pub struct Wire<B: SetConfig> {
    bus: B,
    config: B::Config,
}

impl<B: I2c + SetConfig> Wire<B> {
    /// The bus, whose HAL gives up after [`TIMEOUT`], and the configuration that starts it over.
    pub const fn new(bus: B, config: B::Config) -> Self {
        Self { bus, config }
    }

    fn checked(&mut self, result: Result<(), B::Error>) -> Result<(), B::Error> {
        if let Err(error) = &result
            && !matches!(error.kind(), ErrorKind::NoAcknowledge(_))
        {
            // The configuration is the one that was good when the bus was made.
            let _ = self.bus.set_config(&self.config);
        }
        result
    }
}

impl<B: I2c + SetConfig> ErrorType for Wire<B> {
    type Error = B::Error;
}

impl<B: I2c + SetConfig> I2c for Wire<B> {
    fn read(&mut self, address: u8, read: &mut [u8]) -> Result<(), B::Error> {
        let result = self.bus.read(address, read);
        self.checked(result)
    }

    fn write(&mut self, address: u8, write: &[u8]) -> Result<(), B::Error> {
        let result = self.bus.write(address, write);
        self.checked(result)
    }

    fn write_read(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Result<(), B::Error> {
        let result = self.bus.write_read(address, write, read);
        self.checked(result)
    }

    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), B::Error> {
        let result = self.bus.transaction(address, operations);
        self.checked(result)
    }
}

impl<B: I2c + SetConfig> embedded_hal_async::i2c::I2c for Wire<B> {
    async fn read(&mut self, address: u8, read: &mut [u8]) -> Result<(), B::Error> {
        I2c::read(self, address, read)
    }

    async fn write(&mut self, address: u8, write: &[u8]) -> Result<(), B::Error> {
        I2c::write(self, address, write)
    }

    async fn write_read(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Result<(), B::Error> {
        I2c::write_read(self, address, write, read)
    }

    async fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), B::Error> {
        I2c::transaction(self, address, operations)
    }
}
