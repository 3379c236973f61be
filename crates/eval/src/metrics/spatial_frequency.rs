use super::Image;

/// SF: root of the mean squared differences of neighbours along rows and along columns.
///
/// `√(RF² + CF²)`, `RF²` the mean of `(F(x,y) − F(x−1,y))²` over the differences that exist, `CF²` likewise along y
/// (0 where a side has one pixel). A. M. Eskicioglu, P. S. Fisher, *Image quality measures and their performance*,
/// IEEE Trans. Commun. 43(12), 1995.
#[must_use]
pub fn spatial_frequency(image: Image<'_>) -> f64 {
    let (w, h) = (image.width(), image.height());
    let square = |a: u8, b: u8| {
        let d = i64::from(a) - i64::from(b);
        (d * d) as u64
    };
    let mean = |sum: u64, n: usize| if n == 0 { 0.0 } else { sum as f64 / n as f64 };
    let rows = image.data().chunks_exact(w).flat_map(|r| r.windows(2)).map(|p| square(p[0], p[1])).sum();
    let columns = image.data().iter().zip(&image.data()[w..]).map(|(&a, &b)| square(a, b)).sum();
    (mean(rows, (w - 1) * h) + mean(columns, w * (h - 1))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        let of = |data: &[u8], w, h| spatial_frequency(Image::new(data, w, h).unwrap());
        assert_eq!(of(&[8; 6], 3, 2), 0.0);
        assert_eq!(of(&[8], 1, 1), 0.0);
        // Rows: differences 3, 3 (mean square 9); columns: 4, 4 (16).
        assert_eq!(of(&[0, 3, 4, 7], 2, 2), 5.0);
        // A single row has no columns to compare: squares 1, 49.
        assert_eq!(of(&[1, 2, 9], 3, 1), 5.0);
    }
}
