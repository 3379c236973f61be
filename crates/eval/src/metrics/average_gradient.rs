use super::Image;

/// AG: mean of `√((Δx² + Δy²)/2)` with forward differences, over the pixels that have both a right and a lower
/// neighbour; 0 for pictures of one row or column.
///
/// G. Cui, H. Feng, Z. Xu, Q. Li, Y. Chen, *Detail preserved fusion of visible and infrared images using regional
/// saliency extraction and multi-scale image decomposition*, Opt. Commun. 341, 2015.
#[must_use]
pub fn average_gradient(image: Image<'_>) -> f64 {
    let (w, h) = (image.width(), image.height());
    if w < 2 || h < 2 {
        return 0.0;
    }
    let mut sum = 0.0;
    for (row, below) in image.data().chunks_exact(w).zip(image.data()[w..].chunks_exact(w)) {
        for (pair, &down) in row.windows(2).zip(below) {
            let here = i32::from(pair[0]);
            let (dx, dy) = (i32::from(pair[1]) - here, i32::from(down) - here);
            sum += (f64::from(dx * dx + dy * dy) * 0.5).sqrt();
        }
    }
    sum / ((w - 1) * (h - 1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        let of = |data: &[u8], w, h| average_gradient(Image::new(data, w, h).unwrap());
        assert_eq!(of(&[5; 4], 2, 2), 0.0);
        assert_eq!(of(&[5, 9], 2, 1), 0.0);
        // One pixel with both neighbours: √((1 + 49)/2) = 5.
        assert_eq!(of(&[10, 11, 17, 0], 2, 2), 5.0);
    }
}
