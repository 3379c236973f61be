//! The file system of the emulated machine, as a cpio archive in the "newc" format that the kernel unpacks.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive in the making.
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// An archive with these folders, outer ones first.
    pub(super) fn new(folders: &[&str]) -> Self {
        let mut archive = Self { bytes: Vec::new(), entries: 0 };
        for folder in folders {
            archive.entry(folder, DIRECTORY, &[]);
        }
        archive
    }

    /// Adds a file of this machine.
    pub(super) fn file(&mut self, name: &str, from: &Path) -> Result<()> {
        let data = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.entry(name, PROGRAM, &data);
        Ok(())
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.entry(name, PROGRAM, text.as_bytes());
    }

    /// Writes the archive.
    pub(super) fn write(mut self, to: &Path) -> Result<()> {
        self.entry("TRAILER!!!", 0, &[]);
        fs::write(to, &self.bytes).with_context(|| format!("cannot write {}", to.display()))
    }

    /// Header of 13 numbers in hexadecimal, name and data, the latter two each filled up to four bytes.
    fn entry(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.entries += 1;
        let links = 1;
        let numbers =
            [self.entries, mode, 0, 0, links, 0, data.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for number in numbers {
            self.bytes.extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.fill();
        self.bytes.extend_from_slice(data);
        self.fill();
    }

    fn fill(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
