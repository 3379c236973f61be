//! A Lepton: VoSPI and CCI of one camera (datasheet 500-0659-00-09 rev 203; interface description 110-0144-04).
//!
//! Where the datasheet leaves behaviour open, the model is: a segment may be read until the one after it has been ready
//! for one period, then synchronisation is lost; a camera out of step sends discard packets, or its packets shifted by
//! some bytes, until 185 ms of silence.

mod control;

use core::cell::RefCell;

use embedded_hal::spi::{self, SpiDevice};

pub use control::LeptonI2c;

use super::bus::{BusError, HeldBus};
use super::clock::VirtualClock;
use super::rng::{Rng, noise};
use super::scene::ThermalScene;
use crate::lepton::Model;
use crate::lepton::cci;
use crate::lepton::packet::{self, PACKET_BYTES, PacketBytes};

/// Silence that brings the camera back into step, ns.
const SILENCE_NS: u64 = 185_000_000;
/// From power-up to the first answer on CCI, and to the end of the start, µs.
const FIRST_ACK_US: u64 = 500_000;
const BOOT_US: u64 = 950_000;
/// The shutter is closed for so long, µs.
const FFC_US: u64 = 700_000;
/// Time of one byte at 20 MHz, ns.
const SPI_BYTE_NS: u64 = 400;

/// Whether the simulated model measures temperatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RadiometricCapability {
    /// Lepton 2.0, 3.0: RAD commands are refused.
    None,
    /// Lepton 2.5, 3.5: temperatures are on after a start.
    TLinear,
}

/// How a camera out of step behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desync {
    /// Discard packets only.
    Discards,
    /// Its packets begin so many bytes late.
    Shifted(u8),
}

/// A fault of the camera or of its buses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeptonFault {
    /// One bit is wrong in each of the next lines.
    CorruptPackets(u16),
    /// The next lines are left out.
    DropPackets(u16),
    /// Synchronisation is lost, whatever the host did.
    Desync(Desync),
    /// Pixels and frame counter stand still for so long, µs.
    Stuck(u64),
    /// Nothing new becomes ready for so long, µs.
    Late(u64),
    /// The next I²C transfers are not acknowledged.
    Nack(u16),
    /// Somebody holds the I²C bus for so long, µs: until then, transfers fail after the time that the controller waits.
    HeldBus {
        /// How long the bus is held, µs.
        us: u64,
        /// How long the controller waits, µs.
        timeout_us: u64,
    },
    /// The next SPI transfers fail in the controller.
    SpiErrors(u16),
    /// The data line stays low for so long, µs.
    MisoLow(u64),
    /// A flat-field correction begins.
    Ffc,
    /// The camera restarts and forgets its settings.
    Reboot,
}

#[derive(Debug)]
struct Inner {
    model: Model,
    radiometric: RadiometricCapability,
    rng: Rng,
    seed: u64,
    // Control.
    started_us: u64,
    busy_until_us: u64,
    code: u8,
    data: [u16; cci::MAX_WORDS],
    length: u16,
    agc: bool,
    telemetry: bool,
    footer: bool,
    tlinear: bool,
    fine: bool,
    radiometry: bool,
    gain: u16,
    ffc_mode: [u16; 16],
    ffc_begin_us: Option<u64>,
    // Stream.
    last_clock_ns: Option<u64>,
    next_slot: u64,
    line: u16,
    desync: Option<Desync>,
    // Faults.
    corrupt: u16,
    drop: u16,
    stuck_until_us: u64,
    stuck_at_us: u64,
    late_until_us: u64,
    late_total_us: u64,
    nack: u16,
    held: HeldBus,
    low_until_us: u64,
    spi_errors: u16,
}

/// A simulated camera. [`Self::spi`] and [`Self::i2c`] are its two buses.
#[derive(Debug)]
pub struct LeptonSim<'c, S> {
    clock: &'c VirtualClock,
    scene: S,
    inner: RefCell<Inner>,
}

