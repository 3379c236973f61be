//! The machine's own side: the daemon's process, drivers that are bound and unbound, a camera node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use moq_v4l::buffer::Type;
use moq_v4l::io::mmap::Stream;
use moq_v4l::io::traits::CaptureStream;
use moq_v4l::video::Capture;
use moq_v4l::{Device, Format, FourCC};

use super::Outcome;

const DAEMON: &str = "/bin/fusionproxyd";
const CONFIGURATION: &str = "/etc/fusionproxyd.toml";

/// `fusionproxyd --check` must find everything in order.
pub(super) fn check_configuration() -> Result<String, String> {
    let output = Command::new(DAEMON).args(["--check", CONFIGURATION]).output();
    let output = output.map_err(|e| format!("{DAEMON}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && !text.contains("waiting") {
        Ok(text)
    } else {
        Err(format!("--check: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The daemon.
pub(super) struct Daemon(Child);

impl Daemon {
    pub(super) fn start() -> Result<Self, String> {
        Command::new(DAEMON).arg(CONFIGURATION).spawn().map(Self).map_err(|e| format!("{DAEMON}: {e}"))
    }

    /// Asks it to end; it must do so at once and in order.
    pub(super) fn end(mut self) -> Outcome {
        let kill = Command::new("/bin/busybox").args(["kill", "-TERM", &self.0.id().to_string()]).status();
        kill.map_err(|e| format!("kill: {e}"))?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            match self.0.try_wait().map_err(|e| format!("wait: {e}"))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the daemon ended with {status}")),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err("the daemon did not end on SIGTERM".to_owned())
    }
}

/// A device that a driver can be told to let go.
pub(super) struct Node {
    driver: PathBuf,
    name: &'static str,
}

impl Node {
    pub(super) fn new(driver: &str, name: &'static str) -> Self {
        Self { driver: Path::new(driver).to_path_buf(), name }
    }

    /// Its node in /dev vanishes.
    pub(super) fn unbind(&self) -> Outcome {
        self.write("unbind")
    }

    /// Its node comes back.
    pub(super) fn bind(&self) -> Outcome {
        self.write("bind")
    }

    fn write(&self, file: &str) -> Outcome {
        let path = self.driver.join(file);
        fs::write(&path, self.name).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// One frame of a camera node, as any program would read it.
pub(super) fn read_camera(path: &str, size: (usize, usize), code: &[u8; 4]) -> Result<Vec<u8>, String> {
    let read = || {
        let device = Device::with_path(path)?;
        let format = device.set_format(&Format::new(size.0 as u32, size.1 as u32, FourCC::new(code)))?;
        if format.fourcc != FourCC::new(code) || format.size as usize != size.0 * size.1 * 3 {
            return Err(std::io::Error::other(format!("it gives {format}")));
        }
        let mut stream = Stream::with_buffers(&device, Type::VideoCapture, 2)?;
        stream.set_timeout(Duration::from_secs(10));
        let (data, meta) = stream.next()?;
        Ok(data[..meta.bytesused as usize].to_vec())
    };
    read().map_err(|e: std::io::Error| format!("{path}: {e}"))
}
