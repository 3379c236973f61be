//! A Lepton on spidev and i2c-dev.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use fusionproxy_board::lepton::{self, Error};
use fusionproxy_board::rig::Watch;
use fusionproxy_board::source::{FrameSource, Layout};
use fusionproxy_core::frame::{FrameInfo, InfraredFormat};
use linux_embedded_hal::spidev::{SpiModeFlags, SpidevOptions};
use linux_embedded_hal::{I2cdev, SpidevDevice};
use rustix::io::Errno;

use super::access::explain;
use super::{Sensor, SensorError, Session};
use crate::clock::now_us;
use crate::config::Lepton as Config;

/// Pause between two polls: three reads of 1.6 ms and their pauses fit the 9.4 ms of a segment.
const PAUSE: Duration = Duration::from_micros(500);
/// Polls before the thread looks whether it is to stop.
const POLLS: u32 = 100;
/// A camera that gave nothing for so long is opened again: its nodes may be others by now.
const REOPEN_US: u64 = 10_000_000;

/// A Lepton as configured.
pub(super) struct LeptonCamera {
    config: Config,
}

impl LeptonCamera {
    pub(super) fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Sensor for LeptonCamera {
    type Format = InfraredFormat;

    fn layout(&self) -> Layout<InfraredFormat> {
        self.config.settings.layout()
    }

    fn watch(&self) -> Watch {
        // 8.7 unique frames a second.
        Watch::for_rate(9)
    }

    fn open(&self) -> Result<Box<dyn Session>, SensorError> {
        let Config { spi, i2c, spi_hz, settings } = &self.config;
        let mut bus = SpidevDevice::open(spi).map_err(|e| explain(spi, "Lepton's SPI node", e.inner()))?;
        let options = SpidevOptions::new()
            .mode(SpiModeFlags::SPI_MODE_3)
            .max_speed_hz(*spi_hz)
            .bits_per_word(8)
            .build();
        bus.configure(&options).map_err(|e| explain(spi, "Lepton's SPI node", &e))?;
        let control = I2cdev::new(i2c).map_err(|e| explain(i2c, "Lepton's I2C node", &e.into()))?;
        let driver = lepton::Lepton::new(bus, control, *settings);
        let nodes = [spi.clone(), i2c.clone()];
        Ok(Box::new(LeptonSession { driver, nodes, good_us: now_us() }))
    }
}

struct LeptonSession {
    driver: lepton::Lepton<SpidevDevice, I2cdev>,
    nodes: [PathBuf; 2],
    /// When the camera last gave a frame.
    good_us: u64,
}

impl Session for LeptonSession {
    fn next(&mut self, frame: &mut [u8]) -> Result<Option<FrameInfo>, SensorError> {
        for _ in 0..POLLS {
            match self.driver.poll(frame, now_us()) {
                Ok(Some(info)) => {
                    self.good_us = now_us();
                    return Ok(Some(info));
                }
                Ok(None) => thread::sleep(PAUSE),
                Err(e) => {
                    // A bus that fails at once must not be asked at full speed.
                    thread::sleep(PAUSE);
                    let silent = now_us().saturating_sub(self.good_us) > REOPEN_US;
                    let gone = gone(&e) || !self.nodes.iter().all(|node| node.exists());
                    let message = self.describe(&e);
                    return Err(if silent || gone {
                        SensorError::closed(message)
                    } else {
                        SensorError::passing(message)
                    });
                }
            }
        }
        Ok(None)
    }
}

impl LeptonSession {
    /// What an operator can do about an error.
    fn describe(&self, error: &LeptonError) -> String {
        let [spi, i2c] = self.nodes.each_ref().map(|node| node.display());
        match error {
            Error::Spi(e) => format!("{spi}: a transfer failed ({}): check that SPI is on", e.inner()),
            Error::I2c(e) => format!(
                "{i2c}: no answer from the Lepton at 0x2a ({e}): check wires, pull-ups and supply; normal in the first \
                 second after power-up"
            ),
            Error::Buffer(e) => e.to_string(),
            Error::Camera(e) => e.to_string(),
        }
    }
}

type LeptonError = Error<linux_embedded_hal::SPIError, linux_embedded_hal::I2CError>;

/// The node behind the open file has vanished: its device was unbound or its driver unloaded.
fn gone(error: &LeptonError) -> bool {
    let code = match error {
        Error::Spi(e) => e.inner().raw_os_error(),
        Error::I2c(e) => match e.inner() {
            linux_embedded_hal::i2cdev::linux::LinuxI2CError::Errno(code) => Some(*code),
            linux_embedded_hal::i2cdev::linux::LinuxI2CError::Io(e) => e.raw_os_error(),
        },
        Error::Buffer(_) | Error::Camera(_) => None,
    };
    code.is_some_and(|code| code == Errno::NODEV.raw_os_error() || code == Errno::SHUTDOWN.raw_os_error())
}

#[cfg(test)]
mod tests {
    use embedded_hal::spi::{ErrorType, Operation, SpiDevice};
    use fusionproxy_board::lepton::Model;
    use fusionproxy_board::lepton::packet::PACKET_BYTES;
    use fusionproxy_board::sim::{
        BusError, LeptonSim, LeptonSpi, RadiometricCapability, ThermalScene, VirtualClock, warm_body,
    };

