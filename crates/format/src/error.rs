//! Why an artifact was refused.

use core::fmt;

/// Why [`crate::Artifact::new`] refused some bytes. Each variant names the field at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// Fewer bytes than a header, or than the header's `file_bytes`.
    Truncated {
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// More bytes than the header's `file_bytes`.
    TrailingBytes {
        /// Bytes given.
        found: usize,
        /// Bytes that belong to the artifact.
        expected: usize,
    },
    /// The first bytes are not those of an artifact.
    NotAnArtifact,
    /// Written by another version of the compiler.
    Version {
        /// Version in the file.
        found: u16,
    },
    /// The bytes were altered after they had been written.
    Checksum {
        /// CRC-32 of the bytes.
        computed: u32,
        /// CRC-32 in the header.
        stored: u32,
    },
    /// The bytes do not start at a multiple of [`crate::Artifact::BASE_ALIGNMENT`].
    Misaligned,
    /// A field of the header is out of range.
    Header(&'static str),
    /// A field of a tensor is out of range.
    Tensor {
        /// Number of the tensor.
        index: usize,
        /// The field and what is wrong with it.
        field: &'static str,
    },
    /// A field of an operator is out of range.
    Op {
        /// Number of the operator.
        index: usize,
        /// The field and what is wrong with it.
        field: &'static str,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { found, needed } => {
                write!(f, "artifact is cut short: {found} bytes of {needed}; copy or compile it again")
            }
            Self::TrailingBytes { found, expected } => {
                write!(
                    f,
                    "artifact has {found} bytes where its header says {expected}; copy or compile it again"
                )
            }
            Self::NotAnArtifact => f.write_str(
                "not an .fpx artifact: the first 8 bytes differ; make one with `fusionproxy compile`",
            ),
            Self::Version { found } => write!(
                f,
                "artifact version {found}, this runtime reads version {}; compile the network again with this release",
                crate::VERSION
            ),
            Self::Checksum { computed, stored } => write!(
                f,
                "artifact is corrupt: checksum {computed:08x}, header says {stored:08x}; copy or compile it again"
            ),
            Self::Misaligned => write!(
                f,
                "artifact bytes must start at a multiple of {} bytes; place them in an aligned static or memory map",
                crate::Artifact::BASE_ALIGNMENT
            ),
            Self::Header(field) => write!(f, "artifact header: {field}; compile the network again"),
            Self::Tensor { index, field } => {
                write!(f, "artifact tensor {index}: {field}; compile the network again")
            }
            Self::Op { index, field } => {
                write!(f, "artifact operator {index}: {field}; compile the network again")
            }
        }
    }
}

impl core::error::Error for LoadError {}
