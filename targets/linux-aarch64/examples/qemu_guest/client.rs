//! Pulls frames out of the daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Outcome;

const SERVER: &str = "127.0.0.1:8437";

/// A frame as the daemon served it.
pub(super) struct Frame {
    pub(super) number: u64,
    pub(super) status: u32,
    pub(super) width: usize,
    pub(super) height: usize,
    rgb: Vec<u8>,
}

fn connect(path: &str) -> Result<TcpStream, String> {
    let connect = || {
        let mut stream = TcpStream::connect(SERVER)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {SERVER}\r\n\r\n")?;
        Ok(stream)
    };
    connect().map_err(|e: std::io::Error| format!("GET {path}: {e}"))
}

/// Header and body of an answer.
fn get(path: &str) -> Result<(String, Vec<u8>), String> {
    let mut answer = Vec::new();
    connect(path)?.read_to_end(&mut answer).map_err(|e| format!("GET {path}: {e}"))?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or(format!("GET {path}: no header"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("GET {path}: {head}: {}", String::from_utf8_lossy(&answer[end..])));
    }
    Ok((head, answer.split_off(end + 4)))
}

fn field<'h>(head: &'h str, name: &str) -> Result<&'h str, String> {
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
        .map(|(_, value)| value)
        .ok_or(format!("no {name} in {head}"))
}

/// The report, as JSON.
pub(super) fn status() -> Result<String, String> {
    Ok(String::from_utf8_lossy(&get("/status.json")?.1).into_owned())
}

/// The value of a metric.
pub(super) fn metric(name: &str) -> Result<f64, String> {
    let text = String::from_utf8_lossy(&get("/metrics")?.1).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .ok_or(format!("no metric {name} in {text}"))
}

/// The newest frame.
pub(super) fn frame() -> Result<Frame, String> {
    let (head, body) = get("/frame.ppm")?;
    let number = field(&head, "X-Frame")?.parse().map_err(|e| format!("X-Frame: {e}"))?;
    let status = field(&head, "X-Status")?.trim_start_matches("0x");
    let status = u32::from_str_radix(status, 16).map_err(|e| format!("X-Status {status}: {e}"))?;
    let mut lines = body.splitn(4, |&b| b == b'\n');
    let mut line = || lines.next().ok_or("the picture ends in its header".to_owned());
    let (magic, size, depth) = (line()?, String::from_utf8_lossy(line()?).into_owned(), line()?);
    let (width, height) = size.split_once(' ').ok_or(format!("size {size}"))?;
    let side = |text: &str| text.parse::<usize>().map_err(|e| format!("size {size}: {e}"));
    let (width, height) = (side(width)?, side(height)?);
    let rgb = line()?.to_vec();
    if magic != b"P6" || depth != b"255" || rgb.len() != width * height * 3 {
        return Err(format!("a picture of {width}x{height} px with {} bytes", rgb.len()));
    }
    Ok(Frame { number, status, width, height, rgb })
}

/// Reads frames of the stream; their numbers.
pub(super) fn mjpeg(count: usize) -> Result<Vec<u64>, String> {
    let mut stream = BufReader::new(connect("/stream.mjpg")?);
    let mut numbers = Vec::new();
    let (mut length, mut number) = (0, 0);
    let mut line = String::new();
    while numbers.len() < count {
        line.clear();
        if stream.read_line(&mut line).map_err(|e| format!("stream: {e}"))? == 0 {
            return Err("the stream ended".to_owned());
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().map_err(|e| format!("length: {e}"))?,
            Some(("X-Frame", value)) => number = value.parse().map_err(|e| format!("X-Frame: {e}"))?,
            None if line.trim_end().is_empty() && length > 0 => {
                let mut jpeg = vec![0; length];
                stream.read_exact(&mut jpeg).map_err(|e| format!("stream: {e}"))?;
                image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg)
                    .map_err(|e| format!("frame {number} of the stream is no JPEG: {e}"))?;
                numbers.push(number);
                length = 0;
            }
            _ => {}
        }
    }
    Ok(numbers)
}

impl Frame {
    /// A frame that came out of a camera node.
    pub(super) fn of_camera((width, height): (usize, usize), rgb: Vec<u8>) -> Self {
        Self { number: 0, status: 0, width, height, rgb }
    }

    fn pixels(&self) -> impl Iterator<Item = &[u8; 3]> {
        self.rgb.as_chunks::<3>().0.iter()
    }

    /// Mean of a rectangle's green, in shares of the sides.
    fn mean(&self, x: std::ops::Range<f64>, y: std::ops::Range<f64>) -> f64 {
        let at = |share: f64, side: usize| (share * side as f64) as usize;
        let (mut sum, mut count) = (0.0, 0.0);
        for row in at(y.start, self.height)..at(y.end, self.height) {
            for column in at(x.start, self.width)..at(x.end, self.width) {
                sum += f64::from(self.rgb[(row * self.width + column) * 3 + 1]);
                count += 1.0;
            }
        }
        sum / count
    }

    /// It shows something.
    pub(super) fn expect_varied(&self) -> Outcome {
        let (low, high) = self.pixels().fold((255, 0), |(l, h), p| (l.min(p[1]), h.max(p[1])));
        if high - low < 100 { Err(format!("the frame spans levels {low} to {high} only")) } else { Ok(()) }
    }

    /// It shows colour bars, which vivid draws.
    pub(super) fn expect_colour(&self) -> Outcome {
        let coloured = self.pixels().filter(|p| p[0].abs_diff(p[1]).max(p[1].abs_diff(p[2])) > 60).count();
        let share = coloured as f64 / (self.width * self.height) as f64;
        if share < 0.3 { Err(format!("{:.0} % of the frame have colour", share * 100.0)) } else { Ok(()) }
    }

    /// It is grey, the ground is warmer than the sky, and something stands out from the ground.
    pub(super) fn expect_warm_body(&self) -> Outcome {
        if self.pixels().any(|p| p[0] != p[1] || p[1] != p[2]) {
            return Err("a thermal frame has colour".to_owned());
        }
        let (sky, ground) = (self.mean(0.0..1.0, 0.0..0.2), self.mean(0.0..1.0, 0.5..0.95));
        let columns: Vec<f64> =
            (0..16).map(|i| self.mean(f64::from(i) / 16.0..f64::from(i + 1) / 16.0, 0.45..0.8)).collect();
        let brightest = columns.iter().copied().fold(0.0, f64::max);
        if ground - sky < 30.0 || brightest - ground < 20.0 {
            return Err(format!("sky {sky:.0}, ground {ground:.0}, columns {columns:.0?}"));
        }
        Ok(())
    }

    /// Mean absolute difference of two frames.
    pub(super) fn difference(&self, other: &Self) -> f64 {
        let sum: u64 = self.rgb.iter().zip(&other.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / self.rgb.len() as f64
    }
}
