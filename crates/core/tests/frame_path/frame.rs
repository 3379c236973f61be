use fusionproxy_core::frame::{
    FrameError, FrameInfo, Image, InfraredFormat, InfraredFrame, MAX_SIDE, Plane, VisibleFormat, VisibleFrame,
};
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

fn visible(
    format: VisibleFormat,
    width: usize,
    height: usize,
    stride: usize,
    data: &[u8],
) -> Result<VisibleFrame<'_>, FrameError> {
    VisibleFrame::new(format, width, height, stride, data, FrameInfo::STILL)
}

#[test]
fn errors_name_part_found_and_needed() {
    let data = [0; 100];
    let error = |r: Result<VisibleFrame<'_>, FrameError>| r.unwrap_err();
    assert_eq!(error(visible(VisibleFormat::Grey, 0, 4, 4, &data)), FrameError::Empty { field: "width" });
    assert_eq!(error(visible(VisibleFormat::Grey, 4, 0, 4, &data)), FrameError::Empty { field: "height" });
    assert_eq!(
        error(visible(VisibleFormat::Grey, MAX_SIDE + 1, 1, MAX_SIDE + 1, &data)),
        FrameError::TooLarge { field: "width", found: MAX_SIDE + 1, limit: MAX_SIDE }
    );
    assert_eq!(
        error(visible(VisibleFormat::Rgb8, 4, 2, 11, &data)),
        FrameError::Stride { plane: "visible", found: 11, needed: 12 }
    );
    assert_eq!(
        error(visible(VisibleFormat::Rgb8, 4, 9, 12, &data)),
        FrameError::Buffer { plane: "visible", found: 100, needed: 108 }
    );
    assert_eq!(
        error(visible(VisibleFormat::Nv12, 10, 10, 10, &data)),
        FrameError::Buffer { plane: "luma and chroma", found: 100, needed: 150 }
    );
    assert_eq!(
        error(visible(VisibleFormat::Nv12, 10, 11, 10, &data)),
        FrameError::Buffer { plane: "luma", found: 100, needed: 110 }
    );
    assert_eq!(
        VisibleFrame::nv12(10, 10, &data, 10, &data, 8, FrameInfo::STILL).unwrap_err(),
        FrameError::Stride { plane: "chroma", found: 8, needed: 10 }
    );
    assert_eq!(
        InfraredFrame::new(InfraredFormat::Y16, 8, 7, 16, &data, FrameInfo::STILL).unwrap_err(),
        FrameError::Buffer { plane: "infrared", found: 100, needed: 112 }
    );
    // An offset beyond the address space is an error, not an overflow.
    assert_eq!(
        error(visible(VisibleFormat::Grey, 1, 3, usize::MAX, &data)),
        FrameError::Buffer { plane: "visible", found: 100, needed: usize::MAX }
    );
    let text = FrameError::Buffer { plane: "chroma", found: 1, needed: 2 }.to_string();
    assert_eq!(text, "chroma buffer holds 1 bytes, but 2 are needed");
}

#[test]
fn rows_beyond_the_last_repeat_it() {
    let data = [1, 2, 3, 4, 5, 6];
    let plane = Plane::new(2, 2, 4, &data).unwrap();
    assert_eq!(plane.row(0), [1, 2]);
    assert_eq!(plane.row(1), [5, 6]);
    assert_eq!(plane.row(usize::MAX), [5, 6]);
}

#[test]
fn crop_is_a_view() {
    let data: Vec<u8> = (0..36).collect();
    let image = Image::<'_, 3>::new(4, 3, 12, &data).unwrap();
    let crop = image.crop(2, 2).unwrap();
    assert_eq!(crop.row(1), [12, 13, 14, 15, 16, 17]);
    assert!(matches!(image.crop(5, 1), Err(FrameError::Size { found: (4, 3), needed: (5, 1), .. })));
    assert!(matches!(image.crop(0, 1), Err(FrameError::Empty { field: "width" })));
}

#[test]
fn nv12_in_one_buffer_and_in_two_is_the_same() {
    let data = super::noise(7 * 5 + 7 * 2 + 6 + 7, 3);
    let (luma, chroma) = data.split_at(7 * 5);
    let one = visible(VisibleFormat::Nv12, 5, 5, 7, &data).unwrap();
    let two = VisibleFrame::nv12(5, 5, luma, 7, chroma, 7, FrameInfo::STILL).unwrap();
    for y in 0..6 {
        assert_eq!(one.row(y), two.row(y));
        assert_eq!(one.chroma_row(y), two.chroma_row(y));
        assert_eq!(one.chroma_row(y).len(), 6);
    }
}

proptest! {
    /// Whatever the constructor accepts can be read everywhere, and it accepts exactly what is long enough.
    #[test]
    fn accepted_frames_can_be_read(
        format in prop::sample::select(&FORMATS[..]), width in 0usize..40, height in 0usize..20,
        stride in 0usize..170, len in 0usize..2000,
    ) {
        let data = vec![7; len];
        if let Ok(frame) = visible(format, width, height, stride, &data) {
            for y in 0..height {
                prop_assert_eq!(frame.row(y).len(), format.row_bytes(width));
                let _ = frame.chroma_row(y);
            }
        } else {
            let row = format.row_bytes(width);
            let enough = match format {
                VisibleFormat::Nv12 => {
                    height > 0 && stride >= width.div_ceil(2) * 2
                        && len >= stride * height + stride * (height.div_ceil(2) - 1) + width.div_ceil(2) * 2
                }
                _ => height > 0 && stride >= row && len >= stride * (height - 1) + row,
            };
            prop_assert!(!enough || width == 0);
        }
    }
}
