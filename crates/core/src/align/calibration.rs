//! Where the infrared camera looks within the visible frame.

use core::fmt;

use super::matrix::{self, Matrix};
use crate::frame::MAX_SIDE;

/// Kind of map from infrared to visible pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Scale, rotation, shear and shift: the last row of the matrix is 0 0 1.
    Affine,
    /// Plane projective transformation.
    Homography,
}

/// A checked calibration of a rig: the map from infrared to visible pixels, for the sizes that it was found at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    model: Model,
    infrared: (usize, usize),
    visible: (usize, usize),
    matrix: [f32; 9],
    rms_error_px: f32,
    inverse: Matrix,
}

impl Calibration {
    /// A calibration from its parts.
    ///
    /// `matrix` is row-major and takes the infrared pixel `(x, y, 1)` to the visible pixel `(u w, v w, w)`. Sizes are
    /// width and height in px; `rms_error_px` is the residual of the fit in visible px.
    ///
    /// # Errors
    /// [`GeometryError`] when a size is out of range, a number is not finite, or the map is one that no rig has: its
    /// horizon crosses the visible frame, it flattens the image, or it scales by more than a factor 100.
    pub fn new(
        model: Model,
        infrared: (usize, usize),
        visible: (usize, usize),
        matrix: [f32; 9],
        rms_error_px: f32,
    ) -> Result<Self, GeometryError> {
        for (which, (width, height)) in [("infrared", infrared), ("visible", visible)] {
            if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
                return Err(GeometryError::Size { which, found: (width, height) });
            }
        }
        if !(rms_error_px.is_finite() && rms_error_px >= 0.0) {
            return Err(GeometryError::RmsError);
        }
        if !matrix.iter().all(|v| v.is_finite()) {
            return Err(GeometryError::NotFinite);
        }
        if model == Model::Affine && (matrix[6] != 0.0 || matrix[7] != 0.0 || matrix[8] != 1.0) {
            return Err(GeometryError::AffineRow);
        }
        let inverse = normalise(matrix::adjugate(&widen(&matrix)), visible)?;
        Ok(Self { model, infrared, visible, matrix, rms_error_px, inverse })
    }

    /// Kind of map.
    #[must_use]
    pub const fn model(&self) -> Model {
        self.model
    }

    /// Width and height of the infrared frame, px.
    #[must_use]
    pub const fn infrared(&self) -> (usize, usize) {
        self.infrared
    }

    /// Width and height of the visible frame, px.
    #[must_use]
    pub const fn visible(&self) -> (usize, usize) {
        self.visible
    }

    /// The map from infrared to visible pixels, row-major.
    #[must_use]
    pub const fn matrix(&self) -> [f32; 9] {
        self.matrix
    }

    /// Root mean square residual of the calibration, visible px.
    #[must_use]
    pub const fn rms_error_px(&self) -> f32 {
        self.rms_error_px
    }

    /// The same rig with its frames scaled to other sizes, such as the visible camera at half its resolution. Both
    /// frames must show the whole view that they showed at calibration: scaling is right, cropping is not.
    ///
    /// # Errors
    /// [`GeometryError`] as for [`Calibration::new`].
    pub fn rescaled(&self, infrared: (usize, usize), visible: (usize, usize)) -> Result<Self, GeometryError> {
        for (which, (width, height)) in [("infrared", infrared), ("visible", visible)] {
            if width == 0 || height == 0 {
                return Err(GeometryError::Size { which, found: (width, height) });
            }
        }
        let to_old = matrix::rescale(infrared, self.infrared);
        let to_new = matrix::rescale(self.visible, visible);
        let mut m = matrix::multiply(&to_new, &matrix::multiply(&widen(&self.matrix), &to_old));
        if self.model == Model::Affine {
            m[2] = [0.0, 0.0, 1.0];
        }
        let scale = visible.0 as f32 / self.visible.0 as f32;
        let flat = core::array::from_fn(|i| m[i / 3][i % 3] as f32);
        Self::new(self.model, infrared, visible, flat, self.rms_error_px * scale)
    }

    /// The map from visible to infrared pixels, as [`normalise`] leaves it.
    pub(super) const fn inverse(&self) -> &Matrix {
        &self.inverse
    }
}

