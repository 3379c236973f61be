use fusionproxy_core::frame::{FrameError, Image, Plane};
use fusionproxy_core::pad::{pad, pad_in_place, padded};
use proptest::prelude::*;

#[test]
fn padded_sizes() {
    assert_eq!([padded(1, 8), padded(8, 8), padded(9, 8), padded(5, 0), padded(5, 1)], [8, 8, 16, 5, 5]);
}

#[test]
fn a_smaller_size_is_refused() {
    let data = [0; 16];
    let plane = Plane::new(4, 4, 4, &data).unwrap();
    let error = FrameError::Size { image: "padded image", found: (8, 3), needed: (4, 4) };
    assert_eq!(pad(&plane, (8, 3), 0..3, &mut [0; 32], 8), Err(error));
    assert_eq!(pad_in_place::<1>(&mut [0; 32], 8, (4, 4), (8, 3)), Err(error));
    assert!(matches!(
        pad_in_place::<1>(&mut [0; 31], 8, (4, 4), (8, 4)),
        Err(FrameError::Buffer { found: 31, needed: 32, .. })
    ));
}

proptest! {
    /// Every padded pixel is the nearest pixel of the image; in place gives the same; cropping gives the image back.
    #[test]
    fn replicates_edges(
        width in 1usize..20, height in 1usize..20, right in 0usize..9, below in 0usize..9,
        slack in 0usize..5, cut in 0usize..30, seed: u64,
    ) {
        let data = super::noise((width * 3 + slack) * height, seed);
        let image = Image::<'_, 3>::new(width, height, width * 3 + slack, &data).unwrap();
        let size = (width + right, height + below);
        let stride = size.0 * 3 + slack;
        let cut = cut.min(size.1);
        let mut out = vec![0xa5; stride * size.1];
        let (top, bottom) = out.split_at_mut(stride * cut);
        pad(&image, size, 0..cut, top, stride).unwrap();
        pad(&image, size, cut..size.1, bottom, stride).unwrap();
        for (y, row) in out.chunks(stride).enumerate() {
            for (x, p) in row[..size.0 * 3].chunks(3).enumerate() {
                let nearest = x.min(width - 1) * 3;
                prop_assert_eq!(p, &image.row(y)[nearest..nearest + 3]);
            }
            prop_assert!(row[size.0 * 3..].iter().all(|&v| v == 0xa5));
        }

        let mut place = vec![0xa5; stride * size.1];
        for y in 0..height {
            place[y * stride..y * stride + width * 3].copy_from_slice(image.row(y));
        }
        pad_in_place::<3>(&mut place, stride, (width, height), size).unwrap();
        prop_assert_eq!(&place, &out);

        let back = Image::<'_, 3>::new(size.0, size.1, stride, &out).unwrap().crop(width, height).unwrap();
        prop_assert!((0..height).all(|y| back.row(y) == image.row(y)));
    }
}
