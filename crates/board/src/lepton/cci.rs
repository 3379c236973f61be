//! The command and control interface: one command from the first busy check to its result (FLIR Lepton software
//! interface description 110-0144-04, sections 2 and 4).
//!
//! Registers are 16 bits wide with 16-bit addresses, both high byte first, and auto-increment. A command is written
//! only while the camera is not busy; its result code and data are read when it is not busy again.

use core::fmt;

use crate::bus::{Transfer, Want};

/// I²C address of the camera.
pub const ADDRESS: u8 = 0x2a;

/// Registers.
pub mod register {
    /// Bit 0 busy, bit 1 boot mode, bit 2 booted, bits 15 to 8 the result of the last command (0, or a negative code).
    pub const STATUS: u16 = 0x0002;
    /// Writing starts the command.
    pub const COMMAND: u16 = 0x0004;
    /// Number of data words.
    pub const DATA_LENGTH: u16 = 0x0006;
    /// First of 16 data registers, up to 0x0026.
    pub const DATA: u16 = 0x0008;
}

/// Status bit: a command is in progress.
pub const STATUS_BUSY: u16 = 1;
/// Status bits of a camera that has started: boot mode normal, boot complete.
pub const STATUS_BOOTED: u16 = 0x0006;

/// Most words that a command of this driver carries.
pub const MAX_WORDS: usize = 16;

/// How often a busy camera is asked again, µs.
const POLL_US: u64 = 1_000;
/// A command that takes longer has failed, µs. Running a flat-field correction takes well under a second.
const TIMEOUT_US: u64 = 2_000_000;

/// An attribute or action of the camera: its command ID without the access type, and its length in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// Module and attribute, a multiple of 4. OEM and RAD carry the protection bit 0x4000.
    pub id: u16,
    /// Words of its value; 0 for an action.
    pub words: u8,
}

/// The attributes that the driver uses.
pub mod attribute {
    use super::Attribute;

    /// AGC: 0 off, 1 on.
    pub const AGC_ENABLE: Attribute = Attribute { id: 0x0100, words: 2 };
    /// SYS: answers with success.
    pub const PING: Attribute = Attribute { id: 0x0200, words: 0 };
    /// SYS: time since start, ms.
    pub const UPTIME: Attribute = Attribute { id: 0x020c, words: 2 };
    /// SYS: temperature of the housing, 10 mK.
    pub const HOUSING_TEMPERATURE: Attribute = Attribute { id: 0x0210, words: 1 };
    /// SYS: temperature of the focal plane array, 10 mK.
    pub const FPA_TEMPERATURE: Attribute = Attribute { id: 0x0214, words: 1 };
    /// SYS: 0 off, 1 on.
    pub const TELEMETRY_ENABLE: Attribute = Attribute { id: 0x0218, words: 2 };
    /// SYS: 0 header, 1 footer.
    pub const TELEMETRY_LOCATION: Attribute = Attribute { id: 0x021c, words: 2 };
    /// SYS: mode of the flat-field correction and its shutter; see [`FfcMode`](super::FfcMode).
    pub const FFC_MODE: Attribute = Attribute { id: 0x023c, words: 16 };
    /// SYS: runs a flat-field correction.
    pub const RUN_FFC: Attribute = Attribute { id: 0x0240, words: 0 };
    /// SYS: 0 ready, 1 busy, negative on error.
    pub const FFC_STATUS: Attribute = Attribute { id: 0x0244, words: 2 };
    /// SYS: 0 high, 1 low, 2 automatic.
    pub const GAIN_MODE: Attribute = Attribute { id: 0x0248, words: 2 };
    /// SYS: 0 never, 1 imminent, 2 in progress, 3 complete.
    pub const FFC_STATE: Attribute = Attribute { id: 0x024c, words: 2 };
    /// OEM: part number, 32 characters.
    pub const PART_NUMBER: Attribute = Attribute { id: 0x481c, words: 16 };
    /// OEM: restarts the camera.
    pub const REBOOT: Attribute = Attribute { id: 0x4840, words: 0 };
    /// RAD: radiometry 0 off, 1 on.
    pub const RADIOMETRY_ENABLE: Attribute = Attribute { id: 0x4e10, words: 2 };
    /// RAD: pixels are temperatures, 0 off, 1 on.
    pub const TLINEAR_ENABLE: Attribute = Attribute { id: 0x4ec0, words: 2 };
    /// RAD: unit of such a pixel, 0 for 100 mK, 1 for 10 mK.
    pub const TLINEAR_RESOLUTION: Attribute = Attribute { id: 0x4ec4, words: 2 };
}