fn widen(matrix: &[f32; 9]) -> Matrix {
    core::array::from_fn(|r| core::array::from_fn(|c| f64::from(matrix[r * 3 + c])))
}

/// Smallest denominator in the visible frame, relative to the largest: a scale that varies 64-fold over one frame is no
/// rig's.
const MIN_DENOMINATOR: f64 = 1.0 / 64.0;

/// Scales a map from visible to infrared pixels so that its denominator is positive over the whole visible frame and 1
/// at the largest, and proves that the denominator stays above [`MIN_DENOMINATOR`] and that every visible pixel maps to
/// coordinates within ±[`MAX_SIDE`]: both take their extremes over a rectangle at its corners.
pub(super) fn normalise(mut map: Matrix, visible: (usize, usize)) -> Result<Matrix, GeometryError> {
    let (right, bottom) = ((visible.0 - 1) as f64, (visible.1 - 1) as f64);
    let corners = [(0.0, 0.0), (right, 0.0), (0.0, bottom), (right, bottom)];
    let largest = corners
        .map(|(x, y)| matrix::apply(&map, x, y)[2])
        .into_iter()
        .fold(0.0, |m: f64, w| if w.abs() > m.abs() { w } else { m });
    if !largest.is_normal() {
        return Err(GeometryError::Singular);
    }
    for v in map.iter_mut().flatten() {
        *v /= largest;
    }
    for (x, y) in corners {
        let [u, v, w] = matrix::apply(&map, x, y);
        if w.is_nan() || w < MIN_DENOMINATOR {
            return Err(GeometryError::Horizon);
        }
        let limit = MAX_SIDE as f64 * w;
        if !(u.abs() < limit && v.abs() < limit) {
            return Err(GeometryError::FarOutside);
        }
    }
    // Area of the infrared frame that one visible pixel covers, at the centre of the frame: the Jacobian of a
    // projective map is det / w³.
    let [_, _, w] = matrix::apply(&map, right / 2.0, bottom / 2.0);
    let determinant = map[0][0] * (map[1][1] * map[2][2] - map[1][2] * map[2][1])
        - map[0][1] * (map[1][0] * map[2][2] - map[1][2] * map[2][0])
        + map[0][2] * (map[1][0] * map[2][1] - map[1][1] * map[2][0]);
    let area = (determinant / (w * w * w)).abs();
    if !(1e-4..=1e4).contains(&area) {
        return Err(GeometryError::Singular);
    }
    Ok(map)
}

/// A geometry that no rig has, or that does not fit its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeometryError {
    /// A frame size of 0 or above [`MAX_SIDE`].
    Size {
        /// `"infrared"` or `"visible"`.
        which: &'static str,
        /// Width and height given, px.
        found: (usize, usize),
    },
    /// A NaN or infinity in the matrix.
    NotFinite,
    /// A residual that is negative or not finite.
    RmsError,
    /// An affine matrix whose last row is not 0 0 1.
    AffineRow,
    /// The map flattens the image, or scales it by more than 100 in either direction.
    Singular,
    /// The horizon of the homography crosses or comes close to the visible frame.
    Horizon,
    /// A corner of the visible frame maps further than [`MAX_SIDE`] px outside the infrared frame.
    FarOutside,
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { which, found } => write!(
                f,
                "{which} size {}x{} is not within 1x1 to {MAX_SIDE}x{MAX_SIDE} px",
                found.0, found.1
            ),
            Self::NotFinite => f.write_str("matrix has an entry that is not a finite number"),
            Self::RmsError => f.write_str("rms_error_px is not a finite number of at least 0"),
            Self::AffineRow => f.write_str(
                "model is affine, but the last row of the matrix is not 0 0 1: use model = homography",
            ),
            Self::Singular => f.write_str(
                "matrix does not map the infrared frame onto an area of the visible frame: calibrate again",
            ),
            Self::Horizon => {
                f.write_str("horizon of the matrix lies within the visible frame: calibrate again")
            }
            Self::FarOutside => f.write_str(
                "a corner of the visible frame lies too far outside the infrared frame: calibrate again, \
                 or check the sizes and the direction of the matrix (infrared to visible)",
            ),
        }
    }
}

impl core::error::Error for GeometryError {}
