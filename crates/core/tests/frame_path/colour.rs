use fusionproxy_core::colour::{chroma_of, compose, luma, luma_of, rgb};
use fusionproxy_core::frame::{FrameError, FrameInfo, Plane, VisibleFormat, VisibleFrame};
use proptest::prelude::*;

const FORMATS: [VisibleFormat; 7] = [
    VisibleFormat::Rgb8,
    VisibleFormat::Bgr8,
    VisibleFormat::Rgba8,
    VisibleFormat::Yuyv,
    VisibleFormat::Nv12,
    VisibleFormat::Rgb565,
    VisibleFormat::Grey,
];

fn frame(format: VisibleFormat, width: usize, height: usize, stride: usize, data: &[u8]) -> VisibleFrame<'_> {
    VisibleFrame::new(format, width, height, stride, data, FrameInfo::STILL).unwrap()
}

/// One pixel through `compose`.
fn compose_one(format: VisibleFormat, pixel: &[u8], fused: u8) -> [u8; 3] {
    let frame = frame(format, 1, 1, pixel.len(), pixel);
    let mut out = [0; 3];
    compose(&frame, &Plane::new(1, 1, 1, &[fused]).unwrap(), 0..1, &mut out, 3).unwrap();
    out
}

fn exact_luma([r, g, b]: [u8; 3]) -> f64 {
    0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b)
}

fn exact_chroma(p: [u8; 3]) -> [f64; 2] {
    let y = exact_luma(p);
    [(f64::from(p[2]) - y) / 1.772, (f64::from(p[0]) - y) / 1.402]
}

/// Every 5th level of each channel with both ends: 140,608 colours.
fn colours() -> impl Iterator<Item = [u8; 3]> {
    let level = || (0..=255u8).step_by(5);
    level().flat_map(move |r| level().flat_map(move |g| level().map(move |b| [r, g, b])))
}

#[test]
fn luma_and_chroma_are_the_rounded_real_values() {
    for p in colours() {
        assert!((f64::from(luma_of(p)) - exact_luma(p)).abs() < 0.501, "{p:?}");
        let [cb, cr] = chroma_of(p);
        let [u, v] = exact_chroma(p);
        // 128 + 127.5 rounds to 256, which 8 bits cut to 255.
        assert!((f64::from(cb) - 128.0 - u).abs() < 0.505, "{p:?}");
        assert!((f64::from(cr) - 128.0 - v).abs() < 0.505, "{p:?}");
    }
    for v in 0..=255 {
        assert_eq!(luma_of([v; 3]), v);
        assert_eq!(chroma_of([v; 3]), [128, 128]);
    }
}

#[test]
fn composed_rgb_has_the_fused_luma_and_the_visible_chroma() {
    for p in colours() {
        for f in [0, 1, 17, 64, 100, 128, 200, 250, 254, 255] {
            let out = compose_one(VisibleFormat::Rgb8, &p, f);
            assert!((i16::from(luma_of(out)) - i16::from(f)).abs() <= 1, "{p:?} {f} {out:?}");
            let d = i16::from(f) - i16::from(luma_of(p));
            let unclipped = p.map(|c| i16::from(c) + d);
            let (before, after) = (exact_chroma(p), exact_chroma(out));
            if unclipped.iter().all(|v| (0..=255).contains(v)) {
                assert_eq!(out.map(i16::from), unclipped);
                assert!((before[0] - after[0]).abs() < 1e-9 && (before[1] - after[1]).abs() < 1e-9);
            } else {
                // Hue is kept: the chroma vector shrinks and does not turn, up to the rounding of three channels.
                let cross = before[0] * after[1] - before[1] * after[0];
                let (was, is) = (before[0].hypot(before[1]), after[0].hypot(after[1]));
                assert!(is <= was + 1.0, "{p:?} {f} {out:?}");
                assert!(cross.abs() <= was * 1.2, "{p:?} {f} {out:?}");
                // No colour is given up without need: a channel touches the end of its range.
                assert!(out.iter().any(|&c| c <= 1 || c >= 254), "{p:?} {f} {out:?}");
            }
        }
    }
}

#[test]
fn composed_yuv_has_the_fused_luma_and_the_visible_chroma() {
    for cb in (0..=255u8).step_by(3) {
        for cr in (0..=255u8).step_by(3) {
            for f in [0, 30, 128, 220, 255] {
                let out = compose_one(VisibleFormat::Yuyv, &[99, cb, 99, cr], f);
                assert!((i16::from(luma_of(out)) - i16::from(f)).abs() <= 1, "{cb} {cr} {f} {out:?}");
                if out.iter().all(|&c| c > 0 && c < 255) {
                    let [u, v] = chroma_of(out);
                    assert!(u.abs_diff(cb) <= 1 && v.abs_diff(cr) <= 1, "{cb} {cr} {f} {out:?}");
                }
            }
        }
    }
}

#[test]
fn rgb565_reaches_both_ends() {
    assert_eq!(compose_one(VisibleFormat::Rgb565, &[0xff, 0xff], 255), [255; 3]);
    let mut out = [9; 3];
    rgb(&frame(VisibleFormat::Rgb565, 1, 1, 2, &[0x00, 0xf8]), 0..1, &mut out, 3).unwrap();
    assert_eq!(out, [255, 0, 0]);
    rgb(&frame(VisibleFormat::Rgb565, 1, 1, 2, &[0xe0, 0x07]), 0..1, &mut out, 3).unwrap();
    assert_eq!(out, [0, 255, 0]);
    rgb(&frame(VisibleFormat::Rgb565, 1, 1, 2, &[0x1f, 0x00]), 0..1, &mut out, 3).unwrap();
    assert_eq!(out, [0, 0, 255]);
}

