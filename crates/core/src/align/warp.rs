//! The warp: infrared pixels in visible geometry, in integers.
//!
//! Set-up turns the inverse map into three linear forms with 46 fractional bits. The source position is evaluated
//! exactly (two integer divisions) at the ends of segments of a row and interpolated linearly between them, so that the
//! inner loop has no division. The length of the segments, 16 px where the map allows it, follows from the curvature of
//! the map: the second derivative of `u/w` along a row is `−2 w' (u' w − u w') / w³`, and a chord of length L deviates
//! by an eighth of it times L² at most.

use core::ops::Range;

use super::calibration::{GeometryError, normalise};
use super::matrix::{self, Matrix};
use super::{Calibration, Model};
use crate::frame::{FrameError, Plane, out_rows};

/// Fractional bits of the linear forms. The forms stay below 2^14 within the frame and their terms below 2^16, so that
/// every sum fits 63 bits.
const FORM_BITS: u32 = 46;
/// Fractional bits of the denominator when it divides, and so 46 − 30 = 16 of the quotient.
const DENOMINATOR_BITS: u32 = 30;
/// Longest segment, px.
const LONGEST_SEGMENT: usize = 16;
/// Largest deviation of a segment's chord, px: 1/16 less the rounding of positions to 1/256 px and of the steps.
const CHORD_LIMIT: f64 = 0.055;

/// A map from visible to infrared pixels, ready to run. It holds no tables: about 100 bytes.
#[derive(Debug, Clone)]
pub struct Warp {
    infrared: (usize, usize),
    visible: (usize, usize),
    /// Numerators of x and y and the denominator, each `a x + b y + c`.
    forms: [[i64; 3]; 3],
    /// The denominator is 1 everywhere.
    affine: bool,
    segment: usize,
}

impl Warp {
    /// The warp of a calibrated rig. It cannot fail: the calibration has checked the geometry.
    #[must_use]
    pub fn new(calibration: &Calibration) -> Self {
        let affine = calibration.model() == Model::Affine;
        Self::from_inverse(calibration.inverse(), affine, calibration.infrared(), calibration.visible())
    }

    /// The warp for a rig without calibration: bilinear scaling of the whole infrared frame (width, height; px) to the
    /// size of the visible one, edges on edges.
    ///
    /// # Errors
    /// [`GeometryError::Size`] when a side is 0 or above [`MAX_SIDE`](crate::frame::MAX_SIDE), and
    /// [`GeometryError::Singular`] when the scale is beyond a factor 100.
    pub fn resize(infrared: (usize, usize), visible: (usize, usize)) -> Result<Self, GeometryError> {
        for (which, found) in [("infrared", infrared), ("visible", visible)] {
            if found.0 == 0 || found.1 == 0 || found.0.max(found.1) > crate::frame::MAX_SIDE {
                return Err(GeometryError::Size { which, found });
            }
        }
        let inverse = normalise(matrix::rescale(visible, infrared), visible)?;
        Ok(Self::from_inverse(&inverse, true, infrared, visible))
    }

