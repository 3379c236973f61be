//! Decoding image files, with an error for everything that is not one still picture.

use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::luma::{luma_of_rgb8, luma8, luma16};

/// A visible picture: `height × width × 3` bytes, RGB, rows packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb8 {
    /// Width, px.
    pub width: usize,
    /// Height, px.
    pub height: usize,
    /// The pixels.
    pub data: Vec<u8>,
}

impl Rgb8 {
    /// Full-range BT.601 luma, `height × width` bytes.
    #[must_use]
    pub fn luma(&self) -> Vec<u8> {
        luma_of_rgb8(&self.data)
    }
}

/// Samples of an infrared picture, in the depth of their file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// 8 bits: gain control has been applied, or the sensor has 8 bits.
    Grey8(Vec<u8>),
    /// 16 bits: raw or radiometric words.
    Grey16(Vec<u16>),
}

/// An infrared picture: `height × width` samples, rows packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infrared {
    /// Width, px.
    pub width: usize,
    /// Height, px.
    pub height: usize,
    /// The pixels.
    pub samples: Samples,
    /// The file holds colours (a palette such as ironbow), of which luma was taken: temperatures may be out of order.
    pub false_colour: bool,
}

/// Why a file gives no picture. Every message names the file and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file has no bytes.
    #[error("{} is empty: copy or export it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The content is of no known image format.
    #[error("{} is not a PNG, JPEG, TIFF, BMP, WebP or GIF image: convert it to PNG", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// The image is larger than [`MAX_SIDE`] or than memory allows.
    #[error("{} is too large ({detail}): scale it to at most {MAX_SIDE} px a side", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The decoder's words.
        detail: String,
    },
    /// The file is damaged, cut short, or of a kind that its decoder lacks.
    #[error("{} cannot be decoded ({detail}): copy or export it again, as PNG if in doubt", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The decoder's words.
        detail: String,
    },
    /// The file holds several frames.
    #[error("{} is animated: extract its frames to a folder (ffmpeg -i FILE %05d.png) and give the folder", path.display())]
    Animated {
        /// The file.
        path: PathBuf,
    },
    /// The samples are floating-point numbers.
    #[error("{} holds floating-point samples of unknown scale: save it with 8 or 16 bits", path.display())]
    Float {
        /// The file.
        path: PathBuf,
    },
}

/// Largest side of an image, px.
pub const MAX_SIDE: u32 = 32_768;

/// Reads a visible image as RGB8; 16-bit samples are scaled to 8 bits, grey becomes R = G = B.
///
/// # Errors
/// [`ImageError`], which names the file and the remedy.
pub fn load_visible(path: &Path) -> Result<Rgb8, ImageError> {
    let image = opaque(decode(path)?);
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Rgb8 { width, height, data: image.into_rgb8().into_raw() })
}

/// Reads an infrared image as grey of 8 or 16 bits, as its file has it. Colour files give their luma.
///
/// # Errors
/// [`ImageError`], which names the file and the remedy.
pub fn load_infrared(path: &Path) -> Result<Infrared, ImageError> {
    let image = opaque(decode(path)?);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (samples, false_colour) = match image {
        DynamicImage::ImageLuma8(grey) => (Samples::Grey8(grey.into_raw()), false),
        DynamicImage::ImageLuma16(grey) => (Samples::Grey16(grey.into_raw()), false),
        DynamicImage::ImageRgb16(rgb) => {
            let coloured = false_colour(rgb.pixels().map(|p| p.0.map(|v| (v >> 8) as u8)));
            (Samples::Grey16(rgb.pixels().map(|p| luma16(p.0)).collect()), coloured)
        }
        other => {
            let rgb = other.into_rgb8();
            let coloured = false_colour(rgb.pixels().map(|p| p.0));
            (Samples::Grey8(rgb.pixels().map(|p| luma8(p.0)).collect()), coloured)
        }
    };
    Ok(Infrared { width, height, samples, false_colour })
}

/// Whether colours go beyond what JPEG's chroma adds to a grey picture.
fn false_colour(pixels: impl Iterator<Item = [u8; 3]>) -> bool {
    let (mut sum, mut n) = (0_u64, 0_u64);
    for [r, g, b] in pixels {
        sum += u64::from(r.max(g).max(b) - r.min(g).min(b));
        n += 1;
    }
    sum > 12 * n
}

