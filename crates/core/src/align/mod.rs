//! Alignment: brings the infrared frame into the geometry of the visible frame.
//!
//! A [`Calibration`] says where an infrared pixel appears in the visible frame: an affine map or a homography (plane
//! projective transformation; Hartley and Zisserman, *Multiple View Geometry*, 2nd ed., section 2.3). A [`Warp`] is its
//! inverse in fixed point: for each visible pixel it finds the place in the infrared frame and interpolates there.
//!
//! Coordinates are in pixels, x to the right and y down, with pixel centres at whole numbers: the first pixel's centre
//! is (0, 0), as in OpenCV.

mod calibration;
mod file;
mod matrix;
mod warp;

pub use calibration::{Calibration, GeometryError, Model};
pub use file::{FileError, FileProblem};
pub use warp::Warp;
