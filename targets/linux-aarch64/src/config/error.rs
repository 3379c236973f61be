//! What can be wrong with a configuration.

use std::path::PathBuf;

/// A configuration that cannot be used. Every message names the file, the line, the key and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is not TOML.
    #[error("{}:{line}: not valid TOML: {message}", .path.display())]
    Syntax { path: PathBuf, line: usize, message: String },
    /// A key or value that the schema does not have.
    #[error("{}:{line}: {message}", .path.display())]
    Schema { path: PathBuf, line: usize, message: String },
}