impl<'c, S: ThermalScene> LeptonSim<'c, S> {
    /// A camera that gets its supply now.
    pub fn new(
        clock: &'c VirtualClock,
        model: Model,
        radiometric: RadiometricCapability,
        scene: S,
        seed: u64,
    ) -> Self {
        let mut inner = Inner {
            model,
            radiometric,
            rng: Rng::new(seed),
            seed,
            started_us: 0,
            busy_until_us: 0,
            code: 0,
            data: [0; cci::MAX_WORDS],
            length: 0,
            agc: false,
            telemetry: false,
            footer: true,
            tlinear: false,
            fine: true,
            radiometry: true,
            gain: 0,
            ffc_mode: [0; 16],
            ffc_begin_us: None,
            last_clock_ns: None,
            next_slot: 0,
            line: 0,
            desync: None,
            corrupt: 0,
            drop: 0,
            stuck_until_us: 0,
            stuck_at_us: 0,
            late_until_us: 0,
            late_total_us: 0,
            nack: 0,
            held: HeldBus::FREE,
            low_until_us: 0,
            spi_errors: 0,
        };
        inner.start(clock.now_us());
        Self { clock, scene, inner: RefCell::new(inner) }
    }

    /// The SPI side.
    pub fn spi(&self) -> LeptonSpi<'_, 'c, S> {
        LeptonSpi(self)
    }

    /// The I²C side.
    pub fn i2c(&self) -> LeptonI2c<'_, 'c, S> {
        LeptonI2c(self)
    }

    /// Whether a fault that is counted in packets or transfers is not over yet.
    #[must_use]
    pub fn faulty(&self) -> bool {
        let inner = self.inner.borrow();
        inner.corrupt > 0 || inner.drop > 0 || inner.spi_errors > 0 || inner.desync.is_some()
    }

    /// Makes a fault happen now.
    pub fn inject(&self, fault: LeptonFault) {
        let now = self.clock.now_us();
        let mut inner = self.inner.borrow_mut();
        match fault {
            LeptonFault::CorruptPackets(n) => inner.corrupt = n,
            LeptonFault::DropPackets(n) => inner.drop = n,
            LeptonFault::Desync(kind) => inner.desync = Some(kind),
            LeptonFault::Stuck(us) => {
                inner.stuck_at_us = now;
                inner.stuck_until_us = now + us;
            }
            LeptonFault::Late(us) => {
                inner.late_until_us = now + us;
                inner.late_total_us += us;
            }
            LeptonFault::Nack(n) => inner.nack = n,
            LeptonFault::HeldBus { us, timeout_us } => inner.held = HeldBus::until(now + us, timeout_us),
            LeptonFault::MisoLow(us) => inner.low_until_us = now + us,
            LeptonFault::SpiErrors(n) => inner.spi_errors = n,
            LeptonFault::Ffc => inner.ffc_begin_us = Some(now),
            LeptonFault::Reboot => inner.start(now),
        }
    }

    /// Whether the host has lost step with the camera.
    #[must_use]
    pub fn out_of_step(&self) -> bool {
        self.inner.borrow().desync.is_some()
    }

    /// The temperature of a pixel as the camera sees it at a time, mK.
    pub fn truth(&self, x: usize, y: usize, time_us: u64) -> i32 {
        self.scene.millikelvin(x, y, self.inner.borrow().size(), time_us)
    }

    fn spi_bytes(&self, out: &mut [u8]) -> Result<(), BusError> {
        let mut inner = self.inner.borrow_mut();
        if inner.spi_errors > 0 {
            inner.spi_errors -= 1;
            self.clock.advance_us(100);
            return Err(BusError::Controller);
        }
        let now_ns = self.clock.now_ns();
        if inner.last_clock_ns.is_none_or(|last| now_ns - last >= SILENCE_NS) {
            inner.desync = None;
            inner.line = 0;
            inner.next_slot = inner.slot(now_ns / 1000).map_or(0, |slot| slot + 1);
        }
        for chunk in out.chunks_mut(PACKET_BYTES) {
            let now_us = self.clock.now_us();
            let shift = match inner.desync {
                Some(Desync::Shifted(by)) => usize::from(by) % PACKET_BYTES,
                _ => 0,
            };
            match <&mut PacketBytes>::try_from(&mut *chunk) {
                Ok(packet) if shift == 0 => inner.next_packet(packet, now_us, &self.scene),
                _ => {
                    let mut packet = [0; PACKET_BYTES];
                    inner.next_packet(&mut packet, now_us, &self.scene);
                    packet.rotate_left(shift);
                    chunk.copy_from_slice(&packet[..chunk.len()]);
                }
            }
            if now_us < inner.low_until_us {
                chunk.fill(0);
            }
            self.clock.advance_ns(chunk.len() as u64 * SPI_BYTE_NS);
        }
        inner.last_clock_ns = Some(self.clock.now_ns());
        Ok(())
    }
}

