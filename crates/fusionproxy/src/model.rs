//! Artifacts in memory.

use std::path::Path;

use fusionproxy_format::{Artifact, LoadError};

use crate::AlignedBytes;

/// A checked artifact with its bytes.
pub struct Model {
    bytes: AlignedBytes,
}

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read model {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no artifact of this version.
    #[error("model {path}: {source}")]
    Load {
        /// The file.
        path: String,
        /// Why.
        source: LoadError,
    },
    /// There is no built-in model of this name.
    #[error("no built-in model `{name}`; there are {known}, or name an .fpx file")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// The released artifacts that are part of this library, as name, precision, bytes.
const BUILT_IN: [(&str, &str, &[u8]); 2] = [
    ("ultralight", "int8", include_bytes!("../../../models/ultralight/ultralight.int8.fpx")),
    ("ultralight", "fp16", include_bytes!("../../../models/ultralight/ultralight.fp16.fpx")),
];

impl Model {
    /// Reads and checks an artifact.
    ///
    /// # Errors
    /// [`ModelError::Read`] or [`ModelError::Load`], naming the file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let bytes =
            AlignedBytes::read(path).map_err(|source| ModelError::Read { path: name.clone(), source })?;
        Self::from_bytes(bytes).map_err(|source| ModelError::Load { path: name, source })
    }

    /// A built-in model: `NAME` (INT8) or `NAME.PRECISION`, such as `ultralight.fp16`.
    ///
    /// # Errors
    /// [`ModelError::Unknown`] lists the names that there are.
    pub fn built_in(name: &str) -> Result<Self, ModelError> {
        let (stem, precision) = name.split_once('.').unwrap_or((name, "int8"));
        let found = BUILT_IN.iter().find(|(n, p, _)| *n == stem && *p == precision);
        let Some((_, _, bytes)) = found else {
            let known = Self::built_in_names().collect::<Vec<_>>().join(", ");
            return Err(ModelError::Unknown { name: name.to_owned(), known });
        };
        Self::from_bytes(AlignedBytes::copy_of(bytes))
            .map_err(|source| ModelError::Load { path: name.to_owned(), source })
    }

    /// Names of the built-in models, with their precisions.
    pub fn built_in_names() -> impl Iterator<Item = String> {
        BUILT_IN.iter().map(|(name, precision, _)| format!("{name}.{precision}"))
    }

    /// Checks an artifact that is already in memory.
    ///
    /// # Errors
    /// [`LoadError`] names the field at fault.
    pub fn from_bytes(bytes: AlignedBytes) -> Result<Self, LoadError> {
        Artifact::new(bytes.as_ref())?;
        Ok(Self { bytes })
    }

    /// The artifact, borrowed from this model.
    ///
    /// # Errors
    /// None in practice: the bytes were checked when the model was made.
    pub fn artifact(&self) -> Result<Artifact<'_>, LoadError> {
        // Checked once; the checksum is most of what a check costs.
        Artifact::new_ignoring_checksum(self.bytes.as_ref())
    }
}
