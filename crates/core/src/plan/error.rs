//! Why a network cannot be planned.

use core::fmt;

use fusionproxy_format::LoadError;
use fusionproxy_kernels::GeometryError;

use crate::frame::FrameError;

/// A name out of the artifact, kept in the error itself; long ones are cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    bytes: [u8; Self::CAPACITY],
    len: u8,
    cut: bool,
}

impl Label {
    const CAPACITY: usize = 62;

    /// Keeps `name`, or as many of its first characters as fit.
    pub fn new(name: &str) -> Self {
        let end = name.floor_char_boundary(Self::CAPACITY);
        let mut bytes = [0; Self::CAPACITY];
        for (to, from) in bytes.iter_mut().zip(name.bytes().take(end)) {
            *to = from;
        }
        Self { bytes, len: end as u8, cut: end < name.len() }
    }

    /// The name as far as it was kept.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|b| core::str::from_utf8(b).ok()).unwrap_or("")
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}{}'", self.as_str(), if self.cut { "…" } else { "" })
    }
}

/// Why [`super::Plan::new`] refused a network, a frame or its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// The frame has no pixels, or too many.
    Frame(FrameError),
    /// The network runs at one size only and the frame is larger, height and width in px.
    Pinned {
        /// That size.
        needed: (usize, usize),
        /// The frame's.
        found: (usize, usize),
    },
    /// Storage for too few tensors.
    TensorSlots {
        /// Tensors of the artifact.
        needed: usize,
        /// Slots given.
        given: usize,
    },
    /// Storage for too few steps.
    Steps {
        /// Operators of the artifact.
        needed: usize,
        /// Steps given.
        given: usize,
    },
    /// A tensor has no whole positive size at this frame.
    Extent {
        /// Its number.
        index: usize,
        /// Its name.
        name: Label,
        /// Height and width of the padded frame, px.
        frame: (usize, usize),
    },
    /// A tensor of the network's interface differs from the frame in size.
    Interface {
        /// Its name.
        name: Label,
        /// Its height and width, px.
        found: (usize, usize),
        /// The padded frame's.
        needed: (usize, usize),
    },
    /// A tensor takes 2 GiB or more.
    TensorTooLarge {
        /// Its number.
        index: usize,
        /// Its name.
        name: Label,
    },
    /// The arena is larger than the address space.
    ArenaTooLarge,
    /// An operator does not fit its tensors at this frame.
    Geometry {
        /// Its number.
        index: usize,
        /// Its name.
        name: Label,
        /// The relation that is broken.
        error: GeometryError,
    },
    /// A record of the artifact cannot be read; a checked artifact has none such.
    Artifact(LoadError),
}

impl From<LoadError> for PlanError {
    fn from(e: LoadError) -> Self {
        Self::Artifact(e)
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Frame(e) => write!(f, "frame: {e}"),
            Self::Pinned { needed, found } => write!(
                f,
                "the network is pinned to {}x{} px (height x width), smaller frames are padded, this one has {}x{}: \
                 scale it down, or compile the network for its size",
                needed.0, needed.1, found.0, found.1
            ),
            Self::TensorSlots { needed, given } => {
                write!(
                    f,
                    "storage for {given} tensors, the artifact has {needed}: give {needed} `TensorSlot`s"
                )
            }
            Self::Steps { needed, given } => {
                write!(
                    f,
                    "storage for {given} steps, the artifact has {needed} operators: give {needed} `Step`s"
                )
            }
            Self::Extent { index, name, frame } => write!(
                f,
                "tensor {index} {name} has no whole, positive size for a frame of {}x{} px (height x width): use a \
                 larger frame, or compile the network again with its true stride",
                frame.0, frame.1
            ),
            Self::Interface { name, found, needed } => write!(
                f,
                "tensor {name} is {}x{} px (height x width) where the padded frame is {}x{}: compile the network so \
                 that its inputs and its output have the frame's size",
                found.0, found.1, needed.0, needed.1
            ),
            Self::TensorTooLarge { index, name } => {
                write!(f, "tensor {index} {name} takes 2 GiB or more: scale the frame down")
            }
            Self::ArenaTooLarge => {
                f.write_str("the arena is larger than the address space: scale the frame down")
            }
            Self::Geometry { index, name, error } => write!(
                f,
                "operator {index} {name} does not fit this frame: {error}; use a larger frame, or compile the network \
                 again with its true stride"
            ),
            Self::Artifact(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for PlanError {}