impl Inner {
    /// Power-up or restart: settings go back to what the maker delivers.
    fn start(&mut self, now_us: u64) {
        self.started_us = now_us;
        self.busy_until_us = 0;
        self.code = 0;
        self.agc = false;
        self.telemetry = false;
        self.footer = true;
        self.tlinear = self.radiometric == RadiometricCapability::TLinear;
        self.fine = true;
        self.gain = 0;
        self.ffc_mode = cci::FfcMode {
            automatic: true,
            period_ms: 180_000,
            temperature_step_ck: 150,
            imminent_frames: 150,
        }
        .words();
        self.ffc_begin_us = None;
        self.next_slot = 0;
        self.line = 0;
        self.late_total_us = 0;
        self.late_until_us = 0;
    }

    fn size(&self) -> (usize, usize) {
        match self.model {
            Model::Lepton2 => (80, 60),
            Model::Lepton3 => (160, 120),
        }
    }

    /// Period of segments (Lepton 3, 106 Hz) or frames (Lepton 2, 26.5 Hz), µs.
    fn period_us(&self) -> u64 {
        match self.model {
            Model::Lepton2 => 37_736,
            Model::Lepton3 => 9_434,
        }
    }

    /// Number of the newest segment or frame that is ready, counted from the start; `None` before the first.
    fn slot(&self, now_us: u64) -> Option<u64> {
        // During a delay, time stands still for the stream.
        let effective_us = now_us.max(self.late_until_us) - self.late_total_us;
        effective_us.checked_sub(self.started_us + BOOT_US)?.checked_div(self.period_us())
    }

    /// The unique frame that a slot belongs to, and the segment number in its packet 20.
    fn frame_of(&self, slot: u64) -> (u64, u8) {
        match self.model {
            Model::Lepton2 => (slot / 3, 1),
            Model::Lepton3 => (slot / 12, if slot % 12 < 4 { (slot % 12) as u8 + 1 } else { 0 }),
        }
    }

    fn video_packets(&self) -> u16 {
        match self.model {
            Model::Lepton2 => 60,
            Model::Lepton3 => 240,
        }
    }

    fn packets_per_segment(&self) -> u16 {
        match (self.model, self.telemetry) {
            (_, false) => 60,
            (Model::Lepton2, true) => 63,
            (Model::Lepton3, true) => 61,
        }
    }

