//! Frames as files: whole or not there at all, and never more than so many.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use image::ImageEncoder;
use image::codecs::png::PngEncoder;

use crate::config::{FrameFormat, Frames};
use crate::log;
use crate::picture::{Hub, Picture};

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[output.frames] `folder`: cannot write to {}: {source}; make it writable for the user of the daemon", .folder.display())]
pub(crate) struct FramesError {
    folder: PathBuf,
    source: io::Error,
}

/// Starts writing.
pub(crate) fn start(config: Frames, hub: Arc<Hub>) -> Result<(), FramesError> {
    let at = |source| FramesError { folder: config.folder.clone(), source };
    fs::create_dir_all(&config.folder).map_err(at)?;
    let probe = config.folder.join(".fusionproxyd");
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(at)?;
    let kept = existing(&config).map_err(at)?;
    let folder = config.folder.clone();
    let writer = Writer { config, kept };
    let thread = thread::Builder::new().name("frames".to_owned());
    thread.spawn(move || writer.run(&hub)).map_err(|source| FramesError { folder, source })?;
    Ok(())
}

/// Files of an earlier run, oldest first: they count towards those that are kept.
fn existing(config: &Frames) -> io::Result<VecDeque<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(&config.folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|n| n.starts_with("frame-") && n.ends_with(ending(config.format))) {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

const fn ending(format: FrameFormat) -> &'static str {
    match format {
        FrameFormat::Png => ".png",
        FrameFormat::Jpeg => ".jpg",
    }
}

struct Writer {
    config: Frames,
    kept: VecDeque<PathBuf>,
}

impl Writer {
    fn run(mut self, hub: &Hub) {
        let (mut seen, mut due, mut failing) = (0, 0, false);
        loop {
            let Some(picture) = hub.newer(seen, Duration::from_secs(3600)) else { continue };
            seen = picture.number;
            if seen < due {
                continue;
            }
            due = seen + self.config.every;
            let result = self.write(&picture);
            if let Err(e) = &result
                && !failing
            {
                log::warn(format_args!("cannot write frames to {}: {e}", self.config.folder.display()));
            }
            failing = result.is_err();
        }
    }

    fn write(&mut self, picture: &Picture) -> io::Result<()> {
        // Time first, so that the files of several runs sort in order.
        let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let name = format!("frame-{since_1970}-{:08x}{}", picture.status.0, ending(self.config.format));
        let path = self.config.folder.join(name);
        let partial = path.with_extension("partial");
        fs::write(&partial, encode(picture, self.config.format)?)?;
        fs::rename(&partial, &path)?;
        self.kept.push_back(path);
        while self.kept.len() > self.config.keep {
            let Some(oldest) = self.kept.pop_front() else { break };
            remove(&oldest)?;
        }
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Somebody else has tidied up.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn encode(picture: &Picture, format: FrameFormat) -> io::Result<Vec<u8>> {
    if format == FrameFormat::Jpeg {
        return Ok(picture.jpeg().map_err(io::Error::other)?.to_vec());
    }
    let mut png = Vec::new();
    let (width, height) = (picture.size.0 as u32, picture.size.1 as u32);
    PngEncoder::new(&mut png)
        .write_image(&picture.rgb, width, height, image::ExtendedColorType::Rgb8)
        .map_err(io::Error::other)?;
    Ok(png)
}