/// What to do with an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Access {
    /// Read it.
    Get = 0,
    /// Write it.
    Set = 1,
    /// Run the action.
    Run = 2,
}

/// A command that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CciError {
    /// The camera answered with a negative result code.
    Refused {
        /// The command ID with its access type.
        command: u16,
        /// The code; for example −6 out of range, −9 undefined function.
        code: i8,
    },
    /// The camera stayed busy for 2 s.
    Timeout {
        /// The command ID with its access type.
        command: u16,
    },
    /// The camera answers, but it has not started, or it restarted during the command.
    NotBooted,
}

impl fmt::Display for CciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { command, code } => write!(
                f,
                "Lepton refused command {command:#06x} with code {code}: this model or setting does not support it"
            ),
            Self::Timeout { command } => {
                write!(
                    f,
                    "Lepton stayed busy with command {command:#06x} for 2 s: check its supply, or restart it"
                )
            }
            Self::NotBooted => {
                f.write_str("Lepton has not started: wait, and check its master clock and reset lines")
            }
        }
    }
}

impl core::error::Error for CciError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WaitReady,
    WriteData,
    WriteLength,
    WriteCommand,
    WaitDone,
    ReadData,
}

/// One command in progress. It does no input or output: it says which transfer it wants and is told when that is done.
/// A transfer that the bus failed may be repeated by asking for it again.
#[derive(Debug, Clone)]
pub struct Exchange {
    attribute: Attribute,
    access: Access,
    phase: Phase,
    deadline_us: u64,
    not_before_us: u64,
    /// The register address and the words on the wire.
    out: [u8; 2 + 2 * MAX_WORDS],
    input: [u8; 2 * MAX_WORDS],
}

impl Exchange {
    /// A command that begins at `now_us`. `values` are the words to set; missing ones are 0 and surplus ones, beyond
    /// the attribute's length, are left out.
    #[must_use]
    pub fn new(attribute: Attribute, access: Access, values: &[u16], now_us: u64) -> Self {
        let mut out = [0; 2 + 2 * MAX_WORDS];
        out[..2].copy_from_slice(&register::DATA.to_be_bytes());
        for (bytes, value) in
            out[2..].chunks_exact_mut(2).zip(values.iter().take(usize::from(attribute.words)))
        {
            bytes.copy_from_slice(&value.to_be_bytes());
        }
        Self {
            attribute,
            access,
            phase: Phase::WaitReady,
            deadline_us: now_us + TIMEOUT_US,
            not_before_us: 0,
            out,
            input: [0; 2 * MAX_WORDS],
        }
    }

    /// Sets a 32-bit attribute, low word first.
    #[must_use]
    pub fn set(attribute: Attribute, value: u32, now_us: u64) -> Self {
        Self::new(attribute, Access::Set, &[value as u16, (value >> 16) as u16], now_us)
    }

    /// The command ID with its access type.
    #[must_use]
    pub const fn command(&self) -> u16 {
        self.attribute.id + self.access as u16
    }

    fn bytes(&self) -> usize {
        2 * usize::from(self.attribute.words).min(MAX_WORDS)
    }

