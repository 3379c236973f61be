//! Fields of edge orientation.

use crate::Picture;

/// Edges of a picture: strength of at most 1, and orientation by the sine and cosine of its double angle, which do not
/// tell a bright side from a dark one.
#[derive(Clone, Debug)]
pub(crate) struct Edges {
    pub(crate) cosine: Picture,
    pub(crate) sine: Picture,
}

impl Edges {
    pub(crate) fn of(picture: &Picture) -> Self {
        let smooth = picture.blurred();
        // Sobel without its factor, which the strength below takes out again.
        let gx = smooth
            .map_neighbours(|n| n(1, -1) + 2.0 * n(1, 0) + n(1, 1) - n(-1, -1) - 2.0 * n(-1, 0) - n(-1, 1));
        let gy = smooth
            .map_neighbours(|n| n(-1, 1) + 2.0 * n(0, 1) + n(1, 1) - n(-1, -1) - 2.0 * n(0, -1) - n(1, -1));
        let strength: Vec<f32> = gx.data().iter().zip(gy.data()).map(|(x, y)| x.hypot(*y)).collect();
        // Weak edges count less, strong ones all alike: contrast in one band says nothing about the other.
        let mean = strength.iter().sum::<f32>() / strength.len() as f32;
        let weight = |i: usize| 1.0 / ((strength[i] + mean) * strength[i]).max(f32::MIN_POSITIVE);
        let field = |f: &dyn Fn(f32, f32) -> f32| {
            let data = gx.data().iter().zip(gy.data()).enumerate().map(|(i, (x, y))| f(*x, *y) * weight(i));
            gx.with_data(data.collect()).blurred()
        };
        Self { cosine: field(&|x, y| x * x - y * y), sine: field(&|x, y| 2.0 * x * y) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_of_an_edge_does_not_matter() {
        let step = |lo: f32, hi: f32| {
            Picture::new(9, 9, (0..81).map(|i| if i % 9 < 4 { lo } else { hi }).collect::<Vec<f32>>())
                .unwrap()
        };
        let (a, b) = (Edges::of(&step(0.0, 1.0)), Edges::of(&step(5.0, 2.0)));
        for (x, y) in a.cosine.data().iter().zip(b.cosine.data()) {
            assert!((x - y).abs() < 1e-5);
        }
        assert!(a.cosine.data()[4 * 9 + 4] > 0.2, "a vertical edge has the cosine of angle 0");
    }

    #[test]
    fn a_flat_picture_has_none() {
        let e = Edges::of(&Picture::new(8, 8, vec![3.0f32; 64]).unwrap());
        assert!(e.cosine.data().iter().chain(e.sine.data()).all(|v| *v == 0.0));
    }
}
