//! Where fused frames go. Each output has threads of its own and takes the newest picture when it is ready for one.

mod folder;
pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod loopback;
mod metrics;
pub(crate) mod pairs;

use std::io;

pub(crate) use folder::FolderError;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// A picture as PNG: rows without padding, samples of 16 bits in the machine's byte order.
fn png(data: &[u8], size: (usize, usize), colour: ExtendedColorType) -> io::Result<Vec<u8>> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(data, size.0 as u32, size.1 as u32, colour)
        .map_err(io::Error::other)?;
    Ok(png)
}