    /// What to do next.
    pub fn want(&mut self, now_us: u64) -> Want<'_> {
        if now_us < self.not_before_us {
            return Want::Wait(self.not_before_us);
        }
        let bytes = self.bytes();
        let words = (bytes / 2) as u16;
        let mut register_write = |register: u16, value: u16| {
            // The data words stay untouched behind the first four bytes only in phases after they were sent.
            self.out[..2].copy_from_slice(&register.to_be_bytes());
            self.out[2..4].copy_from_slice(&value.to_be_bytes());
        };
        let (write, read) = match self.phase {
            Phase::WaitReady | Phase::WaitDone => {
                return Want::Transfer(Transfer {
                    address: ADDRESS,
                    write: const { &register::STATUS.to_be_bytes() },
                    read: &mut self.input[..2],
                });
            }
            Phase::WriteData => (2 + bytes, 0),
            Phase::WriteLength => {
                register_write(register::DATA_LENGTH, words);
                (4, 0)
            }
            Phase::WriteCommand => {
                register_write(register::COMMAND, self.attribute.id + self.access as u16);
                (4, 0)
            }
            Phase::ReadData => {
                self.out[..2].copy_from_slice(&register::DATA.to_be_bytes());
                (2, bytes)
            }
        };
        Want::Transfer(Transfer {
            address: ADDRESS,
            write: &self.out[..write],
            read: &mut self.input[..read],
        })
    }

    /// To be called after each transfer that the bus completed. `Some` when the command has ended.
    pub fn done(&mut self, now_us: u64) -> Option<Result<(), CciError>> {
        let has_data = self.attribute.words > 0;
        match self.phase {
            Phase::WaitReady | Phase::WaitDone => {
                let status = u16::from_be_bytes([self.input[0], self.input[1]]);
                if status & STATUS_BOOTED != STATUS_BOOTED {
                    return Some(Err(CciError::NotBooted));
                }
                if status & STATUS_BUSY != 0 {
                    if now_us >= self.deadline_us {
                        return Some(Err(CciError::Timeout { command: self.command() }));
                    }
                    self.not_before_us = now_us + POLL_US;
                    return None;
                }
                if self.phase == Phase::WaitReady {
                    self.phase = match self.access {
                        Access::Set if has_data => Phase::WriteData,
                        Access::Get if has_data => Phase::WriteLength,
                        _ => Phase::WriteCommand,
                    };
                    return None;
                }
                let code = (status >> 8) as u8 as i8;
                if code != 0 {
                    return Some(Err(CciError::Refused { command: self.command(), code }));
                }
                if self.access != Access::Get || !has_data {
                    return Some(Ok(()));
                }
                self.phase = Phase::ReadData;
            }
            Phase::WriteData => self.phase = Phase::WriteLength,
            Phase::WriteLength => self.phase = Phase::WriteCommand,
            Phase::WriteCommand => self.phase = Phase::WaitDone,
            Phase::ReadData => return Some(Ok(())),
        }
        None
    }

    /// Word `i` of the value that was read; 0 beyond its length, and after writing or running.
    #[must_use]
    pub fn word(&self, i: usize) -> u16 {
        match self.data().get(2 * i..2 * i + 2) {
            Some(b) => u16::from_be_bytes([b[0], b[1]]),
            None => 0,
        }
    }

    /// The value of a 32-bit attribute that was read.
    #[must_use]
    pub fn value(&self) -> u32 {
        u32::from(self.word(1)) << 16 | u32::from(self.word(0))
    }

    /// The bytes of the value that was read, as they came; none after writing or running.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        if self.access == Access::Get { &self.input[..self.bytes()] } else { &[] }
    }
}

/// When the camera levels its pixels against its shutter (SYS FFC mode, section 4.5.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FfcMode {
    /// The camera decides; otherwise only a command runs a correction.
    pub automatic: bool,
    /// Longest time between two corrections, ms; the camera's default is 180 000.
    pub period_ms: u32,
    /// Change of the camera's temperature that calls for one, in units of 10 mK; the default is 150 (1.5 K) on the
    /// newer models and 300 on the older ones.
    pub temperature_step_ck: u16,
    /// Warning before an automatic correction, frames; the default is 150 on the newer models and 52 on the older ones.
    pub imminent_frames: u16,
}

impl FfcMode {
    /// The words of the attribute. The video freezes during a correction, and the shutter's lock-out is left alone.
    #[must_use]
    pub const fn words(&self) -> [u16; 16] {
        let mut w = [0; 16];
        w[0] = self.automatic as u16;
        w[4] = 1; // videoFreezeDuringFFC
        w[10] = self.period_ms as u16;
        w[11] = (self.period_ms >> 16) as u16;
        w[14] = self.temperature_step_ck;
        w[15] = self.imminent_frames;
        w
    }

    /// From the words of the attribute.
    #[must_use]
    pub fn from_words(word: impl Fn(usize) -> u16) -> Self {
        Self {
            automatic: word(0) == 1,
            period_ms: u32::from(word(11)) << 16 | u32::from(word(10)),
            temperature_step_ck: word(14),
            imminent_frames: word(15),
        }
    }
}
