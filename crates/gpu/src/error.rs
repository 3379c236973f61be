//! Why a network cannot be compiled.

use alloc::string::String;
use core::fmt;

use fusionproxy_core::plan::PlanError;
use fusionproxy_format::LoadError;

/// Why [`crate::Program::new`] refused a network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgramError {
    /// The network does not fit the frame.
    Plan(PlanError),
    /// A table of the artifact contradicts itself.
    Load(LoadError),
    /// There is no shader for this form of an operator.
    Unsupported {
        /// Its number.
        op: usize,
        /// Its name.
        name: String,
        /// Which form.
        what: &'static str,
    },
    /// One dispatch would bind more buffers than the adapter allows.
    Bindings {
        /// Tensor that it computes.
        name: String,
        /// Buffers it needs.
        needed: usize,
        /// What the adapter allows.
        limit: usize,
    },
    /// A tensor is larger than the adapter lets a binding be.
    Binding {
        /// The tensor.
        name: String,
        /// Its bytes.
        bytes: usize,
        /// What the adapter allows.
        limit: usize,
    },
    /// More workgroups in one dimension than every WebGPU device allows.
    Workgroups {
        /// Tensor that the dispatch computes.
        name: String,
    },
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(e) => e.fmt(f),
            Self::Load(e) => e.fmt(f),
            Self::Unsupported { op, name, what } => {
                write!(f, "operator {op} '{name}': no shader computes {what}; run this network on the CPU")
            }
            Self::Bindings { name, needed, limit } => write!(
                f,
                "'{name}' needs {needed} storage buffers in one dispatch and the device allows {limit}: request a \
                 device with a higher maxStorageBuffersPerShaderStage, or run this network on the CPU"
            ),
            Self::Binding { name, bytes, limit } => write!(
                f,
                "'{name}' takes {bytes} bytes and the device binds {limit} at most: use smaller frames, or request a \
                 device with a higher maxStorageBufferBindingSize"
            ),
            Self::Workgroups { name } => {
                write!(f, "'{name}' takes more workgroups than a device allows: use smaller frames")
            }
        }
    }
}

impl core::error::Error for ProgramError {}

impl From<PlanError> for ProgramError {
    fn from(e: PlanError) -> Self {
        Self::Plan(e)
    }
}

impl From<LoadError> for ProgramError {
    fn from(e: LoadError) -> Self {
        Self::Load(e)
    }
}