#[test]
fn channel_orders_agree() {
    let rgb8 = super::noise(30, 1);
    let bgr8: Vec<u8> = rgb8.chunks(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
    let rgba8: Vec<u8> = rgb8.chunks(3).flat_map(|p| [p[0], p[1], p[2], 17]).collect();
    let fused = super::noise(10, 2);
    let fused = Plane::new(5, 2, 5, &fused).unwrap();
    let run = |format, bytes: usize, data: &[u8]| {
        let frame = frame(format, 5, 2, 5 * bytes, data);
        let (mut y, mut colour, mut composed) = (vec![0; 10], vec![0; 30], vec![0; 30]);
        luma(&frame, 0..2, &mut y, 5).unwrap();
        rgb(&frame, 0..2, &mut colour, 15).unwrap();
        compose(&frame, &fused, 0..2, &mut composed, 15).unwrap();
        assert_eq!(colour, rgb8);
        (y, composed)
    };
    let expected = run(VisibleFormat::Rgb8, 3, &rgb8);
    assert_eq!(run(VisibleFormat::Bgr8, 3, &bgr8), expected);
    assert_eq!(run(VisibleFormat::Rgba8, 4, &rgba8), expected);
}

#[test]
fn sizes_and_rows_are_checked() {
    let data = [0; 48];
    let frame = frame(VisibleFormat::Rgb8, 4, 4, 12, &data);
    let mut out = [0; 48];
    let small = Plane::new(4, 3, 4, &data).unwrap();
    assert!(matches!(
        compose(&frame, &small, 0..4, &mut out, 12),
        Err(FrameError::Size { image: "fused luma", found: (4, 3), needed: (4, 4) })
    ));
    assert_eq!(luma(&frame, 2..5, &mut out, 4), Err(FrameError::Rows { start: 2, end: 5, height: 4 }));
    #[expect(clippy::reversed_empty_ranges, reason = "a range that runs backwards must be refused")]
    let backwards = 3..2;
    assert_eq!(luma(&frame, backwards, &mut out, 4), Err(FrameError::Rows { start: 3, end: 2, height: 4 }));
    assert_eq!(
        luma(&frame, 0..4, &mut out, 3),
        Err(FrameError::Stride { plane: "output", found: 3, needed: 4 })
    );
    assert_eq!(
        rgb(&frame, 0..4, &mut out[..47], 12),
        Err(FrameError::Buffer { plane: "output", found: 47, needed: 48 })
    );
    assert_eq!(luma(&frame, 4..4, &mut [], 4), Ok(()));
}

proptest! {
    /// Any split of the rows gives the same bytes, nothing outside the rows is touched, and composing with a frame's own
    /// luma is its RGB.
    #[test]
    fn rows_split_anywhere(
        format in prop::sample::select(&FORMATS[..]), width in 1usize..40, height in 1usize..9,
        slack in 0usize..9, out_slack in 0usize..9, cut in 0usize..9, seed: u64,
    ) {
        let cut = cut.min(height);
        let stride = format.row_bytes(width) + slack + (width & 1);
        let data = super::noise(stride * (height + height.div_ceil(2)), seed);
        let frame = frame(format, width, height, stride, &data);
        let (ys, cs) = (width + out_slack, width * 3 + out_slack);

        let mut y = vec![0xa5; ys * height];
        luma(&frame, 0..height, &mut y, ys).unwrap();
        let mut parts = vec![0xa5; ys * height];
        let (top, bottom) = parts.split_at_mut(ys * cut);
        luma(&frame, 0..cut, top, ys).unwrap();
        luma(&frame, cut..height, bottom, ys).unwrap();
        prop_assert_eq!(&y, &parts);
        prop_assert!(y.chunks(ys).all(|row| row[width..].iter().all(|&v| v == 0xa5)));

        let mut colour = vec![0xa5; cs * height];
        rgb(&frame, 0..height, &mut colour, cs).unwrap();
        let fused = Plane::new(width, height, ys, &y).unwrap();
        let mut composed = vec![0xa5; cs * height];
        let (top, bottom) = composed.split_at_mut(cs * cut);
        compose(&frame, &fused, 0..cut, top, cs).unwrap();
        compose(&frame, &fused, cut..height, bottom, cs).unwrap();
        prop_assert_eq!(&colour, &composed);
    }

    /// The luma of the composed frame is the fused luma, whatever the source.
    #[test]
    fn luma_survives(format in prop::sample::select(&FORMATS[..]), width in 1usize..40, seed: u64) {
        let stride = format.row_bytes(width) + (width & 1);
        let data = super::noise(stride * 2, seed);
        let fused = super::noise(width, !seed);
        let mut out = vec![0; width * 3];
        compose(
            &frame(format, width, 1, stride, &data), &Plane::new(width, 1, width, &fused).unwrap(),
            0..1, &mut out, width * 3,
        ).unwrap();
        for (p, f) in out.chunks(3).zip(&fused) {
            prop_assert!(luma_of([p[0], p[1], p[2]]).abs_diff(*f) <= 1);
        }
    }
}
