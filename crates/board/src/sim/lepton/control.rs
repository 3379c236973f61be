//! The command and control interface of the simulated camera.

use embedded_hal::i2c::{self, I2c};

use super::{BOOT_US, FIRST_ACK_US, Inner, LeptonSim, RadiometricCapability};
use crate::lepton::Model;
use crate::lepton::cci::{self, attribute, register};
use crate::sim::bus::{BusError, I2C_BYTE_NS};
use crate::sim::scene::ThermalScene;

/// A command keeps the camera busy for so long, µs.
const BUSY_US: u64 = 1_500;

impl Inner {
    fn status(&self, now_us: u64) -> u16 {
        let booted = if now_us >= self.started_us + BOOT_US { cci::STATUS_BOOTED } else { 0x0002 };
        u16::from(self.code) << 8 | booted | u16::from(now_us < self.busy_until_us)
    }

    fn read_word(&self, register: u16, now_us: u64) -> u16 {
        match register {
            register::STATUS => self.status(now_us),
            register::DATA_LENGTH => self.length,
            register::DATA..=0x0026 => self.data[usize::from(register - register::DATA) / 2],
            _ => 0,
        }
    }

    fn write_word(&mut self, register: u16, value: u16, now_us: u64) {
        match register {
            register::COMMAND => self.command(value, now_us),
            register::DATA_LENGTH => self.length = value,
            register::DATA..=0x0026 => self.data[usize::from(register - register::DATA) / 2] = value,
            _ => {}
        }
    }

    fn command(&mut self, command: u16, now_us: u64) {
        const OUT_OF_RANGE: i8 = -6;
        const UNDEFINED: i8 = -9;
        self.busy_until_us = now_us + BUSY_US;
        let (id, access) = (command & !3, command & 3);
        let number = u32::from(self.data[1]) << 16 | u32::from(self.data[0]);
        let radiometric = self.radiometric == RadiometricCapability::TLinear;
        let ffc_state = self.ffc_state(now_us) as u16;
        let mut code = 0i8;
        // Attributes of 0 or 1.
        let flag = match id {
            _ if id == attribute::AGC_ENABLE.id => Some(&mut self.agc),
            _ if id == attribute::TELEMETRY_ENABLE.id => Some(&mut self.telemetry),
            _ if id == attribute::TELEMETRY_LOCATION.id => Some(&mut self.footer),
            _ if id == attribute::RADIOMETRY_ENABLE.id && radiometric => Some(&mut self.radiometry),
            _ if id == attribute::TLINEAR_ENABLE.id && radiometric => Some(&mut self.tlinear),
            _ if id == attribute::TLINEAR_RESOLUTION.id && radiometric => Some(&mut self.fine),
            _ => None,
        };
        match (flag, access) {
            (Some(flag), 0) => self.data[..2].copy_from_slice(&[u16::from(*flag), 0]),
            (Some(flag), 1) if number <= 1 => *flag = number == 1,
            (Some(_), 1) => code = OUT_OF_RANGE,
            (None, 0) if id == attribute::PART_NUMBER.id => {
                let part: &[u8; 12] = match (self.model, self.radiometric) {
                    (Model::Lepton2, RadiometricCapability::None) => b"500-0643-00\0",
                    (Model::Lepton2, RadiometricCapability::TLinear) => b"500-0763-01\0",
                    (Model::Lepton3, RadiometricCapability::None) => b"500-0726-01\0",
                    (Model::Lepton3, RadiometricCapability::TLinear) => b"500-0771-01\0",
                };
                self.data.fill(0);
                for (word, pair) in self.data.iter_mut().zip(part.chunks_exact(2)) {
                    *word = u16::from_le_bytes([pair[0], pair[1]]);
                }
            }
            (None, 0) if id == attribute::UPTIME.id => {
                let ms = ((now_us - self.started_us) / 1000) as u32;
                self.data[..2].copy_from_slice(&[ms as u16, (ms >> 16) as u16]);
            }
            (None, 0) if id == attribute::FPA_TEMPERATURE.id => self.data[0] = 30_512,
            (None, 0) if id == attribute::HOUSING_TEMPERATURE.id => self.data[0] = 30_015,
            (None, 0) if id == attribute::FFC_STATE.id => {
                self.data[..2].copy_from_slice(&[ffc_state, 0]);
            }
            (None, 0) if id == attribute::FFC_STATUS.id => {
                self.data[..2].copy_from_slice(&[u16::from(ffc_state == 2), 0]);
            }
            (None, 0) if id == attribute::FFC_MODE.id => self.data = self.ffc_mode,
            (None, 1) if id == attribute::FFC_MODE.id => self.ffc_mode = self.data,
            (None, 0) if id == attribute::GAIN_MODE.id => self.data[..2].copy_from_slice(&[self.gain, 0]),
            (None, 1) if id == attribute::GAIN_MODE.id && number <= 2 => self.gain = number as u16,
            (None, 1) if id == attribute::GAIN_MODE.id => code = OUT_OF_RANGE,
            (None, 2) if id == attribute::RUN_FFC.id => self.ffc_begin_us = Some(now_us),
            (None, 2) if id == attribute::PING.id => {}
            (None, 2) if id == attribute::REBOOT.id => {
                self.start(now_us);
                return;
            }
            _ => code = UNDEFINED,
        }
        self.code = code as u8;
    }
}

/// The I²C side of a [`LeptonSim`].
#[derive(Debug)]
pub struct LeptonI2c<'s, 'c, S>(pub(super) &'s LeptonSim<'c, S>);

impl<S> i2c::ErrorType for LeptonI2c<'_, '_, S> {
    type Error = BusError;
}

impl<S: ThermalScene> I2c for LeptonI2c<'_, '_, S> {
    fn transaction(&mut self, address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), BusError> {
        let clock = self.0.clock;
        let mut inner = self.0.inner.borrow_mut();
        inner.held.wait(clock)?;
        clock.advance_ns(I2C_BYTE_NS);
        let now_us = clock.now_us();
        if inner.nack > 0 {
            inner.nack -= 1;
            return Err(BusError::Nack);
        }
        if address != cci::ADDRESS || now_us < inner.started_us + FIRST_ACK_US {
            return Err(BusError::Nack);
        }
        let mut pointer = None;
        for operation in operations {
            match operation {
                i2c::Operation::Write(bytes) => {
                    let Some((head, words)) = bytes.split_first_chunk::<2>() else {
                        return Err(BusError::Unsupported);
                    };
                    let register = u16::from_be_bytes(*head);
                    for (i, word) in words.chunks_exact(2).enumerate() {
                        inner.write_word(
                            register + 2 * i as u16,
                            u16::from_be_bytes([word[0], word[1]]),
                            now_us,
                        );
                    }
                    pointer = Some(register);
                    clock.advance_ns(bytes.len() as u64 * I2C_BYTE_NS);
                }
                i2c::Operation::Read(out) => {
                    let register = pointer.ok_or(BusError::Unsupported)?;
                    for (i, word) in out.chunks_exact_mut(2).enumerate() {
                        word.copy_from_slice(&inner.read_word(register + 2 * i as u16, now_us).to_be_bytes());
                    }
                    clock.advance_ns((out.len() as u64 + 1) * I2C_BYTE_NS);
                }
            }
        }
        Ok(())
    }
}
