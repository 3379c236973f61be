//! Writing files so that nothing is ever half-written: beside, then renamed.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::{DynamicImage, ImageFormat};

/// Fails now if `path` could not be written later, for commands that work long before they write.
pub(crate) fn expect_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!("cannot write {}: folder {} does not exist; create it first", path.display(), folder.display());
    }
    Ok(())
}

/// Writes `bytes` to `path`, replacing what was there only when all of them are on disk.
pub(crate) fn file(path: &Path, bytes: &[u8]) -> Result<()> {
    expect_folder(path)?;
    let folder = folder_of(path);
    let failed = || format!("cannot write {}", path.display());
    let mut beside = tempfile::Builder::new()
        .prefix(".fusionproxy-")
        .suffix(".partial")
        .tempfile_in(folder)
        .with_context(|| {
            format!("cannot write {}: is folder {} writable?", path.display(), folder.display())
        })?;
    beside.write_all(bytes).with_context(failed)?;
    beside.as_file().sync_all().with_context(failed)?;
    // A temporary file is private; a result is as readable as any other new file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        beside.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).with_context(failed)?;
    }
    beside.persist(path).map_err(|e| e.error).with_context(failed)?;
    Ok(())
}

/// Encodes a picture by the ending of `path` (PNG, JPEG, TIFF, BMP or WebP) and writes it.
pub(crate) fn picture(path: &Path, picture: &DynamicImage) -> Result<()> {
    let format = picture_format(path)?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).with_context(|| format!("cannot encode {}", path.display()))?;
    file(path, bytes.get_ref())
}

/// The picture format of a file name that we can write.
pub(crate) fn picture_format(path: &Path) -> Result<ImageFormat> {
    match ImageFormat::from_path(path) {
        Ok(
            f @ (ImageFormat::Png
            | ImageFormat::Jpeg
            | ImageFormat::Tiff
            | ImageFormat::Bmp
            | ImageFormat::WebP),
        ) => Ok(f),
        _ => bail!(
            "cannot tell a picture format from `{}`; end the name in .png, .jpg, .tiff, .bmp or .webp",
            path.display()
        ),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// Creates a folder for results if it is not there.
pub(crate) fn make_folder(path: &Path) -> Result<PathBuf> {
    if path.exists() && !path.is_dir() {
        bail!("{} is a file, not a folder; name another output", path.display());
    }
    std::fs::create_dir_all(path).with_context(|| format!("cannot create folder {}", path.display()))?;
    Ok(path.to_path_buf())
}
