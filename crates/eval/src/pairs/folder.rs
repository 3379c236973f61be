//! Which file belongs to which.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::load::{ImageError, Infrared, Rgb8, load_infrared, load_visible};

/// Extensions that are taken for images, in lower case.
const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp", "gif"];

/// A visible and an infrared image of one scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The file stem that both share.
    pub name: String,
    /// The visible image.
    pub visible: PathBuf,
    /// The infrared image.
    pub infrared: PathBuf,
}

impl Pair {
    /// Decodes both images. Their sizes may differ: aligning them is the caller's part.
    ///
    /// # Errors
    /// [`ImageError`] of the first file that cannot be used.
    pub fn load(&self) -> Result<(Rgb8, Infrared), ImageError> {
        Ok((load_visible(&self.visible)?, load_infrared(&self.infrared)?))
    }
}

/// Two folders, paired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairing {
    /// The pairs in the order of their names.
    pub pairs: Vec<Pair>,
    /// Visible images without an infrared partner.
    pub only_visible: Vec<PathBuf>,
    /// Infrared images without a visible partner.
    pub only_infrared: Vec<PathBuf>,
    /// Files that are not images by their extension.
    pub other: Vec<PathBuf>,
}

/// Why two folders give no pairs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// A folder cannot be listed.
    #[error("cannot list the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// One folder is given for both bands.
    #[error("{} is given as visible and as infrared folder: put the two bands into two folders", path.display())]
    SameFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Two images of one folder share a stem.
    #[error("{} and {} have the same name up to the extension: remove or rename one", first.display(), second.display())]
    Ambiguous {
        /// The one image.
        first: PathBuf,
        /// The other image.
        second: PathBuf,
    },
    /// No stem occurs in both folders.
    #[error(
        "no pairs: {visible_images} images in {} and {infrared_images} in {} share no file name; \
         name partners alike, such as vis/0001.jpg and ir/0001.png",
        visible.display(),
        infrared.display()
    )]
    NoPairs {
        /// The visible folder.
        visible: PathBuf,
        /// Images in it.
        visible_images: usize,
        /// The infrared folder.
        infrared: PathBuf,
        /// Images in it.
        infrared_images: usize,
    },
}

impl Pairing {
    /// Pairs the images of two folders (not of their subfolders) by file stem. Hidden files are passed over.
    ///
    /// # Errors
    /// [`PairError`] when a folder cannot be listed, both are the same, a stem occurs twice in one folder, or no pair is
    /// found. Images without partner are no error: they are listed in the result.
    pub fn of(visible: &Path, infrared: &Path) -> Result<Self, PairError> {
        let mut out = Self::default();
        let mut left = list(visible, &mut out.other)?;
        let right = list(infrared, &mut out.other)?;
        if let (Ok(a), Ok(b)) = (visible.canonicalize(), infrared.canonicalize())
            && a == b
        {
            return Err(PairError::SameFolder { path: visible.to_owned() });
        }
        let counts = (left.len(), right.len());
        for (stem, infrared) in right {
            match left.remove(&stem) {
                Some(visible) => {
                    out.pairs.push(Pair { name: stem.to_string_lossy().into_owned(), visible, infrared });
                }
                None => out.only_infrared.push(infrared),
            }
        }
        out.only_visible.extend(left.into_values());
        if out.pairs.is_empty() {
            return Err(PairError::NoPairs {
                visible: visible.to_owned(),
                visible_images: counts.0,
                infrared: infrared.to_owned(),
                infrared_images: counts.1,
            });
        }
        Ok(out)
    }

    /// Pairs `DIR/vis` with `DIR/ir`.
    ///
    /// # Errors
    /// As [`Pairing::of`].
    pub fn under(dir: &Path) -> Result<Self, PairError> {
        Self::of(&dir.join("vis"), &dir.join("ir"))
    }

    /// One line that names the files without partner, or `None` when there are none.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let part = |files: &[PathBuf], what: &str| {
            let first = files.first()?;
            let more = if files.len() > 1 { ", …" } else { "" };
            Some(format!("{} {what} without partner ({}{more})", files.len(), first.display()))
        };
        let parts: Vec<String> = [part(&self.only_visible, "visible"), part(&self.only_infrared, "infrared")]
            .into_iter()
            .flatten()
            .collect();
        (!parts.is_empty()).then(|| format!("left out: {}", parts.join("; ")))
    }
}

/// Images of a folder by stem, in order; other files are added to `other`.
fn list(dir: &Path, other: &mut Vec<PathBuf>) -> Result<BTreeMap<OsString, PathBuf>, PairError> {
    let failed = |source| PairError::Folder { path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    files.sort();
    let mut images = BTreeMap::new();
    for path in files {
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if hidden || path.is_dir() {
            continue;
        }
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        let Some(stem) = path.file_stem().filter(|_| EXTENSIONS.iter().any(|&e| extension == e)) else {
            other.push(path);
            continue;
        };
        if let Some(first) = images.insert(stem.to_owned(), path.clone()) {
            return Err(PairError::Ambiguous { first, second: path });
        }
    }
    Ok(images)
}
