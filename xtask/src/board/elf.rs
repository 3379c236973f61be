//! What a firmware image takes of the part: sizes of the sections of a 32-bit little-endian ELF file.

use anyhow::{Context, Result};

const NOBITS: u32 = 8;
const WRITE: u32 = 1;
const ALLOC: u32 = 2;

/// Bytes of an image.
pub(crate) struct Sizes {
    /// What is stored: code, constants, and the initial values of data.
    pub(crate) flash: u32,
    /// Data, zeroed or not; without the stack.
    pub(crate) ram: u32,
}

/// Measures an image.
pub(crate) fn sizes(image: &[u8]) -> Result<Sizes> {
    measure(image).context("the firmware is no 32-bit little-endian ELF file")
}

fn measure(image: &[u8]) -> Option<Sizes> {
    let half = |at: usize| Some(u16::from_le_bytes(image.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?));
    if image.get(..6)? != b"\x7fELF\x01\x01" {
        return None;
    }
    let (table, size, count) = (word(0x20)? as usize, usize::from(half(0x2e)?), usize::from(half(0x30)?));
    let mut sizes = Sizes { flash: 0, ram: 0 };
    for i in 0..count {
        let at = table + i * size;
        let (kind, flags, bytes) = (word(at + 4)?, word(at + 8)?, word(at + 20)?);
        if flags & ALLOC != 0 {
            sizes.flash += if kind == NOBITS { 0 } else { bytes };
            sizes.ram += if flags & WRITE == 0 { 0 } else { bytes };
        }
    }
    Some(sizes)
}
