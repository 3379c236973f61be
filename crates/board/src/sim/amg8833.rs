//! An AMG8833: pixel registers and reset.

use core::cell::Cell;

use embedded_hal::i2c::{self, I2c};

use super::bus::{BusError, I2C_BYTE_NS};
use super::clock::VirtualClock;
use super::rng::noise;
use super::scene::ThermalScene;
use crate::amg8833::SIDE;

/// A simulated sensor at 0x69; it is its own bus.
#[derive(Debug)]
pub struct Amg8833Sim<'c, S> {
    clock: &'c VirtualClock,
    scene: S,
    seed: u64,
    nack: Cell<u16>,
    stuck_high: Cell<u16>,
    awake: Cell<bool>,
}

impl<'c, S: ThermalScene> Amg8833Sim<'c, S> {
    /// A sensor that gets its supply now.
    pub const fn new(clock: &'c VirtualClock, scene: S, seed: u64) -> Self {
        Self { clock, scene, seed, nack: Cell::new(0), stuck_high: Cell::new(0), awake: Cell::new(false) }
    }

    /// The next transfers are not acknowledged.
    pub fn inject_nack(&self, transfers: u16) {
        self.nack.set(transfers);
    }

    /// The next transfers read ones only.
    pub fn inject_stuck_high(&self, transfers: u16) {
        self.stuck_high.set(transfers);
    }

    fn register(&self, register: u8) -> u8 {
        let Some(offset) = register.checked_sub(0x80) else { return 0 };
        let pixel = usize::from(offset / 2);
        let frame = self.clock.now_us() / 100_000;
        let time_us = frame * 100_000;
        let millikelvin = self.scene.millikelvin(pixel % SIDE, pixel / SIDE, (SIDE, SIDE), time_us);
        let quarter = (millikelvin - 273_150) / 250 + noise(self.seed ^ frame, pixel as u64);
        let word = (quarter.clamp(-80, 400) as u16) & 0x0fff;
        word.to_le_bytes()[usize::from(offset % 2)]
    }
}

impl<S> i2c::ErrorType for &Amg8833Sim<'_, S> {
    type Error = BusError;
}

impl<S: ThermalScene> I2c for &Amg8833Sim<'_, S> {
    fn transaction(&mut self, address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), BusError> {
        self.clock.advance_ns(I2C_BYTE_NS);
        if address != 0x69 || self.nack.get() > 0 {
            self.nack.set(self.nack.get().saturating_sub(1));
            return Err(BusError::Nack);
        }
        let mut pointer = 0u8;
        for operation in operations {
            match operation {
                i2c::Operation::Write(bytes) => {
                    pointer = *bytes.first().ok_or(BusError::Unsupported)?;
                    if bytes.len() > 1 && pointer == 0x00 {
                        self.awake.set(bytes[1] == 0);
                    }
                    self.clock.advance_ns(bytes.len() as u64 * I2C_BYTE_NS);
                }
                i2c::Operation::Read(out) => {
                    for (i, byte) in out.iter_mut().enumerate() {
                        *byte =
                            if self.awake.get() { self.register(pointer.wrapping_add(i as u8)) } else { 0 };
                    }
                    if self.stuck_high.get() > 0 {
                        self.stuck_high.set(self.stuck_high.get() - 1);
                        out.fill(0xff);
                    }
                    self.clock.advance_ns(out.len() as u64 * I2C_BYTE_NS);
                }
            }
        }
        Ok(())
    }
}
