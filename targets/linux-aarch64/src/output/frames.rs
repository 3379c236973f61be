//! Fused frames as files.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::folder::{Folder, FolderError};
use crate::config::{FrameFormat, Frames};
use crate::log;
use crate::picture::{Hub, Picture};

/// Starts writing.
pub(crate) fn start(config: Frames, hub: Arc<Hub>) -> Result<(), FolderError> {
    let place = config.folder.clone();
    let at = |source| FolderError { section: "frames", folder: place.clone(), source };
    let folder = Folder::open(place.clone(), "frame", ending(config.format), config.keep).map_err(at)?;
    let thread = thread::Builder::new().name("frames".to_owned());
    let writer = Writer { folder, config };
    thread.spawn(move || writer.run(&hub)).map_err(at)?;
    Ok(())
}

const fn ending(format: FrameFormat) -> &'static str {
    match format {
        FrameFormat::Png => ".png",
        FrameFormat::Jpeg => ".jpg",
    }
}

struct Writer {
    folder: Folder,
    config: Frames,
}

impl Writer {
    fn run(mut self, hub: &Hub) {
        let (mut seen, mut due, mut repeats) = (0, 0, log::Repeats::default());
        loop {
            let Some(picture) = hub.newer(seen, Duration::from_secs(3600)) else { continue };
            seen = picture.number;
            if seen < due {
                continue;
            }
            due = seen + self.config.every;
            if let Err(e) = self.write(&picture) {
                repeats.warn(format_args!("cannot write frames to {}: {e}", self.config.folder.display()));
            }
        }
    }

    fn write(&mut self, picture: &Picture) -> io::Result<()> {
        // Time first, so that the files of several runs sort in order.
        let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let name = format!("frame-{since_1970}-{:08x}{}", picture.status.0, ending(self.config.format));
        match self.config.format {
            FrameFormat::Jpeg => self.folder.write(&name, picture.jpeg().map_err(io::Error::other)?),
            FrameFormat::Png => {
                let png = super::png(&picture.rgb, picture.size, image::ExtendedColorType::Rgb8)?;
                self.folder.write(&name, &png)
            }
        }
    }
}