    use super::*;

    /// The simulator's bus, which takes 400 ns a byte, with another clock.
    struct SlowBus<'s, 'c, S> {
        bus: LeptonSpi<'s, 'c, S>,
        clock: &'c VirtualClock,
        byte_ns: u64,
    }

    impl<S> ErrorType for SlowBus<'_, '_, S> {
        type Error = BusError;
    }

    impl<S: ThermalScene> SpiDevice for SlowBus<'_, '_, S> {
        fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), BusError> {
            for operation in operations {
                let Operation::Read(out) = operation else { return Err(BusError::Unsupported) };
                for packet in out.chunks_mut(PACKET_BYTES) {
                    self.bus.read(packet)?;
                    self.clock.advance_ns(packet.len() as u64 * (self.byte_ns - 400));
                }
            }
            Ok(())
        }
    }

    /// Frames and errors in ten seconds at an SPI clock.
    fn stream(model: Model, hz: u32) -> (u32, u32) {
        let clock = VirtualClock::new();
        let camera = LeptonSim::new(&clock, model, RadiometricCapability::None, warm_body, 1);
        let bus = SlowBus { bus: camera.spi(), clock: &clock, byte_ns: 8_000_000_000 / u64::from(hz) };
        let mut driver: lepton::Lepton<_, _> =
            lepton::Lepton::new(bus, camera.i2c(), lepton::Settings::new(model));
        let mut frame = vec![0; driver.layout().bytes()];
        let (mut frames, mut errors) = (0, 0);
        while clock.now_us() < 12_000_000 {
            match driver.poll(&mut frame, clock.now_us()) {
                // The camera starts.
                _ if clock.now_us() < 2_000_000 => {}
                Ok(Some(_)) => frames += 1,
                Ok(None) => {}
                Err(_) => errors += 1,
            }
            // The kernel wakes a thread 50 us late, and a transfer takes a moment to set up.
            clock.advance_us(PAUSE.as_micros() as u64 + 100);
        }
        (frames, errors)
    }

    #[test]
    fn the_least_clock_takes_all_that_the_camera_sends() {
        for model in [Model::Lepton3, Model::Lepton2] {
            let least = crate::config::least_spi_hz(model);
            // 8.8 unique frames a second. Clocks that the board can make lie below what is asked for.
            for hz in [least - least / 20, least] {
                let (frames, errors) = stream(model, hz);
                assert!(errors == 0 && (87..=89).contains(&frames), "{model:?} {hz}: {frames}, {errors}");
            }
            let (frames, errors) = stream(model, least * 2 / 3);
            assert!(errors > 10 && frames < 44, "{model:?} has a third to spare: {frames}, {errors}");
        }
    }
}
