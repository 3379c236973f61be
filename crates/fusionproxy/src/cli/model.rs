//! The model argument.

use std::path::Path;

use anyhow::Result;

use crate::Model;

/// A file if the word looks like one or is one, else a built-in model.
pub(crate) fn open(word: &str) -> Result<Model> {
    let path = Path::new(word);
    let is_file =
        path.extension().is_some_and(|e| e == "fpx") || word.contains(['/', '\\']) || path.is_file();
    Ok(if is_file { Model::open(path)? } else { Model::built_in(word)? })
}