fn decode(path: &Path) -> Result<DynamicImage, ImageError> {
    let here = || path.to_owned();
    let bytes = fs::read(path).map_err(|source| ImageError::Read { path: here(), source })?;
    if bytes.is_empty() {
        return Err(ImageError::Empty { path: here() });
    }
    let failed = |e: image::ImageError| match e {
        image::ImageError::Limits(e) => ImageError::TooLarge { path: here(), detail: e.to_string() },
        other => ImageError::Damaged { path: here(), detail: other.to_string() },
    };
    let format = image::guess_format(&bytes).map_err(|_| ImageError::NotAnImage { path: here() })?;
    if animated(&bytes, format).map_err(failed)? {
        return Err(ImageError::Animated { path: here() });
    }
    if format == ImageFormat::Jpeg && !jpeg_is_whole(&bytes) {
        return Err(ImageError::Damaged {
            path: here(),
            detail: "the end of the JPEG data is missing".into(),
        });
    }
    let mut reader = ImageReader::with_format(Cursor::new(&bytes), format);
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(1 << 30);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    // Pictures with an unreadable EXIF block are shown as stored.
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    if image.width() == 0 || image.height() == 0 {
        return Err(ImageError::Damaged { path: here(), detail: "it has no pixels".into() });
    }
    if matches!(image, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
        return Err(ImageError::Float { path: here() });
    }
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Ok(image)
}

fn animated(bytes: &[u8], format: ImageFormat) -> image::ImageResult<bool> {
    Ok(match format {
        ImageFormat::Png => PngDecoder::new(Cursor::new(bytes))?.is_apng()?,
        ImageFormat::WebP => WebPDecoder::new(Cursor::new(bytes))?.has_animation(),
        ImageFormat::Gif => {
            GifDecoder::new(Cursor::new(bytes))?.into_frames().take(2).filter(Result::is_ok).count() > 1
        }
        _ => false,
    })
}

/// Whether an end-of-image marker follows the first scan. The decoder fills what is missing with grey, silently.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
        if marker == 0xda {
            return bytes[at..].windows(2).any(|w| w == [0xff, 0xd9]);
        }
        // A fill byte before the marker, or a segment with its length.
        at += if marker == 0xff { 1 } else { 2 + usize::from(u16::from_be_bytes([high, low])) };
    }
    // Not laid out in segments: the decoder says what is wrong.
    true
}

/// Composites a picture with alpha over black; others pass unchanged.
fn opaque(image: DynamicImage) -> DynamicImage {
    let over8 = |v: u8, a: u8| ((u32::from(v) * u32::from(a) + 127) / 255) as u8;
    let over16 = |v: u16, a: u16| ((u64::from(v) * u64::from(a) + 32767) / 65535) as u16;
    match image {
        DynamicImage::ImageLumaA8(mut i) => {
            i.pixels_mut().for_each(|p| p.0[0] = over8(p.0[0], p.0[1]));
            DynamicImage::ImageLuma8(DynamicImage::ImageLumaA8(i).into_luma8())
        }
        DynamicImage::ImageLumaA16(mut i) => {
            i.pixels_mut().for_each(|p| p.0[0] = over16(p.0[0], p.0[1]));
            DynamicImage::ImageLuma16(DynamicImage::ImageLumaA16(i).into_luma16())
        }
        DynamicImage::ImageRgba8(mut i) => {
            i.pixels_mut().for_each(|p| {
                let [r, g, b, a] = p.0;
                p.0 = [over8(r, a), over8(g, a), over8(b, a), a];
            });
            DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(i).into_rgb8())
        }
        DynamicImage::ImageRgba16(mut i) => {
            i.pixels_mut().for_each(|p| {
                let [r, g, b, a] = p.0;
                p.0 = [over16(r, a), over16(g, a), over16(b, a), a];
            });
            DynamicImage::ImageRgb16(DynamicImage::ImageRgba16(i).into_rgb16())
        }
        other => other,
    }
}