    fn from_inverse(
        inverse: &Matrix,
        affine: bool,
        infrared: (usize, usize),
        visible: (usize, usize),
    ) -> Self {
        let one = (1i64 << FORM_BITS) as f64;
        // Rounded to nearest; `as` saturates, and it truncates, hence the half.
        let fixed = |v: f64| (v * one + if v < 0.0 { -0.5 } else { 0.5 }) as i64;
        let forms = inverse.map(|row| row.map(fixed));
        let segment = if affine { LONGEST_SEGMENT } else { segment_length(inverse, visible) };
        Self { infrared, visible, forms, affine, segment }
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

    /// Where in the infrared frame the visible pixel `(x, y)` is sampled, px with 16 fractional bits. A position
    /// outside the frame means that the nearest edge pixel is taken. `x` and `y` beyond the frame are limited to it.
    #[must_use]
    pub fn source(&self, x: usize, y: usize) -> (i32, i32) {
        let (x, y) = (x.min(self.visible.0 - 1), y.min(self.visible.1 - 1));
        let start = x - x % self.segment;
        let (segment, _) = self.segment_from(self.position(start, y), start, y);
        let n = (x - start) as i32;
        (segment.x + n * segment.dx, segment.y + n * segment.dy)
    }

    /// The rows `rows` of the infrared frame in visible geometry, one byte a pixel, into `out` (which starts at row
    /// `rows.start`): bilinear, edges replicated.
    ///
    /// # Errors
    /// [`FrameError::Size`] when `infrared` has not the size that the warp was made for, else [`FrameError`] when the
    /// rows are not the visible frame's or do not fit `out`.
    pub fn run(
        &self,
        infrared: &Plane<'_>,
        rows: Range<usize>,
        out: &mut [u8],
        out_stride: usize,
    ) -> Result<(), FrameError> {
        infrared.expect_size("infrared plane", self.infrared)?;
        let sampler = Sampler::new(infrared);
        for (y, out) in out_rows(rows, self.visible.1, self.visible.0, out, out_stride)? {
            let mut from = self.position(0, y);
            for (i, pixels) in out.chunks_mut(self.segment).enumerate() {
                // A segment ends where the next one starts.
                let (segment, to) = self.segment_from(from, i * self.segment, y);
                sampler.segment(&segment, pixels);
                from = to;
            }
        }
        Ok(())
    }

    /// The segment that starts at pixel `(start, y)`, a multiple of the segment length within the frame, and at the source
    /// position `(x0, y0)` of that pixel; and the source position of its end.
    fn segment_from(&self, (x0, y0): (i32, i32), start: usize, y: usize) -> (Segment, (i32, i32)) {
        // The last segment ends at the last pixel: beyond it nothing is known about the map.
        let end = (start + self.segment).min(self.visible.0 - 1);
        let steps = (end - start).max(1) as i32;
        let (x1, y1) = self.position(end, y);
        (Segment { x: x0, y: y0, dx: (x1 - x0) / steps, dy: (y1 - y0) / steps }, (x1, y1))
    }

    /// Exact source position of a visible pixel, 16 fractional bits, rounded to nearest.
    fn position(&self, x: usize, y: usize) -> (i32, i32) {
        let (x, y) = (x as i64, y as i64);
        let [u, v, w] = self.forms.map(|[a, b, c]| a * x + b * y + c);
        if self.affine {
            let round = |n: i64| ((n + (1 << (DENOMINATOR_BITS - 1))) >> DENOMINATOR_BITS) as i32;
            return (round(u), round(v));
        }
        let shift = FORM_BITS - DENOMINATOR_BITS;
        let w = ((w + (1 << (shift - 1))) >> shift).max(1);
        let round = |n: i64| ((n + w / 2).div_euclid(w)) as i32;
        (round(u), round(v))
    }
}

/// Longest power of two up to [`LONGEST_SEGMENT`] over which a chord stays within [`CHORD_LIMIT`] of the map.
fn segment_length(m: &Matrix, visible: (usize, usize)) -> usize {
    let (right, bottom) = ((visible.0 - 1) as f64, (visible.1 - 1) as f64);
    let slope = m[2][0];
    let mut smallest = f64::INFINITY;
    let mut bend: f64 = 0.0;
    for y in [0.0, bottom] {
        for x in [0.0, right] {
            smallest = smallest.min(matrix::apply(m, x, y)[2]);
        }
        // u' w − u w' does not depend on x, and depends on y linearly: its extremes are at the first and last row.
        let [u, v, w] = matrix::apply(m, 0.0, y);
        bend = bend.max((m[0][0] * w - u * slope).abs()).max((m[1][0] * w - v * slope).abs());
    }
    let second_derivative = 2.0 * slope.abs() * bend / (smallest * smallest * smallest);
    let mut length = LONGEST_SEGMENT;
    while length > 1 && (length * length) as f64 / 8.0 * second_derivative > CHORD_LIMIT {
        length /= 2;
    }
    length
}

/// Source positions along a segment of a row, 16 fractional bits.
struct Segment {
    x: i32,
    y: i32,
    dx: i32,
    dy: i32,
}

/// Bilinear sampling with 8 fractional bits and replicated edges.
struct Sampler<'a> {
    data: &'a [u8],
    stride: usize,
    /// Largest column and row.
    right: i32,
    bottom: i32,
}

