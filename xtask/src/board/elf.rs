//! What a firmware image takes of the part: the sections of a 32-bit little-endian ELF file.

use std::ops::Range;

use anyhow::{Context, Result};

const LOAD: u32 = 1;
const NOBITS: u32 = 8;
const WRITE: u32 = 1;
const ALLOC: u32 = 2;

/// An image's demands.
pub(crate) struct Image {
    /// Bytes that are stored: code, constants, and the initial values of data.
    pub(crate) flash: u32,
    /// Bytes of data, zeroed or not; without the stack.
    pub(crate) ram: u32,
    /// Addresses that are written when it is flashed, and those that it uses when it runs.
    pub(crate) addresses: Vec<Range<u64>>,
}

impl Image {
    /// Reads an image.
    pub(crate) fn parse(image: &[u8]) -> Result<Self> {
        parse(image).context("the firmware is no 32-bit little-endian ELF file")
    }
}

fn parse(image: &[u8]) -> Option<Image> {
    let half = |at: usize| Some(u16::from_le_bytes(image.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?));
    if image.get(..6)? != b"\x7fELF\x01\x01" {
        return None;
    }
    let mut found = Image { flash: 0, ram: 0, addresses: Vec::new() };
    let (table, size, count) = (word(0x20)? as usize, usize::from(half(0x2e)?), usize::from(half(0x30)?));
    for i in 0..count {
        let at = table + i * size;
        let (kind, flags, bytes) = (word(at + 4)?, word(at + 8)?, word(at + 20)?);
        if flags & ALLOC != 0 {
            found.flash += if kind == NOBITS { 0 } else { bytes };
            found.ram += if flags & WRITE == 0 { 0 } else { bytes };
        }
    }
    let (table, size, count) = (word(0x1c)? as usize, usize::from(half(0x2a)?), usize::from(half(0x2c)?));
    for i in 0..count {
        let at = table + i * size;
        let (virtual_address, load_address) = (u64::from(word(at + 8)?), u64::from(word(at + 12)?));
        let (stored, used) = (u64::from(word(at + 16)?), u64::from(word(at + 20)?));
        if word(at)? == LOAD {
            let ranges = [(load_address, stored), (virtual_address, used)];
            found.addresses.extend(ranges.into_iter().filter(|r| r.1 > 0).map(|(at, n)| at..at + n));
        }
    }
    Some(found)
}
