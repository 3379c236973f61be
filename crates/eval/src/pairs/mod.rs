//! Pairs of visible and infrared images on disk.
//!
//! Two folders are paired by file stem: `vis/street.jpg` with `ir/street.png`. [`load_visible`] and [`load_infrared`]
//! decode PNG, JPEG, TIFF, BMP, WebP and still GIF of 8 or 16 bits, told apart by content, not by name.
//!
//! Rules, alike for both bands:
//!
//! * **Alpha** is composited over black: a transparent pixel is a pixel without signal.
//! * **Orientation** in EXIF is applied.
//! * **Animations** are refused: a frame is one picture. Of a TIFF with several pages the first is taken.
//! * **CMYK** JPEG is converted to RGB without a colour profile.
//! * **Floating-point** samples are refused: their scale is not known.

mod folder;
mod load;

pub use folder::{Pair, PairError, Pairing};
pub use load::{ImageError, Infrared, MAX_SIDE, Rgb8, Samples, load_infrared, load_visible};
