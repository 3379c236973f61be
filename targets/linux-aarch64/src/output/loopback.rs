//! A v4l2loopback device: any program that opens a camera can open the fused one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use moq_v4l::video::Output;
use moq_v4l::{Device, Format, FourCC};

use crate::log;
use crate::picture::Hub;

/// Pause before a device that failed is opened again.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Starts feeding the device, whether it is there already or comes later.
pub(crate) fn start(device: PathBuf, size: (usize, usize), hub: Arc<Hub>) -> io::Result<()> {
    let feed = move || {
        let mut repeats = log::Repeats::default();
        loop {
            let error =
                feed(&device, size, &hub).map_or_else(|e| explain(&device, &e), |never| match never {});
            repeats.warn(format_args!("[output.loopback] {error}"));
            thread::sleep(BACK_OFF);
        }
    };
    thread::Builder::new().name("loopback".to_owned()).spawn(feed)?;
    Ok(())
}

/// Writes pictures until the device fails.
fn feed(path: &Path, size: (usize, usize), hub: &Hub) -> io::Result<std::convert::Infallible> {
    let mut device = Device::with_path(path)?;
    let wanted = Format::new(size.0 as u32, size.1 as u32, FourCC::new(b"RGB3"));
    let got = Output::set_format(&device, &wanted)?;
    if (got.width, got.height, got.fourcc) != (wanted.width, wanted.height, wanted.fourcc) {
        return Err(io::Error::other(format!(
            "it takes {}x{} {} only, not {}x{} RGB3: is another program using it?",
            got.width, got.height, got.fourcc, wanted.width, wanted.height
        )));
    }
    log::info(format_args!("fused frames go to {}", path.display()));
    let mut seen = 0;
    loop {
        let Some(picture) = hub.newer(seen, Duration::from_secs(3600)) else { continue };
        seen = picture.number;
        device.write_all(&picture.rgb)?;
    }
}

fn explain(path: &Path, error: &io::Error) -> String {
    let place = path.display();
    let number = place.to_string().chars().filter(char::is_ascii_digit).collect::<String>();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{place} is not there: `sudo modprobe v4l2loopback video_nr={number} exclusive_caps=1` makes it \
             (Debian package v4l2loopback-dkms)"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to open {place}: add the user of the daemon to group `video`")
        }
        _ => format!("{place} cannot be written: {error}"),
    }
}
