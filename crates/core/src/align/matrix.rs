//! 3 × 3 matrices in f64, for set-up only: additions, multiplications and divisions, which IEEE 754 makes the same on
//! every platform.

/// Row-major 3 × 3 matrix.
pub(super) type Matrix = [[f64; 3]; 3];

pub(super) fn multiply(a: &Matrix, b: &Matrix) -> Matrix {
    core::array::from_fn(|r| {
        core::array::from_fn(|c| a[r][0] * b[0][c] + a[r][1] * b[1][c] + a[r][2] * b[2][c])
    })
}

/// The adjugate, which is the inverse up to a factor: all that a projective map needs.
pub(super) fn adjugate(m: &Matrix) -> Matrix {
    let minor = |r0: usize, r1: usize, c0: usize, c1: usize| m[r0][c0] * m[r1][c1] - m[r0][c1] * m[r1][c0];
    [
        [minor(1, 2, 1, 2), minor(0, 2, 2, 1), minor(0, 1, 1, 2)],
        [minor(1, 2, 2, 0), minor(0, 2, 0, 2), minor(0, 1, 2, 0)],
        [minor(1, 2, 0, 1), minor(0, 2, 1, 0), minor(0, 1, 0, 1)],
    ]
}

/// Product with the column (x, y, 1).
pub(super) fn apply(m: &Matrix, x: f64, y: f64) -> [f64; 3] {
    core::array::from_fn(|r| m[r][0] * x + m[r][1] * y + m[r][2])
}

/// The map from pixels of an image of `from` (width, height) px to those of the same view at `to` px: pixel edges, not
/// centres, coincide ("half-pixel" convention).
pub(super) fn rescale(from: (usize, usize), to: (usize, usize)) -> Matrix {
    let (sx, sy) = (to.0 as f64 / from.0 as f64, to.1 as f64 / from.1 as f64);
    [[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5], [0.0, 0.0, 1.0]]
}