impl<'a> Sampler<'a> {
    fn new(plane: &Plane<'a>) -> Self {
        Self {
            data: plane.data(),
            stride: plane.stride(),
            right: plane.width() as i32 - 1,
            bottom: plane.height() as i32 - 1,
        }
    }

    /// Samples along a segment.
    fn segment(&self, segment: &Segment, out: &mut [u8]) {
        // Half a unit of the 8 bit fraction, so that the shift below rounds to nearest.
        let (mut x, mut y) = (segment.x + 128, segment.y + 128);
        let has_neighbours =
            |x: i32, y: i32| x >= 0 && x >> 16 < self.right && y >= 0 && y >> 16 < self.bottom;
        let mut out = out.iter_mut();
        // Positions between two that have all four neighbours have them too: no limits to apply from the first such
        // position to the last one.
        while !has_neighbours(x, y)
            && let Some(o) = out.next()
        {
            *o = self.at_edge(x >> 8, y >> 8);
            (x, y) = (x + segment.dx, y + segment.dy);
        }
        let out = out.into_slice();
        let end = |n: usize| (x + (n as i32 - 1) * segment.dx, y + (n as i32 - 1) * segment.dy);
        let mut n = out.len();
        while n > 0 && !has_neighbours(end(n).0, end(n).1) {
            n -= 1;
            let (x, y) = end(n + 1);
            out[n] = self.at_edge(x >> 8, y >> 8);
        }
        let out = &mut out[..n];
        if segment.dy == 0 && n > 0 {
            self.level(x, y, segment.dx, out);
            return;
        }
        for o in out {
            let above = (y >> 16) as usize * self.stride + (x >> 16) as usize;
            *o = self.mix(above, above + self.stride, x >> 8 & 0xff, y >> 8 & 0xff);
            (x, y) = (x + segment.dx, y + segment.dy);
        }
    }

    /// Samples between two rows, where all positions have four neighbours.
    fn level(&self, mut x: i32, y: i32, dx: i32, out: &mut [u8]) {
        let (start, width) = ((y >> 16) as usize * self.stride, self.right as usize + 1);
        let (above, below) = (&self.data[start..][..width], &self.data[start + self.stride..][..width]);
        let fy = y >> 8 & 0xff;
        for o in out {
            // A column is below 2^14, which lets the compiler see that one comparison is enough.
            let i = usize::from((x >> 16) as u16);
            if i + 1 < width {
                let four = [above[i], above[i + 1], below[i], below[i + 1]];
                *o = Self::between(four.map(i32::from), x >> 8 & 0xff, fy);
            }
            x += dx;
        }
    }

    /// Grey level at any position with 8 fractional bits.
    fn at_edge(&self, x: i32, y: i32) -> u8 {
        let (x, y) = (x.clamp(0, self.right << 8), y.clamp(0, self.bottom << 8));
        // In the last column the left neighbour is the one before it, with weight 0; in a single column, the right
        // neighbour has weight 0. Likewise for rows.
        let (column, row) = ((x >> 8).min(self.right - 1).max(0), (y >> 8).min(self.bottom - 1).max(0));
        let above = row as usize * self.stride + column as usize;
        let below = if self.bottom > 0 { above + self.stride } else { above };
        self.mix(above, below, x - (column << 8), y - (row << 8))
    }

    /// Mixes the pixels at `above`, `below` and right of them with weights of 0…256.
    #[inline]
    fn mix(&self, above: usize, below: usize, fx: i32, fy: i32) -> u8 {
        let ([a, b], [c, d]) = (self.pair(above), self.pair(below));
        Self::between([a, b, c, d].map(i32::from), fx, fy)
    }

    /// Mixes two pixels of the upper row and two of the lower one.
    #[inline]
    fn between([a, b, c, d]: [i32; 4], fx: i32, fy: i32) -> u8 {
        let (above, below) = (a * 256 + (b - a) * fx, c * 256 + (d - c) * fx);
        ((above * 256 + (below - above) * fy + (1 << 15)) >> 16) as u8
    }

    /// A pixel and its right neighbour. Only an image of one column has none, at its end; its weight is 0 there.
    #[inline]
    fn pair(&self, i: usize) -> [u8; 2] {
        match self.data.get(i..i + 2) {
            Some(&[left, right]) => [left, right],
            _ => [self.data.get(i).copied().unwrap_or_default(), 0],
        }
    }
}