    fn next_packet(&mut self, bytes: &mut PacketBytes, now_us: u64, scene: &impl ThermalScene) {
        bytes.fill(0xff);
        let Some(ready) = self.slot(now_us) else { return };
        if self.desync == Some(Desync::Discards) {
            return;
        }
        let patience = if self.line == 0 { 1 } else { 2 };
        if self.desync.is_none() && ready >= self.next_slot + patience {
            self.desync = Some(if self.rng.below(2) == 0 {
                Desync::Discards
            } else {
                Desync::Shifted(1 + self.rng.below(PACKET_BYTES as u32 - 1) as u8)
            });
        }
        if self.desync.is_some() {
            // Out of step, some segment is always on its way.
            self.next_slot = ready;
        }
        if ready < self.next_slot {
            return;
        }
        if self.drop > 0 {
            let n = self.drop.min(self.packets_per_segment() - 1 - self.line);
            self.line += n;
            self.drop -= n;
        }
        self.fill_packet(bytes, scene);
        self.line += 1;
        if self.line >= self.packets_per_segment() {
            self.line = 0;
            self.next_slot += 1;
        }
        if self.corrupt > 0 {
            self.corrupt -= 1;
            // Not in the bits that the CRC leaves out, nor so that the packet reads as a discard packet.
            let bit = 16 + self.rng.below(PACKET_BYTES as u32 * 8 - 16) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    fn fill_packet(&mut self, bytes: &mut PacketBytes, scene: &impl ThermalScene) {
        let (frame, segment) = self.frame_of(self.next_slot);
        let slots = match self.model {
            Model::Lepton2 => 3,
            Model::Lepton3 => 12,
        };
        let origin_us = self.started_us + BOOT_US + self.late_total_us;
        let mut time_us = origin_us + frame * slots * self.period_us();
        let frozen_us = match self.ffc_begin_us {
            Some(begin) if (begin..begin + FFC_US).contains(&time_us) => Some(begin),
            _ if (self.stuck_at_us..self.stuck_until_us).contains(&time_us) => Some(self.stuck_at_us),
            _ => None,
        };
        time_us = frozen_us.unwrap_or(time_us);
        let counter = (time_us.saturating_sub(origin_us) / (slots * self.period_us())) as u32;

        let segment_bits =
            if self.model == Model::Lepton3 && self.line == 20 { u16::from(segment) << 12 } else { 0 };
        bytes[..2].copy_from_slice(&(segment_bits | self.line).to_be_bytes());
        let index = u16::from(segment.max(1) - 1) * self.packets_per_segment() + self.line;
        let rows = if self.model == Model::Lepton3 { 4 } else { 3 };
        let (video, row) = match (self.telemetry, self.footer) {
            (false, _) => (Some(index), 0),
            (true, true) => {
                ((index < self.video_packets()).then_some(index), index.saturating_sub(self.video_packets()))
            }
            (true, false) => (index.checked_sub(rows), index),
        };
        if let Some(video) = video {
            let (width, _) = self.size();
            let first = usize::from(video) * 80;
            for (i, word) in bytes[4..].chunks_exact_mut(2).enumerate() {
                let (x, y) = ((first + i) % width, (first + i) / width);
                let n = noise(self.seed ^ u64::from(counter), (first + i) as u64);
                let value = self.count(scene.millikelvin(x, y, self.size(), time_us), n);
                word.copy_from_slice(&value.to_be_bytes());
            }
        } else {
            bytes[4..].fill(0);
            let mut put =
                |i: usize, value: u16| bytes[4 + 2 * i..6 + 2 * i].copy_from_slice(&value.to_be_bytes());
            match row {
                0 => {
                    let real_us =
                        self.started_us + BOOT_US + self.next_slot * self.period_us() + self.late_total_us;
                    let uptime = ((real_us - self.started_us) / 1000) as u32;
                    let ffc = self.ffc_state(real_us);
                    let status = ffc << 4 | u32::from(self.agc) << 12;
                    let last_ffc = self.ffc_begin_us.map_or(0, |b| ((b - self.started_us) / 1000) as u32);
                    put(0, 0x0e0a);
                    for (i, value) in [(1, uptime), (3, status), (20, counter), (30, last_ffc)] {
                        put(i, value as u16);
                        put(i + 1, (value >> 16) as u16);
                    }
                    put(22, 8192);
                    put(24, 30_512);
                    put(26, 30_015);
                }
                2 => {
                    put(166 - 160, u16::from(self.gain == 1));
                    put(208 - 160, u16::from(self.tlinear));
                    put(209 - 160, u16::from(self.fine));
                }
                _ => {}
            }
        }
        let crc = packet::crc(bytes);
        bytes[2..4].copy_from_slice(&crc.to_be_bytes());
    }

    /// The word that a pixel at a temperature gives: about 25 counts per kelvin around 8192 at 300 K.
    fn count(&self, millikelvin: i32, noise: i32) -> u16 {
        let value = if self.agc {
            ((millikelvin - 250_000) / 300 + noise).clamp(0, 255)
        } else if self.tlinear {
            (millikelvin / if self.fine { 10 } else { 100 } + 5 * noise).clamp(0, 65_535)
        } else {
            (8192 + (millikelvin - 300_000) / 40 + noise).clamp(0, 16_383)
        };
        value as u16
    }

    fn ffc_state(&self, now_us: u64) -> u32 {
        match self.ffc_begin_us {
            None => 0,
            Some(begin) if (begin..begin + FFC_US).contains(&now_us) => 2,
            Some(_) => 3,
        }
    }
}

/// The SPI side of a [`LeptonSim`].
#[derive(Debug)]
pub struct LeptonSpi<'s, 'c, S>(&'s LeptonSim<'c, S>);

impl<S> spi::ErrorType for LeptonSpi<'_, '_, S> {
    type Error = BusError;
}

impl<S: ThermalScene> SpiDevice for LeptonSpi<'_, '_, S> {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), BusError> {
        for operation in operations {
            match operation {
                spi::Operation::Read(out)
                | spi::Operation::Transfer(out, _)
                | spi::Operation::TransferInPlace(out) => {
                    self.0.spi_bytes(out)?;
                }
                spi::Operation::Write(bytes) => self.0.clock.advance_ns(bytes.len() as u64 * SPI_BYTE_NS),
                spi::Operation::DelayNs(ns) => self.0.clock.advance_ns(u64::from(*ns)),
            }
        }
        Ok(())
    }
}
